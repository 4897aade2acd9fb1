"""Draws the picture of the house: `python docs/house.py` writes docs/figures/house.svg.

The order of the rooms is that of the contract `rooms` in pyproject.toml, which `lint-imports` holds the code to; the
words are those of the table in how_it_hangs_together.md; the dots are the imports in the sources.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how_it_hangs_together.md"
PICTURE = ROOT / "docs" / "figures" / "house.svg"
# In pixels: height of a row; where its words and its dots begin; width of a dot; height of the roof.
ROW, WORDS, DOTS, CELL, HEAD = 26, 120, 580, 22, 108


def rooms() -> list[str]:
    """The packages, from top to bottom."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = (one for one in tools["importlinter"]["contracts"] if one["name"] == "rooms")
    return contract["layers"]


def words() -> dict[str, str]:
    """What is in each room, up to the first stop, in the order of the page."""
    rows = re.findall(r"^\| `(\w+)/` \| ([^.:;]*)", PAGE.read_text(encoding="utf-8"), re.M)
    return dict(rows)


def imported_by(room: str) -> set[str]:
    """The other rooms that a room imports from, at the start of a module or inside of a function."""
    names = set()
    for path in sorted((ROOT / "regbench" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "regbench":
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("regbench."):
                names.add(node.module.split(".")[1])
            elif isinstance(node, ast.Import):
                names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("regbench.")}
    return names & set(rooms()) - {room}


def drawn() -> str:
    """The picture, as SVG."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    order, told = rooms(), words()
    width, height = DOTS + CELL * len(order) + 30, HEAD + ROW * len(order) + 10
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" fill="#222">'
    )
    yield "<title>The fifteen rooms, and which imports from which: only from those below</title>"
    yield f'<rect width="{width}" height="{height}" fill="#fff"/>'
    yield f'<path d="M 4 {HEAD - 4} L {DOTS / 2} 14 L {DOTS - 12} {HEAD - 4} Z" fill="#e8eef7" stroke="#7f9bc4"/>'
    yield f'<text x="{DOTS / 2}" y="{HEAD - 30}" text-anchor="middle" font-size="16" font-weight="bold">regbench</text>'
    yield f'<text x="{DOTS / 2}" y="{HEAD - 12}" text-anchor="middle">imports point down</text>'
    for number, room in enumerate(order):
        top, used = HEAD + ROW * number, imported_by(room)
        shade = "#f4f7fb" if number % 2 else "#e8eef7"
        yield f'<rect x="4" y="{top}" width="{DOTS - 16}" height="{ROW - 2}" fill="{shade}" stroke="#7f9bc4"/>'
        yield f'<text x="12" y="{top + 17}" font-weight="bold">{room}</text>'
        yield f'<text x="{WORDS}" y="{top + 17}">{escape(told[room])}</text>'
        x = DOTS + CELL * number + CELL / 2
        yield f'<text transform="translate({x + 4} {HEAD - 8}) rotate(-60)">{room}</text>'
        yield f'<rect x="{x - 7}" y="{top + 5}" width="14" height="14" fill="#7f9bc4"/>'
        for column, other in enumerate(order):
            if other in used:
                yield f'<circle cx="{DOTS + CELL * column + CELL / 2}" cy="{top + 12}" r="4"/>'
    yield "</svg>"


if __name__ == "__main__":
    PICTURE.write_text(drawn(), encoding="utf-8")

"""Where two files of a study differ: row, column, and both values."""

import base64
import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from regbench.system.files import file_sha256

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
PICTURE = re.compile(r"data:image/([a-z+]+);base64,([A-Za-z0-9+/=]*)")
LONGEST = 60  # letters of a value that is shown
NOTHING = "nothing"
MARKS = " <>&,;=()"  # around words and numbers of a text
# Another processor may add in another order: numbers that are not rounded may differ in their last digits.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
KEYS = ("dataset", "method", "seed", "replicate", "metric", "fixed", "moving", "a", "b", "label", "point", "step")


class Difference(NamedTuple):
    """One place of a file where it differs."""

    file: str
    where: str
    published: str
    derived: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.where}" if self.where else self.file
        return f"{place}: published {_short(self.published)}, derived {_short(self.derived)}"


def compared(published: Path, derived: Path, name: str, *, exact: bool) -> list[Difference]:
    """The places where two files differ; none where their bytes are equal.

    Args:
        published: a file.
        derived: what it should be.
        name: of both, for messages; its ending decides how they are read.
        exact: let no last digit pass of numbers that are not rounded.
    """
    if not (published.is_file() and derived.is_file()):
        return [Difference(name, "", *("a file" if path.is_file() else "no file" for path in (published, derived)))]
    if file_sha256(published) == file_sha256(derived):
        return []
    found = list(_read(published, derived, name, exact=exact))
    # Other versions of pyarrow write other bytes for the same rows; ends of lines have no place.
    return found or ([Difference(name, "", "other bytes", "the same content")] if exact else [])


def _read(published: Path, derived: Path, name: str, *, exact: bool) -> Iterator[Difference]:
    paths = (published, derived)
    if published.suffix == ".parquet":
        yield from _tables(name, *map(pd.read_parquet, paths), exact=exact)
        return
    try:
        texts = [path.read_text(encoding="utf-8") for path in paths]
    except UnicodeDecodeError:
        yield Difference(name, "", "other bytes", "bytes that differ")
        return
    if published.suffix in (".json", ".jsonl"):
        yield from _json(name, texts, exact=exact)
    elif published.suffix == ".csv":
        yield from _csv(name, texts, exact=exact)
    else:
        yield from _lines(name, texts, exact=exact)


def _tables(name: str, published: pd.DataFrame, derived: pd.DataFrame, *, exact: bool) -> Iterator[Difference]:
    if list(published) != list(derived):
        yield Difference(name, "columns", ", ".join(map(str, published)), ", ".join(map(str, derived)))
        return
    if len(published) != len(derived):
        yield Difference(name, "rows", str(len(published)), str(len(derived)))
        return
    for column in published:
        pairs = zip(published[column].tolist(), derived[column].tolist(), strict=True)
        for row, (one, other) in enumerate(pairs):
            if not _equal(one, other, exact=exact):
                about = {str(key): published[key].iloc[row] for key in published if key in KEYS}
                yield Difference(name, _place(row + 1, about, str(column)), str(one), str(other))


def _csv(name: str, texts: Sequence[str], *, exact: bool) -> Iterator[Difference]:
    (head, *rows), (other_head, *others) = (list(csv.reader(io.StringIO(text))) or [[]] for text in texts)
    if head != other_head or len(rows) != len(others):
        yield from _lines(name, texts, exact=exact)
        return
    for number, (row, other) in enumerate(zip(rows, others, strict=True), 1):
        about = {key: value for key, value in zip(head, row, strict=False) if key in KEYS}
        if len(row) != len(other):
            yield Difference(name, _place(number, about, ""), ",".join(row), ",".join(other))
            continue
        for column, one, two in zip(head, row, other, strict=False):
            if one != two and (exact or not _close(one, two)):
                yield Difference(name, _place(number, about, column), one, two)


def _json(name: str, texts: Sequence[str], *, exact: bool) -> Iterator[Difference]:
    if name.endswith(".jsonl"):
        lines = [text.splitlines() for text in texts]
        if len(lines[0]) != len(lines[1]):
            yield Difference(name, "", f"{len(lines[0])} lines", f"{len(lines[1])} lines")
            return
        changed = [(n, pair) for n, pair in enumerate(zip(*lines, strict=True), 1) if pair[0] != pair[1]]
    else:
        changed = [(0, (texts[0], texts[1]))]
    for number, pair in changed:
        where = f"line {number}" if number else ""
        try:
            values = [json.loads(text) for text in pair]
        except ValueError:
            yield Difference(name, where, "no JSON", "JSON")
            continue
        if number and isinstance(values[0], dict):
            where = f"{where} ({values[0].get('file')})"
        yield from _values(name, where, values[0], values[1], exact=exact)


def _values(name: str, where: str, one: Any, other: Any, *, exact: bool) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            inner = (one.get(key, NOTHING), other.get(key, NOTHING))
            yield from _values(name, f"{where}.{key}".lstrip("."), *inner, exact=exact)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _values(name, f"{where}[{number}]", *pair, exact=exact)
    elif type(one) is not type(other) or not _equal(one, other, exact=exact):
        yield Difference(name, where, json.dumps(one), json.dumps(other))


def _lines(name: str, texts: Sequence[str], *, exact: bool) -> Iterator[Difference]:
    """Of Markdown the row and column, of other texts the line and what differs in it; pictures in a page by theirs."""
    lines = [text.splitlines() for text in texts]
    if len(lines[0]) != len(lines[1]):
        yield Difference(name, "", f"{len(lines[0])} lines", f"{len(lines[1])} lines")
    head: list[str] = []
    for number, (one, other) in enumerate(zip(*lines, strict=False), 1):
        cells = [cell.strip() for cell in one.split("|")] if one.startswith("|") else []
        head = head if head or not cells else cells
        if one == other or (not exact and _same_pictures(one, other)):
            continue
        others = [cell.strip() for cell in other.split("|")]
        if cells and len(cells) == len(others) == len(head):
            for title, cell, derived in zip(head, cells, others, strict=True):
                if cell != derived:
                    yield Difference(name, f"line {number}, {title}", cell, derived)
        else:
            yield Difference(name, f"line {number}", *_apart(one, other))


def _apart(one: str, other: str) -> tuple[str, str]:
    """The parts of two lines in which they differ, from the beginning of a word or number."""
    same = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    begin = max(one.rfind(mark, 0, same) for mark in MARKS) + 1
    words = [re.split(f"[{re.escape(MARKS)}]", line[begin:], maxsplit=1)[0] for line in (one, other)]
    return (words[0], words[1]) if words[0] != words[1] else (one[begin:], other[begin:])


def _same_pictures(one: str, other: str) -> bool:
    """Whether two lines differ in the last digits of drawings alone: of an SVG, or of those in a page."""
    if PICTURE.sub("", one) != PICTURE.sub("", other):
        return _drawn(one, other)
    pairs = zip(PICTURE.findall(one), PICTURE.findall(other), strict=True)
    return all(a == b or (a[0] == "svg+xml" == b[0] and _drawn(*map(_decoded, (a[1], b[1])))) for a, b in pairs)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", errors="replace")


def _drawn(one: str, other: str) -> bool:
    """Whether the numbers of two drawings are the same but for what an SVG rounds."""
    if "<" not in one or NUMBER.sub("", one) != NUMBER.sub("", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(a == b or ("." in a and math.isclose(float(a), float(b), abs_tol=2e-6)) for a, b in pairs)


def _equal(one: Any, other: Any, *, exact: bool) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or (not exact and math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE))
    return bool(one == other)


def _close(one: str, other: str) -> bool:
    """Whether two cells of a CSV are one number but for its last digits."""
    if not (NUMBER.fullmatch(one) and NUMBER.fullmatch(other)):
        return False
    return math.isclose(float(one), float(other), rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _place(row: int, about: dict[str, Any], column: str) -> str:
    known = ", ".join(str(value) for value in about.values())
    return ", ".join(part for part in (f"row {row}", f"({known})" if known else "", column) if part)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"

"""The similarity that CONTRIBUTING.md adds as its example passes every table test."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COPIED = ("regbench", "tests/losses", "tests/support", "tests/conftest.py", "pyproject.toml")
BLOCK = re.compile(
    r"^```python\n# (?P<file>[\w/.]+)(?:, (?P<place>[^\n]+))?\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the tests of losses need."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


def add(checkout: Path, file: str, place: str | None, code: str) -> None:
    """One block: a new file, imports, or entries of a table."""
    path = checkout / file
    if place is None:
        path.write_text(code)
        return
    before = (
        r"^from regbench\.losses\." if place == "with the imports" else f"(?<=^{place.removeprefix('in ')}).*\\{{\n"
    )
    text = path.read_text()
    match = re.search(before, text, re.MULTILINE)
    assert match, f"{file} has no place for what CONTRIBUTING.md adds {place}"
    at = match.start() if place == "with the imports" else match.end()
    path.write_text(text[:at] + code + text[at:])


def table_tests(checkout: Path) -> str:
    """Last line of pytest, of the tests that name the example."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "sad", "tests/losses"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("blocks", ["all", pytest.param("without a reference", marks=pytest.mark.slow)])
def test_the_example_passes_the_table_tests(checkout: Path, blocks: str) -> None:
    found = list(BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text()))
    assert [block["file"] for block in found] == [
        "regbench/losses/sad.py",
        "regbench/losses/__init__.py",
        "regbench/losses/__init__.py",
        "tests/support/loss_references.py",
    ]
    for block in found if blocks == "all" else found[:3]:
        add(checkout, **block.groupdict())
    summary = table_tests(checkout)
    assert int(re.search(r"(\d+) passed", summary)[1]) > 50, summary
    skipped = re.search(r"(\d+) skipped", summary)
    assert (int(skipped[1]) if skipped else 0) == (0 if blocks == "all" else 2), summary

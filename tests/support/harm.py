"""Files that are damaged, and which files somebody reads."""

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_opened: set[str] | None = None


def _note(event: str, given: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(given[0], str) and not given[2] & os.O_ACCMODE:
        _opened.add(given[0])


sys.addaudithook(_note)


@contextlib.contextmanager
def opened() -> Iterator[set[str]]:
    """The files that are opened to be read."""
    global _opened  # noqa: PLW0603  a hook stays for the life of the process
    _opened = set()
    try:
        yield _opened
    finally:
        _opened = None


def harm(path: Path, how: str, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    times = path.stat()
    if how == "flip" and content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif how == "cut":
        content = content[: len(content) // 2]
    elif how == "empty":
        content.clear()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a failing disk does it

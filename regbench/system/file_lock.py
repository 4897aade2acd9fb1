"""One holder at a time, freed by the kernel when the holder dies, `kill -9` included."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regbench.system.errors import RegbenchError


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold the lock `path` for the block; wait for whoever has it.

    Raises:
        RegbenchError: if its folder cannot be written; names the reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise RegbenchError(
            f"`{path.parent}` must be writable, but got: {error.strerror or error}. Change `results` in the config, or "
            "the permissions."
        ) from error
    with lock as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

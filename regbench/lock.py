"""One holder at a time, freed by the kernel when the holder dies, `kill -9` included."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from regbench.errors import RegbenchError


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold the lock `path` for the block; wait for whoever has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def owned(path: Path, what: str) -> IO[str]:
    """Take the lock `path` until the returned file is closed or this process ends.

    Raises:
        RegbenchError: if another process has it (says which), or the folder is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise RegbenchError(
            f"`{path}` must be writable, but got: {error.strerror}. Change `results` in the config, or permissions."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise RegbenchError(f"{what} is being run by {holder}. Wait until it ends, or stop it.") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}\n")
    file.flush()
    return file

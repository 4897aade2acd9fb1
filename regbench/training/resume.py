"""What a killed training goes on from: one file, written whole, taken only by the training that wrote it."""

import hashlib
import io
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import cast

import torch

from regbench.system.files import file_sha256, replacing
from regbench.training.archive import read_archive
from regbench.training.state import StoredState

LOG = logging.getLogger(__name__)
DIGEST = 32  # bytes at the end of a file: the SHA-256 of all before


class StateFile:
    """The file of one training; a path of None keeps nothing."""

    def __init__(self, path: Path | None, key: str, every: float) -> None:
        """Nothing is written yet.

        Args:
            path: of the file.
            key: digest of all that the training depends on.
            every: seconds between two writes.
        """
        self.path, self.key, self.every = path, key, every
        self.saved = time.monotonic()

    def __str__(self) -> str:
        """Where a message says that the state is."""
        return "not kept" if self.path is None else f"kept in `{self.path}`"

    def due(self, asked: bool) -> bool:
        """Whether it is time to write: after so many seconds, or when the process is asked to end."""
        return self.path is not None and (asked or time.monotonic() - self.saved > self.every)

    def save(self, state: StoredState) -> None:
        """Write the state, whole."""
        assert self.path is not None  # or it is never due
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            torch.save({"key": self.key, "state": state}, file)
            file.flush()
            file.write(bytes.fromhex(file_sha256(temporary)))
        self.saved = time.monotonic()

    def load(self) -> StoredState | None:
        """The state in the file; None where there is none, or it is damaged or that of another training."""
        if self.path is None or not self.path.exists():
            return None
        content = self.path.read_bytes()
        if hashlib.sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
            LOG.warning("`%s` is damaged: its digest is of other content; the training begins anew", self.path)
            return None
        try:
            stored = read_archive(io.BytesIO(content[:-DIGEST]))
        except ValueError:  # of another version
            return None
        if not isinstance(stored, dict) or stored.get("key") != self.key:
            return None
        state = stored.get("state")
        return cast("StoredState", state) if isinstance(state, dict) else None


class Stop:
    """Whether a scheduler has asked this process to end."""

    asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """What SIGTERM does: nothing yet; the step that runs is finished first."""
        self.asked = True


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn SIGTERM into a flag for the block; elsewhere than in the main thread signals cannot be caught."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)

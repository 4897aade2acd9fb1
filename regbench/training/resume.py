"""What a killed training goes on from: one file, written whole, taken only by the training that wrote it."""

import io
import pickle
import signal
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from regbench.system.files import replacing


def save(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write the state of the training called `key` (a digest of all that it depends on)."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save({"key": key, "state": state}, file)


def load(path: Path, key: str) -> dict[str, Any] | None:
    """The state in `path`; None where there is none, or it is broken or that of another training."""
    if not zipfile.is_zipfile(path):  # torch takes other bytes for an old format, and fails in as many ways
        return None
    try:
        stored = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
        return None
    if not isinstance(stored, dict) or stored.get("key") != key:
        return None
    state = stored.get("state")
    return state if isinstance(state, dict) else None


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

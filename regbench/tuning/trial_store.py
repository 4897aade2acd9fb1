"""What trials and trainings leave: files of their own while jobs may be killed, and few once those are done."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from regbench.system.files import read_json, write_json


def trial_file(state: Path, number: int) -> Path:
    """Where a trial is kept that has just ended."""
    return state / f"trial{number:03d}.json"


def log_file(state: Path, number: int) -> Path:
    """Where a trial's own log (`regbench.training.training_log`) grows."""
    return state / f"trial{number:03d}.jsonl"


def kept_trial(state: Path, number: int) -> dict[str, Any]:
    """A trial that is kept in folder `state` or in the one file beside it; empty if there is none."""
    path = trial_file(state, number)
    found: dict[str, Any] = read_json(path) if path.exists() else _together(state).get(path.name, {})
    return found


def kept_log(state: Path, number: int) -> str:
    """What a trial's own log says, wherever it is kept; empty if there is none."""
    path = log_file(state, number)
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return str(_together(state).get(path.name, ""))


def put_together(state: Path) -> None:
    """Make one file of those in `state`: trials by the ten thousand would use up a disk's inodes."""
    single, logs = sorted(state.glob("trial*.json")), sorted(state.glob("trial*.jsonl"))
    if not single:
        return
    ended = {path.name: read_json(path) for path in single}
    said = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in logs}
    write_json(_beside(state), _together(state) | ended | said)
    for path in (*single, *logs):
        path.unlink()
    with suppress(OSError):  # not empty: another job is at work there
        state.rmdir()


def _together(state: Path) -> dict[str, Any]:
    path = _beside(state)
    try:
        found = path.stat()
    except OSError:
        return {}
    return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)  # who asks for one trial of a cell asks for the next
def _read(path: Path, mtime_ns: int, size: int) -> dict[str, Any]:
    return dict(read_json(path))


def _beside(state: Path) -> Path:
    return state.with_name(f"{state.name}.json")

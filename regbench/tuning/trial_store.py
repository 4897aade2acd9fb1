"""Storage of trial results: one file each while jobs may be killed, one file for a search afterwards."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import cast

from regbench.system.files import read_sealed, write_sealed
from regbench.tuning.trial_results import TrialResult


def trial_file(state: Path, number: int) -> Path:
    """File of a trial that has just ended."""
    return state / f"trial{number:03d}.json"


def log_file(state: Path, number: int) -> Path:
    """File in which the log of a trial (`regbench.training.training_log`) grows."""
    return state / f"trial{number:03d}.jsonl"


def stored_trial(state: Path, number: int) -> TrialResult | None:
    """A trial in folder `state`, or in the one file beside it; None if there is none."""
    path = trial_file(state, number)
    result = read_sealed(path) if path.exists() else _together(state).get(path.name)
    return cast("TrialResult | None", result)


def stored_log(state: Path, number: int) -> str:
    """The text of a trial's log, from its own file or from the one of the search; empty if there is none."""
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
    ended = {path.name: read_sealed(path) for path in single}
    said = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in logs}
    write_sealed(_beside(state), _together(state) | ended | said)
    for path in (*single, *logs):
        path.unlink()
    with suppress(OSError):  # not empty: another job is at work there
        state.rmdir()


def _together(state: Path) -> dict[str, object]:
    path = _beside(state)
    try:
        status = path.stat()
    except OSError:
        return {}
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)  # who asks for one trial of a cell asks for the next
def _read(path: Path, mtime_ns: int, size: int) -> dict[str, object]:
    return dict(read_sealed(path))


def _beside(state: Path) -> Path:
    return state.with_name(f"{state.name}.json")

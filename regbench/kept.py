"""The finished trials of a cell: a file each while jobs may be killed, one file for all once its lambda is chosen."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from regbench.files import read_json, write_json


def trial_file(state: Path, number: int) -> Path:
    """Where a trial is kept that has just ended."""
    return state / f"trial{number:03d}.json"


def kept_trial(state: Path, number: int) -> dict[str, Any]:
    """A trial that is kept in folder `state` or in the one file beside it; empty if there is none."""
    path = trial_file(state, number)
    found: dict[str, Any] = read_json(path) if path.exists() else _together(state).get(path.name, {})
    return found


def put_together(state: Path) -> None:
    """Make one file of those in `state`: trials by the ten thousand would use up a disk's inodes."""
    single = sorted(state.glob("trial*.json"))
    if not single:
        return
    write_json(_beside(state), _together(state) | {path.name: read_json(path) for path in single})
    for path in single:
        path.unlink()
    with suppress(OSError):  # not empty: another job is at work there
        state.rmdir()


def _together(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(_beside(state)) if _beside(state).exists() else {}
    return found


def _beside(state: Path) -> Path:
    return state.with_name(f"{state.name}.json")

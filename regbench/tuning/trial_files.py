"""Proposals and trials read back from their files, and compared with the search that they are to be of.

Snakemake makes them anew where the config has changed. Verbs by hand may find files of another search: of a range that
was narrowed since, of one dimension less, or of another study.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from regbench.study.goals import FOLDING
from regbench.study.specs import DimensionSpec, SearchSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed
from regbench.tuning.space import LAMBDA, dimensions
from regbench.tuning.trial_results import Proposal, TrialResult


def read_trials(paths: Sequence[Path], spec: SearchSpec) -> list[TrialResult]:
    """The results in the files of a search.

    Raises:
        RegbenchError: if a file is missing, holds something else, or a trial of another search; names file and trial.
    """
    return [cast("TrialResult", entry) for path in paths for entry in _entries(path, spec, scored=True)]


def read_proposals(path: Path, spec: SearchSpec) -> list[Proposal]:
    """The proposals of a round.

    Raises:
        RegbenchError: as `read_trials`.
    """
    return [Proposal.from_json(entry) for entry in _entries(path, spec, scored=False)]


def _entries(path: Path, spec: SearchSpec, *, scored: bool) -> list[dict[str, Any]]:
    entries = read_sealed(path)
    check_entries(entries, spec, path, scored=scored)
    return cast("list[dict[str, Any]]", entries)


def check_entries(entries: Any, spec: SearchSpec, path: Path, *, scored: bool = True) -> None:
    """Compare what a file holds with a search.

    Args:
        entries: of the file.
        spec: of the search.
        path: of the file, for the message.
        scored: whether they are results, not proposals.

    Raises:
        RegbenchError: if one is of another search; names the file and the trial.
    """
    if not isinstance(entries, list):
        raise _other(path, f"holds {type(entries).__name__}, no list of trials")
    for number, entry in enumerate(entries):
        fault = _fault(entry, spec, scored=scored)
        if fault:
            named = entry.get("number", number) if isinstance(entry, dict) else number
            raise _other(path, f"trial {named} {fault}")


def _other(path: Path, words: str) -> RegbenchError:
    return RegbenchError(
        f"`{path}` must be of the search that the config declares, but {words}. The config may have changed since: run "
        f"the study by `regbench run`, which makes the file anew, or delete `{path.parent}`."
    )


def _fault(entry: Any, spec: SearchSpec, *, scored: bool) -> str:
    """Why an entry is no trial of a search; empty if it is one."""
    if not isinstance(entry, dict):
        return f"is {type(entry).__name__}, no mapping"
    wanted = ["number", LAMBDA, *(("status", "scores") if scored else ())]
    missing = [key for key in wanted if key not in entry]
    values = entry.get("values", {})
    if missing or type(entry["number"]) is not int or not isinstance(values, dict):
        return f"has no {missing[0]}" if missing else "has a number or values of another type"
    if scored and (fault := _wrong_scores(entry["scores"], spec)):
        return fault
    point = {LAMBDA: entry[LAMBDA], **values}
    known = {dimension.name: dimension for dimension in dimensions(spec)}
    for name in [name for name in {**known, **point} if name not in point or name not in known]:
        return f"{'has' if name in point else 'lacks'} a value of {name}, which is {'not ' * (name in point)}searched"
    outside = [name for name, dimension in known.items() if not _inside(point[name], dimension)]
    return "".join(f"has {name} {point[name]}, not {_allowed(known[name])}" for name in outside[:1])


def _wrong_scores(scores: Any, spec: SearchSpec) -> str:
    """Why scores are none of a search: of a trial that diverged there are none."""
    if not isinstance(scores, dict) or not all(type(value) in (int, float) for value in scores.values()):
        return "has scores that are no numbers"
    wanted = [*spec.goal.metrics, FOLDING]
    missing = [name for name in wanted if scores and name not in scores]
    return f"has no score by {missing[0]}" if missing else ""


def _inside(value: Any, dimension: DimensionSpec) -> bool:
    if dimension.choices is not None:
        return value in dimension.choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = dimension.range or (0.0, float("inf"))
    return low <= value <= high


def _allowed(dimension: DimensionSpec) -> str:
    if dimension.choices is not None:
        return f"one of {', '.join(map(str, dimension.choices))}"
    return f"in {list(dimension.range)}" if dimension.range else "a number"

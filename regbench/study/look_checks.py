"""Checks of `looks` across the sections of a config; on the raw mapping, as `regbench.study.checks`."""

from collections.abc import Iterator, Mapping
from typing import Any

from regbench.study.config import FEWEST_AT_A_LOOK
from regbench.study.mistakes import Mistake
from regbench.study.term_checks import as_mapping, entries
from regbench.study.terms import WITHOUT_WEIGHTS

Raw = Mapping[str, Any]


def look_checks(raw: Raw) -> Iterator[Mistake]:
    """What looks need, and what they cannot be had with."""
    if not isinstance(looks := raw.get("looks"), Mapping):
        return
    tuning = raw.get("tuning")
    searches = tuning.get("replicates", 1) if isinstance(tuning, Mapping) else 1
    searches = searches if isinstance(searches, int) else 1
    most, unit = (searches, "tuning.replicates") if searches > 1 else (len(entries(raw, "seeds")), "the seeds")
    first = looks.get("first", FEWEST_AT_A_LOOK)
    if isinstance(first, int) and first >= most:
        yield Mistake("looks.first", f"must be less than {unit} ({most}), which are the most, but got {first}")
    if searches == 1 and not any(_has_weights(model) for model in entries(raw, "models")):
        words = (
            "need models that are trained, or `tuning.replicates` over 1: else nothing is drawn, and one look is all"
        )
        yield Mistake("looks", words)
    if len(entries(raw, "grid", "similarities")) * len(entries(raw, "grid", "regularizers")) == 1:
        yield Mistake("looks", "need two cells or more to compare, but the grid has one")
    yield from (Mistake("looks", f"cannot be had with {what}; leave one of them out") for what in _refused(raw))


def _has_weights(model: Any) -> bool:
    return as_mapping(model).get("name") not in WITHOUT_WEIGHTS


def _refused(raw: Raw) -> Iterator[str]:
    """Keys whose comparisons or jobs want equal seeds in all cells."""
    if raw.get("curve") is not None:
        yield "`curve`"
    splits = as_mapping(raw.get("tuning")).get("splits", 1)
    if isinstance(splits, int) and splits > 1:
        yield "`tuning.splits`, whose draws all cells share to the end"
    if raw.get("one_job_per", "stage") != "stage":
        yield "`one_job_per`, as each look sends its own trainings"
    if any(as_mapping(model).get("refine") is not None for model in entries(raw, "models")):
        yield "`refine`, whose rows have no trainings of their own"
    if any(isinstance(one, Mapping) and one.get("fold_of") is not None for one in entries(raw, "datasets")):
        yield "folds that all run: name one by `splits.fold`"

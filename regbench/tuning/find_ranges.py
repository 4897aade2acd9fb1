"""The search for ranges of lambda, from the prepared data to a file for each cell."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from regbench.data.cache import Dataset
from regbench.study.job_specs import range_spec
from regbench.study.methods import Study
from regbench.study.specs import RangeSpec
from regbench.system.files import digest, read_json, write_json, write_sealed
from regbench.system.job_usage import clocked
from regbench.system.ownership import owning
from regbench.tuning.lambda_range import find_range


def find_lambda_ranges(study: Study, data: Dataset, similarities: Sequence[str], regularizer: str) -> list[Path]:
    """Find and write the ranges of a regularizer; what a killed job has registered is not done again.

    Snakemake deletes what a job that failed has written, so no state goes before all ranges are written.

    Args:
        study: with the cells.
        data: prepared dataset of the study.
        similarities: their ids.
        regularizer: its id.

    Returns:
        The file of each similarity.
    """
    lay, cells = study.layout, [f"{similarity}.{regularizer}" for similarity in similarities]
    states = [lay.lambda_range_state(data.id, cell) for cell in cells]
    paths = [lay.lambda_range(data.id, cell) for cell in cells]
    for similarity, cell, state, path in zip(similarities, cells, states, paths, strict=True):
        spec = range_spec(study, similarity, regularizer)
        with owning(lay.lambda_range_owner(data.id, cell), f"lambda range of {cell}"), clocked("lambda_range"):
            score = _remembering(state, spec, data)
            write_sealed(path, find_range(spec, data, study.config.training.device, score))
    for state in states:
        state.unlink(missing_ok=True)
    return paths


def _remembering(state: Path, spec: RangeSpec, data: Dataset) -> Callable[[float, Callable[[], float]], float]:
    """The Dice at a lambda: as `state` has it of this very search, or computed and kept there."""
    key = digest({"spec": spec.to_json(), "data": data.checksum})
    stored = read_json(state) if state.exists() else {}
    kept = stored["scores"] if stored.get("digest") == key else {}
    scores = {name: math.nan if value is None else float(value) for name, value in kept.items()}  # as JSON has NaN

    def score(lam: float, compute: Callable[[], float]) -> float:
        name = f"{lam:g}"
        if name not in scores:
            scores[name] = compute()
            write_json(state, {"digest": key, "scores": scores})
        return scores[name]

    return score

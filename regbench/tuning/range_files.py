"""Found ranges of lambda, from the prepared data to their file, and from the file into the specs of a search."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from regbench.data.cache import Dataset
from regbench.study.job_specs import propose_spec, range_spec, select_spec
from regbench.study.methods import Study
from regbench.study.specs import ProposeSpec, RangeSpec, SearchSpec, SelectSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import digest, read_json, read_sealed, write_json, write_sealed
from regbench.system.job_usage import clocked
from regbench.system.ownership import owning
from regbench.tuning.lambda_range import find_range

SpecT = TypeVar("SpecT", bound=SearchSpec)


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


def is_at_end(study: Study, dataset: str, method: str) -> bool:
    """Whether the best lambda of the search for a cell's range is the last that was tried; False of a given range."""
    if not study.finds_range(method):
        return False
    return bool(read_sealed(study.layout.lambda_range(dataset, study.method(method).losses))["at_end"])


def proposing(study: Study, dataset: str, method: str, number: int | None = None, replicate: int = 0) -> ProposeSpec:
    """The spec of a search's proposals with its range, which may be one that was found."""
    return _with_range(study, dataset, method, propose_spec(study, dataset, method, number, replicate))


def selecting(study: Study, dataset: str, method: str, replicate: int = 0) -> SelectSpec:
    """The spec of the choice of lambda with its range, which may be one that was found."""
    return _with_range(study, dataset, method, select_spec(study, method, replicate))


def _with_range(study: Study, dataset: str, method: str, spec: SpecT) -> SpecT:
    if spec.found_by is None or spec.range is not None:
        return spec
    path = study.layout.lambda_range(dataset, study.method(method).losses)
    stored = read_sealed(path)
    ends = stored.get("range") if isinstance(stored, dict) else None
    if not isinstance(ends, list) or not _is_range(ends):
        raise RegbenchError(f"`{path}` must hold a range that rises, but has {ends}. Delete it and run again.")
    return spec.model_copy(update={"range": (ends[0], ends[1])})


def _is_range(ends: list[object]) -> bool:
    numbers = [end for end in ends if isinstance(end, float)]
    return len(ends) == len(numbers) == 2 and 0 < numbers[0] < numbers[1]

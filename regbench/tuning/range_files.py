"""Found ranges of lambda, from their files into the specs of a search. Nothing here computes, nor imports torch."""

from typing import TypeVar

from regbench.study.job_specs import propose_spec, select_spec
from regbench.study.methods import Study
from regbench.study.specs import ProposeSpec, SearchSpec, SelectSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed

SpecT = TypeVar("SpecT", bound=SearchSpec)


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

"""What a final training is made with: the lambda that its search chose."""

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import JsonValue

from regbench.study.job_specs import final_spec
from regbench.study.methods import Study
from regbench.study.specs import TrainSpec
from regbench.study.terms import WEIGHT
from regbench.system.errors import UsageError, did_you_mean
from regbench.system.files import read_sealed
from regbench.tuning.space import Point, at_choice


class ChosenRun(NamedTuple):
    """What one run is trained with."""

    spec: TrainSpec  # without a lambda if the search found none; the run is then a failed one
    reason: str = ""  # why there is no lambda


def chosen_run(study: Study, dataset: str, method: str, seed: int) -> ChosenRun:
    """The run of a seed, with lambda and the other values from `selected.json` of its search."""
    spec = final_spec(study, method, seed)
    chosen = read_sealed(study.layout.selected(dataset, method, study.replicate_of(seed)))
    return ChosenRun(at_choice(spec, chosen), chosen["reason"])


def run_at(study: Study, method: str, seed: int, lam: float, weights: Sequence[str] = ()) -> ChosenRun:
    """The run of a seed at a lambda, and at weights of further terms, that a user gives.

    Args:
        study: with the method.
        method: its id.
        seed: of the training.
        lam: weight of the regularizer.
        weights: of further terms, each as ``ID=NUMBER``; a fixed one may be left out.

    Raises:
        UsageError: if a number is not positive, a term unknown, or a weight that is searched is not given.
    """
    if not 0 < lam < float("inf"):
        raise UsageError(f"--lam must be a positive number, but got {lam:g}")
    spec = final_spec(study, method, seed)
    known, given = [term.id for term in spec.terms], dict[str, JsonValue]()
    for text in weights:
        name, _, value = text.rpartition("=")
        if name not in known:
            hint = did_you_mean(name, known) if known else "its regularizer has no further term"
            raise UsageError(f"--weight must name a further term of `{method}`, as ID=NUMBER, but got {text!r}; {hint}")
        given[f"{WEIGHT}{name}"] = _positive(text, value)
    run = Point(lam, given).apply(spec)
    if lacking := [term.id for term in run.terms if term.weight is None]:
        raise UsageError(
            f"--lam needs a weight of {', '.join(lacking)}, which is searched: --weight {lacking[0]}=NUMBER"
        )
    return ChosenRun(run)


def _positive(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"--weight must give a positive number, as in ID=0.1, but got {text!r}")
    return number

"""What a final training is made with: the lambda that its search chose."""

from typing import NamedTuple

from regbench.study.job_specs import final_spec
from regbench.study.methods import Study
from regbench.study.specs import TrainSpec
from regbench.system.files import read_sealed
from regbench.tuning.space import at_choice


class ChosenRun(NamedTuple):
    """What one run is trained with."""

    spec: TrainSpec  # without a lambda if the search found none; the run is then a failed one
    reason: str = ""  # why there is no lambda


def chosen_run(study: Study, dataset: str, method: str, seed: int) -> ChosenRun:
    """The run of a seed, with lambda and the other values from `selected.json` of its search."""
    spec = final_spec(study, method, seed)
    chosen = read_sealed(study.layout.selected(dataset, method, study.replicate_of(seed)))
    return ChosenRun(at_choice(spec, chosen), chosen["reason"])

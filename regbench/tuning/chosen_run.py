"""A final training with the lambda that its search chose, by one process at a time."""

from pathlib import Path
from typing import NamedTuple

from regbench.data.cache import Dataset
from regbench.study.job_specs import final_spec
from regbench.study.methods import Study
from regbench.study.specs import TrainSpec
from regbench.system.files import read_json
from regbench.system.ownership import owning
from regbench.training.final_run import is_complete, train
from regbench.training.fit import SAVE_EVERY
from regbench.tuning.space import at_choice


class ChosenRun(NamedTuple):
    """What one run is trained with."""

    spec: TrainSpec  # without a lambda if the search found none; the run is then a failed one
    reason: str = ""  # why there is no lambda


def chosen_run(study: Study, dataset: str, method: str, seed: int) -> ChosenRun:
    """The run of a seed, with lambda and the other values from `selected.json` of its search."""
    spec = final_spec(study, method, seed)
    chosen = read_json(study.layout.selected(dataset, method, study.replicate_of(seed)))
    return ChosenRun(at_choice(spec, chosen), chosen["reason"])


def train_run(
    run: ChosenRun,
    data: Dataset,
    folder: Path,
    state: Path,
    *,
    unless_whole: bool = False,
    save_every: float = SAVE_EVERY,
    bar: bool = False,
) -> None:
    """Train a run; not a second time where another process has just done it.

    Args:
        run: what to train.
        data: the prepared dataset.
        folder: of the run.
        state: file from which a killed training goes on; its owner's file is beside it.
        unless_whole: train nothing where `folder` has this very run.
        save_every: seconds between two writes of `state`.
        bar: show a progress bar.
    """
    what = f"training of {run.spec.method}, seed {run.spec.seed},"
    with owning(state.with_suffix(".owner"), what) as waited:
        if (waited or unless_whole) and is_complete(run.spec, data, folder):
            return
        train(run.spec, data, folder, reason=run.reason, state_path=state, save_every=save_every, bar=bar)

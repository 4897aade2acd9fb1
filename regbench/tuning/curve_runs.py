"""The points of a run's curve: trainings of the final length at other lambdas, evaluated on the test pairs.

Each is a run like that of the chosen lambda, with the same seed, in a folder of its own. Snakemake deletes the outputs
of a job that failed or begins again: a point waits under the state folder until it is whole, as the runs of a cell do.
"""

from collections.abc import Sequence

from regbench.data.cache import Dataset
from regbench.evaluation.run_rows import evaluate_run
from regbench.study.job_specs import evaluate_spec, point_spec
from regbench.study.methods import Study
from regbench.system.files import read_sealed
from regbench.system.ownership import owning
from regbench.training.final_run import train
from regbench.tuning.cell import evaluated, note_evaluated, publish
from regbench.tuning.chosen_run import ChosenRun
from regbench.tuning.curve_lambdas import further_lambdas
from regbench.tuning.range_files import selecting
from regbench.tuning.search_files import search_results
from regbench.tuning.space import at_choice


def curve_run(study: Study, dataset: str, method: str, seed: int, point: int) -> ChosenRun:
    """The run of a point: that of the chosen lambda, with another one; without any where the search chose none."""
    replicate = study.replicate_of(seed)
    chosen = read_sealed(study.layout.selected(dataset, method, replicate))
    spec = at_choice(point_spec(study, method, seed), chosen)
    lams = further_lambdas(
        selecting(study, dataset, method, replicate),
        chosen,
        search_results(study, dataset, method, replicate),
        len(study.further_points) + 1,
    )
    return ChosenRun(spec.model_copy(update={"lam": lams[point - 1]}) if lams else spec, chosen["reason"])


def run_points(
    study: Study,
    data: Dataset,
    method: str,
    points: Sequence[tuple[int, int]],
    *,
    save_every: float,
    bar: bool = False,
) -> None:
    """Train and evaluate points of the curves of a cell; put all into their places at the end.

    What lies there whole, of this very config, code and data, is not done again.

    Args:
        study: with the cell.
        data: prepared dataset.
        method: id of the cell.
        points: (seed, number of the point) of each.
        save_every: seconds between two writes of a training's state.
        bar: show progress bars.
    """
    lay = study.layout
    for seed, point in points:
        state = lay.curve_state(data.id, method, seed, point)
        with owning(lay.curve_owner(data.id, method, seed, point), f"point {point} of the curve of {method}"):
            spec, reason = curve_run(study, data.id, method, seed, point)
            waiting = state / "run"
            train(
                spec, data.of_draw(study.split_of(seed)), waiting, reason=reason, state_path=state / "training.pt",
                unless_whole=True, save_every=save_every, bar=bar,
            )  # fmt: skip
            evaluation = evaluate_spec(study, method, seed)
            if not evaluated(evaluation, data, waiting):
                evaluate_run(study, method, seed, data, folder=waiting, owner=state / "evaluation.owner")
                note_evaluated(evaluation, data, waiting)
    for seed, point in points:
        publish(lay.curve_state(data.id, method, seed, point) / "run", lay.curve_point(data.id, method, seed, point))

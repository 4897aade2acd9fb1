"""Some trials of a round, from the proposals' file to the file of their results."""

from regbench.data.cache import Dataset
from regbench.study.job_specs import trial_spec
from regbench.study.methods import Study
from regbench.system.files import write_sealed
from regbench.system.ownership import owning
from regbench.tuning.range_files import selecting
from regbench.tuning.trial import run_trials
from regbench.tuning.trial_files import read_proposals


def run_batch(
    study: Study,
    dataset: str,
    method: str,
    data: Dataset,
    *,
    replicate: int = 0,
    number: int,
    slots: tuple[int, int],
    bar: bool = False,
) -> None:
    """Run the proposed trials of the slots from the first to the last, and write their results.

    Args:
        study: with the cell.
        dataset: id of the dataset.
        method: id of the method.
        data: the prepared dataset.
        replicate: number of the search, from 0.
        number: of the round, from 0.
        slots: the first and the last of a job (`Study.batches`).
        bar: show a progress bar.
    """
    lay = study.layout
    proposals = read_proposals(
        lay.proposals(dataset, method, number, replicate), selecting(study, dataset, method, replicate)
    )
    first, last = slots
    state = lay.trial_state(dataset, method, replicate)
    name = f"round{number}.trials{first}-{last}"
    with owning(state / f"{name}.owner", f"{name} of {method}"):
        spec = trial_spec(study, method, replicate)
        drawn = data.of_draw(study.draw_of(replicate))
        results = run_trials(spec, drawn, proposals[first : last + 1], state, bar=bar)
        write_sealed(lay.trials(dataset, method, number, (first, last), replicate), results)

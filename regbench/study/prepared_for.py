"""Which config prepared data are of: those of another one are refused, not used."""

from regbench.study.differences import differences as clauses
from regbench.study.job_specs import prepare_spec
from regbench.study.methods import Study
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError

MOST_SHOWN = 5  # differences in a message


def differences(study: Study, dataset: str, stored: PrepareSpec, *, by_hand: bool = False) -> list[str]:
    """What the config asks for and was not prepared so, a clause a key.

    Args:
        study: with the dataset.
        dataset: its id.
        stored: of its prepared arrays.
        by_hand: compare the code that prepared them too. Snakemake compares it before it sends a job, which would pay
            70 ms at its start for the same answer (measured), and whose node may have another Python.
    """
    section = study.dataset(dataset)
    wanted = (
        prepare_spec(study, dataset)
        if by_hand
        else PrepareSpec.of(section, stored.code, study.unneeded_splits(section), study.redraws)
    )
    return [*clauses(stored.to_json(), wanted.to_json())]


def check_prepared_for(study: Study, dataset: str, stored: PrepareSpec, *, by_hand: bool = False) -> None:
    """Refuse what was prepared for another config; the arguments are those of `differences`.

    Raises:
        RegbenchError: naming the keys.
    """
    changed = differences(study, dataset, stored, by_hand=by_hand)
    if not changed:
        return
    if len(changed) > MOST_SHOWN:
        changed[MOST_SHOWN:] = [f"and {len(changed) - MOST_SHOWN} keys more"]
    raise RegbenchError(
        f"`{study.layout.data(dataset)}` must be prepared as the config says, but is not: {'; '.join(changed)}. "
        "Run `regbench prepare` (Snakemake does so by itself), or give the study another name."
    )

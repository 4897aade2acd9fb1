"""The prepared arrays of a study's dataset, held to its config."""

from regbench.data.cache import Dataset, load
from regbench.study.methods import Study
from regbench.study.prepared_for import check_prepared_for
from regbench.system.errors import RegbenchError
from regbench.system.files import MANIFEST


def load_prepared(study: Study, dataset: str, *, by_hand: bool = False) -> Dataset:
    """Open the prepared arrays of a dataset of `study`.

    Args:
        study: with the dataset.
        dataset: its id.
        by_hand: see `regbench.study.prepared_for.check_prepared_for`.

    Raises:
        RegbenchError: if they are missing, damaged, or of another config.
    """
    folder = study.layout.data(dataset)
    if not (folder / MANIFEST).exists():
        raise RegbenchError(f"`{folder / MANIFEST}` must exist, but does not. Run `regbench prepare` first.")
    data = load(folder)
    check_prepared_for(study, dataset, data.spec, by_hand=by_hand)
    return data

"""The runs of a cell on the test pairs of data that they were not trained on."""

import pandas as pd

from regbench.data.cache import Dataset
from regbench.evaluation.evaluate import rows_on
from regbench.study.job_specs import evaluate_spec
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import OF_RUN, read_sealed
from regbench.system.job_usage import clocked
from regbench.system.ownership import owning
from regbench.system.parquet import write_table

TRAINED_ON = "trained_on"  # column of the rows; `dataset` is what was tested


def evaluate_transfer(study: Study, dataset: str, method: str, other: Dataset) -> None:
    """Write the rows of every run of a cell on the test pairs of `other`, by one process at a time.

    Nothing is trained: a network is taken as it is, `instance` optimises each pair at the lambda that was chosen on
    its own data.

    Args:
        study: with the cell.
        dataset: what the runs were trained on.
        method: id of a method with a lambda.
        other: prepared dataset whose test pairs are registered.

    Raises:
        RegbenchError: if the images have another number of dimensions. Whether a model takes their size was tried when
            they were prepared.
    """
    lay = study.layout
    shape = read_sealed(lay.manifest(dataset))["shape"]
    if len(shape) != len(other.shape):
        raise RegbenchError(
            f"evaluate_on: `{other.id}` must be of {len(shape)} dimensions, as `{dataset}` is, on which the runs were "
            f"trained, but has {len(other.shape)}. Leave it out."
        )
    out, run_of = lay.transfer(dataset, method, other.id), study.method(method).trained_as
    with owning(lay.transfer_owner(dataset, method, other.id), f"evaluation of {method} on {other.id}"):
        with clocked("evaluate"):
            frames = [
                rows_on(evaluate_spec(study, method, seed), other, lay.run(dataset, run_of, seed), out.parent)
                for seed in study.seeds(method, dataset)
            ]
        rows = pd.concat(frames, ignore_index=True)
        rows.attrs = {OF_RUN: " ".join(frame.attrs.get(OF_RUN, "") for frame in frames)}
        rows.insert(1, TRAINED_ON, dataset)
        write_table(out, rows)

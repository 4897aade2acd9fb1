"""A finished study by the conventions of its field: its runs measured anew, its verdicts drawn again and compared."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from regbench.data.cache import Dataset
from regbench.evaluation.conventions import convention_rows
from regbench.metrics.overlap import label_counts
from regbench.report.analyze import grid_cell
from regbench.report.finished import check_finished
from regbench.report.looked import looks_at
from regbench.report.parallel import in_parallel
from regbench.report.pooling import pooled_rows
from regbench.report.read_rows import joined
from regbench.report.robustness.compare import Compared, Outcome, outcomes
from regbench.report.robustness.tables import text, write_robustness
from regbench.report.summary_file import Summary, foremost, load_summary
from regbench.study.methods import Study
from regbench.system import device as devices
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.ownership import owning

Run = tuple[str, str, int]


def robustness(study: Study, data: Mapping[str, Dataset], *, processes: int = 1) -> str:
    """Write `robustness/` in the folder of a study; what changes, for a terminal.

    Nothing is trained and no file of the study is changed. What was measured of a run stays for the next call.

    Args:
        study: that is finished.
        data: its prepared datasets.
        processes: runs that are measured at once; the bytes are the same for any number.

    Raises:
        UsageError: if several processes would share a GPU.
        RegbenchError: if a run or the analysis is missing or of another config, a displacement does not give its own
            row again, or no two methods can be compared.
    """
    if processes > 1 and devices.choose(study.config.training.device).type == "cuda":
        raise UsageError("--processes must be 1 where training.device is a GPU, but got more. Leave it out.")
    lay, runs = study.layout, [run for run in study.runs() if study.method(run[1]).cell]
    check_finished(study, runs)
    summary = load_summary(study)
    if summary.get("equivalence") != study.config.equivalence:
        raise RegbenchError(
            "`equivalence` is not what the study was analysed with. Run `regbench analyze` and `report`."
        )
    with owning(lay.robustness_owner, f"robustness of {study.name}"):
        pieces = [partial(convention_rows, study, run, data[run[0]], lay.convention_rows(*run)) for run in runs]
        in_parallel(pieces, processes)
        rows = joined([lay.convention_rows(*run) for run in runs])
        pools = {pool.id: pool for pool in study.pools}
        found: list[Outcome] = []
        for name in foremost(summary):
            folds = pools[name].folds if name in pools else (name,)
            part = pooled_rows(rows, pools[name]) if name in pools else rows[rows["dataset"] == name]
            sizes = _sizes([data[fold] for fold in folds])
            found += outcomes(name, _compared(study, summary, name, part.reset_index(drop=True), sizes))
        if not found:
            raise RegbenchError(f"`{study.name}` must have two methods of a model to compare, but has none.")
        write_robustness(found, summary, lay.robustness)
    return f"{text(found, summary)}\n\n{lay.robustness}"


def _compared(study: Study, summary: Summary, dataset: str, rows: pd.DataFrame, sizes: Mapping[str, float]) -> Compared:
    cells = [method for method in study.methods if method.cell]
    trained = {method.model.id: method.has_weights for method in cells if method.model}
    places = {method.id: grid_cell(method) for method in cells}
    return Compared(summary, rows, places, trained, sizes, looks_at(study, dataset, trained))


def _sizes(data: list[Dataset]) -> dict[str, float]:
    """Mean voxels of each label in the fixed images of the test pairs."""
    fixed = [(part, name) for part in data for name in dict.fromkeys(pair[0] for pair in part.pairs("test"))]
    if not any(part.labels for part in data):
        return {}
    counts = [label_counts(part.label_map(name)) for part, name in fixed]
    labels = {label for part in data for label in part.labels}
    return {str(label): sum(count.get(label, 0) for count in counts) / len(counts) for label in sorted(labels)}

"""A finished run measured by other conventions: each pair is registered once more, and must give its own row again."""

from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.data.cache import Dataset
from regbench.evaluation.evaluate import Failed, registrations
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.evaluation.refined_run import load_row
from regbench.metrics import label_metrics
from regbench.metrics.surface_pooled import other_surface_forms
from regbench.models.predict import device_of
from regbench.spatial.linear_labels import warp_labels_linearly
from regbench.study.fingerprint import fingerprint
from regbench.study.job_specs import evaluate_spec
from regbench.study.methods import Study
from regbench.study.specs import EvaluateSpec
from regbench.system import device as devices
from regbench.system.errors import RegbenchError
from regbench.system.files import digest, file_sha256
from regbench.system.parquet import read_attributes, read_table, write_table

LINEAR = "linear."  # before a metric of labels that are warped linearly
OF = "of"  # attribute of a file: the rows and the code that it was made from
CASE = ["fixed", "moving"]


def convention_rows(study: Study, run: tuple[str, str, int], data: Dataset, out: Path) -> None:
    """Write the rows of a run with further columns: what its displacements are worth by other conventions.

    Of data without labels no convention needs the displacements: the rows have all that there is. A file that was made
    of the same rows by the same code stays.

    Args:
        study: with the run.
        run: dataset, method and seed.
        data: the prepared dataset.
        out: parquet file.

    Raises:
        RegbenchError: if a displacement that is computed anew does not give the numbers of its row, to the bit.
    """
    dataset, method, seed = run
    spec, rows = evaluate_spec(study, method, seed), study.layout.pairs(dataset, method, seed)
    made_of = digest([file_sha256(rows), spec.to_json(), fingerprint("regbench.evaluation.conventions")])
    if out.exists() and read_attributes(out).get(OF) == made_of:
        return
    frame = read_table(rows)
    by = Measured.of(data, spec.nsd_tolerance_mm, spec.mask)
    if by.labels:
        frame = _with_labels(frame, spec, data, study.layout.run(dataset, study.method(method).trained_as, seed), by)
    frame.attrs[OF] = made_of
    out.parent.mkdir(parents=True, exist_ok=True)
    write_table(out, frame)


def _with_labels(frame: pd.DataFrame, spec: EvaluateSpec, data: Dataset, folder: Path, by: Measured) -> pd.DataFrame:
    record, model = load_row(folder, spec.refine)
    if model is None or record["status"] != "complete":
        return frame  # rows without numbers, by any convention
    stored = {(str(row["fixed"]), str(row["moving"])): row for row in frame.to_dict(orient="records")}
    further: dict[tuple[str, str], dict[str, float]] = {}
    where = devices.describe(device_of(model))
    for registration in registrations(spec, data, model):
        names = registration.fixed, registration.moving
        if isinstance(registration, Failed) or names not in stored:
            reason = registration.reason if isinstance(registration, Failed) else "it has no row"
            raise RegbenchError(f"{_place(spec, names)} must register as it did, but: {reason}.")
        _check_same(measure(registration, by), stored[names], _place(spec, names), where)
        further[names] = _other_conventions(registration, by)
    if lost := [names for names in stored if names not in further]:
        raise RegbenchError(
            f"{_place(spec, lost[0])} has a row, but is none of the test pairs. Evaluate the run again."
        )
    columns = pd.DataFrame([further[names] for names in stored], index=frame.index)
    return pd.concat([frame, columns], axis=1)


def _place(spec: EvaluateSpec, names: tuple[str, str]) -> str:
    return f"{spec.method}, seed {spec.seed}: the pair {', '.join(names)}"


def _check_same(here: dict[str, float], row: Mapping[Hashable, object], place: str, where: str) -> None:
    """Hold what is measured now to what the study has.

    Raises:
        RegbenchError: if any number differs, in whatever digit.
    """
    for name, value in here.items():
        there = float(str(row.get(name, np.nan)))
        if not np.array_equal(value, there, equal_nan=True):
            raise RegbenchError(
                f"{place} must give its own row again, but `{name}` is {value!r} and was {there!r}. The device, the "
                "number of threads (`--threads`) and the packages of the evaluation give it; now it is on "
                f"{where}. Or evaluate the study again."
            )


def _other_conventions(registered: Registered, by: Measured) -> dict[str, float]:
    """What is measured of a displacement by conventions that are not the study's, for each label."""
    pair = registered.pair
    linear = warp_labels_linearly(pair.moving_labels, registered.displacement)
    by_linear = label_metrics(
        pair.fixed_labels, linear, by.labels, pair.spacing_mm, tolerance_mm=by.tolerance_mm, moving=pair.moving_labels
    )
    scores = {f"{LINEAR}{name}": values for name, values in by_linear.items()} | other_surface_forms(
        pair.fixed_labels, registered.moved_labels, by.labels, pair.spacing_mm, moving=pair.moving_labels
    )
    return {f"{name}_{label}": value for name, values in scores.items() for label, value in values.items()}

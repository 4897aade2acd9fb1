"""The rows of a run, or of anyone's displacement fields, in their place."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from regbench.data.cache import Dataset
from regbench.data.readers.field_file import Form
from regbench.evaluation.evaluate import evaluate, means
from regbench.models.classical.field_folder import survey
from regbench.study.config import Evaluation
from regbench.study.job_specs import evaluate_spec
from regbench.study.layout import PAIRS, PANELS
from regbench.study.methods import Study
from regbench.study.specs import ComponentSpec, EvaluateSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import check_folder
from regbench.system.job_usage import clocked
from regbench.system.names import given_path
from regbench.system.ownership import owning
from regbench.system.parquet import read_table

LOG = logging.getLogger(__name__)


def evaluate_run(
    study: Study, method: str, seed: int, data: Dataset, *, folder: Path, owner: Path, run: Path | None = None
) -> None:
    """Write the rows of a run, by one process at a time.

    Args:
        study: with the run.
        method: id of the method; one without a lambda needs no run.
        seed: of the run.
        data: the prepared dataset.
        folder: of the rows.
        owner: file that says which process evaluates it.
        run: folder of the run; `folder` unless given.
    """
    spec = evaluate_spec(study, method, seed)
    with owning(owner, f"evaluation of {method}, seed {seed},"):
        source = (run or folder) if study.method(method).cell else None
        if spec.baseline is not None and spec.baseline.name == "fields":
            for line in _survey(spec.baseline, data):
                LOG.info("%s: %s", method, line)
        with clocked("evaluate"):
            evaluate(spec, data, source, folder / PAIRS)


def scores_of(folder: Path) -> str:
    """The mean of every metric of a run's rows, or that every pair failed, for a terminal."""
    try:
        return means(folder / PAIRS)
    except RegbenchError as error:
        return str(error)


def evaluate_fields(data: Dataset, folder: Path, form: Form, out: Path, settings: Evaluation) -> str:
    """Write the rows of the displacement fields in `folder`; say what the folder holds and the mean of every metric.

    Args:
        data: the prepared dataset.
        folder: of files ``disp_<fixed>_<moving>``; see `regbench.models.classical.fields.fields`.
        form: of the vectors: ``auto`` as each header says; ``l2r``, ``itk`` or ``nifti``.
        out: parquet file of the rows; a former one is replaced.
        settings: of the study: where the metrics look.

    Raises:
        UsageError: if there is no such folder, or `out` is a file of another kind.
        RegbenchError: if every pair failed.
    """
    if not folder.is_dir():
        raise UsageError(f"`{folder}` must be a folder of displacement fields, but there is none.")
    check_folder(out.parent, advice="Give another `--out`, or change the permissions.")
    if out.exists() and not _is_parquet(out):
        raise UsageError(f"--out must be a new file or former rows (parquet), but `{out}` is something else.")
    parameters = {"path": str(folder), "form": form}
    fields = ComponentSpec(name="fields", parameters=parameters)
    spec = EvaluateSpec(
        method=folder.resolve().name, seed=0, replicate=0, code="", baseline=fields, mask=settings.mask,
        nsd_tolerance_mm=settings.nsd_tolerance_mm,
    )  # fmt: skip
    lines = _survey(fields, data, not_fields=(out.name, PAIRS, PANELS))
    evaluate(spec, data, None, out)
    still = int((read_table(out)["displacement_mm"] == 0).sum())
    if still:
        lines.append(f"{still} fields move nothing: all their vectors are 0")
    try:
        return "\n".join([*lines, means(out)])
    except RegbenchError as error:
        raise RegbenchError("\n".join([*lines, str(error)])) from None


def _survey(fields: ComponentSpec, data: Dataset, *, not_fields: Iterable[str] = ()) -> list[str]:
    """What the folder of the baseline `fields` holds for the test pairs, in sentences."""
    folder, form = given_path(str(fields.parameters["path"])), cast(Form, fields.parameters.get("form", "auto"))
    pairs = {pair: data.displacement_names.stems(*pair) for pair in data.pairs("test")}
    return survey(folder, pairs, form, not_fields=not_fields)


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"

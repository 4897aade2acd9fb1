"""The rows of a run, or of anyone's displacement fields, in their place."""

from pathlib import Path

from regbench.data.cache import Dataset
from regbench.evaluation.evaluate import evaluate, means
from regbench.study.job_specs import evaluate_spec
from regbench.study.layout import PAIRS
from regbench.study.methods import Study
from regbench.study.specs import ComponentSpec, EvaluateSpec
from regbench.system.errors import UsageError
from regbench.system.job_usage import clocked
from regbench.system.ownership import owning


def evaluate_run(study: Study, method: str, seed: int, data: Dataset, *, folder: Path, owner: Path) -> None:
    """Write the rows of a run into its folder, by one process at a time.

    Args:
        study: with the run.
        method: id of the method; one without a lambda needs no run in `folder`.
        seed: of the run.
        data: the prepared dataset.
        folder: of the run.
        owner: file that says which process evaluates it.
    """
    spec = evaluate_spec(study, method, seed)
    with owning(owner, f"evaluation of {method}, seed {seed},"):
        run = folder if study.method(method).tuned else None
        with clocked("evaluate"):
            evaluate(spec, data, run, folder / PAIRS)


def evaluate_fields(data: Dataset, folder: Path, form: str, out: Path) -> str:
    """Write the rows of the displacement fields in `folder`, and say the mean of every metric.

    Args:
        data: the prepared dataset.
        folder: of files ``disp_<fixed>_<moving>.nii.gz`` (or ``.npz``).
        form: ``l2r`` (voxels) or ``itk`` (mm, LPS).
        out: parquet file of the rows.

    Raises:
        UsageError: if there is no such folder.
        RegbenchError: if every pair failed.
    """
    if not folder.is_dir():
        raise UsageError(f"`{folder}` must be a folder of displacement fields, but there is none.")
    fields = ComponentSpec(name="fields", parameters={"path": str(folder), "form": form})
    spec = EvaluateSpec(method=folder.name, seed=0, replicate=0, code="", baseline=fields)
    evaluate(spec, data, None, out)
    return means(out)

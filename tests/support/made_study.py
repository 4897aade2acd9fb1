"""The files of a study as its jobs would leave them, without running any: for tests and for measurements at scale."""

import os
from pathlib import Path

import pandas as pd

from regbench.orchestration import jobs
from regbench.orchestration.status import QUICK
from regbench.study.job_specs import final_spec, point_spec, prepare_spec
from regbench.study.layout import PAIRS, PANELS
from regbench.study.methods import Study
from regbench.system.files import CHECKPOINT, HISTORY, RUN, write_sealed
from regbench.system.parquet import write_table

DATA = "0123456789abcdef"


def make(study: Study, *, without: tuple[str, ...] = (), sources: bool = True) -> None:
    """Write what each job writes, but for those whose name begins with one of `without`.

    Args:
        study: to make.
        without: names of jobs (`Job.name`), such as ``train/brains/voxelmorph.mse.grad_l2/seed1``.
        sources: whether rows are real parquet files; an empty file is enough where nobody reads them.
    """
    lay = study.layout
    write_sealed(lay.config, study.config.model_dump(mode="json"))
    rows = _rows() if sources else None
    for job in jobs.of_study(study):
        if job.name.startswith(without or ("\0",)):
            continue
        if job.rule not in QUICK:
            path = Path(job.log)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("INFO regbench.cli.main: took 30.0 s, 28.0 s of CPU, at most 500 MiB\n")
        _outputs(study, job, rows)


def on_a_gpu(study: Study, busy: dict[str, float]) -> None:
    """Let the logs of some rules say how busy their GPU was, in percent."""
    for job in jobs.of_study(study):
        path = Path(job.log)
        if job.rule in busy and path.is_file():
            path.write_text(path.read_text().replace("500 MiB\n", f"500 MiB, GPU {busy[job.rule]:.1f} % busy\n"))


def _outputs(study: Study, job: jobs.Job, rows: pd.DataFrame | None) -> None:  # noqa: C901  a case a rule
    output = Path(job.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    lam = 0.5
    if job.rule == "prepare":
        write_sealed(
            output,
            {
                "data_sha256": DATA,
                "shape": [32, 32],
                "spacing_mm": [1.0, 1.0],
                "labels": {"1": "a"},
                "pairs": {"validation": [["a", "b"]], "test": [["a", "b"], ["c", "d"]]},
                "references": {"validation": ["labels"], "test": ["labels"]},
                "spec": prepare_spec(study, job.dataset).to_json(),
            },
        )
    elif job.rule in ("propose", "trial"):
        write_sealed(output, [])
    elif job.rule == "select":
        write_sealed(output, {"lam": lam, "reason": "", "best": {"lam": lam, "scores": {"dice": 0.6}}})
    elif job.rule == "train":
        _trained(study, job, output, lam)
    elif job.rule in jobs.WHOLE_CELL:
        lay = study.layout
        for replicate in study.replicates(job.method):
            chosen = lay.selected(job.dataset, job.method, replicate)
            _outputs(study, job._replace(rule="select", output=str(chosen), replicate=replicate), rows)
        for seed in study.seeds(job.method, job.dataset):
            for rule, path in (("train", lay.run_record(job.dataset, job.method, seed)),
                               ("evaluate", lay.pairs(job.dataset, job.method, seed))):  # fmt: skip
                _outputs(study, job._replace(rule=rule, output=str(path), seed=seed), rows)
    elif job.rule in jobs.OF_CURVE:
        _points(study, job, lam)
    elif job.rule == "evaluate" and rows is not None:
        kept = rows.assign(dataset=job.dataset, method=job.method, seed=job.seed, replicate=job.replicate)
        write_table(output, kept)
        (output.parent / PANELS).touch()
    else:
        output.touch()
        os.utime(output)


def _points(study: Study, job: jobs.Job, lam: float) -> None:
    lay = study.layout
    for seed in [job.seed] if job.point else study.seeds(job.method):
        for point in [job.point] if job.point else study.further_points:
            folder = lay.curve_point(job.dataset, job.method, seed, point)
            folder.mkdir(parents=True, exist_ok=True)
            _trained(study, job._replace(seed=seed), folder / RUN, lam * 2**point)
            for name in (PAIRS, PANELS):
                (folder / name).touch()


def _trained(study: Study, job: jobs.Job, output: Path, lam: float) -> None:
    spec = (
        (point_spec if job.rule in jobs.OF_CURVE else final_spec)(study, job.method, job.seed)
        .model_copy(update={"lam": lam})
        .to_json()
    )
    record = {"job": spec, "lam": lam, "data_sha256": DATA, "seconds": 20.0, "status": "complete", "reason": ""}
    record |= {"method": job.method, "seed": job.seed, "checkpoint_sha256": "00", "validation": {"dice": 0.7}}
    for name in (CHECKPOINT, HISTORY):
        (output.parent / name).touch()
    write_sealed(output, record | {"environment": {"device": "cpu", "packages": {}}})


def _rows() -> pd.DataFrame:
    names = {"fixed": ["a", "b"], "moving": ["c", "d"], "lam": [0.5, 0.5], "status": ["complete"] * 2}
    return pd.DataFrame({**names, "reason": ["", ""], "dice": [0.6, 0.8], "ndv_percent": [0.0, 0.0]})

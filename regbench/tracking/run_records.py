"""The records of final trainings: running, stopped and finished."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pandas as pd

from regbench.metrics import METRICS, SIMILARITY
from regbench.report.summary_file import RunEntry
from regbench.system.escaping import markdown
from regbench.system.files import CHECKPOINT, HISTORY, LIVE, RUN, digest, read_sealed
from regbench.system.parquet import read_table
from regbench.tracking.cell_files import CellFiles, version
from regbench.tracking.mlflow_run import Item, Metric, Record
from regbench.tracking.run_description import NOTE
from regbench.tracking.training_records import curve, ended, finite, origin_tags, unfinished, weights_of
from regbench.training import training_log


class Validation(TypedDict):
    """The scores of the validation pairs after a step."""

    step: int
    scores: dict[str, float | None]


class RunRecord(RunEntry):
    """The record of a final training (`run.json`), as far as its MLflow run needs it."""

    job: Any  # the slice of the config
    validations: NotRequired[list[Validation]]
    seconds: NotRequired[float]


def run_items(cell: CellFiles) -> Iterator[Item]:
    """The records of a cell's final trainings that have begun."""
    for seed, folder in sorted((cell.done | cell.logs).items()):
        running = seed in cell.logs and cell.trains(seed)
        signature = [
            *version(folder / RUN),
            *version(folder / HISTORY),
            *version(folder / LIVE),
            running,
            cell.study_files.tags["config_sha256"],
        ]
        signature += [] if cell.entry is None else version(cell.lay.summary)
        make = partial(_finished if seed in cell.done else _begun, cell, seed)
        yield Item(_key(cell, seed), cell.key, digest(signature), make)


def curve_items(cell: CellFiles) -> Iterator[Item]:
    """The records of the further trainings of a cell's curves that have ended."""
    for (seed, point), folder in sorted(cell.curve_points.items()):
        signature = [*version(folder / RUN), cell.study_files.tags["config_sha256"], *version(cell.lay.curve_rows)]
        key = f"{_key(cell, seed)}/point{point}"
        yield Item(key, cell.key, digest(signature), partial(_of_curve, cell, seed, point))


def _of_curve(cell: CellFiles, seed: int, point: int) -> Record:
    folder = cell.curve_points[seed, point]
    run: RunRecord = read_sealed(folder / RUN)
    record = _from_first_step(cell, seed, run["lam"])
    record.key, record.name = f"{record.key}/point{point}", f"{record.name} · curve {point}"
    record.tags |= {"stage": "curve", "point": str(point), NOTE: "a further training of the curve"}
    return _with_results(cell, record, folder, run, cell.curve_rows(seed, point))


def _key(cell: CellFiles, seed: int) -> str:
    return f"{cell.key}/seed{seed}"


def _from_first_step(cell: CellFiles, seed: int, lam: float | None) -> Record:
    """The record of a final training with all that is known when it begins."""
    chosen = {} if lam is None else {"lam": f"{lam:g}"}
    tags = {"stage": "seed", "seed": str(seed), NOTE: "one final training"}
    tags |= {} if lam is None else {"lambda": f"{lam:g}"}
    return Record(
        _key(cell, seed),
        f"{cell.title(lam)} · s{seed}",
        cell.key,
        cell.params | chosen | {"seed": str(seed)},
        cell.tags | cell.search_tag(cell.study.replicate_of(seed)) | tags,
        data=cell.study_files.data(cell.dataset, "training"),
    )


def _begun(cell: CellFiles, seed: int) -> Record:
    path = cell.logs[seed] / LIVE
    log = training_log.read(path)
    lam = log.header["lam"] if log else cell.chosen(cell.study.replicate_of(seed))
    record = _from_first_step(cell, seed, lam)
    if log is not None:
        record.tags |= origin_tags(log.header["environment"], log.header["data_sha256"])
    return unfinished(record, log, path, running=cell.trains(seed))


def _finished(cell: CellFiles, seed: int) -> Record:
    folder = cell.done[seed]
    run: RunRecord = read_sealed(folder / RUN)
    record = _from_first_step(cell, seed, run["lam"])
    record.tags |= cell.study_files.verdicts.get((cell.dataset, cell.method.id), {})
    return _with_results(cell, record, folder, run, cell.rows(seed))


def _with_results(cell: CellFiles, record: Record, folder: Path, run: RunRecord, rows: pd.DataFrame) -> Record:
    """The record of a training that has ended, with what came of it.

    Args:
        cell: of the training.
        record: with all that was known when it began.
        folder: of the run.
        run: its record file.
        rows: of the analysis; none before.
    """
    log = training_log.parsed(training_log.run_log(folder))
    digest_of_run = training_log.training_digest(run["job"], run["data_sha256"])
    if log is not None and log.header["training"] != digest_of_run:
        log = None
    record.params |= weights_of(run["job"].get("terms", ()))
    record.tags |= origin_tags(run["environment"], run["data_sha256"])
    record.tags["checkpoint_sha256"] = run["checkpoint_sha256"] or "none"
    record.tags[NOTE] = markdown(run["reason"]) or record.tags[NOTE]
    record.metrics = _metrics(run, read_table(folder / HISTORY), rows)
    record.artifacts = [(folder / RUN, "run"), (folder / HISTORY, "run"), (folder / CHECKPOINT, "checkpoint")]
    record.status = "FINISHED" if run["status"] == "complete" else "FAILED"
    return ended(record, log, folder / RUN)


def _measured(rows: pd.DataFrame) -> list[str]:
    """The metrics among the columns of some rows, similarities that a study is scored by included."""
    return [
        *(name for name in METRICS if name in rows),
        *(name for name in map(str, rows) if name.startswith(SIMILARITY)),
    ]


def _metrics(run: RunRecord, history: pd.DataFrame, rows: pd.DataFrame) -> list[Metric]:
    """The curve of a training, its validations, and the means over its test pairs.

    Args:
        run: its record.
        history: every step.
        rows: of the analysis; none before.
    """
    every = training_log.stride(run["job"]["training"]["steps"])
    points = history[((history["step"] - 1) % every == 0) | (history["step"] == len(history))]
    metrics = curve(points["step"].tolist(), {str(name): points[name].tolist() for name in points})
    for entry in run.get("validations", []):
        metrics += finite((f"train/val_{name}", value, entry["step"]) for name, value in entry["scores"].items())
    metrics += finite((f"val/{name}", value, 0) for name, value in run["validation"].items())
    metrics += finite([("train/seconds", run.get("seconds"), 0)])
    return metrics + finite((f"test/{name}", float(rows[name].mean()), 0) for name in _measured(rows))

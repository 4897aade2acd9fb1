"""The records of trials: running, stopped and finished."""

from collections.abc import Iterator
from functools import partial
from typing import NotRequired, TypedDict

from regbench.report.summary_file import Value
from regbench.study.terms import WEIGHT
from regbench.system.escaping import markdown
from regbench.system.files import digest, read_sealed
from regbench.tracking.cell_files import BegunTrial, CellFiles, version
from regbench.tracking.mlflow_run import Item, Record
from regbench.tracking.run_description import NOTE
from regbench.tracking.training_records import curve, ended, finite, origin_tags, unfinished
from regbench.training import training_log
from regbench.tuning.trial_store import log_file, stored_log


class TrialResult(TypedDict):
    """A trial that has ended, as far as its record needs it."""

    number: int
    lam: float
    values: NotRequired[dict[str, Value]]
    status: str
    reason: str
    scores: dict[str, float]
    curve: dict[str, list[float]]


def trial_items(cell: CellFiles) -> Iterator[Item]:
    """The records of a cell's trials that have begun."""
    for trial in cell.trials:
        signature = [
            *version(trial.file),
            *version(log_file(trial.state, trial.number)),
            trial.running,
            cell.study_files.tags["config_sha256"],
        ]
        yield Item(_key(cell, trial), cell.key, digest(signature), partial(_record, cell, trial))


def _key(cell: CellFiles, trial: BegunTrial) -> str:
    """The key of a trial; those of further searches of the cell have names of their own."""
    return f"{cell.key}/{f'replicate{trial.replicate}/' if trial.replicate else ''}trial{trial.number}"


def _record(cell: CellFiles, trial: BegunTrial) -> Record:
    log = training_log.parsed(stored_log(trial.state, trial.number))
    if log is not None and log.header["lam"] != trial.lam:
        log = None
    record = _from_first_step(cell, trial, log)
    if not trial.finished:
        return unfinished(record, log, trial.file, running=trial.running)
    result = _result(trial)
    record.metrics = curve(result["curve"]["step"], result["curve"])
    record.metrics += finite((f"val/{name}", value, 0) for name, value in result["scores"].items())
    record.tags[NOTE] = markdown(result["reason"]) or record.tags[NOTE]
    record.status = "FAILED" if result["status"] == "diverged" else "FINISHED"
    record = ended(record, log, trial.file)
    if log is not None and log.lines:  # the file is that of all trials of a job
        record.end_ms = int(1000 * log.lines[-1]["time"])
    return record


def _from_first_step(cell: CellFiles, trial: BegunTrial, log: training_log.Log | None) -> Record:
    """The record of a trial with all that is known when it begins."""
    search = f" · search {trial.replicate + 1}" if cell.study.config.tuning.replicates > 1 else ""
    values = {_short(name): _text(value) for name, value in trial.values.items() if name != "lam"}
    tags = {"stage": "trial", "trial": str(trial.number), "lambda": f"{trial.lam:g}", NOTE: "one trial of the tuning"}
    tags |= {} if log is None else origin_tags(log.header["environment"], log.header["data_sha256"])
    return Record(
        _key(cell, trial),
        f"{cell.title(trial.lam)}{search} · trial {trial.number}",
        cell.key,
        cell.params | {"lam": f"{trial.lam:g}"} | values,
        cell.tags | cell.search_tag(trial.replicate) | tags,
        data=cell.study_files.data(cell.dataset, "training"),
    )


def _short(name: str) -> str:
    """What a searched value is called: a keyword by itself; a weight keeps its word, the id of a term says nothing."""
    return name if name.startswith(WEIGHT) else name.rpartition(".")[2]


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _result(trial: BegunTrial) -> TrialResult:
    """The result of a trial, from its own file or from that of all trials of its job."""
    stored = read_sealed(trial.file)
    results: list[TrialResult] = stored if isinstance(stored, list) else [stored]
    return next(result for result in results if result["number"] == trial.number)

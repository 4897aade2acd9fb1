"""The record of a method: the parent of its trials and trainings, with the row of the table once it is analysed."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from regbench.report.summary_file import MethodEntry
from regbench.system.files import LIVE, RUN, read_sealed, whole_files
from regbench.system.provenance import Environment
from regbench.tracking.cell_files import CellFiles, modified_ms, version
from regbench.tracking.mlflow_run import HERE, Metric, Record
from regbench.tracking.run_description import NOTE, THUMBNAIL, method_paragraph, picture, table_row
from regbench.tracking.training_records import code_tags, finite, started_ms, weights_of
from regbench.tracking.verdict_colours import COLOUR, NOT_COMPARED
from regbench.training import training_log
from regbench.tuning.trial_store import stored_log


def method_record(cell: CellFiles) -> Record:
    """The record of a cell, finished or not."""
    lam = cell.lam
    tags = cell.tags | {"stage": "method"} | code_tags(_environments(cell))
    tags |= {} if lam is None else {"lambda": f"{lam:g}"}
    tags[COLOUR] = cell.study_files.colours.get((cell.dataset, cell.method.id), NOT_COMPARED)
    params = cell.params | ({} if lam is None else {"lam": f"{lam:g}"})
    params |= weights_of(cell.entry.get("terms", ()) if cell.entry else ())
    record = Record(cell.key, cell.title(lam), None, params, tags, time_ms=_start(cell))
    record.data = cell.study_files.data(cell.dataset, "test")
    return _unfinished(cell, record) if cell.entry is None else _analysed(cell, cell.entry, record)


def _unfinished(cell: CellFiles, record: Record) -> Record:
    done = f"{len(cell.done)} of {len(cell.folders)}"
    record.tags[NOTE] = f"**{record.name}** on {cell.dataset}: unfinished; trainings done: {done}."
    runs = any(trial.running for trial in cell.trials) or any(cell.trains(seed) for seed in cell.logs)
    # No process is at work, now or for good, and something is left to do.
    record.status, record.end_ms = ("RUNNING" if runs else "SCHEDULED"), None
    return record


def _analysed(cell: CellFiles, entry: MethodEntry, record: Record) -> Record:
    lay, study_files = cell.lay, cell.study_files
    record.tags |= study_files.verdicts.get((cell.dataset, cell.method.id), {})
    rows = cell.rows()
    record.metrics = _metrics(entry, rows) + _elsewhere(cell)
    parts = [
        method_paragraph(entry, record.name, study_files.peers(entry), study_files.leading(cell.dataset)),
        table_row(entry),
    ]
    thumbnail = lay.thumbnail(cell.dataset, cell.method.id)
    if thumbnail.exists():
        parts.insert(1, picture(HERE, thumbnail.name))
        record.artifacts.append((thumbnail, THUMBNAIL))
    record.tags[NOTE] = "\n\n".join(parts)
    record.artifacts += [(path, "tables") for path in whole_files(lay.tables, "main.*")]
    record.artifacts += [(path, "figures") for path in whole_files(lay.figures, "*.png")]
    record.status = "FAILED" if entry["failed_rows"] and entry["failed_rows"] == len(rows) else "FINISHED"
    record.end_ms = modified_ms(lay.summary)
    return record


def _metrics(entry: MethodEntry, rows: pd.DataFrame) -> list[Metric]:
    """The metrics of a method that is analysed, by the names of the tables."""
    metrics: list[tuple[str, float | None, int]] = []
    for name, spread in entry["metrics"].items():
        statistics = {"": spread["mean"], "_sd": spread["sd"], "_seed_sd": spread["seed_sd"]}
        metrics += [(f"test/{name}{suffix}", value, 0) for suffix, value in statistics.items()]
    if rows["inference_seconds"].notna().any():
        metrics.append(("test/inference_seconds", float(rows["inference_seconds"].median()), 0))
        metrics.append(("test/peak_memory_mib", float(rows["peak_memory_mib"].median()), 0))
    chosen = entry["selected"]["best"] if entry.get("selected") else None
    if chosen:
        metrics += [(f"val/{name}", value, 0) for name, value in chosen["scores"].items()]
    metrics.append(("rank", entry["rank"], 0))
    # Six digits: what the runs table of the UI has room for, and two more than the tables print.
    return [(name, float(f"{value:.6g}"), step) for name, value, step in finite(metrics)]


def _elsewhere(cell: CellFiles) -> list[Metric]:
    """Means of a cell's runs on other data, by the names of the table of transfer."""
    summary, place = cell.study_files.summary, (cell.dataset, cell.method.id)
    metrics = [
        (f"on/{entry['tested_on']}/{name}", value, 0)
        for entry in (summary.get("transfers", []) if summary else [])
        if (entry["trained_on"], entry["method"]) == place and entry["tested_on"] != cell.dataset
        for name, value in entry["means"].items()
    ]
    return [(name, float(f"{value:.6g}"), step) for name, value, step in finite(metrics)]


def _environments(cell: CellFiles) -> list[Environment]:
    """Where the trainings of a cell run or ran."""
    records = [folder / RUN for folder in cell.done.values()]
    heads = [training_log.head(folder / LIVE) for folder in cell.logs.values()]
    done = [_environment(path, *version(path)[1:]) for path in records]
    return done + [head["environment"] for head in heads if head]


def _start(cell: CellFiles) -> int:
    """When the first of a cell's runs began, by its files, in ms: the same before and after the analysis."""
    logs = [stored_log(trial.state, trial.number) for trial in cell.trials]
    logs += [training_log.run_log(folder) for folder in cell.folders.values()]
    starts = [started_ms(head["started"]) for text in logs if (head := training_log.head_of(text)) is not None]
    if starts:
        return min(starts)
    files = [trial.file for trial in cell.trials[:1]] + [folder / RUN for folder in cell.done.values()]
    files.append(cell.lay.pairs(cell.dataset, cell.method.id, cell.study.seeds(cell.method.id)[0]))
    last = modified_ms(cell.lay.summary) if cell.entry else 0
    return next((modified_ms(path) for path in files if path.exists()), last)


# Every look at a study reads these files, which change no more; time and size tell one version from another.
@lru_cache(maxsize=100_000)
def _environment(path: Path, _mtime_ns: int | None, _size: int | None) -> Environment:
    environment: Environment = read_sealed(path)["environment"]
    return environment

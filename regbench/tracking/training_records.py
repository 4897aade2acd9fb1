"""What the records of trials and of final trainings share: curves, samples of the machine, and where they ran."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regbench.study.terms import WEIGHT
from regbench.system.provenance import Environment
from regbench.tracking.cell_files import modified_ms
from regbench.tracking.mlflow_run import Metric, Record
from regbench.training.training_log import Log

SYSTEM = ("rss_mib", "cpu_percent", "gpu_mib")


def unfinished(record: Record, log: Log | None, path: Path, *, running: bool) -> Record:
    """Complete the record of a training that has not ended: it runs, or was killed and the same command resumes it.

    Args:
        record: with all that is known from the first step on.
        log: of the training; None where there is none.
        path: of the log.
        running: whether a process is at work.
    """
    record.time_ms = modified_ms(path) if log is None else started_ms(log.header["started"])
    record.metrics = [] if log is None else curve(log.curve["step"], log.curve)
    record.status, record.end_ms = ("RUNNING", None) if running else ("KILLED", modified_ms(path))
    return _with_samples(record, log)


def ended(record: Record, log: Log | None, path: Path) -> Record:
    """Complete the record of a training that has ended.

    Args:
        record: with its metrics.
        log: of the training; None where there is none.
        path: of the file that it left.
    """
    record.time_ms = modified_ms(path) if log is None else started_ms(log.header["started"])
    record.end_ms = modified_ms(path)
    return _with_samples(record, log)


def curve(steps: Sequence[float], terms: Mapping[str, Sequence[float | None]]) -> list[Metric]:
    """The points of every term of a training that are numbers.

    Args:
        steps: the steps at which the curve has a point.
        terms: the value of each term at these steps; a term `step` is left out.
    """
    return finite(
        (f"train/{name}", value, int(step))
        for name, values in terms.items()
        if name != "step"
        for step, value in zip(steps, values, strict=True)
    )


def weights_of(terms: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The params of the weights of further terms, as a run's job and the summary have them."""
    return {f"{WEIGHT}{term['id']}": f"{term['weight']:g}" for term in terms if term.get("weight") is not None}


def origin_tags(environment: Environment, data_sha256: str) -> dict[str, str]:
    """The tags of a run for its code, packages, machine and data."""
    packages = environment["packages"].items()
    return code_tags([environment]) | {
        "device": environment["device"],
        "system": environment.get("system", "unknown"),
        "packages": ", ".join(f"{name} {number}" for name, number in packages),
        "data_sha256": data_sha256,
    }


def code_tags(environments: Iterable[Environment]) -> dict[str, str]:
    """The tags for the commits that trained the runs, and whether any had uncommitted changes."""
    codes = [environment["code"] for environment in environments if "code" in environment]
    if not codes:
        return {}
    commits = ", ".join(sorted({code["git_commit"] or "unknown" for code in codes}))
    return {"git_commit": commits, "git_dirty": str(any(code["git_dirty"] for code in codes)).lower()}


def finite(metrics: Iterable[tuple[str, float | None, int]]) -> list[Metric]:
    """The metrics that are numbers: MLflow stores no others."""
    return [(name, float(value), step) for name, value, step in metrics if value is not None and math.isfinite(value)]


def started_ms(seconds: float) -> int:
    """The start of a training by its log, in ms."""
    return int(seconds * 1000)


def _with_samples(record: Record, log: Log | None) -> Record:
    """The record with what the process used of its machine."""
    for line in log.lines if log else ():
        time_ms = int(line["time"] * 1000)
        record.samples += [
            (f"system/{name}", float(line[name]), time_ms, line["at"]) for name in SYSTEM if name in line
        ]
    return record

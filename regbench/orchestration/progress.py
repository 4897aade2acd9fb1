"""What of a study is done, runs, failed or has not begun: from its files alone, nothing is asked of any process.

A result of another config or of other code is not counted as done: its job will run again.
"""

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from regbench.orchestration import jobs, snakemake_log
from regbench.study import plan
from regbench.study.config import Config
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, read_json, write_json
from regbench.system.job_usage import last_lines, seconds_in
from regbench.tuning.space import at_choice

# `stopped`: begun, and its process is gone without a result; the same command goes on from there.
State = Literal["done", "running", "failed", "stopped", "not started"]
STALE = 90.0  # seconds after which a lock on another host, which its holder touches every 20 s, is a dead one's
NOT_LOOKED_AT = ("tables", "figures", "analysis", "partial")
MEMORY = re.compile(
    r"out of memory|OutOfMemory|MemoryError|oom.kill|std::bad_alloc|exceeded .*memory limit", re.IGNORECASE
)


@dataclass
class Cell:
    """A row of the table: a dataset and a method."""

    dataset: str
    method: str
    state: State = "not started"
    reason: str = ""
    steps: list[tuple[jobs.Step, State, str]] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)  # whose test pairs are evaluated
    records: dict[int, dict[str, Any]] = field(default_factory=dict)  # the runs that are trained, by seed


@dataclass
class Progress:
    """All cells of a study, and the jobs that belong to none."""

    cells: list[Cell]
    datasets: list[tuple[jobs.Step, State, str]]
    head: bool  # whether the head process lives

    @property
    def steps(self) -> Iterator[tuple[jobs.Step, State, str]]:
        yield from self.datasets
        for cell in self.cells:
            yield from cell.steps


def note_head(root: Path, log: list[str]) -> None:
    """Called by the head when it starts: where its log lies."""
    write_json(_head(root), {"log": str(Path(log[0]).absolute()) if log else None, "started": time.time()})


def progress(config: Config) -> Progress:
    """Look at the files of a study."""
    return _Look(config).progress()


class _Look:
    def __init__(self, config: Config) -> None:
        self.config, self.lay = config, plan.layout(config)
        root = self.lay.root
        self.files = _files(root)
        self.head = lives(root / "state" / "workflow.lock")
        head = read_json(_head(root)) if str(_head(root)) in self.files else {}
        self.events = snakemake_log.events(Path(head["log"])) if head.get("log") else {}

    def progress(self) -> Progress:
        datasets, cells = [], []
        for dataset in self.config.datasets:
            prepare, runtime = ((step, *self.state(step)) for step in jobs.of_dataset(self.config, dataset.id))
            datasets += [prepare, runtime]
            data = self._data(dataset.id)
            for method in plan.methods(self.config):
                cells.append(self.cell(dataset.id, method.id, prepare, data))
        return Progress(cells, datasets, self.head)

    def _data(self, dataset: str) -> str | None:
        path = self.lay.manifest(dataset)
        return read_json(path)["data_sha256"] if path.is_file() else None

    def cell(self, dataset: str, method: str, prepare: tuple[jobs.Step, State, str], data: str | None) -> Cell:
        cell = Cell(dataset, method)
        chosen: dict[int, dict[str, Any]] = {}  # by search
        for step in jobs.of_cell(self.config, dataset, method):
            state, reason = self.state(step)
            if step.rule == "select" and state == "done":
                chosen[step.replicate] = read_json(self.lay.selected(dataset, method, step.replicate))
            if step.rule in jobs.CELL:
                state, reason = self._whole(cell, step, state, reason, data)
            if step.rule == "train" and state == "done" and not self._record(cell, step.seed, chosen, data):
                state, reason = "not started", OUTDATED
            if step.rule == "evaluate" and state == "done" and not self._evaluated(cell, step):
                state, reason = "not started", OUTDATED
            if step.rule == "evaluate" and state == "done":
                cell.seeds.append(step.seed)
            cell.steps.append((step, state, reason))
        cell.state, cell.reason = _of_cell(cell, prepare)
        return cell

    def _whole(self, cell: Cell, step: jobs.Step, state: State, reason: str, data: str | None) -> tuple[State, str]:
        """What the files say of a job that does a whole cell; its runs count one by one, as far as they lie there."""
        paths = {r: self.lay.selected(cell.dataset, cell.method, r) for r in plan.replicates(self.config, cell.method)}
        chosen = {replicate: read_json(path) for replicate, path in paths.items() if str(path) in self.files}
        seeds = plan.seeds(self.config, step.method)
        for seed in seeds:
            run = step._replace(output=str(self.lay.pairs(step.dataset, step.method, seed)), seed=seed)
            if run.output in self.files and self._record(cell, seed, chosen, data) and self._evaluated(cell, run):
                cell.seeds.append(seed)
        if state == "done" and cell.seeds != list(seeds):
            return "not started", OUTDATED
        if state == "stopped" and seconds_in(Path(jobs.log_of(self.lay.root, step))) is not None:
            return "not started", ""  # its job ended well, and a seed was added since
        return state, reason

    def _record(
        self, cell: Cell, seed: int, searches: Mapping[int, Mapping[str, Any]], data: str | None
    ) -> dict[str, Any] | None:
        """The record of a run, if it is of this config, this code, these data and the lambda that was chosen."""
        path = f"{self.lay.run(cell.dataset, cell.method, seed)}/run.json"
        chosen = searches.get(plan.replicate_of(self.config, seed))
        if chosen is None or path not in self.files:
            return None
        record: dict[str, Any] = read_json(Path(path))
        job = at_choice(plan.final_job(self.config, cell.method, seed), chosen).to_json()
        same = record.get("job") == job or canonical_json(record.get("job")) == canonical_json(job)
        if not same or record.get("lam") != chosen["lam"] or record.get("data_sha256") != data:
            return None
        cell.records[seed] = record
        return record

    def _evaluated(self, cell: Cell, step: jobs.Step) -> bool:
        """Whether the rows are of the run that lies there; a run that is trained again makes its rows old."""
        if not plan.find_method(self.config, step.method).tuned:
            return True
        times = [os.stat(path).st_mtime_ns for path in (step.output, _run(step))]  # noqa: PTH116  twice as fast
        return step.seed in cell.records and times[0] >= times[1]

    def state(self, step: jobs.Step) -> tuple[State, str]:
        """What the files say of one job, and why it is not done."""
        if step.owner in self.files and lives(Path(step.owner)):
            return "running", ""
        return ("done", "") if step.output in self.files else self._unfinished(step)

    def _unfinished(self, step: jobs.Step) -> tuple[State, str]:
        log = jobs.log_of(self.lay.root, step)
        event = self.events.get(log) or self.events.get(step.output)
        words = last_words(log) if log in self.files else ""
        if event and event.state == "failed":
            return "failed", _why(event, words, step.rule)
        if event and event.state == "sent" and self.head:
            return "running", "" if log in self.files else "sent, has not begun"
        if log not in self.files or (event is None and self.head):  # the log is of a head before this one
            return "not started", ""
        return "stopped", words or "killed"


OUTDATED = "its files are of another config or code; will run again"


def lives(path: Path) -> bool:
    """Whether the holder of a lock lives, by the record in the file; takes no lock, so it disturbs nobody.

    On this host the process is looked for; elsewhere the file's time says when its holder last touched it.
    """
    try:
        text, age = path.read_text(encoding="utf-8", errors="replace"), time.time() - path.stat().st_mtime
    except OSError:
        return False
    try:
        record = json.loads(text)
        pid, host = int(record["pid"]), str(record["host"])
    except (ValueError, KeyError, TypeError):
        found = re.search(r"process (\d+) on (\S+)", text)
        if not found:
            return False
        pid, host = int(found[1]), found[2]
    if host != platform.node():
        return age < STALE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def last_words(log: str) -> str:
    """The last line of a log that says something: our own error message, or the end of a traceback."""
    lines = last_lines(Path(log))
    memory = [line for line in lines if MEMORY.search(line)]
    ours = [line for line in lines if line.startswith("regbench: ")]
    return (memory or ours or lines or [""])[-1].removeprefix("regbench: ")


def _why(event: snakemake_log.Event, words: str, rule: str) -> str:
    """Why a job failed for good: what the head knows, else the job's own last words; what to do about its memory.

    Without cgroups Slurm calls a job FAILED that it killed for its memory; then only its own log of the job says so.
    """
    slurm = last_words(event.slurm_log) if event.slurm_log else ""
    told = next((line for line in (words, slurm) if MEMORY.search(line)), "")
    reason = event.reason or words or slurm or "no word in its log"
    if told and not event.reason:
        reason = f"out of memory: {told}"
    if "CUDA" in told:
        reason += "; try a smaller `training.batch`, or a GPU with more memory"
    elif reason.startswith("out of memory"):
        more = (
            f"`rules: {{{rule}: {{mem_mb: ...}}}}` in site.yaml" if event.slurm_log else "fewer jobs at once (--cores)"
        )
        reason += f"; try {more}"
    return reason + (f" (attempt {event.attempts})" if event.attempts > 1 else "")


def _of_cell(cell: Cell, prepare: tuple[jobs.Step, State, str]) -> tuple[State, str]:
    steps = [prepare, *cell.steps]
    if all(state == "done" for _, state, _ in cell.steps):
        return "done", ""
    for wanted in ("failed", "running", "stopped"):
        found = [(step, reason) for step, state, reason in steps if state == wanted]
        if found:
            return wanted, "; ".join(f"{_named(step)}{': ' if reason else ''}{reason}" for step, reason in found[:3])
    step, _, reason = next(item for item in steps if item[1] != "done")
    begun = any(state == "done" for _, state, _ in cell.steps)
    words = f"next: {_named(step)}" if begun else "nothing has begun"
    return "not started", f"{words}{f' ({reason})' if reason else ''}"


def _run(step: jobs.Step) -> str:
    """The record beside the rows of a run."""
    return f"{step.output.rpartition('/')[0]}/run.json"


def _named(step: jobs.Step) -> str:
    return f"{step.rule} {step.detail}".strip()


def _head(root: Path) -> Path:
    return root / "state" / "head.json"


def _files(root: Path) -> set[str]:
    """Every file of a study by one walk: much faster than a question for each, on a network above all."""
    if not root.is_dir():
        return set()
    found: set[str] = set()
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=True):
                        found.add(entry.path)
                    elif folder != str(root) or entry.name not in NOT_LOOKED_AT:
                        pending.append(entry.path)
        except FileNotFoundError:  # gone since it was listed: the study runs
            continue
        except OSError as error:
            raise RegbenchError(f"`{folder}` must be readable, but got: {error.strerror}.") from error
    return found

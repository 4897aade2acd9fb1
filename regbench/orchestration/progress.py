"""What of a study is done, runs, failed or has not begun: from its files alone, nothing is asked of any process.

A result of another config or of other code is not counted as done: its job will run again.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from regbench.orchestration import snakemake_log
from regbench.orchestration.jobs import OF_CURVE, WHOLE_CELL, Job, of_cell, of_dataset, of_looks, of_ranges
from regbench.study.job_specs import final_spec, point_spec
from regbench.study.layout import Layout
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import OF_RUN, RUN, canonical_json, read_json, read_sealed, write_json
from regbench.system.job_usage import last_lines, seconds_in
from regbench.system.ownership import alive
from regbench.system.parquet import read_attributes
from regbench.tuning.space import at_choice

if TYPE_CHECKING:  # torch, which no head loads
    from regbench.training.checkpoint import RunRecord

# `stopped`: begun, and its process is gone without a result; the same command goes on from there.
State = Literal["done", "running", "failed", "stopped", "not started"]
OUTDATED = "its files are of another config or code; will run again"
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
    jobs: list[tuple[Job, State, str]] = field(default_factory=list)  # job, its state, and why it is not done
    seeds: list[int] = field(default_factory=list)  # whose test pairs are evaluated
    records: dict[int, "RunRecord"] = field(default_factory=dict)  # the runs that are trained, by seed


@dataclass
class Progress:
    """All cells of a study, and the jobs that belong to none."""

    cells: list[Cell]
    datasets: list[tuple[Job, State, str]]
    head: bool  # whether the head process lives

    @property
    def jobs(self) -> Iterator[tuple[Job, State, str]]:
        yield from self.datasets
        for cell in self.cells:
            yield from cell.jobs


def note_head(layout: Layout, log: Sequence[str]) -> None:
    """Called by the head when it starts: where its log lies."""
    path = str(Path(log[0]).absolute()) if log else None
    write_json(layout.head_note, {"log": path, "started": time.time()})


def progress(study: Study) -> Progress:
    """Look at the files of a study."""
    return _Look(study).progress()


Checksums = Sequence[str]  # of a prepared dataset, one for each draw of validation subjects


class _Look:
    def __init__(self, study: Study) -> None:
        self.study, self.layout = study, study.layout
        self.files = _files(self.layout.root)
        self.head = alive(self.layout.workflow_lock)
        note = self.layout.head_note
        log = read_json(note).get("log") if str(note) in self.files else None
        self.events = snakemake_log.events(Path(log)) if log else {}
        self.trained: dict[tuple[str, str], set[int]] = {}  # seeds whose run is trained, by dataset and method

    def progress(self) -> Progress:
        datasets, cells = [], []
        for dataset in self.study.config.datasets:
            prepare, runtime = ((job, *self.state(job)) for job in of_dataset(self.study, dataset.id))
            ranges = {job.detail: (job, *self.state(job)) for job in of_ranges(self.study, dataset.id)}
            looks = [(job, *self.state(job)) for job in of_looks(self.study, dataset.id)]
            datasets += [prepare, *ranges.values(), *looks, runtime]
            data = self._checksums(dataset.id)
            for method in self.study.methods:
                before = [prepare, *(ranges[name] for name in (method.losses,) if name in ranges)]
                cells.append(self.cell(dataset.id, method.id, before, data))
        for dataset in self.study.config.test_sets:
            job, _ = of_dataset(self.study, dataset.id)
            datasets.append((job, *self.state(job)))
        return Progress(cells, datasets, self.head)

    def _checksums(self, dataset: str) -> Checksums:
        path = self.layout.manifest(dataset)
        manifest = read_sealed(path) if path.is_file() else {}
        return [one["data_sha256"] for one in (manifest, *manifest.get("redrawn", ())) if one]

    def cell(self, dataset: str, method: str, before: list[tuple[Job, State, str]], data: Checksums) -> Cell:
        cell = Cell(dataset, method)
        chosen: dict[int, dict[str, JsonValue]] = {}  # by search
        for job in of_cell(self.study, dataset, method):
            state, reason = self.state(job)
            if job.rule == "select" and state == "done":
                chosen[job.replicate] = read_sealed(self.layout.selected(dataset, method, job.replicate))
            if job.rule in WHOLE_CELL:
                state, reason = self._whole(cell, job, state, reason, data)
            if job.rule == "train" and state == "done" and not self._record(cell, job.seed, chosen, data):
                state, reason = "not started", OUTDATED
            if job.rule == "evaluate" and state == "done" and not self._evaluated(cell, job):
                state, reason = "not started", OUTDATED
            if job.rule == "evaluate" and state == "done":
                cell.seeds.append(job.seed)
            if job.rule in OF_CURVE and state == "done" and not self._curve(cell, job, data):
                state, reason = "not started", OUTDATED
            if job.rule == "transfer" and state == "done" and not self._transferred(job):
                state, reason = "not started", OUTDATED
            cell.jobs.append((job, state, reason))
        cell.state, cell.reason = _of_cell(cell, before)
        self.trained[dataset, method] = set(cell.records)
        return cell

    def _whole(self, cell: Cell, job: Job, state: State, reason: str, data: Checksums) -> tuple[State, str]:
        """What the files say of a job that does a whole cell; its runs count one by one, as far as they lie there."""
        replicates = self.study.replicates(cell.method, cell.dataset)
        paths = {replicate: self.layout.selected(cell.dataset, cell.method, replicate) for replicate in replicates}
        chosen = {replicate: read_sealed(path) for replicate, path in paths.items() if str(path) in self.files}
        seeds = self.study.seeds(job.method, job.dataset)
        for seed in seeds:
            run = job._replace(output=str(self.layout.pairs(job.dataset, job.method, seed)), seed=seed)
            if run.output in self.files and self._record(cell, seed, chosen, data) and self._evaluated(cell, run):
                cell.seeds.append(seed)
        if state == "done" and cell.seeds != list(seeds):
            return "not started", OUTDATED
        if state == "stopped" and seconds_in(Path(job.log)) is not None:
            return "not started", ""  # its job ended well, and a seed was added since
        return state, reason

    def _record(
        self, cell: Cell, seed: int, searches: Mapping[int, Mapping[str, JsonValue]], data: Checksums
    ) -> "RunRecord | None":
        """The record of a run, if it is of this config, this code, these data and the lambda that was chosen."""
        path = self.layout.run_record(cell.dataset, cell.method, seed)
        chosen = searches.get(self.study.replicate_of(seed))
        if chosen is None or str(path) not in self.files:
            return None
        record: RunRecord = read_sealed(path)
        spec = at_choice(final_spec(self.study, cell.method, seed), chosen).to_json()
        same = record.get("job") == spec or canonical_json(record.get("job")) == canonical_json(spec)
        if not same or record.get("lam") != chosen["lam"] or not self._of_data(record, seed, data):
            return None
        cell.records[seed] = record
        return record

    def _of_data(self, record: "RunRecord", seed: int, data: Checksums) -> bool:
        """Whether a run was trained on these data, with the validation subjects of its draw left out."""
        draw = self.study.split_of(seed)
        return draw < len(data) and record.get("data_sha256") == data[draw]

    def _evaluated(self, cell: Cell, job: Job) -> bool:
        """Whether the rows are of the run that lies there; a run that is trained again makes its rows old.

        Rows that are older than the run tell by the digest of its checkpoint: a plain copy gives files any times.
        """
        known = self.study.method(job.method)
        if not known.cell:
            return True
        record, trained = f"{job.output.rpartition('/')[0]}/{RUN}", set(cell.records)  # beside the rows
        if not known.tuned:  # its network's row stands before it
            record = str(self.layout.run_record(job.dataset, known.trained_as, job.seed))
            trained = self.trained[job.dataset, known.trained_as]
        if job.seed not in trained:
            return False
        rows_time, run_time = (os.stat(path).st_mtime_ns for path in (job.output, record))  # noqa: PTH116  twice as fast
        return rows_time >= run_time or _rows_of(job.output, [record])

    def _curve(self, cell: Cell, job: Job, data: Checksums) -> bool:
        """Whether the points of a job are of this config, this code, these data, and beside what was chosen."""
        study, lay = self.study, self.layout
        seeds = (job.seed,) if job.point else study.seeds(job.method, job.dataset)
        for seed in seeds:
            selected = lay.selected(cell.dataset, cell.method, study.replicate_of(seed))
            if str(selected) not in self.files:
                return False
            spec = at_choice(point_spec(study, cell.method, seed), read_sealed(selected))
            for point in (job.point,) if job.point else study.further_points:
                path = lay.curve_point(cell.dataset, cell.method, seed, point) / RUN
                record: RunRecord | None = read_sealed(path) if str(path) in self.files else None
                if record is None or not self._of_data(record, seed, data):
                    return False
                wanted = spec.model_copy(update={"lam": record["lam"]}).to_json()
                if canonical_json(record.get("job")) != canonical_json(wanted):
                    return False
        return True

    def _transferred(self, job: Job) -> bool:
        """Whether rows on other data are of the runs that lie there."""
        run_of = self.study.method(job.method).trained_as
        seeds = self.study.seeds(job.method, job.dataset)
        records = [str(self.layout.run_record(job.dataset, run_of, seed)) for seed in seeds]
        if not self.files.issuperset(records):
            return False
        rows_time, *run_times = (os.stat(path).st_mtime_ns for path in (job.output, *records))  # noqa: PTH116  twice as fast
        return rows_time >= max(run_times) or _rows_of(job.output, records)

    def state(self, job: Job) -> tuple[State, str]:
        """What the files say of one job, and why it is not done."""
        if job.owner in self.files and alive(Path(job.owner)):
            return "running", ""
        return ("done", "") if job.output in self.files else self._unfinished(job)

    def _unfinished(self, job: Job) -> tuple[State, str]:
        log = job.log
        event = self.events.get(log) or self.events.get(job.output)
        words = last_words(log) if log in self.files else ""
        if event and event.state == "failed":
            return "failed", _why(event, words, job.rule)
        if event and event.state == "sent" and self.head:
            return "running", "" if log in self.files else "sent, has not begun"
        if log not in self.files or (event is None and self.head):  # the log is of a head before this one
            return "not started", ""
        return "stopped", words or "killed"


def _rows_of(rows: str, records: Sequence[str]) -> bool:
    """Whether rows are of the runs with these records, by the digests of their checkpoints."""
    digests = [str(read_sealed(Path(record)).get(OF_RUN, "")) for record in records]
    return all(digests) and read_attributes(Path(rows)).get(OF_RUN) == " ".join(digests)


def last_words(log: str) -> str:
    """The last line of a log that says something: our own error message, or the end of a traceback."""
    lines = last_lines(Path(log))
    memory = [line for line in lines if MEMORY.search(line)]
    ours = [line for line in lines if line.startswith("regbench: ")]
    return (memory or ours or lines or [""])[-1].removeprefix("regbench: ")


def why_failed(rule: str, log: str, outputs: Sequence[str], head_logs: Sequence[str]) -> str:
    """Why a job failed, in a line.

    Args:
        rule: of the job.
        log: its path; empty where the rule has none.
        outputs: paths of its outputs.
        head_logs: paths of the logs of its head.
    """
    events = snakemake_log.events(Path(head_logs[-1])) if head_logs else {}
    event = next((events[name] for name in (log, *outputs) if name in events), snakemake_log.Event("failed"))
    return _why(event, last_words(log) if log else "", rule)


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


def _of_cell(cell: Cell, before: list[tuple[Job, State, str]]) -> tuple[State, str]:
    jobs = [*before, *cell.jobs]
    if all(state == "done" for _, state, _ in cell.jobs):
        return "done", ""
    for wanted in ("failed", "running", "stopped"):
        such = [(job, reason) for job, state, reason in jobs if state == wanted]
        if such:
            return wanted, "; ".join(f"{_named(job)}{': ' if reason else ''}{reason}" for job, reason in such[:3])
    job, _, reason = next(entry for entry in jobs if entry[1] != "done")
    begun = any(state == "done" for _, state, _ in cell.jobs)
    words = f"next: {_named(job)}" if begun else "nothing has begun"
    return "not started", f"{words}{f' ({reason})' if reason else ''}"


def _named(job: Job) -> str:
    return f"{job.rule} {job.detail}".strip()


def _files(root: Path) -> set[str]:
    """Every file of a study by one walk: much faster than a question for each, on a network above all."""
    files: set[str] = set()
    passed_over = {f"{root}/{name}" for name in NOT_LOOKED_AT}
    pending = [str(root)] if root.is_dir() else []
    while pending:
        entries = _entries(pending.pop())
        folders = {entry.path for entry in entries if entry.is_dir(follow_symlinks=True)}
        files |= {entry.path for entry in entries} - folders
        pending += folders - passed_over
    return files


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # gone since it was listed: the study runs
        return []
    except OSError as error:
        raise RegbenchError(f"`{folder}` must be readable, but got: {error.strerror}.") from error

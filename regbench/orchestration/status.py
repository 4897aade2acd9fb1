"""`regbench status`: how far a study is, what failed and why, how long it will take, and who leads so far."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import comb
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np

from regbench.orchestration.jobs import Job
from regbench.orchestration.progress import Cell, Progress, State, progress
from regbench.study import goals
from regbench.study.goals import DEFAULTS, merits
from regbench.study.job_specs import selection_spec
from regbench.study.looks import made
from regbench.study.methods import Study
from regbench.system.files import read_sealed
from regbench.system.job_usage import busy_in, seconds_in

SHOWN = 20  # cells of a kind that are named in the terminal; --json has all
SAMPLE = 50  # jobs of a rule whose times are read
QUICK = ("propose", "select", "look")  # seconds each: their logs say nothing, and they are not counted
STATES: tuple[State, ...] = ("done", "running", "failed", "stopped", "not started")


class Eta(TypedDict):
    """The work that remains; `seconds` is None where no job runs."""

    seconds: float | None
    work_seconds: float
    at_once: int
    unknown: list[str]


class Leader(TypedDict):
    """A cell with its validation score; without `seeds`, that of its best trial."""

    dataset: str
    method: str
    seeds: int
    metric: str  # what lambda is chosen by; of several the first
    score: float
    lam: float


class Unfinished(TypedDict):
    """A cell that is not done."""

    dataset: str
    method: str
    state: State
    reason: str


class Preparation(TypedDict):
    """A job of a dataset that belongs to no cell."""

    rule: str
    dataset: str
    state: State
    reason: str


class GpuUse(TypedDict):
    """What the finished jobs took of GPUs: hours that they were held, and percent of these that they were busy."""

    hours: float
    busy_percent: float


class Looks(TypedDict):
    """How far the looks at the cells of a model have come, and what became of their pairs."""

    dataset: str
    model: str
    made: int
    most: int
    decided: int
    given_up: int
    open: int


class Status(TypedDict):
    """The answer of `regbench status --json`."""

    study: str
    head: bool
    cells: dict[State, int]
    jobs: dict[State, int]
    eta: Eta
    best: list[Leader]
    not_done: list[Unfinished]
    datasets: list[Preparation]
    looks: NotRequired[list[Looks]]  # of studies with `looks`
    gpu: NotRequired[GpuUse]  # where jobs say it of theirs


def status(study: Study) -> Status:
    """Everything the files say, as JSON."""
    now = progress(study)
    cells = Counter[State](cell.state for cell in now.cells)
    jobs = Counter[State](state for _, state, _ in now.jobs)
    used = gpu_use(now.jobs)
    answer: Status = {
        "study": study.name,
        "head": now.head,
        "cells": {state: cells[state] for state in STATES},
        "jobs": {state: jobs[state] for state in STATES},
        "eta": eta(study, now),
        "best": best(study, now.cells),
        "not_done": [
            {"dataset": cell.dataset, "method": cell.method, "state": cell.state, "reason": cell.reason}
            for cell in now.cells
            if cell.state != "done"
        ],
        "datasets": [
            {"rule": job.rule, "dataset": job.dataset, "state": state, "reason": reason}
            for job, state, reason in now.datasets
        ],
    }
    if study.config.looks is not None:
        answer["looks"] = list(_looks(study))
    return answer if used is None else {**answer, "gpu": used}


def _looks(study: Study) -> Iterator[Looks]:
    most = len(study.batches_of_looks.counts) if study.batches_of_looks else 0
    for dataset, model in product(study.config.datasets, study.looked_models):
        files = list(made(study.layout, dataset.id, model))
        ended = [pair for look in files for pair in look["pairs"] if not pair["goes_on"]]
        given_up = sum(pair["comparison"]["verdict"] == "undecided" for pair in ended)
        yield {
            "dataset": dataset.id, "model": model, "made": len(files), "most": most,
            "decided": len(ended) - given_up, "given_up": given_up,
            "open": comb(len(study.cells_of(model)), 2) - len(ended),
        }  # fmt: skip


def text(answer: Status) -> str:
    """The answer of `status` for a terminal."""
    lines = [f"study {answer['study']}"]
    for kind, counts in (("cells", answer["cells"]), ("jobs", answer["jobs"])):
        words = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state] or state == "done")
        lines.append(f"{kind:<5} {words} (of {sum(counts.values())})")
    if answer["head"] or answer["not_done"]:
        lines.append(f"head  {'runs' if answer['head'] else 'not running: the same command goes on'}")
    lines.append(f"ETA   {_eta_words(answer['eta']) if answer['not_done'] else 'all cells are done'}")
    for one in answer.get("looks", []):
        lines.append(
            f"looks {one['dataset']}/{one['model']}: {one['made']} of at most {one['most']}; of the pairs "
            f"{one['decided']} decided, {one['given_up']} given up, {one['open']} open"
        )
    if "gpu" in answer:
        used = answer["gpu"]
        lines.append(
            f"GPU   {duration(3600 * used['hours'])} by finished jobs, busy {used['busy_percent']:.0f} % of it"
        )
    for entry in answer["best"]:
        seeds = f", {entry['seeds']} seed{'s' if entry['seeds'] > 1 else ''}" if entry["seeds"] else ", its best trial"
        lines.append(
            f"best  {entry['dataset']}/{entry['method']}: validation {goals.words(entry['metric'])} "
            f"{entry['score']:.4f} (lambda {entry['lam']:.3g}{seeds})"
        )
    for state in ("failed", "stopped", "running"):
        cells = [cell for cell in answer["not_done"] if cell["state"] == state]
        lines += [f"{state}: {cell['dataset']}/{cell['method']}: {cell['reason']}" for cell in cells[:SHOWN]]
        if len(cells) > SHOWN:
            lines.append(f"{state}: {len(cells) - SHOWN} more cells (--json names all)")
    return "\n".join(lines)


def gpu_use(jobs: Iterable[tuple[Job, str, str]]) -> GpuUse | None:
    """What finished jobs took of GPUs, by up to `SAMPLE` logs of each rule; None where none says it of its own."""
    hours = busy = 0.0
    for finished in _done(jobs).values():
        sampled = finished[:: -(-len(finished) // SAMPLE)]
        logs = [(job, Path(job.log)) for job in sampled]
        # A GPU's hours are those of the jobs that say how busy it was, and of as many that were not looked at.
        scale = len(finished) / len(sampled)
        for job, log in logs:
            percent, seconds = busy_in(log), seconds_in(log)
            if percent is not None and seconds is not None:
                hours += scale * seconds / job.cells / 3600
                busy += scale * seconds / job.cells / 3600 * percent
    return {"hours": hours, "busy_percent": busy / hours} if hours else None


def _done(jobs: Iterable[tuple[Job, str, str]]) -> dict[str, list[Job]]:
    """The finished jobs of each rule, as far as they say what they took."""
    done = defaultdict(list)
    for job, state, _ in jobs:
        if state == "done" and job.rule not in QUICK:
            done[job.rule].append(job)
    return done


def seconds_by_rule(jobs: Iterable[tuple[Job, str, str]]) -> dict[str, float]:
    """Mean wall time of the finished jobs of each rule, from up to `SAMPLE` of their logs, evenly taken."""
    means = {}
    for rule, finished in _done(jobs).items():
        sampled = finished[:: -(-len(finished) // SAMPLE)]
        times = [seconds_in(Path(job.log)) for job in sampled]
        known = [time / job.cells for job, time in zip(sampled, times, strict=True) if time is not None]
        if known:
            means[rule] = float(np.mean(known))
    return means


def eta(study: Study, now: Progress) -> Eta:
    """Seconds that remain: the work divided by what runs at once, but no less than the longest cell's own jobs.

    Rules of which no job has ended yet are named in `unknown` and not counted.
    """
    jobs = list(now.jobs)
    seconds = seconds_by_rule(jobs)
    if "trial" in seconds and "train" not in seconds:  # a training is as long as its steps
        trials = min(study.config.tuning.trials_per_job, study.config.tuning.round_size) * study.config.tuning.steps
        seconds["train"] = seconds["trial"] * max(study.config.training.steps / trials, 1)
    work, chains, unknown = 0.0, [0.0], set[str]()
    for cell in now.cells:
        chain: dict[tuple[str, str], float] = {}
        for job, state, _ in cell.jobs:
            if state == "done" or job.rule in QUICK:
                continue
            if job.rule not in seconds:
                unknown.add(job.rule)
            left = seconds.get(job.rule, 0.0) * (0.5 if state == "running" else 1)
            work += left
            place = (job.rule, job.round if job.rule in ("propose", "trial") else "")
            chain[place] = max(chain.get(place, 0.0), left)  # seeds, searches and the jobs of a round: side by side
        chains.append(sum(chain.values()))
    at_once = sum(state == "running" for _, state, _ in jobs)
    return {
        "seconds": max(work / at_once, *chains) if at_once else None,
        "work_seconds": work,
        "at_once": at_once,
        "unknown": sorted(unknown),
    }


def _eta_words(answer: Eta) -> str:
    more = f"; {', '.join(answer['unknown'])} not measured yet, not counted" if answer["unknown"] else ""
    if not answer["work_seconds"]:
        return f"unknown: no job has ended yet{more}"
    least = "at least " if more else ""
    if answer["seconds"] is None:
        return f"{least}{duration(answer['work_seconds'])} of work, one job at a time; no job runs{more}"
    return f"{least}{duration(answer['seconds'])} with {answer['at_once']} jobs at once{more}"


def duration(seconds: float) -> str:
    """Seconds in words: the two largest units."""
    for size, name, smaller, unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {name} {int(seconds % size // smaller)} {unit}"
    return f"{seconds:.0f} s"


def best(study: Study, cells: Iterable[Cell]) -> list[Leader]:
    """The cell of best mean validation of each dataset and model; of its trials where no run has ended.

    Test scores are not looked at: a study that is watched while it runs would be tempted by them.
    """
    groups: dict[tuple[str, str], list[_Scored]] = {}
    for cell in cells:
        method = study.method(cell.method)
        entry = _score(study, cell) if method.model else None
        if entry is not None and method.model is not None:
            groups.setdefault((cell.dataset, method.model.id), []).append(entry)
    return [_leader(study, entries) for entries in groups.values()]


class _Scored(NamedTuple):
    """A cell and its validation scores."""

    cell: Cell
    seeds: int
    scores: Mapping[str, float]
    lam: float


def _leader(study: Study, entries: Sequence[_Scored]) -> Leader:
    """The best of some cells; a run of full length counts before any trial."""
    foremost = [entry for entry in entries if entry.seeds] or entries
    scores = [entry.scores for entry in foremost]
    metrics = selection_spec(study).metrics or [name for name in DEFAULTS if name in scores[0]][:1]
    found = merits(metrics, scores)
    cell, seeds, best_scores, lam = foremost[found.index(max(found))]
    score = best_scores[metrics[0]]
    return Leader(dataset=cell.dataset, method=cell.method, seeds=seeds, metric=metrics[0], score=score, lam=lam)


def _score(study: Study, cell: Cell) -> _Scored | None:
    complete = [record for record in cell.records.values() if record["status"] == "complete"]
    known = [
        record for record in complete if record["validation"] and all(map(_is_number, record["validation"].values()))
    ]
    if known and known[0]["lam"] is not None:
        names = known[0]["validation"]
        means = {name: float(np.mean([record["validation"][name] for record in known])) for name in names}
        return _Scored(cell, len(known), means, known[0]["lam"])
    ended = [job.replicate for job, state, _ in cell.jobs if job.rule == "select" and state == "done"]
    if not ended:
        return None
    trial = read_sealed(study.layout.selected(cell.dataset, cell.method, ended[0])).get("best")
    return _Scored(cell, 0, trial["scores"], trial["lam"]) if trial else None


def _is_number(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))

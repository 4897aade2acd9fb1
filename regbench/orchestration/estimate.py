"""`regbench plan`: what a study will cost before it starts: jobs, steps, hours, disk, files.

Counts follow from the config. Hours come from what finished runs took, of this study or of others in the same results
folder (a pilot with few steps is enough), by device; where no run of the same network on the same data has ended, there
are none. Sizes are of the formats, and of the prepared data where these lie there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from regbench.orchestration.disk import Inodes, disk, files
from regbench.orchestration.jobs import (
    CELL,
    CURVE,
    CURVE_CELL,
    WHOLE_CELL,
    Job,
    of_cell,
    of_dataset,
    of_ranges,
    of_study,
    processes,
)
from regbench.orchestration.site import ON_GPU
from regbench.orchestration.status import duration
from regbench.study.job_specs import RANGE_DECADES, RANGE_PAIRS, final_spec
from regbench.study.layout import Layout
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import canonical_json, read_sealed
from regbench.system.job_usage import busy_in, seconds_in

CLOSING = ("analyze", "report")
# Fields of the training that the time of a step does not depend on.
WITHOUT_EFFECT_ON_TIME = {
    "steps", "learning_rate", "device", "schedule", "warmup", "weight_decay", "validate_every", "keep", "patience",
}  # fmt: skip
SAMPLE = 20  # runs of a method that are read
START = 6.0  # seconds that a Slurm job holds its node before and after its work (docs/scaling.md)


class Hours(TypedDict):
    """Hours on one device: by rule, in all, and by the clock; `guessed` names methods that were not measured."""

    device: str
    by_rule: dict[str, float]
    total: float
    at_once: int
    wall: float
    guessed: list[str]
    unknown: list[str]
    busy_percent: NotRequired[float]  # of a GPU, in the jobs that were measured


class FirstLook(TypedDict):
    """What is done before the first of so many looks."""

    runs: int
    training_steps: int
    looks: int


class Estimate(TypedDict):
    """The answer of `regbench plan --json`."""

    study: str
    jobs: dict[str, int]
    runs: int
    trials: int
    searches: int
    ranges: int
    curve_points: NotRequired[int]  # further trainings of `curve`
    first_look: NotRequired[FirstLook]  # of studies with `looks`, of which all else counts the most
    training_steps: int
    trial_steps: int
    training_passes: int  # forward passes: a step in both directions has two
    trial_passes: int
    mlflow_runs: int
    slurm_start_hours: float
    disk_bytes: dict[str, float | None]
    files: Inodes
    hours: list[Hours]


@dataclass
class Calibration:
    """What jobs took on one device."""

    steps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds a step, by method
    around: list[float] = field(default_factory=list)  # seconds of a training job around its steps
    beside: list[float] = field(default_factory=list)  # seconds a training of a job that does a cell, beside its steps
    jobs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds of whole jobs, by `_kind`
    busy: list[tuple[float, float]] = field(default_factory=list)  # seconds of a job, and percent that its GPU was busy

    # Asked for once all is added.
    @cached_property
    def any_step(self) -> float | None:
        """Seconds a step of a method that was not measured: the others' median."""
        every = [seconds for of_method in self.steps.values() for seconds in of_method]
        return float(np.median(every)) if every else None

    @cached_property
    def around_mean(self) -> float:
        return float(np.mean(self.around)) if self.around else 0.0

    @cached_property
    def beside_mean(self) -> float:
        """Of a training in a job that does a cell; as a job of its own it takes no less."""
        return float(np.mean(self.beside)) if self.beside else self.around_mean


def estimate(study: Study, *, at_once: int = 1, measured: Iterable[Path] = ()) -> Estimate:
    """Everything as JSON.

    Args:
        study: to estimate.
        at_once: jobs on a GPU (or core) at one time.
        measured: folders of finished studies, beside those in the config's results folder.
    """
    first = None if study.batches_of_looks is None else _first_look(study)
    study = study.with_all_seeds()
    jobs = of_study(study)
    closing = [*CLOSING, *(["track"] if study.config.tracking.enabled else [])]
    counts = processes(jobs) + Counter(closing)
    cells = [method for _ in study.config.datasets for method in study.methods if method.tuned]
    searches = sum(study.rounds(method.id) > 0 for method in cells) * study.config.tuning.replicates
    searched = [method.id for method in cells if study.rounds(method.id)]
    trials = study.config.tuning.replicates * sum(map(study.trials, searched))
    trial_steps = {
        name: study.config.tuning.replicates * study.trials(name) * study.config.tuning.steps
        for name in searched
        if study.method(name).needs_training
    }
    runs = list(study.runs())
    points = list(study.curve_points())
    trained = [run for run in [*runs, *(point[:3] for point in points)] if study.method(run[1]).needs_training]
    calibration = calibrations(study, measured)
    answer: Estimate = {
        "study": study.name,
        "jobs": dict(counts),
        "runs": len(runs),
        "trials": trials,
        "searches": searches,
        "ranges": len(study.found_ranges) * len(study.config.datasets),
        "training_steps": len(trained) * study.config.training.steps,
        "trial_steps": len(study.config.datasets) * sum(trial_steps.values()),
        "training_passes": study.config.training.steps * sum(study.passes(run[1]) for run in trained),
        "trial_passes": len(study.config.datasets) * sum(study.passes(name) * n for name, n in trial_steps.items()),
        "mlflow_runs": (
            len(list(study.tuned_runs())) + len(points) + trials + len(study.methods) * len(study.config.datasets) + 1
        )
        * study.config.tracking.enabled,
        "slurm_start_hours": sum(counts[rule] for rule in ON_GPU) * START / 3600,
        "disk_bytes": disk(study),
        "files": files(study, jobs),
        "hours": [_hours(study, device, one, jobs, at_once) for device, one in sorted(calibration.items())],
    }
    answer |= {"curve_points": len(points)} if points else {}
    if first:
        counts["look"] = first["looks"] * len(study.looked_models) * len(study.config.datasets)
        answer["jobs"], answer["first_look"] = dict(counts), first
    return answer


def _first_look(study: Study) -> FirstLook:
    """What stands before the first look; all else of the answer is of the most that looks may give."""
    runs = [method for _ in study.config.datasets for method in study.methods for _ in study.seeds(method.id)]
    trained = sum(method.needs_training for method in runs)
    counts = study.batches_of_looks.counts if study.batches_of_looks else ()
    return {"runs": len(runs), "training_steps": trained * study.config.training.steps, "looks": len(counts)}


def calibrations(study: Study, measured: Iterable[Path] = ()) -> dict[str, Calibration]:
    """By device, what finished runs of the same data and networks took, in the results folder and in `measured`.

    Raises:
        UsageError: if a folder of `measured` is that of no study, or of one that this regbench cannot read.
    """
    by_device: dict[str, Calibration] = defaultdict(Calibration)
    named = set(map(Path, measured))
    for folder in sorted({*Path(study.config.results).glob("*"), *named}):
        try:
            raw = {**read_sealed(Layout(folder).config), "results": str(folder.parent), "study": folder.name}
            other = Study(load(raw, trusted=False))
        except RegbenchError as error:
            if folder in named:
                raise UsageError(f"--measured must name folders of studies, RESULTS/STUDY, but got {error}") from error
            continue  # of an older regbench, or no study
        same = {entry.id for entry in other.config.datasets if _data(entry) in map(_data, study.config.datasets)}
        for dataset, method in ((d, m) for d in same for m in other.methods if m.cell):
            _measure(study, other, dataset, method.id, by_device)
    return by_device


def _data(entry: Any) -> str:
    return canonical_json(entry.model_dump(mode="json", include={"source", "parameters", "preprocessing"}))


def _measure(study: Study, other: Study, dataset: str, method: str, by_device: dict[str, Calibration]) -> None:
    """Add what the runs of another study's cell took, if they are of the same network and losses."""
    layout = other.layout
    if _key(study, method) != _key(other, method):
        return
    seeds = other.seeds(method, dataset)
    for seed in seeds[:SAMPLE]:
        path = layout.run_record(dataset, other.method(method).trained_as, seed)
        if not path.is_file():
            continue
        record = read_sealed(path)
        if record["status"] != "complete" or "seconds" not in record:
            continue
        calibration = by_device[record["environment"]["device"]]
        for job in of_cell(other, dataset, method):
            # What belongs to no seed counts with the first.
            of_run = seed == (seeds[0] if job.rule in ("trial", "transfer") else job.seed)
            seconds = seconds_in(Path(job.log)) if job.rule in ON_GPU and of_run else None
            _add(calibration, other, job, record["seconds"], None if seconds is None else seconds / job.cells)
            busy = None if seconds is None else busy_in(Path(job.log))
            if seconds is not None and busy is not None:
                calibration.busy.append((seconds, busy))
        ranges = [(seconds_in(Path(job.log)), job.cells) for job in of_ranges(other, dataset)]
        calibration.jobs["lambda_range"] += [seconds / cells for seconds, cells in ranges if seconds is not None]
        timing = seconds_in(Path(of_dataset(other, dataset)[1].log))
        if timing is not None:  # of all methods of the dataset
            calibration.jobs["runtime"].append(timing / _timed(other)[dataset])


def _add(calibration: Calibration, study: Study, job: Job, training: float, seconds: float | None) -> None:
    """Add what a job of a run took.

    Args:
        calibration: of the run's device; receives the times.
        study: that ran.
        job: of the run's cell.
        training: seconds of the run's training.
        seconds: of the whole job, of its share where it does several cells; None where it is another run's, or not
            known.
    """
    key, a_step = _key(study, job.method), training / study.config.training.steps
    whole_length = study.config.training.patience is None  # else nobody knows how many steps there were
    if job.rule == CELL and whole_length:
        calibration.steps[key].append(a_step)
        if seconds is not None:
            trainings, steps = _trainings(study, job.method)
            calibration.beside.append(max(seconds - a_step * steps, 0.0) / trainings)
    if seconds is None or job.rule == CELL:
        return
    calibration.jobs[_kind(study, job)].append(seconds)
    if job.rule == "train" and whole_length:
        calibration.steps[key].append(a_step)
        calibration.around.append(max(seconds - training, 0.0))


def _timed(study: Study) -> Counter[str]:
    """How many methods of each dataset are timed."""
    methods = [method for method in study.methods if method.cell] + study.timed_baselines()
    return Counter({dataset.id: len(methods) for dataset in study.config.datasets})


def _key(study: Study, method: str) -> str:
    """What the time of a step depends on, beside data and device; empty where the study has no such method."""
    if method not in {known.id for known in study.methods} or not study.method(method).cell:
        return ""
    spec = final_spec(study, study.method(method).trained_as, 0)
    made_of = spec.model_dump(
        mode="json",
        include={
            "model": True,
            "similarity": True,
            "regularizer": True,
            "training": True,
            "terms": {"__all__": {"name", "parameters"}},
        },
        exclude={"training": WITHOUT_EFFECT_ON_TIME},
    )
    refine = study.method(method).refine
    return canonical_json(made_of if refine is None else {**made_of, "refine": refine.model_dump()})


def _kind(study: Study, job: Job) -> str:
    """The rule of a job; refined rows take many times as long, by their steps."""
    refine = study.method(job.method).refine if job.method else None
    return job.rule if refine is None else f"{job.rule} refined by {refine.steps} steps"


def _hours(study: Study, device: str, calibration: Calibration, jobs: Iterable[Job], at_once: int) -> Hours:
    hours: dict[str, float] = defaultdict(float)
    chains: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    guessed, unknown = set[str](), set[str]()
    for job in jobs:
        if job.rule not in ON_GPU:
            continue
        seconds, measured = _seconds(study, calibration, job)
        guessed |= set() if measured else {job.method}
        if seconds is None:
            unknown.add(_kind(study, job))
            continue
        hours[job.rule] += seconds / 3600
        one_process = job.rule in WHOLE_CELL  # does its cells one after the other
        chain = chains[job.dataset, job.log if one_process else job.method]
        place = (job.rule, job.method if one_process else job.round if job.rule == "trial" else "")
        chain[place] = max(chain.get(place, 0.0), seconds / 3600)
    total = sum(hours.values())
    longest = max((sum(chain.values()) for chain in chains.values()), default=0.0)
    answer: Hours = {
        "device": device, "by_rule": dict(hours), "total": total, "at_once": at_once,
        "wall": max(total / at_once, longest), "guessed": sorted(guessed), "unknown": sorted(unknown),
    }  # fmt: skip
    if calibration.busy:
        whole = sum(seconds for seconds, _ in calibration.busy)
        answer["busy_percent"] = sum(seconds * percent for seconds, percent in calibration.busy) / whole
    return answer


def _seconds(study: Study, calibration: Calibration, job: Job) -> tuple[float | None, bool]:
    """What a job will take, None where nothing like it was measured; and False if its method was not."""
    if job.rule in (CURVE, CURVE_CELL) and calibration.any_step is not None:
        return _curve_seconds(study, calibration, job)
    if job.rule in ("train", "trial", CELL) and calibration.any_step is not None:
        of_method = calibration.steps.get(_key(study, job.method))
        a_step = float(np.median(of_method)) if of_method else calibration.any_step
        if job.rule == CELL:
            trainings, steps = _trainings(study, job.method)
            return a_step * steps + calibration.beside_mean * trainings, bool(of_method)
        return a_step * _steps(study, job) + calibration.around_mean, bool(of_method)
    of_rule = calibration.jobs.get(_kind(study, job))
    if not of_rule:
        return None, True
    return float(np.mean(of_rule)) * (_timed(study)[job.dataset] if job.rule == "runtime" else 1), True


def _curve_seconds(study: Study, calibration: Calibration, job: Job) -> tuple[float, bool]:
    """What a job of points will take: trainings, each with what stands around it and its evaluation."""
    of_method = calibration.steps.get(_key(study, job.method))
    a_step = float(np.median(of_method)) if of_method else calibration.any_step or 0.0
    count = 1 if job.point else len(study.seeds(job.method)) * len(study.further_points)
    evaluation = calibration.jobs.get("evaluate")
    # Of a cell that was one job, what stands beside its trainings has their evaluation in it.
    beside = calibration.around_mean + float(np.mean(evaluation)) if evaluation else calibration.beside_mean
    return count * (a_step * study.config.training.steps + beside), bool(of_method)


def _trainings(study: Study, method: str) -> tuple[int, int]:
    """How many trainings a cell has, trials of all its searches among them, and how many steps these take in all."""
    trials = len(study.replicates(method)) * study.trials(method) if study.rounds(method) else 0
    seeds = len(study.seeds(method))
    return trials + seeds, trials * study.config.tuning.steps + seeds * study.config.training.steps


def _steps(study: Study, job: Job) -> int:
    if job.rule == "train":
        return study.config.training.steps
    first, last = job.detail.rpartition("trials")[2].split("-")
    return study.config.tuning.steps * (int(last) - int(first) + 1)


def text(answer: Estimate) -> str:
    """The answer of `estimate` for a terminal."""
    budget = f"{answer['trials']} trials" + (f" in {answer['searches']} searches" if answer["searches"] else "")
    lines = [f"study {answer['study']}: {answer['runs']} runs, {budget}"]
    if answer["ranges"]:
        lines.append(
            f"ranges  {answer['ranges']} of lambda are found first: {RANGE_PAIRS} validation pairs each, registered by "
            f"`instance` at {RANGE_DECADES[1] - RANGE_DECADES[0] + 1} lambdas, or a few more at an end"
        )
    if "first_look" in answer:
        first = answer["first_look"]
        lines.append(
            f"looks   {first['runs']} runs ({first['training_steps']:,} steps) before the first of {first['looks']} "
            "looks, which say who gets more; all else here is the most"
        )
    if "curve_points" in answer:
        lines.append(f"curves  {answer['curve_points']} further trainings, or registrations by `instance`")
    lines.append("jobs    " + ", ".join(f"{count} {rule}" for rule, count in answer["jobs"].items()))
    lines.append(f"steps   {answer['trial_steps']:,} in trials, {answer['training_steps']:,} in final trainings")
    if (answer["trial_passes"], answer["training_passes"]) != (answer["trial_steps"], answer["training_steps"]):
        lines.append(
            f"passes  {answer['trial_passes']:,} in trials, {answer['training_passes']:,} in final trainings: a step "
            "that registers both directions has two forward passes"
        )
    for entry in answer["hours"]:
        rules = ", ".join(f"{rule} {duration(3600 * hours)}" for rule, hours in entry["by_rule"].items())
        hours = "" if entry["device"].startswith("cpu") else f", {entry['total']:.1f} GPU hours"
        busy = f", busy {entry['busy_percent']:.0f} % of them" if "busy_percent" in entry else ""
        lines.append(f"time    {duration(3600 * entry['total'])} on {entry['device']}{hours}{busy} ({rules})")
        lines.append(
            f"        {duration(3600 * entry['wall'])} by the clock with {entry['at_once']} at once (--at-once)"
        )
        if entry["guessed"]:
            lines.append(f"        {len(entry['guessed'])} methods not measured, taken as the others' median")
        if entry["unknown"]:
            lines.append(f"        not measured and not counted: {', '.join(entry['unknown'])}")
    if not answer["hours"]:
        lines.append(
            "time    unknown: no run of these networks on these data has ended. Run a pilot of a few steps on each"
        )
        lines.append(
            "        type of GPU, such as `regbench run CONFIG -- --config study=pilot 'seeds=[0]'`, then plan again"
        )
    sent = sum(answer["jobs"].get(rule, 0) for rule in ON_GPU)
    starts = duration(3600 * answer["slurm_start_hours"])
    lines.append(f"Slurm   {starts} more, in all, for the starts of {sent:,} jobs on GPUs, if they are sent there")
    sizes = ", ".join(
        f"{name} {'unknown until prepared' if size is None else _bytes(size)}"
        for name, size in answer["disk_bytes"].items()
    )
    lines.append(f"disk    {sizes}")
    inodes = answer["files"]
    lines.append(f"inodes  {inodes['files']:,} files in {inodes['folders']:,} folders")
    if answer["mlflow_runs"]:
        lines.append(f"MLflow  {answer['mlflow_runs']:,} runs")
    return "\n".join(lines)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"

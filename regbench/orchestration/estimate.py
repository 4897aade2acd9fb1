"""`regbench plan`: what a study will cost before it starts: jobs, steps, hours, disk, files.

Counts follow from the config. Hours come from what finished runs took, of this study or of others in the same results
folder (a pilot with few steps is enough), by device; where no run of the same network on the same data has ended, there
are none. Sizes are of the formats, and of the prepared data where these lie there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regbench.orchestration import jobs
from regbench.orchestration.disk import disk, files
from regbench.orchestration.site import ON_GPU
from regbench.orchestration.status import duration
from regbench.study import plan
from regbench.study.config import Config, load
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, read_json
from regbench.system.job_usage import seconds_in

CLOSING = ("analyze", "report")
# Fields of the training that the time of a step does not depend on.
WITHOUT_EFFECT_ON_TIME = {
    "steps", "learning_rate", "device", "schedule", "warmup", "weight_decay", "validate_every", "keep", "patience",
}  # fmt: skip
SAMPLE = 20  # runs of a method that are read
START = 6.0  # seconds that a Slurm job holds its node before and after its work (docs/scaling.md)


@dataclass
class Calibration:
    """What jobs took on one device."""

    steps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds a step, by method
    around: list[float] = field(default_factory=list)  # seconds of a training job around its steps
    beside: list[float] = field(default_factory=list)  # seconds a training of a job that does a cell, beside its steps
    jobs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds of whole jobs, by rule


def estimate(config: Config, *, at_once: int = 1, measured: Iterable[Path] = ()) -> dict[str, Any]:
    """Everything as JSON.

    Args:
        config: of the study.
        at_once: jobs on a GPU (or core) at one time.
        measured: folders of finished studies, beside those in the config's results folder.
    """
    steps = jobs.of_study(config)
    counts = Counter(step.rule for step in steps) + Counter([*CLOSING, *(["track"] if config.tracking.enabled else [])])
    tuned = [(d.id, m.id) for d in config.datasets for m in plan.methods(config) if m.tuned]
    searches = sum(plan.rounds(config, method) > 0 for _, method in tuned) * config.tuning.replicates
    trials = searches * config.tuning.trials
    runs = list(plan.runs(config))
    trained = [run for run in plan.tuned_runs(config) if not plan.untrained(config, run[1])]
    found = {
        "study": config.study,
        "jobs": dict(counts),
        "runs": len(runs),
        "trials": trials,
        "searches": searches,
        "training_steps": len(trained) * config.training.steps,
        "trial_steps": sum(
            config.tuning.replicates * config.tuning.trials * config.tuning.steps
            for _, method in tuned
            if plan.rounds(config, method) and not plan.untrained(config, method)
        ),
        "mlflow_runs": (
            len(list(plan.tuned_runs(config))) + trials + len(plan.methods(config)) * len(config.datasets) + 1
        )
        * config.tracking.enabled,
        "slurm_start_hours": sum(counts[rule] for rule in ON_GPU) * START / 3600,
        "disk_bytes": disk(config),
        "files": files(config, steps),
    }
    calibration = calibrations(config, measured)
    found["hours"] = [_hours(config, device, one, steps, at_once) for device, one in sorted(calibration.items())]
    return found


def calibrations(config: Config, measured: Iterable[Path] = ()) -> dict[str, Calibration]:
    """By device, what finished runs of the same data and networks took, in the results folder and in `measured`."""
    found: dict[str, Calibration] = defaultdict(Calibration)
    for path in sorted(
        {*Path(config.results).glob("*/config.json"), *(Path(each) / "config.json" for each in measured)}
    ):
        try:
            other = load({**read_json(path), "results": str(path.parent.parent), "study": path.parent.name})
        except RegbenchError:
            continue  # of an older regbench, or no study
        same = {entry.id for entry in other.datasets if _data(entry) in map(_data, config.datasets)}
        for dataset, method in ((d, m) for d in same for m in plan.methods(other) if m.tuned):
            _measure(config, other, dataset, method.id, found)
    return found


def _data(entry: Any) -> str:
    return canonical_json(entry.model_dump(mode="json", include={"source", "parameters", "preprocessing"}))


def _measure(config: Config, other: Config, dataset: str, method: str, found: dict[str, Calibration]) -> None:
    lay = plan.layout(other)
    key = _key(other, method)
    if _key(config, method) != key:
        return
    for seed in plan.seeds(other, method)[:SAMPLE]:
        path = lay.run(dataset, method, seed) / "run.json"
        if not path.is_file():
            continue
        record = read_json(path)
        if record["status"] != "complete" or "seconds" not in record:
            continue
        mine = found[record["environment"]["device"]]
        for step in jobs.of_cell(other, dataset, method):
            seconds = (
                seconds_in(Path(jobs.log_of(lay.root, step))) if step.rule in ON_GPU and step.seed == seed else None
            )
            if step.rule == "cell" and other.training.patience is None:
                mine.steps[key].append(record["seconds"] / other.training.steps)
                if seconds is not None:
                    number, total = _trainings(other, method)
                    mine.beside.append(max(seconds - mine.steps[key][-1] * total, 0.0) / number)
            if seconds is None or step.rule == "cell":
                continue
            mine.jobs[step.rule].append(seconds)
            if step.rule == "train" and other.training.patience is None:
                mine.steps[key].append(record["seconds"] / other.training.steps)
                mine.around.append(max(seconds - record["seconds"], 0.0))
        timing = seconds_in(Path(jobs.log_of(lay.root, jobs.of_dataset(other, dataset)[1])))
        if timing is not None:  # of all methods of the dataset
            mine.jobs["runtime"].append(timing / _timed(other)[dataset])


def _timed(config: Config) -> Counter[str]:
    """How many methods of each dataset are timed."""
    methods = [method for method in plan.methods(config) if method.tuned] + plan.timed_baselines(config)
    return Counter({dataset.id: len(methods) for dataset in config.datasets})


def _key(config: Config, method: str) -> str:
    """What the time of a step depends on, beside data and device; empty where the study has no such method."""
    if method not in {each.id for each in plan.methods(config)} or not plan.find_method(config, method).tuned:
        return ""
    spec = plan.final_job(config, method, 0)
    return canonical_json(
        spec.model_dump(
            mode="json",
            include={"model": True, "similarity": True, "regularizer": True, "training": True},
            exclude={"training": WITHOUT_EFFECT_ON_TIME},
        )
    )


def _hours(config: Config, device: str, found: Calibration, steps: Iterable[jobs.Step], at_once: int) -> dict[str, Any]:
    """Hours on one device, by rule, in all, and by the clock; `guessed` names methods that were not measured."""
    every = [value for values in found.steps.values() for value in values]
    around = float(np.mean(found.around)) if found.around else 0.0
    hours: dict[str, float] = defaultdict(float)
    chains: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    guessed, unknown = set[str](), set[str]()
    runs = _timed(config)
    for step in steps:
        if step.rule not in ON_GPU:
            continue
        seconds: float | None = float(np.mean(found.jobs[step.rule])) if found.jobs.get(step.rule) else None
        if step.rule == "runtime" and seconds is not None:
            seconds *= runs[step.dataset]
        if step.rule in ("train", "trial", "cell") and every:
            mine = found.steps.get(_key(config, step.method))
            guessed |= set() if mine else {step.method}
            number, advanced = _trainings(config, step.method) if step.rule == "cell" else (1, _steps(config, step))
            more = around if step.rule != "cell" else _beside(found, around)
            seconds = float(np.median(mine or every)) * advanced + more * number
        if seconds is None:
            unknown.add(step.rule)
            continue
        hours[step.rule] += seconds / 3600
        chain = chains[step.dataset, step.method]
        place = (step.rule, jobs.round_of(step) if step.rule == "trial" else "")
        chain[place] = max(chain.get(place, 0.0), seconds / 3600)
    total = sum(hours.values())
    longest = max((sum(chain.values()) for chain in chains.values()), default=0.0)
    return {
        "device": device, "by_rule": dict(hours), "total": total, "at_once": at_once,
        "wall": max(total / at_once, longest), "guessed": sorted(guessed), "unknown": sorted(unknown),
    }  # fmt: skip


def _trainings(config: Config, method: str) -> tuple[int, int]:
    """How many trainings a cell has, trials among them, and how many steps these take in all."""
    trials = config.tuning.trials if plan.rounds(config, method) else 0
    seeds = len(plan.seeds(config, method))
    return trials + seeds, trials * config.tuning.steps + seeds * config.training.steps


def _beside(found: Calibration, around: float) -> float:
    """Seconds that a training of such a job takes beside its steps; as jobs of their own they take no less."""
    return float(np.mean(found.beside)) if found.beside else around


def _steps(config: Config, step: jobs.Step) -> int:
    if step.rule == "train":
        return config.training.steps
    first, last = step.detail.rpartition("trials")[2].split("-")
    return config.tuning.steps * (int(last) - int(first) + 1)


def text(found: Mapping[str, Any]) -> str:
    """The same for a terminal."""
    budget = f"{found['trials']} trials" + (f" in {found['searches']} searches" if found["searches"] else "")
    lines = [f"study {found['study']}: {found['runs']} runs, {budget}"]
    lines.append("jobs    " + ", ".join(f"{count} {rule}" for rule, count in found["jobs"].items()))
    lines.append(f"steps   {found['trial_steps']:,} in trials, {found['training_steps']:,} in final trainings")
    for entry in found["hours"]:
        rules = ", ".join(f"{rule} {duration(3600 * hours)}" for rule, hours in entry["by_rule"].items())
        lines.append(f"time    {duration(3600 * entry['total'])} on {entry['device']} ({rules})")
        lines.append(
            f"        {duration(3600 * entry['wall'])} by the clock with {entry['at_once']} at once (--at-once)"
        )
        if entry["guessed"]:
            lines.append(f"        {len(entry['guessed'])} methods not measured, taken as the others' median")
        if entry["unknown"]:
            lines.append(f"        not measured and not counted: {', '.join(entry['unknown'])}")
    if not found["hours"]:
        lines.append(
            "time    unknown: no run of these networks on these data has ended. Run a pilot of a few steps, such as"
        )
        lines.append("        snakemake --config study=pilot 'seeds=[0]', on each type of GPU, then plan again")
    sent = sum(found["jobs"].get(rule, 0) for rule in ON_GPU)
    starts = duration(3600 * found["slurm_start_hours"])
    lines.append(f"Slurm   {starts} more, in all, for the starts of {sent:,} jobs on GPUs, if they are sent there")
    sizes = ", ".join(
        f"{name} {'unknown until prepared' if size is None else _bytes(size)}"
        for name, size in found["disk_bytes"].items()
    )
    lines.append(f"disk    {sizes}")
    inodes = found["files"]
    lines.append(f"inodes  {inodes['files']:,} files in {inodes['folders']:,} folders")
    if found["mlflow_runs"]:
        lines.append(f"MLflow  {found['mlflow_runs']:,} runs")
    return "\n".join(lines)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"

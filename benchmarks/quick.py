"""What share of a small study's core time computes something, and what the rest is.

    python benchmarks/quick.py [CONFIG] [--cores 2] [--folder DIR] [--json FILE] [-- snakemake arguments]

Runs the study from nothing through Snakemake, in a results folder of its own, and reads what each job took from
Snakemake's records and what each of its stages took from its log. Core-seconds are the cores times the seconds by the
clock of the whole command. Useful are trials, trainings, the optimisation of test pairs where nothing is trained, and
evaluations; the rest is starts, proposals, timing, analysis, report, MLflow and idle cores. Other work on the machine
makes all of it longer, and the share of CPU time (of what the jobs and Snakemake took) says how much was waiting.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from regbench.system import job_usage
from regbench.system.files import write_json

ROOT = Path(__file__).parent.parent
CLOSING = ("runtime", "analyze", "report", "track")
DECIDING = ("propose", "select")  # jobs of their own where `one_job_per: stage`; they compute nothing
JOB = re.compile(r"took [\d.]+ s, ([\d.]+) s of CPU, at most (\d+) MiB$", re.MULTILINE)


def run(config: Path, folder: Path, cores: int, more: list[str]) -> dict[str, float]:
    """The study from nothing; seconds of the command, and when it ended."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(cores),
               "--configfile", str(config), *more, "--config", f"results={folder}"]  # fmt: skip
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    ended, after = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(done.stderr[-4000:])
    print(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": ended - began, "cpu_seconds": cpu, "began": began, "ended": ended}


def jobs_of(folder: Path) -> list[dict[str, Any]]:
    """Every job of Snakemake: its rule, when it ended, how long it took, and what it and its stages say in its log.

    A job writes several outputs, and Snakemake keeps a record of each. A job that keeps no log (`propose`, `select`)
    has no stages, and its CPU time is not known.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted((folder / ".snakemake" / "metadata").rglob("*")):
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        job = found.setdefault(
            (record["rule"], record["shellcmd"]),
            {"rule": record["rule"], "began": record["starttime"], "ended": record["endtime"], "logs": record["log"]},
        )
        job["began"] = min(job["began"], record["starttime"])
        job["ended"] = max(job["ended"], record["endtime"])
    for job in found.values():
        logs = [Path(log) for log in job.pop("logs") or () if Path(log).exists()]
        ends = [end for log in logs for end in JOB.findall(log.read_text(encoding="utf-8", errors="replace"))]
        job["seconds"] = job["ended"] - job.pop("began")
        job["cpu"] = sum(float(cpu) for cpu, _ in ends)
        job["peak_mib"] = max((int(peak) for _, peak in ends), default=0)
        job["stages"] = job_usage.stages_in(logs[0]) if logs else {}
    return sorted(found.values(), key=lambda job: float(job["ended"]))


def parts(jobs: Iterable[dict[str, Any]], which: int) -> dict[str, float]:
    """Seconds by what was done: by the clock (0) or of CPU (1)."""
    found: dict[str, float] = defaultdict(float)
    for job in jobs:
        stages = {name: times[which] for name, times in job["stages"].items()}
        registered = stages.pop("register", 0.0)
        if job["rule"] == "cell_untrained" and "evaluate" in stages:  # nothing was trained: this is where it computes
            stages["optimise"] = registered
            stages["evaluate"] -= registered
        for name, seconds in stages.items():
            found[name] += seconds
        found["rest of jobs"] += job["seconds" if which == 0 else "cpu"] - sum(stages.values())
    return dict(found)


def shares(found: dict[str, float], whole: float) -> dict[str, float]:
    """Of all core-seconds (or CPU-seconds), what is useful, and what is without the evaluation."""
    computing = sum(found.get(name, 0.0) for name in ("lambda_range", "trial", "train", "optimise"))
    return {
        "useful_share": (computing + found.get("evaluate", 0.0)) / whole,
        "useful_share_without_evaluation": computing / whole,
    }


def orchestration(jobs: list[dict[str, Any]], ran: dict[str, float], cores: int) -> dict[str, float]:
    """What Snakemake and the starts of processes take, in seconds by the clock.

    `no_job_seconds`: none runs (Snakemake starts, thinks, ends). `start_seconds`: Python starts, imports, reads, writes
    and ends, divided by the cores. Jobs that only propose and select count with all of their time, others without
    stages (those that close a study) with the median start.
    """
    busy, until = 0.0, ran["began"]
    for job in sorted(jobs, key=lambda job: job["ended"] - job["seconds"]):
        busy += max(0.0, job["ended"] - max(until, job["ended"] - job["seconds"]))
        until = max(until, job["ended"])
    starts = [parts([job], 0)["rest of jobs"] for job in jobs if job["stages"]]
    deciding = [job["seconds"] for job in jobs if job["rule"] in DECIDING]
    others = len(jobs) - len(starts) - len(deciding)
    found = {
        "no_job_seconds": ran["wall_seconds"] - busy,
        "start_seconds": (sum(starts) + sum(deciding) + others * statistics.median(starts)) / cores,
    }
    return {**found, "share_of_wall": sum(found.values()) / ran["wall_seconds"]}


def summary(folder: Path, ran: dict[str, float], cores: int) -> dict[str, Any]:
    """All numbers of a run."""
    jobs = jobs_of(folder)
    whole = cores * ran["wall_seconds"]
    by_rule: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        by_rule[job["rule"]].append(job["seconds"])
    work = [job for job in jobs if job["rule"] not in CLOSING]
    last = max(job["ended"] for job in work)
    clock, cpu = parts(jobs, 0), parts(jobs, 1)
    clock["outside of jobs"] = whole - sum(clock.values())
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "cores": cores, "load_before": os.getloadavg()[2],
        "wall_seconds": ran["wall_seconds"], "core_seconds": whole, **shares(clock, whole),
        "tail_seconds": ran["ended"] - last,  # from the last evaluation to the end of the command
        "orchestration": orchestration(jobs, ran, cores),
        "core_seconds_by_part": clock,
        "cpu": {"seconds": ran["cpu_seconds"], **shares(cpu, ran["cpu_seconds"]), "seconds_by_part": cpu},
        "jobs": {rule: {"count": len(times), "seconds": sum(times)} for rule, times in sorted(by_rule.items())},
        "peak_mib": max(job["peak_mib"] for job in jobs),
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    """For a terminal."""
    print(f"{found['wall_seconds']:.0f} s on {found['cores']} cores: {found['core_seconds']:.0f} core-seconds")
    for name, seconds in sorted(found["core_seconds_by_part"].items(), key=lambda item: -item[1]):
        of_cpu = found["cpu"]["seconds_by_part"].get(name)
        print(f"  {name:<16} {seconds:7.1f} s" + (f" ({of_cpu:.1f} of CPU)" if of_cpu is not None else ""))
    for rule, job in found["jobs"].items():
        print(f"  {job['count']:3} x {rule:<10} {job['seconds']:7.1f} s")
    share = found["orchestration"]["share_of_wall"]
    print(f"orchestration: {share:.1%} of the seconds by the clock (no job runs, and jobs start)")
    print(f"tail: {found['tail_seconds']:.1f} s from the last evaluation to the end")
    for words, these in (("core-seconds", found), (f"{found['cpu']['seconds']:.0f} s of CPU time", found["cpu"])):
        print(
            f"useful share of {words}: {these['useful_share']:.1%}, "
            f"without evaluation {these['useful_share_without_evaluation']:.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path, nargs="?", default=ROOT / "configs" / "quick.yaml")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="for the results, which then stay; default: one that is deleted")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "quick.json")
    parser.add_argument("more", nargs="*", help="arguments of snakemake, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.glob("*/config.json")):
            sys.exit(f"`{folder}` must be empty: what a study finds done it does not do again.")
        ran = run(options.config.resolve(), folder, options.cores, options.more)
        (study,) = (path.parent.name for path in folder.glob("*/config.json"))
        found = {"study": study, **summary(folder, ran, options.cores)}
    show(found)
    write_json(options.json, found)


if __name__ == "__main__":
    main()

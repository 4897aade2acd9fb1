"""MLflow under load, through regbench's own path: jobs write files, a tracker pushes them.

    python benchmarks/tracking.py [--jobs 32] [--steps 100] [--metrics 20] [--only NAME ...] [--json FILE]

Needs PostgreSQL of Debian (`apt-get install postgresql`) for the server's cases. A drill is: jobs at once, all of them
followed by `regbench track --follow`; in the middle the server, or some of the jobs, are killed with -9 and started
again; at the end, SIGTERM to the tracker, and the store is read point by point. `step` is what a training's own log
costs it.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "benchmarks")]
# E402: the helpers of the tests are found by the line above.
from servers import Server, postgres, server  # noqa: E402
from tracking_drill import Drill  # noqa: E402

from regbench.system.files import write_json  # noqa: E402

PACE = 3.0  # seconds of a job for 25 steps, the time between two lines of its log
COLUMNS = ("runs_lost", "points_lost", "points_doubled", "runs_doubled", "unfinished", "in_default")
Trouble = Callable[[Drill, dict[int, Any], Server | None], None]


def nothing(drill: Drill, jobs: dict[int, Any], served: Server | None) -> None:
    """The undisturbed case."""


def kill_server(drill: Drill, jobs: dict[int, Any], served: Server | None) -> None:
    """While curves grow: dead for some seconds."""
    assert served is not None
    _wait_for_growth(drill)
    served.kill()
    time.sleep(5)
    served.start()


def kill_jobs(drill: Drill, jobs: dict[int, Any], served: Server | None) -> None:
    """A quarter of the jobs, in the middle; sent again."""
    _wait_for_growth(drill)
    for seed in list(jobs)[::4]:
        jobs[seed].kill()
        jobs[seed].join()
        jobs[seed] = drill.start(seed)


def _wait_for_growth(drill: Drill) -> None:
    until = time.monotonic() + 300
    while drill.running() == 0:
        if time.monotonic() > until:
            raise RuntimeError("no run grows")
        time.sleep(0.5)


@contextmanager
def sqlite(_: Path) -> Iterator[tuple[str | None, Server | None]]:
    """The default: a file beside the results."""
    yield None, None


@contextmanager
def direct(_: Path) -> Iterator[tuple[str | None, Server | None]]:
    """PostgreSQL without a server before it."""
    with postgres() as uri:
        yield uri, None


@contextmanager
def served(folder: Path) -> Iterator[tuple[str | None, Server | None]]:
    """`mlflow server` before PostgreSQL."""
    with postgres() as store, server(store, folder) as found:
        yield found.uri, found


CASES: dict[str, tuple[Any, Trouble]] = {
    "SQLite": (sqlite, nothing),
    "SQLite, jobs killed": (sqlite, kill_jobs),
    "PostgreSQL": (direct, nothing),
    "server + PostgreSQL": (served, nothing),
    "server + PostgreSQL, server killed": (served, kill_server),
    "server + PostgreSQL, jobs killed": (served, kill_jobs),
}


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One case: what is wrong at its end, how long the jobs took, and how long the last push after them."""
    store, trouble = CASES[name]
    with tempfile.TemporaryDirectory() as folder, store(Path(folder)) as (uri, found):
        drill = Drill(Path(folder), uri, jobs=options.jobs, steps=options.steps, metrics=options.metrics, pace=PACE)
        tracker = drill.tracker("--follow", "--interval", "1", "--head", "1")  # until it is told to end
        began = time.monotonic()
        jobs = {seed: drill.start(seed) for seed in drill.study.config.seeds}
        trouble(drill, jobs, found)
        for job in jobs.values():
            job.join()
        taken = time.monotonic() - began
        began = time.monotonic()
        tracker.terminate()
        said = tracker.communicate()[0]
        if tracker.returncode != 0:
            raise RuntimeError(said)
        pushed = time.monotonic() - began
        wrong = drill.count()
        again = next(line for line in drill.tracker().communicate()[0].splitlines() if line.startswith("MLflow"))
        return {"case": name, **wrong, "jobs_seconds": taken, "last_push_seconds": pushed,
                "warnings": said.count("WARNING"), "pushed_again": again}  # fmt: skip


def step_overhead(rounds: int = 40) -> dict[str, Any]:
    """The cost of a training's own log: the same training with and without it, in turns of 25 steps."""
    from training import dataset, step, training  # noqa: PLC0415  torch, which the jobs of the drill must not fork

    model = {"flow": "half", "decoder": [32, 32, 32, 32, 16, 16]}
    data = dataset((80, 96), 2)
    plain, told = (training(data, 2, "mse", model, {}) for _ in range(2))
    from regbench.training.training_log import LogWriter  # noqa: PLC0415

    times: dict[str, list[float]] = {"plain": [], "told": []}
    with tempfile.TemporaryDirectory() as folder:
        header = {"training": "", "steps": 10_000, "terms": ["loss", "similarity", "regularizer"]}
        told.log = LogWriter(Path(folder) / "live.jsonl", header)
        told.log.due = lambda: True  # type: ignore[method-assign]  # a line every 25 steps: more than any training writes
        for _ in range(rounds):
            for name, each in (("plain", plain), ("told", told)):
                began = time.perf_counter()
                for _ in range(25):
                    step(each)
                times[name].append((time.perf_counter() - began) / 25)
        alone = time.perf_counter()
        for number in range(200):
            told.log.add(10_000 + 25 * (number + 1), [[0.1, 0.2, 0.3]] * 25)
            told.log.write()
        alone = (time.perf_counter() - alone) / 200 / 25
        peer = mlflow_step(Path(folder))
    # The difference of two timings of a busy machine says less than the cost by itself, against the step's.
    median = {name: float(np.median(values)) for name, values in times.items()}
    return {"step_ms": median["plain"] * 1e3, "with_log_ms": median["told"] * 1e3, "log_ms_a_step": alone * 1e3,
            "mlflow_ms_a_step": peer * 1e3,
            "overhead_percent": 100 * alone / median["plain"]}  # fmt: skip


def mlflow_step(folder: Path, steps: int = 50) -> float:
    """Seconds a step of what MLflow's pages show: `mlflow.log_metrics` in the loop, into SQLite; median."""
    import mlflow  # noqa: PLC0415  slow, and the jobs of the drill must not fork it

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'peer.db'}")
    mlflow.set_experiment("peer")
    times = []
    with mlflow.start_run():
        for number in range(steps):
            began = time.perf_counter()
            mlflow.log_metrics({"loss": 0.1, "similarity": 0.2, "regularizer": 0.3}, step=number)
            times.append(time.perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    """Run what is asked for; print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[*CASES, "step"], choices=[*CASES, "step"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "mlflow": version("mlflow"), "jobs": options.jobs, "steps": options.steps, "metrics": options.metrics,
        "drills": [],
    }  # fmt: skip
    print(f"{'':<36}" + "".join(f"{name.replace('_', ' '):>16}" for name in COLUMNS) + "   jobs s  last push s")
    for name in [case for case in (*CASES, "step") if case in options.only]:
        if name == "step":
            found["step"] = step_overhead()
            print("step: " + ", ".join(f"{key} {value:.4g}" for key, value in found["step"].items()))
        else:
            row = run(name, options)
            found["drills"].append(row)
            numbers = "".join(f"{row[column]:>16}" for column in COLUMNS)
            print(f"{name:<36}{numbers}{row['jobs_seconds']:>9.1f}{row['last_push_seconds']:>13.1f}", flush=True)
        if options.json:  # what is measured is kept, whatever the next case does
            write_json(options.json, found)


if __name__ == "__main__":
    main()

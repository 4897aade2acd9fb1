"""What a large study costs before any job computes: Snakemake's start, its scheduling, files, and `regbench status`.

    python benchmarks/scale.py [--cells 12 120 1200] [--schedule 12 120] [--status 1000] [--json FILE]

A cell is a dataset x method, its lambda given or tuned. Dry runs read the real Snakefile. For scheduling, the verbs are
replaced by a program that touches the outputs at once, so that what is left is Snakemake's own work.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
# E402: the helpers of the tests are found by the line above.
from made_study import make  # noqa: E402
from tiny_study import TINY  # noqa: E402

from regbench.orchestration import jobs  # noqa: E402
from regbench.study.load import load  # noqa: E402
from regbench.study.methods import Study  # noqa: E402
from regbench.system.files import write_json  # noqa: E402

BIN = Path(sys.executable).parent
WAYS = {
    "ilp": ("--scheduler", "ilp"),
    "greedy": ("--scheduler", "greedy"),
    "greedy, db": ("--scheduler", "greedy", "--persistence-backend", "db"),
}
# Writes what a job writes, empty and at once; Snakemake has made the folders.
TOUCH = r"""#!/bin/bash
verb=$1; R=results/tiny
while [ $# -gt 0 ]; do
  case $1 in
    --dataset) d=$2;; --method) m=$2;; --round) r=$2;; --seed) s=$2;; --slots) a=$2; b=$3;; --replicate) p=$2;;
  esac
  shift
done
case $verb in
  prepare) touch $R/data/$d/manifest.json;;
  propose) touch $R/tuning/$d/$m/replicate$p/round$r/proposals.json;;
  trial) touch $R/tuning/$d/$m/replicate$p/round$r/trials$a-$b.json;;
  select) touch $R/tuning/$d/$m/replicate$p/selected.json;;
  train) touch $R/runs/$d/$m/seed$s/{checkpoint.pt,history.parquet,run.json};;
  evaluate) touch $R/runs/$d/$m/seed$s/{pairs.parquet,panels.npz};;
esac
"""


def config_of(cells: int, *, trials: int = 0, seeds: int = 1) -> dict[str, Any]:
    """A config of so many cells; no trials means that lambda is given."""
    rows = max(int(cells**0.5), 1)
    columns = -(-cells // rows)
    grid = {
        "similarities": [{"name": "lcc", "id": f"s{number}"} for number in range(rows)],
        "regularizers": [{"name": "grad_l2", "id": f"r{number}"} for number in range(columns)],
    }
    tuning = {"trials": trials or 1, "round_size": 4, "steps": 1, "trials_per_job": 4}
    rule = {"range": [0.01, 1.0]} if trials else {"value": 0.1}
    changed = {"results": "results", "grid": grid, "tuning": tuning, "lambdas": [rule], "seeds": list(range(seeds))}
    return {**TINY, **changed, "tracking": {"enabled": False}}


def snakemake(folder: Path, *arguments: str, path: str = "") -> dict[str, Any]:
    """Seconds, CPU seconds and peak memory of a run of Snakemake, and the number of its jobs."""
    environment = {**os.environ, "PATH": f"{path}{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "study.yaml", *arguments]
    began = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    text = (folder / "log").read_text()
    if process.returncode:
        raise SystemExit(text[-3000:])
    count = re.search(r"^total\s+(\d+)", text, re.MULTILINE)
    # `usage` has the peak of the largest of its children too; in a dry run there is none.
    return {"jobs": int(count[1]) if count else 0, "seconds": round(seconds, 2),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2), "mib": usage.ru_maxrss // 1024}  # fmt: skip


def dry_runs(counts: list[int]) -> list[dict[str, Any]]:
    """Dry runs of fresh studies, in cells with a given lambda, with trials, and with seeds."""
    found = []
    for cells in counts:
        for trials, seeds in ((0, 1), (16, 1), (0, 5)) if cells <= 1200 else ((0, 1),):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                (folder / "study.yaml").write_text(yaml.safe_dump(config_of(cells, trials=trials, seeds=seeds)))
                row = {"cells": cells, "trials": trials, "seeds": seeds, **snakemake(folder, "-n", "--quiet", "rules")}
                print(row, flush=True)
                found.append(row)
    return found


def schedules(counts: list[int], ways: list[str]) -> list[dict[str, Any]]:
    """Whole runs whose jobs take no time, in one way after the other: what Snakemake itself needs for a job."""
    found = []
    for cells, way in product(counts, ways):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "study.yaml").write_text(yaml.safe_dump(config_of(cells)))
            (folder / "bin").mkdir()
            (folder / "bin" / "regbench").write_text(TOUCH)
            (folder / "bin" / "regbench").chmod(0o755)
            more = ("--cores", "2", *WAYS[way], "--until", "evaluate")
            row = snakemake(folder, *more, path=f"{folder}/bin{os.pathsep}")
            log = next((folder / ".snakemake" / "log").iterdir()).read_text()
            row["jobs"] = log.count("Finished jobid")
            inodes = sum(len(files) for _, _, files in os.walk(folder / ".snakemake"))
            row |= {"ms_a_job": round(1000 * row["seconds"] / row["jobs"], 1), "log_mb": round(len(log) / 1e6, 2)}
            found.append({"cells": cells, "way": way, **row, "snakemake_files": inodes})
            print(found[-1], flush=True)
    return found


def statuses(runs: list[int]) -> list[dict[str, Any]]:
    """`regbench status` on finished studies of so many runs, five seeds and 16 trials a cell."""
    found = []
    for number in runs:
        with tempfile.TemporaryDirectory() as place:
            raw = {**config_of(number // 5, trials=16, seeds=5), "results": f"{place}/results"}
            study = Study(load(raw))
            make(study)
            path = Path(place) / "study.yaml"
            path.write_text(yaml.safe_dump(raw))
            times = []
            for _ in range(3):
                began = time.perf_counter()
                subprocess.run([str(BIN / "regbench"), "status", str(path)], check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - began)
            files = sum(len(names) for _, _, names in os.walk(study.layout.root))
            row = {"runs": len(list(study.runs())), "jobs": len(jobs.of_study(study)), "files": files}
            found.append({**row, "first_seconds": round(times[0], 2), "seconds": round(min(times), 2)})
            print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", type=int, nargs="*", default=[12, 120, 1200], help="of dry runs")
    parser.add_argument("--schedule", type=int, nargs="*", default=[12, 120], help="cells of whole runs")
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--status", type=int, nargs="*", default=[1000, 10000], help="runs of studies to look at")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "dry_runs": dry_runs(options.cells),
        "schedules": schedules(options.schedule, options.ways),
        "status": statuses(options.status),
    }
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()

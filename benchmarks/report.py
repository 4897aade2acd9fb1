"""Analysis, tables, figures and page of a study of many runs: rows are generated, everything after them is real.

    python benchmarks/report.py [--runs 2500 5000 10000] [--json FILE] [--profile]

Two datasets, ten seeds, thirty test pairs of 35 structures; the rest of the runs are methods. Seconds by the clock and
the peak of resident memory, each number of runs in a process of its own.
"""

import argparse
import copy
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from regbench.report.analyze import analyze
from regbench.report.write import report
from regbench.study.load import load
from regbench.study.methods import Study

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import made_results  # noqa: E402 - the tests' generator is no package: it is found by the path above

SEEDS, DATASETS, REGULARIZERS = 10, 2, 20
made_results.LABELS = {str(k): f"structure {k}" for k in range(1, 36)}
DATASET = {
    "id": "d0", "source": "mni152", "parameters": {"dims": 2, "subjects": 12},
    "splits": {"train": 4, "validation": 2, "test": 6},
}  # fmt: skip


def study_of(runs: int, folder: Path) -> Study:
    """A config with about as many runs."""
    windows = [3 + 2 * k for k in range(runs // (SEEDS * DATASETS * REGULARIZERS))]
    raw = {
        "study": "many", "results": str(folder), "models": ["voxelmorph"],
        "datasets": [{**copy.deepcopy(DATASET), "id": f"d{k}"} for k in range(DATASETS)],
        "grid": {
            "similarities": [{"name": "lcc", "id": f"lcc{n}", "parameters": {"window": n}} for n in windows],
            "regularizers": [{"name": "grad_l2", "id": f"r{k}"} for k in range(REGULARIZERS)],
        },
        "lambdas": [{"value": 0.1}], "training": {"steps": 5}, "tuning": {"trials": 1, "steps": 1},
        "seeds": list(range(SEEDS)),
    }  # fmt: skip
    return Study(load(raw))


def measure(runs: int, profile: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        study = study_of(runs, Path(folder))
        made_results.write_results(study, subjects=6)
        row: dict[str, float] = {"runs": sum(1 for _ in study.runs())}
        for name, stage in (("analyze_s", analyze), ("report_s", report)):
            profiler, start = cProfile.Profile(), time.perf_counter()
            if profile:
                profiler.enable()
            stage(study)
            profiler.disable()
            row[name] = round(time.perf_counter() - start, 1)
            if profile:
                pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(35)
    row["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[2500, 5000, 10000])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--profile", action="store_true", help="where the time goes, to standard error")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.runs[0], given.profile)))
        return
    rows = []
    for runs in given.runs:
        command = [sys.executable, __file__, "--runs", str(runs), "--one", *(["--profile"] if given.profile else [])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

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

import numpy as np
import pandas as pd

from regbench.evaluation.slices import write_panels
from regbench.report.analyze import analyze
from regbench.report.write import report
from regbench.study.layout import IDENTITY, PANELS
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import write_sealed
from regbench.system.parquet import write_table

SEEDS, DATASETS, REGULARIZERS, LABELS = 10, 2, 20, 35
DATASET = {
    "id": "d0", "source": "mni152", "parameters": {"dims": 2, "subjects": 12},
    "splits": {"train": 4, "validation": 2, "test": 6},
}  # fmt: skip
NUMBERS = ("dice", "hd95_mm", "assd_mm", "ndv_percent", "fold_central_percent", "endpoint_error_mm")


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


def generate(study: Study) -> int:
    """Write what the jobs of the study would have left behind."""
    lay, random = study.layout, np.random.default_rng(0)
    pairs = [(f"s{a}", f"s{b}") for a in range(6) for b in range(6) if a != b]
    base = pd.DataFrame(pairs, columns=["fixed", "moving"])
    names = [f"{name}_{label}" for label in range(1, LABELS + 1) for name in NUMBERS[:3]]
    timed: dict[str, list[pd.DataFrame]] = {}
    runs = list(study.runs())
    for dataset, method, seed in runs:
        path = lay.pairs(dataset, method, seed)
        path.parent.mkdir(parents=True)
        frame = base.assign(dataset=dataset, method=method, seed=seed, lam=0.1, status="complete", reason="")
        values = pd.DataFrame(random.random((len(base), len(NUMBERS) + len(names))), columns=[*NUMBERS, *names])
        write_table(path, pd.concat([frame.assign(labels_vanished=0.0), values], axis=1))
        write_panels(path.with_name(PANELS), {}, "dice")
        if method != IDENTITY:
            record = {"seed": seed, "lam": 0.1, "status": "complete", "reason": "", "validation": {}}
            record |= {"checkpoint_sha256": "0", "data_sha256": "0", "environment": {"device": "cpu"}}
            write_sealed(path.parent / "run.json", record)
            curve = pd.DataFrame({"step": range(5), "loss": 0.1, "similarity": 0.1, "regularizer": 0.1})
            write_table(path.parent / "history.parquet", curve)
            row = {"device": "cpu", "inference_seconds": 0.1, "pipeline_seconds": 0.2, "peak_memory_mib": 1.0}
            row |= {"training_seconds": 10.0, "parameters": 100}
            timed.setdefault(dataset, []).append(base.assign(dataset=dataset, method=method, seed=seed, **row))
    for dataset, frames in timed.items():
        lay.runtime(dataset).parent.mkdir(parents=True, exist_ok=True)
        write_table(lay.runtime(dataset), pd.concat(frames))
        manifest = {"labels": {str(k): f"structure {k}" for k in range(1, LABELS + 1)}, "shape": [32, 32]}
        manifest["references"] = {"validation": ["labels"], "test": ["labels"]}
        manifest |= {"spacing_mm": [1, 1], "data_sha256": "0", "pairs": {"test": pairs}, "notes": "", "licences": []}
        write_sealed(lay.manifest(dataset), {**manifest, "splits": {"train": [], "validation": [], "test": []}})
        for method in study.methods:
            if method.tuned:
                chosen = {"lam": 0.1, "edge": False, "metrics": ["dice"], "range": None}
                chosen |= {"best": None, "best_limited": None}
                write_sealed(lay.selected(dataset, method.id), chosen)
    return len(runs)


def measure(runs: int, profile: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        study = study_of(runs, Path(folder))
        row: dict[str, float] = {"runs": generate(study)}
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

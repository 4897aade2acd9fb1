"""Many jobs at once write a training's files, as fast as they are told, while a tracker follows; some are killed."""

import copy
import logging
import math
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from made_study import DATA, make
from specs import at
from tiny_study import TINY

from regbench.study.job_specs import final_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system import provenance
from regbench.system.file_lock import waiting
from regbench.system.files import CHECKPOINT, HISTORY, LIVE, RUN, file_sha256, write_sealed
from regbench.system.ownership import owning
from regbench.system.parquet import write_table
from regbench.tracking import KEY, tracking_uri
from regbench.tracking.store import imported
from regbench.training import training_log
from regbench.training.training_log import LogWriter, training_digest

METHOD = "voxelmorph.mse.grad_l2"
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def value(seed: int, term: int, step: int) -> float:
    """Another for each point, the same in every repetition."""
    return math.sin(1 + seed + 0.1 * term + 0.001 * step)


class Drill:
    """A study of one cell, its lambda given, whose jobs are ours."""

    def __init__(self, folder: Path, uri: str | None, *, jobs: int, steps: int, metrics: int, pace: float) -> None:
        raw: dict[str, Any] = copy.deepcopy(TINY)
        raw |= {"study": "drill", "results": str(folder / "results"), "lambdas": [{"value": 0.5}]}
        raw |= {"grid": {"similarities": ["mse"], "regularizers": ["grad_l2"]}, "seeds": list(range(jobs))}
        raw["training"]["steps"] = steps
        raw["tracking"] = {"uri": uri}
        self.study: Study = Study(load(raw))
        self.file = folder / "drill.yaml"
        self.file.write_text(yaml.safe_dump(raw))
        self.lay, self.pace = self.study.layout, pace
        self.terms = [f"term{number:02d}" for number in range(metrics)]
        self.environment = provenance.environment("cpu")
        make(self.study, without=("train", "evaluate", "cell_untrained", "runtime"))

    def job(self, seed: int) -> None:
        """What a training leaves; taken up in the middle of what a killed one has left."""
        training_log.FIRST = self.pace  # a line at every look, whatever the clock says
        folder = self.lay.run("brains", METHOD, seed)
        job, steps = at(final_spec(self.study, METHOD, seed), 0.5), self.study.config.training.steps
        header = {"training": training_digest(job.to_json(), DATA), "lam": 0.5, "seed": seed, "steps": steps,
                  "terms": self.terms, "data_sha256": DATA, "environment": self.environment}  # fmt: skip
        curve = [[value(seed, term, step) for term in range(len(self.terms))] for step in range(1, steps + 1)]
        with owning(self.lay.training_state("brains", METHOD, seed).with_suffix(".owner"), f"seed {seed}"):
            kept = training_log.read(folder / LIVE)
            first = max((line["at"] for line in kept.lines), default=0) // 2 if kept else 0
            log = LogWriter(folder / LIVE, header, step=first)
            log.add(first, curve[:first])
            for last in range(first + 1, steps + 1):
                time.sleep(self.pace / 25)
                if last % 25 == 0 or last == steps:
                    log.add(last, curve[max(last - 25, 0) : last])
                    log.write()
            frame = pd.DataFrame(curve, columns=self.terms)
            frame.insert(0, "step", range(1, steps + 1))
            write_table(folder / HISTORY, frame)
            (folder / CHECKPOINT).write_bytes(bytes([seed]) * 1000)
            record = {
                "method": METHOD,
                "seed": seed,
                "lam": 0.5,
                "job": job.to_json(),
                "data_sha256": DATA,
                "status": "complete",
            }
            record |= {"reason": "", "validation": {"dice": 0.5}, "environment": self.environment, "seconds": 1.0}
            write_sealed(folder / RUN, record | {"checkpoint_sha256": file_sha256(folder / CHECKPOINT)})

    def start(self, seed: int) -> multiprocessing.Process:
        process = multiprocessing.get_context("fork").Process(target=self._quietly, args=(seed,))
        process.start()
        return process

    def _quietly(self, seed: int) -> None:
        logging.disable(logging.WARNING)  # of a dead owner's file
        self.job(seed)

    def tracker(self, *options: str) -> subprocess.Popen[str]:
        """`regbench track` of this study, as a process."""
        command = [
            sys.executable,
            "-c",
            "from regbench.cli.main import main; main()",
            "track",
            str(self.file),
            *options,
        ]
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def client(self) -> Any:
        return imported().MlflowClient(tracking_uri=tracking_uri(self.study))

    def running(self) -> int:
        """Runs whose curve grows right now."""
        with waiting(Path(self.study.config.results) / ".mlflow.lock"):  # whoever comes first makes the tables, alone
            runs = self._runs(self.client())
        return sum(run.info.status == "RUNNING" and bool(run.data.metrics) for run in runs)

    def _runs(self, client: Any) -> list[Any]:
        experiment = client.get_experiment_by_name("regbench/drill")
        return list(client.search_runs([experiment.experiment_id], max_results=1000)) if experiment else []

    def count(self) -> dict[str, int]:
        """What is wrong in the store: points and runs lost or doubled, runs that are not over, strays in Default."""
        client, steps = self.client(), self.study.config.training.steps
        runs = [run for run in self._runs(client) if run.data.tags.get("stage") == "seed"]
        keys = Counter(run.data.tags[KEY] for run in runs)
        wrong = Counter({"runs_lost": len(self.study.config.seeds) - len(keys), "points_lost": 0, "points_doubled": 0})
        for run in runs:
            seed = int(run.data.tags["seed"])
            for term, name in enumerate(self.terms):
                found = Counter((p.step, p.value) for p in client.get_metric_history(run.info.run_id, f"train/{name}"))
                wanted = {(step, value(seed, term, step)) for step in range(1, steps + 1)}
                wrong["points_lost"] += len(wanted - found.keys())
                wrong["points_doubled"] += found.total() - len(found.keys() & wanted)
        wrong["runs_doubled"] = len(runs) - len(keys)
        wrong["unfinished"] = sum(run.info.status != "FINISHED" for run in runs)
        wrong["in_default"] = len(client.search_runs(["0"]))
        return dict(wrong)

"""A finished study whose files come and go, and its store."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
import yaml
from tiny_study import TINY

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

mlflow = pytest.importorskip("mlflow")

from regbench.study.load import load  # noqa: E402
from regbench.study.methods import Study  # noqa: E402
from regbench.system.files import LIVE, SEAL, write_sealed  # noqa: E402
from regbench.system.parquet import write_table  # noqa: E402
from regbench.tracking import KEY, tracking_uri  # noqa: E402
from regbench.tracking.experiment import find  # noqa: E402
from regbench.training.training_log import run_log  # noqa: E402

LCC, MSE = "voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"

TRACK = [sys.executable, "-c", "from regbench.cli.main import main; main()", "track"]


def slow_down(results: Path) -> None:
    """Let each of a training's few steps have taken seconds, in all logs."""
    for path in results.rglob("history.parquet"):
        relog(path, slowly)
    for path in results.glob("*/state/trials/*/*/*.json"):
        kept = json.loads(path.read_text())
        write_sealed(path, {k: slowly(v) if k.endswith(".jsonl") else v for k, v in kept.items() if k != SEAL})


def relog(history: Path, change: Callable[[str], str]) -> None:
    """Change the log that a training's history has."""
    frame = pd.read_parquet(history)
    frame.attrs = {LIVE: change(frame.attrs[LIVE])}
    write_table(history, frame)


def slowly(text: str) -> str:
    """A training's log with a line for each step."""
    header, line = (json.loads(each) for each in text.splitlines())
    lines = []
    for number in range(len(line["step"])):
        one = {key: value[number : number + 1] if isinstance(value, list) else value for key, value in line.items()}
        lines.append(one | {"at": number + 1, "time": header["started"] + 5 * (number + 1)})
    return "".join(f"{json.dumps(each)}\n" for each in [header, *lines])


class TrackedStudy:
    """A copy of the finished study whose files come and go, and its store."""

    def __init__(self, finished: Path, folder: Path, empty: Path, uri: str | None = None) -> None:
        self.finished, self.results = finished, folder / "results"
        shutil.copytree(finished, self.results)  # with the times of its files
        shutil.copy(empty, self.results / "mlflow.db")
        raw = {**TINY, "results": str(self.results), "tracking": {"uri": uri}}
        self.study = Study(load(raw))
        self.root = self.results / "tiny"
        self.file = folder / "tiny.yaml"
        self.file.write_text(yaml.safe_dump(raw))

    def remove(self, *paths: str) -> None:
        for pattern in paths:
            for path in self.root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def restore(self, *paths: str) -> None:
        for pattern in paths or ("*",):
            for path in (self.finished / "tiny").glob(pattern):
                target = self.root / path.relative_to(self.finished / "tiny")
                if path.is_dir():
                    shutil.copytree(path, target, dirs_exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, target)

    def apart(self, method: str, *names: str) -> None:
        """Some files of a cell's trials as they lie there before its lambda is chosen."""
        kept = json.loads((self.finished / f"tiny/state/trials/brains/{method}/replicate0.json").read_text())
        folder = self.root / f"state/trials/brains/{method}/replicate0"
        folder.mkdir(parents=True)
        for name in names:
            if name.endswith(".jsonl"):
                (folder / name).write_text(kept[name])
            else:
                write_sealed(folder / name, kept[name])
            then = (self.finished / f"tiny/tuning/brains/{method}/replicate0/round0/proposals.json").stat().st_mtime
            os.utime(folder / name, (then, then))

    def cut(self, path: str, steps: int) -> None:
        """Leave of a trial's log what it had written after some steps."""
        log = self.root / path
        log.write_text("".join(log.read_text().splitlines(keepends=True)[: 1 + steps]))

    def running(self, method: str, seed: int, steps: int) -> None:
        """A final training's log as it stands after some steps."""
        folder = f"runs/brains/{method}/seed{seed}"
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / folder / LIVE).write_text(run_log(self.finished / "tiny" / folder))
        self.cut(f"{folder}/{LIVE}", steps)

    def ended(self, method: str, seed: int) -> None:
        """The files of a final training that has ended; its growing log is in one of them."""
        folder = f"runs/brains/{method}/seed{seed}"
        (self.root / folder / LIVE).unlink(missing_ok=True)
        self.restore(folder)

    @property
    def client(self):
        return mlflow.MlflowClient(tracking_uri=tracking_uri(self.study))

    def runs(self):
        """The live runs by key."""
        experiment = find(self.client, self.study)
        runs = list(self.client.search_runs([experiment.experiment_id], max_results=1000)) if experiment else []
        found = {run.data.tags.get(KEY): run for run in runs}
        assert len(found) == len(runs), "doubled"
        return found

    def state(self) -> dict:
        """All that a user sees of the store, without the ids that MLflow draws."""
        client, runs = self.client, self.runs()
        assert client.search_runs(["0"]) == [], "a run went astray into Default"
        keys = {run.info.run_id: key for key, run in runs.items()}
        return {key: everything(client, run, keys) for key, run in runs.items()}


def everything(client, run, keys) -> dict:
    ours = {
        name: value.replace(run.info.run_id, "its id")
        for name, value in run.data.tags.items() if name not in ("mlflow.user", "mlflow.parentRunId")
    }  # fmt: skip
    place = urlparse(run.info.artifact_uri)
    root = Path(unquote(place.path))
    if place.scheme == "mlflow-artifacts" and client.list_artifacts(run.info.run_id):
        root = Path(mlflow.artifacts.download_artifacts(run.info.artifact_uri, tracking_uri=client.tracking_uri))
    return {
        "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": ours,
        "parent": keys.get(run.data.tags.get("mlflow.parentRunId")),
        "points": {
            name: sorted((p.step, p.timestamp, p.value) for p in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
        },
        "files": {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*")) if path.is_file()
        },
        "data": [(d.dataset.name, d.dataset.digest, [t.value for t in d.tags]) for d in run.inputs.dataset_inputs],
    }  # fmt: skip

"""The store of a study: born whole, and at home where the study lies."""

import contextlib
import hashlib
import logging
import shutil
import sqlite3
import subprocess
import time

import pytest
from tracked_study import TRACK

mlflow = pytest.importorskip("mlflow")

from regbench.study.load import load  # noqa: E402
from regbench.study.methods import Study  # noqa: E402
from regbench.tracking import track  # noqa: E402
from regbench.tracking.experiment import find  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own making


def files_of(folder):
    """The files below a folder, with their bytes and times."""
    return {
        path.relative_to(folder): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def statement_by_statement(path, count):
    """A store whose maker was killed after so many tables."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        for number in range(count):
            database.execute(f"CREATE TABLE {('experiments', 'runs', 'metrics')[number]} (name TEXT)")
        database.commit()


@pytest.mark.parametrize("tables", [0, 1, 3])
def test_a_store_that_was_left_half_made_is_set_aside(study, wanted, tables, caplog):
    store = study.results / "mlflow.db"
    store.unlink(missing_ok=True)
    store.touch()
    statement_by_statement(store, tables)
    with caplog.at_level(logging.WARNING):
        track(study.study)
    assert study.state() == wanted
    (aside,) = study.results.glob("mlflow.db.half-made-*")
    assert aside.name in caplog.text


def test_a_kill_while_the_store_is_made_costs_nothing(study, wanted):
    store = study.results / "mlflow.db"
    store.unlink(missing_ok=True)
    process = subprocess.Popen([*TRACK, str(study.file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(study.results.glob(".*.mlflow.db")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not store.exists()
    track(study.study)
    assert study.state() == wanted


def elsewhere(study, folder):
    """The same study in another folder."""
    return Study(load({**study.study.config.model_dump(mode="json"), "results": str(folder)}))


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_study_in_another_folder_pushes_to_itself(study, wanted, tmp_path, how):
    track(study.study)
    before, there = files_of(study.results), tmp_path / "elsewhere"
    shutil.copytree(study.results, there)
    if how == "moved":
        study.results.rename(tmp_path / "gone")
    other = elsewhere(study, there)
    changed = track(other)
    assert set(changed["pushed"]) == {"report", "method", "trial", "seed"}
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{there}/mlflow.db")
    mine = find(client, other)
    assert mine.artifact_location == (there / "mlartifacts").as_uri()
    runs = client.search_runs([mine.experiment_id])
    assert all(run.info.artifact_uri.startswith((there / "mlartifacts").as_uri()) for run in runs)
    assert sum(map(len, track(other)["kept"].values())) == len(runs), "a second push finds all of it"
    if how == "moved":
        assert not study.results.exists(), "no file came back where it was"
        (tmp_path / "gone").rename(study.results)
    assert files_of(study.results) == before
    names = {experiment.name for experiment in client.search_experiments()}
    assert "regbench/tiny" in names
    assert any(name.startswith("regbench/tiny (from file:") for name in names), "the old runs are still there"

"""Pushing while the study runs."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tracked_study import LCC, MSE, TRACK

mlflow = pytest.importorskip("mlflow")

from regbench.system.files import read_sealed, write_json, write_sealed  # noqa: E402
from regbench.tracking import describe, follow, track  # noqa: E402
from regbench.tracking.store import UnreachableError, note_tracked  # noqa: E402

module = sys.modules["regbench.tracking.follow"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own making


def script(monkeypatch, *acts):
    """Instead of a pause, what happens in the study meanwhile; returns the lengths of the pauses, as they come."""
    left, pauses = iter(acts), []

    def wait(stop, seconds, over):
        pauses.append(seconds)
        act = next(left, None)
        if act is None:
            return True
        act()
        return stop.is_set()

    monkeypatch.setattr(module, "_wait", wait)
    return pauses


@pytest.mark.parametrize(("cpu", "seconds"), [(0.0, 10.0), (0.1, 10.0), (0.4, 20.0), (5.0, 30.0)])
def test_sweeps_that_cost_more_are_fewer(cpu, seconds):
    assert module._rest(cpu) == pytest.approx(seconds)


def test_runs_appear_and_grow_and_only_they_are_looked_at(study, wanted, monkeypatch):
    study.remove("analysis", "tables", "figures", "runs", "state/tracked.json")
    owner = study.study.layout.training_state("brains", LCC, 1).with_suffix(".owner")
    seen = []

    def grow(steps):
        def act():
            write_json(owner, {"host": os.uname().nodename, "pid": os.getpid()})
            study.running(LCC, 1, steps)

        return act

    def look():
        run = study.runs()[f"tiny/brains/{LCC}/seed1"]
        points = study.client.get_metric_history(run.info.run_id, "train/loss")
        seen.append((run.info.status, len(points), run.info.run_id))

    def end():
        owner.unlink()
        study.ended(LCC, 1)
        study.restore()

    looked = []
    real = module.Sink._bring

    def bring(self, record, *arguments, **named):
        looked.append(record.key)
        return real(self, record, *arguments, **named)

    monkeypatch.setattr(module.Sink, "_bring", bring)
    after = []
    acts = [grow(1), look, grow(3), look, lambda: after.append(len(looked)), end]
    script(monkeypatch, *acts)
    follow(study.study, interval=1)
    assert [(status, points) for status, points, _ in seen] == [("RUNNING", 1), ("RUNNING", 3)]
    assert study.runs()[f"tiny/brains/{LCC}/seed1"].info.run_id == seen[0][2] == seen[1][2]
    assert study.state() == wanted
    # 2 parents and 8 trials at first, then twice the training and its parent; nothing for three idle looks.
    assert after == [10 + 2 + 2 - 1]


def test_a_study_that_is_finished_ends_it(study, wanted, monkeypatch):
    monkeypatch.setattr(module, "_wait", lambda *_: False)
    follow(study.study, interval=1)
    assert study.state() == wanted


def test_an_outage_is_told_once_and_costs_no_run(study, wanted, monkeypatch, caplog):
    study.remove("analysis", "tables", "figures", "runs", "state/tracked.json")
    real, down = module.opened, [False]

    def opened(*arguments):
        if down[0]:
            raise UnreachableError("MLflow at `http://nowhere` must be reachable, but got: nothing. Run it again.")
        return real(*arguments)

    monkeypatch.setattr(module, "opened", opened)
    outage = [lambda: down.__setitem__(0, True), *[lambda: None] * 7, study.restore, lambda: None,
              lambda: down.__setitem__(0, False), lambda: None]  # fmt: skip
    pauses = script(monkeypatch, *outage)
    with caplog.at_level(logging.WARNING):
        follow(study.study, interval=10.0, head=1)
    warned = [record.message for record in caplog.records if record.name == "regbench.tracking.follow"]
    assert len(warned) == 2, warned
    assert warned[0].startswith("MLflow at `http://nowhere` must be reachable, but got: nothing. Meanwhile")
    assert warned[1].startswith("MLflow is back after")
    assert pauses[:7] == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert pauses[-1] == 10.0
    assert study.state() == wanted


def test_a_store_that_was_wiped_meanwhile(study, wanted, empty_store, monkeypatch):
    def wipe():
        shutil.copy(empty_store, study.results / "mlflow.db")
        shutil.rmtree(study.results / "mlartifacts")
        path = study.root / "runs" / "brains" / LCC / "seed0" / "run.json"
        write_sealed(path, read_sealed(path) | {"seconds": 9.0})

    script(monkeypatch, wipe, lambda: None)
    follow(study.study, interval=1, head=1)
    study.restore()
    track(study.study)
    assert study.state() == wanted


def test_the_last_push_is_left_to_the_workflow(study, wanted, monkeypatch):
    pushes = []
    monkeypatch.setattr(module, "track", lambda followed: pushes.append(followed) or {})
    study.remove("analysis", "tables", "figures", "state/tracked.json")

    def workflow():
        study.restore()
        note_tracked(study.study, track(study.study))

    script(monkeypatch, lambda: None, workflow, lambda: None)
    assert not any(follow(study.study, interval=1, head=1).values())
    assert pushes == []
    assert study.state() == wanted
    script(monkeypatch, lambda: None)
    follow(study.study, interval=1, head=1)  # the file is of the run before
    assert pushes == [study.study]


@pytest.mark.parametrize("ended_by", ["SIGTERM", "head"])
def test_told_to_end_it_pushes_once_more(study, wanted, ended_by):
    study.remove("analysis", "tables", "figures", f"runs/brains/{MSE}")
    head = subprocess.Popen(["sleep", "100"])
    command = [*TRACK, str(study.file), "--follow", "--interval", "1000", "--head", str(head.pid)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while f"tiny/brains/{MSE}/trial3" not in study.runs():
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    study.restore()
    if ended_by == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        head.kill()
        head.wait()
    said, errors = process.communicate()
    head.kill()
    head.wait()
    assert process.returncode == 0, errors
    assert said.startswith("MLflow: ")
    assert f"  pushed tiny/brains/{MSE}/seed1" in said
    assert study.state() == wanted


def test_the_words_say_every_change(study):
    said = describe(track(study.study))
    assert said.count("\n  pushed ") == 16

"""Tracking against a real MLflow server on a real PostgreSQL, both killed and started by these tests."""

import subprocess
import time

import pytest

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("psycopg2")

from servers import POSTGRES, Server, postgres, server  # noqa: E402
from tracked_study import (  # noqa: E402
    LCC,
    TRACK,
    TrackedStudy,
)
from tracking_drill import Drill  # noqa: E402

from regbench.tracking import track  # noqa: E402
from regbench.tracking.store import UnreachableError  # noqa: E402

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not POSTGRES, reason="needs PostgreSQL (apt-get install postgresql)"),
    pytest.mark.filterwarnings("ignore"),  # of MLflow's own making
]
NOTHING_WRONG = dict.fromkeys(
    ("runs_lost", "points_lost", "points_doubled", "runs_doubled", "unfinished", "in_default"), 0
)


@pytest.fixture(scope="module")
def database():
    with postgres() as uri:
        yield uri


@pytest.fixture(scope="module")
def served(database, tmp_path_factory):
    with server(database, tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def remote(finished_study, tmp_path, empty_store, served):
    """A study whose store is the server."""
    return TrackedStudy(finished_study, tmp_path, empty_store, served.uri)


def test_server_and_sqlite_hold_the_same(remote, wanted):
    track(remote.study)
    assert remote.state() == wanted
    done = track(remote.study, verify=True)
    assert not done["pushed"]
    assert not done["updated"]


def test_unfinished_then_killed_pushes_then_finished(remote, wanted):
    """`kill -9` of real processes, each a little later than the one before."""
    remote.remove("analysis", "tables", "figures", f"runs/brains/{LCC}/seed1/run.json")
    for seconds in (4.0, 4.5, 5.0, 5.5, 6.0, 7.0):
        process = subprocess.Popen([*TRACK, str(remote.file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    remote.restore()
    track(remote.study)
    assert remote.state() == wanted


def test_two_trackers_at_once_through_the_server(remote, wanted):
    both = [subprocess.Popen([*TRACK, str(remote.file)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert remote.state() == wanted


def test_an_artifact_that_the_server_lost(remote, wanted, served):
    track(remote.study)
    kept = sorted((served.folder / "artifacts").rglob("checkpoint.pt"))
    for path in kept:
        path.unlink()
    assert remote.state() != wanted
    track(remote.study, verify=True)
    assert remote.state() == wanted


def drilled(drill: Drill, trouble) -> str:
    tracker = drill.tracker("--follow", "--interval", "1", "--head", "1")
    jobs = {seed: drill.start(seed) for seed in drill.study.config.seeds}
    until = time.monotonic() + 120
    while not drill.running():
        assert time.monotonic() < until
        time.sleep(0.5)
    trouble(jobs)
    for job in jobs.values():
        job.join()
    tracker.terminate()
    said = tracker.communicate()[0]
    assert tracker.returncode == 0, said
    return said


def test_jobs_killed_and_the_server_killed_while_curves_grow(served, tmp_path):
    drill = Drill(tmp_path, served.uri, jobs=8, steps=100, metrics=20, pace=4.0)

    def trouble(jobs):
        for seed in (0, 3, 6):
            jobs[seed].kill()
            jobs[seed].join()
        served.kill()
        for seed in (0, 3, 6):
            jobs[seed] = drill.start(seed)
        time.sleep(5)
        served.start()

    said = drilled(drill, trouble)
    assert drill.count() == NOTHING_WRONG
    assert said.count("must be reachable") == 1, said
    assert "MLflow is back after" in said or said.count("WARNING") == 1


def test_trackers_at_once_make_the_tables_of_an_empty_postgresql(finished_study, tmp_path, empty_store, wanted):
    """And the password of its URI is in no file but the configs that gave it, nor in what is printed."""
    with postgres() as uri:
        study = TrackedStudy(finished_study, tmp_path, empty_store, uri)
        trackers = [
            subprocess.Popen([*TRACK, str(study.file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(3)
        ]
        said = [process.communicate()[0] for process in trackers]
        assert [process.returncode for process in trackers] == [0, 0, 0], said
        assert study.state() == wanted
        secret = uri.partition("://regbench:")[2].partition("@")[0]
        assert len(secret) == 16
        assert not [text for text in said if secret in text]
        for path in study.results.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    with pytest.raises(UnreachableError) as error:
        track(study.study)
    assert secret not in str(error.value)
    assert "postgresql+psycopg2://***@127.0.0.1" in str(error.value)


def test_a_server_that_is_down_costs_a_message(finished_study, tmp_path, empty_store):
    down = Server("sqlite://", tmp_path)  # never started
    study = TrackedStudy(finished_study, tmp_path, empty_store, down.uri)
    done = subprocess.run([*TRACK, str(study.file)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"regbench: MLflow at `{down.uri}` must be reachable, but got: ")
    assert last.endswith("run `regbench track` again when it is back.")
    assert "Traceback" not in done.stderr

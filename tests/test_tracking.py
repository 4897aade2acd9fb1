"""MLflow is brought to the state of the files, whatever state it was in."""

import os
import subprocess
import sys

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

mlflow = pytest.importorskip("mlflow")

from regbench.plan import without_password  # noqa: E402
from regbench.tracking import COMPLETE, DIGEST, KEY, Record, _push, describe  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own making


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One database for all tests (making its tables takes seconds); an experiment each."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def client(store):
    return mlflow.MlflowClient(tracking_uri=store)


@pytest.fixture
def experiment(client, tmp_path):
    return client.create_experiment(f"regbench/{tmp_path.name}", (tmp_path / "artifacts").as_uri())


def records(dice=0.7):
    parent = Record("s/d/m", "LCC", None, {"sim": "lcc"}, {"stage": "method"}, [("test/dice", dice, 0)])
    curve = [("train/loss", 1 / (step + 1), step) for step in range(2000)]
    return [parent, Record("s/d/m/seed0", "LCC · s0", "s/d/m", {"seed": "0"}, {"stage": "seed"}, curve)]


def counts(done):
    return {what: sum(map(len, stages.values())) for what, stages in done.items()}


def state(client, experiment):
    """What a user sees, without the ids."""
    runs = client.search_runs([experiment])
    names = {run.info.run_id: run.info.run_name for run in runs}
    return sorted(
        (
            run.info.run_name,
            run.info.status,
            run.data.tags[DIGEST],
            names.get(run.data.tags.get("mlflow.parentRunId", "")),
            len(client.get_metric_history(run.info.run_id, "train/loss")),
        )
        for run in runs
    )


def test_a_push_then_the_same_again(client, experiment):
    assert counts(_push(client, experiment, records())[0]) == {"pushed": 2, "kept": 0, "deleted": 0}
    before = state(client, experiment)
    assert before[1][3] == "LCC"
    assert before[1][4] == 2000
    assert counts(_push(client, experiment, records())[0]) == {"pushed": 0, "kept": 2, "deleted": 0}
    assert state(client, experiment) == before


def test_what_changed_is_said_by_kind_and_key(client, experiment):
    _push(client, experiment, records())
    text = describe(_push(client, experiment, records(dice=0.8))[0])
    assert text.splitlines() == [
        "MLflow: 1 runs pushed (1 method), 1 runs kept (1 seed), 1 runs deleted (1 method)",
        "  pushed s/d/m",
        "  deleted s/d/m",
    ]


def test_every_key_has_the_id_of_its_run(client, experiment):
    _, ids = _push(client, experiment, records())
    assert {key: client.get_run(run_id).data.tags[KEY] for key, run_id in ids.items()} == {key: key for key in ids}
    assert set(ids) == {record.key for record in records()}


def test_changed_files_replace_their_run(client, experiment):
    _push(client, experiment, records())
    assert counts(_push(client, experiment, records(dice=0.8))[0]) == {"pushed": 1, "kept": 1, "deleted": 1}
    names = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert names["LCC"].data.metrics["test/dice"] == 0.8
    assert names["LCC · s0"].data.tags["mlflow.parentRunId"] == names["LCC"].info.run_id


@pytest.mark.parametrize("killed_after", ["create_run", "log_batch", "set_terminated"])
def test_killed_in_the_middle_of_a_push(client, experiment, killed_after, monkeypatch):
    _push(client, experiment, records())
    wanted = state(client, experiment)
    for run in client.search_runs([experiment]):
        client.delete_run(run.info.run_id)
    real = getattr(client, killed_after)

    def dies(*arguments, **named):
        real(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client, killed_after, dies)
        with pytest.raises(KeyboardInterrupt):
            _push(client, experiment, records())
    _push(client, experiment, records())
    assert state(client, experiment) == wanted
    assert not [run for run in client.search_runs([experiment]) if run.info.status == "RUNNING"]


def test_doubles_are_removed_and_the_earliest_is_kept(client, experiment):
    _push(client, experiment, records())
    (first,) = [run for run in client.search_runs([experiment]) if run.info.run_name == "LCC"]
    tags = {key: first.data.tags[key] for key in (KEY, DIGEST, COMPLETE)}
    client.create_run(experiment, tags=tags, run_name="double")
    assert counts(_push(client, experiment, records())[0])["deleted"] == 1
    assert [run.info.run_id for run in client.search_runs([experiment]) if run.info.run_name == "LCC"] == [
        first.info.run_id
    ]


def test_runs_that_the_study_no_longer_has_are_removed(client, experiment):
    _push(client, experiment, records())
    client.create_run(experiment, run_name="somebody else's")
    assert counts(_push(client, experiment, records()[:1])[0])["deleted"] == 1
    assert {run.info.run_name for run in client.search_runs([experiment])} == {"LCC", "somebody else's"}


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://***@host/db"),
        ("https://secret@host", "https://***@host"),
        ("postgresql://me:sec/ret@host/db", "postgresql://***@host/db"),
        ("postgresql://me:sec@ret@host/db", "postgresql://***@host/db"),
        ("postgresql://host/db?user=me&password=secret&a=b", "postgresql://host/db?user=me&password=***&a=b"),
        ("https://host/?ACCESS_TOKEN=secret", "https://host/?ACCESS_TOKEN=***"),
        ("no route to https://me:secret@host today", "no route to https://***@host today"),
        ("sqlite:////home/me/results/mlflow.db", "sqlite:////home/me/results/mlflow.db"),
    ],
)
def test_credentials_are_not_shown(uri, shown):
    assert without_password(uri) == shown


@pytest.mark.parametrize("stage", ["fit", "trial", "tune", "train", "evaluate"])
def test_training_jobs_import_no_mlflow(stage):
    code = f"import sys, regbench.{stage}; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

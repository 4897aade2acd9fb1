"""MLflow is brought to the state of the files, whatever state it was in."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from tracked_study import LCC, MSE, TrackedStudy, relog

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

mlflow = pytest.importorskip("mlflow")

from regbench.report.standings import WORDS  # noqa: E402
from regbench.system.files import read_sealed, write_json, write_sealed  # noqa: E402
from regbench.tracking import COMPLETE, DIGEST, KEY, Record, Sink, describe, study_items, track  # noqa: E402
from regbench.tracking.mlflow_run import Item  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own making


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One database for all tests of single runs (making its tables takes seconds); an experiment each."""
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


def items(records):
    return [Item(record.key, record.parent, record.digest(), lambda record=record: record) for record in records]


def push(client, experiment, records, **options):
    return Sink(client, experiment).push(items(records), **options)


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
    assert counts(push(client, experiment, records())) == {"pushed": 2, "updated": 0, "kept": 0, "deleted": 0}
    before = state(client, experiment)
    assert before[1][3] == "LCC"
    assert before[1][4] == 2000
    assert counts(push(client, experiment, records())) == {"pushed": 0, "updated": 0, "kept": 2, "deleted": 0}
    assert state(client, experiment) == before


def test_what_changed_is_said_by_kind_and_key(client, experiment):
    push(client, experiment, records())
    text = describe(push(client, experiment, records(dice=0.8)))
    assert text.splitlines() == [
        "MLflow: 1 runs pushed (1 method), 1 runs updated (1 seed), 0 runs kept, 1 runs deleted (1 method)",
        "  pushed s/d/m",
        "  updated s/d/m/seed0",
        "  deleted s/d/m",
    ]


def test_every_key_has_the_id_of_its_run(client, experiment):
    sink = Sink(client, experiment)
    sink.push(items(records()))
    ids = sink.ids
    assert {key: client.get_run(run_id).data.tags[KEY] for key, run_id in ids.items()} == {key: key for key in ids}
    assert set(ids) == {record.key for record in records()}


def test_a_new_name_doubles_no_run(client, experiment):
    """Runs are known by their key: those of an earlier push, which had other names, are replaced."""
    push(client, experiment, records())
    renamed = [replace(record, name=f"{record.name} · m") for record in records()]
    push(client, experiment, renamed)
    assert sorted(run.info.run_name for run in client.search_runs([experiment])) == ["LCC · m", "LCC · s0 · m"]


def test_changed_files_replace_their_run(client, experiment):
    push(client, experiment, records())
    assert counts(push(client, experiment, records(dice=0.8))) == {"pushed": 1, "updated": 1, "kept": 0, "deleted": 1}
    names = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert names["LCC"].data.metrics["test/dice"] == 0.8
    assert names["LCC · s0"].data.tags["mlflow.parentRunId"] == names["LCC"].info.run_id


@pytest.mark.parametrize("killed_after", ["create_run", "log_batch", "set_terminated"])
def test_killed_in_the_middle_of_apush(client, experiment, killed_after, monkeypatch):
    push(client, experiment, records())
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
            push(client, experiment, records())
    push(client, experiment, records())
    assert state(client, experiment) == wanted
    assert not [run for run in client.search_runs([experiment]) if run.info.status == "RUNNING"]


def test_doubles_are_removed_and_the_earliest_is_kept(client, experiment):
    push(client, experiment, records())
    (first,) = [run for run in client.search_runs([experiment]) if run.info.run_name == "LCC"]
    tags = {key: first.data.tags[key] for key in (KEY, DIGEST, COMPLETE)}
    client.create_run(experiment, tags=tags, run_name="double")
    assert counts(push(client, experiment, records()))["deleted"] == 1
    assert [run.info.run_id for run in client.search_runs([experiment]) if run.info.run_name == "LCC"] == [
        first.info.run_id
    ]


def test_runs_that_the_study_no_longer_has_are_removed(client, experiment):
    push(client, experiment, records())
    client.create_run(experiment, run_name="somebody else's")
    assert counts(push(client, experiment, records()[:1]))["deleted"] == 1
    assert {run.info.run_name for run in client.search_runs([experiment])} == {"LCC", "somebody else's"}


def nothing_to_do(study: TrackedStudy) -> bool:
    done = track(study.study)
    return not done["pushed"] and not done["updated"] and not done["deleted"]


def test_what_a_run_carries(wanted):
    assert len(wanted) == 1 + 3 + 8 + 4
    parent, seed, trial = (wanted[f"tiny/brains/{LCC}{end}"] for end in ("", "/seed1", "/trial2"))
    assert {run["info"][1] for run in wanted.values()} == {"FINISHED"}
    for run in (seed, trial):
        assert run["parent"] == f"tiny/brains/{LCC}"
        names = "study config_sha256 stage dataset method similarity regularizer lambda git_commit git_dirty device"
        assert {*names.split(), "packages", "system", "data_sha256"} <= run["tags"].keys()
        assert {"train/loss", "train/similarity", "train/regularizer", "val/dice", "val/ndv_percent",
                "system/rss_mib", "system/cpu_percent"} <= set(run["points"])  # fmt: skip
        assert run["data"] == [("brains", run["tags"]["data_sha256"][:36], ["training"])]
        assert run["info"][2] < run["info"][3], "it began before it ended"
    assert [step for step, *_ in seed["points"]["train/loss"]] == [1, 2, 3, 4]
    assert [step for step, *_ in trial["points"]["train/loss"]] == [1, 2, 3]
    assert (seed["tags"]["seed"], seed["params"]["seed"], trial["tags"]["trial"]) == ("1", "1", "2")
    assert set(seed["files"]) == {"run/run.json", "run/history.parquet", "checkpoint/checkpoint.pt"}
    assert seed["files"]["checkpoint/checkpoint.pt"] == seed["tags"]["checkpoint_sha256"]
    assert {"test/dice", "test/dice_sd", "test/ndv_percent", "val/dice", "rank"} <= set(parent["points"])
    assert {"tables/main.csv", "figures/lambda.png"} <= set(parent["files"])
    assert parent["data"][0][2] == ["test"]
    assert {"tables/main.csv", "tables/runtime.csv", "figures/lambda.png"} <= set(wanted["tiny"]["files"])
    for run in (parent, seed):
        assert run["tags"]["verdict.dice"] in set(WORDS.values())
        assert re.fullmatch(r"\d+-\d+", run["tags"]["rank_interval"])
    assert "verdict.dice" not in trial["tags"]
    assert wanted["tiny"]["tags"]["headline"].startswith("With `voxelmorph`, ")
    assert wanted["tiny"]["tags"]["headline"] in wanted["tiny"]["tags"]["mlflow.note.content"]


def test_unfinished_at_every_stage_and_then_finished(study, wanted):
    study.remove("analysis", "tables", "figures", "runs", "runtime", "tuning", "state/trials")
    assert track(study.study)["pushed"] == {}
    study.restore(f"tuning/brains/{LCC}/replicate0/round0/proposals.json")
    study.apart(LCC, "trial000.json", "trial000.jsonl", "trial001.jsonl")
    study.cut(f"state/trials/brains/{LCC}/replicate0/trial001.jsonl", 2)
    track(study.study)
    found = study.state()
    assert {key: run["info"][1] for key, run in found.items()} == {
        f"tiny/brains/{LCC}": "SCHEDULED",
        f"tiny/brains/{LCC}/trial0": "FINISHED",
        f"tiny/brains/{LCC}/trial1": "KILLED",
    }
    assert [step for step, *_ in found[f"tiny/brains/{LCC}/trial1"]["points"]["train/loss"]] == [1, 2]
    study.remove(f"state/trials/brains/{LCC}")
    study.restore("tuning", "state", f"runs/brains/{LCC}/seed0")
    study.running(LCC, 1, 4)
    study.remove("state/tracked.json")
    track(study.study)
    assert study.state()[f"tiny/brains/{LCC}/seed1"]["info"][1] == "KILLED"
    assert "trainings done: 1 of 2" in study.state()[f"tiny/brains/{LCC}"]["tags"]["mlflow.note.content"]
    before = {key: run.info.run_id for key, run in study.runs().items()}
    study.ended(LCC, 1)
    study.restore()
    done = track(study.study)
    assert study.state() == wanted
    assert nothing_to_do(study)
    kept = {key for key, run in study.runs().items() if before.get(key) == run.info.run_id}
    assert kept >= {f"tiny/brains/{LCC}", f"tiny/brains/{LCC}/seed1", f"tiny/brains/{LCC}/trial0"}, "completed in place"
    assert f"tiny/brains/{LCC}" in done["updated"]["method"]


def test_a_running_training_grows_and_ends(study, wanted):
    """Its owner's record names a process that lives: this one."""
    study.remove("analysis", "tables", "figures", f"runs/brains/{LCC}/seed0/*")
    owner = study.study.layout.training_state("brains", LCC, 0).with_suffix(".owner")
    write_json(owner, {"host": os.uname().nodename, "pid": os.getpid()})
    ids = set()
    for steps in (0, 2, 3):
        study.running(LCC, 0, steps)
        track(study.study)
        found, run = study.state(), study.runs()[f"tiny/brains/{LCC}/seed0"]
        ids.add(run.info.run_id)
        assert run.info.status == "RUNNING"
        assert found[f"tiny/brains/{LCC}"]["info"][1] == "RUNNING"
        assert len(found[f"tiny/brains/{LCC}/seed0"]["points"].get("train/loss", [])) == steps
        assert len(found[f"tiny/brains/{LCC}/seed0"]["points"].get("system/rss_mib", [])) == steps
    assert len(ids) == 1
    owner.unlink()
    study.ended(LCC, 0)
    study.restore()
    track(study.study)
    assert study.state() == wanted


def test_a_wiped_store(study, wanted, empty_store):
    track(study.study)
    shutil.copy(empty_store, study.results / "mlflow.db")
    shutil.rmtree(study.results / "mlartifacts")
    assert len(track(study.study)["pushed"]["seed"]) == 4
    assert study.state() == wanted


def test_an_experiment_that_was_deleted_in_the_ui(study, wanted):
    track(study.study)
    study.client.delete_experiment(study.client.get_experiment_by_name("regbench/tiny").experiment_id)
    track(study.study)
    assert study.state() == wanted


WRITES = (
    "create_run",
    "log_batch",
    "log_inputs",
    "log_artifact",
    "set_terminated",
    "set_tag",
    "delete_run",
    "update_run",
)


class Dying:
    """A client that dies after so many writes, before or after the store has had the last one."""

    def __init__(self, client, after: int, *, late: bool) -> None:
        self.client, self.left, self.late = client, after, late

    def __getattr__(self, name):
        real = getattr(self.client, name)
        if name not in WRITES:
            return real

        def write(*arguments, **named):
            self.left -= 1
            if self.left < 0 and not self.late:
                raise KeyboardInterrupt
            found = real(*arguments, **named)
            if self.left < 0:
                raise KeyboardInterrupt
            return found

        return write


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_push_killed_after_any_number_of_writes(study, wanted, unfinished):
    """Again and again into the same store, further each time, while the study goes on."""
    track(study.study)
    client = study.client
    experiment = client.get_experiment_by_name("regbench/tiny").experiment_id
    for run in study.runs().values():
        client.delete_run(run.info.run_id)
    if unfinished:
        study.remove("analysis", "tables", "figures", f"runs/brains/{MSE}/seed1", f"runs/brains/{LCC}/seed1/run.json")
    for after in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        dying = Dying(client, after, late=after % 2 == 1)
        try:
            Sink(dying, experiment).push(study_items(study.study))
        except KeyboardInterrupt:
            continue
    study.restore()
    track(study.study)
    assert study.state() == wanted
    assert nothing_to_do(study)


LIGHT = {  # what any push sees
    "seed0": "UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?",
    "seed1": "DELETE FROM metrics WHERE run_uuid = ? AND (step > 2 OR key LIKE 'val/%');"
    "DELETE FROM latest_metrics WHERE run_uuid = ? AND key LIKE 'val/%';"
    "UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?",
    "trial0": "DELETE FROM params WHERE run_uuid = ?",
    "trial1": "UPDATE params SET value = 'other' WHERE run_uuid = ? AND key = 'sim'",
    "trial2": "UPDATE tags SET value = 'other' WHERE run_uuid = ? AND key = 'similarity'",
    "trial3": "DELETE FROM tags WHERE run_uuid = ? AND key = 'regbench.complete'",
    "": "DELETE FROM inputs WHERE destination_id = ?",
}
ENDS = {  # likewise, where all else is as it should be
    "": "UPDATE runs SET end_time = end_time - 1000 WHERE run_uuid = ?",
    "trial1": "UPDATE runs SET end_time = end_time + 1000 WHERE run_uuid = ?",
}
DEEP = {  # what only `--verify` sees
    "seed0": "DELETE FROM metrics WHERE run_uuid = ? AND step = 2",
    "seed1": "UPDATE metrics SET value = 7 WHERE run_uuid = ? AND step = 3",
}


@pytest.mark.parametrize(("damage", "verify"), [(LIGHT, False), (ENDS, False), (DEEP, True)])
def test_runs_that_were_damaged(study, wanted, damage, verify):
    track(study.study)
    keys = {f"tiny/brains/{LCC}/{end}".rstrip("/"): sql for end, sql in damage.items()}
    runs = study.runs()
    with contextlib.closing(sqlite3.connect(study.results / "mlflow.db")) as base:
        for key, sql in keys.items():
            for statement in sql.split(";"):
                assert base.execute(statement, [runs[key].info.run_id]).rowcount > 0, statement
        base.commit()
    found = study.state()
    assert {key for key in found if found[key] != wanted[key]} == set(keys)
    done = track(study.study, verify=verify)
    assert study.state() == wanted
    said = describe(done).splitlines()
    assert {line.split()[1] for line in said[1:]} >= set(keys), "it says what it changed"
    assert not any("mse" in line for line in said[1:]), "and changes nothing else"


def test_artifacts_that_vanished(study, wanted):
    track(study.study)
    root = study.results / "mlartifacts"
    shutil.rmtree(next(root.rglob("checkpoint.pt")).parents[2])
    next(root.rglob("figures")).joinpath("lambda.png").write_bytes(b"")
    assert study.state() != wanted
    track(study.study)
    assert study.state() == wanted


def test_a_run_folder_that_vanished_and_came_back(study, wanted):
    track(study.study)
    study.remove(f"runs/brains/{LCC}/seed1")
    done = track(study.study)
    assert done["deleted"] == {"seed": [f"tiny/brains/{LCC}/seed1"]}
    assert set(study.state()) == set(wanted) - {f"tiny/brains/{LCC}/seed1"}
    study.restore()
    track(study.study)
    assert study.state() == wanted


def test_doubles_of_every_run(study, wanted):
    track(study.study)
    first = {run.info.run_id for run in study.runs().values()}
    for run in list(study.runs().values()):
        study.client.create_run(run.info.experiment_id, tags={KEY: run.data.tags[KEY]}, run_name="double")
    done = track(study.study)
    assert sum(map(len, done["deleted"].values())) == len(wanted)
    assert study.state() == wanted
    assert {run.info.run_id for run in study.runs().values()} == first


def test_a_request_that_was_sent_twice_over(study, wanted):
    """A proxy or a lost answer: the server has made two runs, and the client knows of one."""
    with pytest.MonkeyPatch.context() as patch:
        real = mlflow.MlflowClient.create_run
        patch.setattr(mlflow.MlflowClient, "create_run",
                      lambda self, *a, **k: (real(self, *a, **k), real(self, *a, **k))[0])  # fmt: skip
        track(study.study)
    assert study.state() == wanted


def test_a_study_trained_anew_replaces_its_runs(study, wanted):
    """Other steps, times and values: nothing of the old run stays."""
    track(study.study)
    path = study.root / f"runs/brains/{LCC}/seed0/history.parquet"

    def later(text):
        header, *lines = text.splitlines()
        began = json.loads(header)
        return "\n".join([json.dumps(began | {"started": began["started"] + 60}), *lines, ""])

    relog(path, later)
    run = read_sealed(path.with_name("run.json"))
    write_sealed(path.with_name("run.json"), run | {"seconds": 5.0})
    done = track(study.study)
    assert done["pushed"] == {"seed": [f"tiny/brains/{LCC}/seed0"]}
    study.restore()
    track(study.study)
    assert study.state() == wanted


def test_a_users_own_tags_and_runs_stay(study, wanted):
    track(study.study)
    run = study.runs()[f"tiny/brains/{LCC}"]
    study.client.set_tag(run.info.run_id, "mine", "kept")
    study.client.create_run(run.info.experiment_id, run_name="somebody else's")
    study.remove("analysis")
    track(study.study)
    study.restore()
    track(study.study)
    found = study.runs()
    assert found[f"tiny/brains/{LCC}"].data.tags["mine"] == "kept"
    assert found[None].info.run_name == "somebody else's"


def test_two_trackers_at_once_on_a_store_without_tables(study, wanted):
    (study.results / "mlflow.db").unlink()
    command = [sys.executable, "-m", "regbench.cli.main", "track", str(study.file)]
    command[1:3] = ["-c", "from regbench.cli.main import main; main()"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(text.partition(" runs")[0] for text in said) == ["MLflow: 0", f"MLflow: {len(wanted)}"]
    assert study.state() == wanted

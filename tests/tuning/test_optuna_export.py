"""Trials through pruning to an Optuna storage: a sink that says what the files say."""

import json
import logging
import math
import traceback
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
import sqlalchemy
from cheap_study import counted, one_cell, work

from regbench.data.cache import load as load_data
from regbench.data.prepare import prepare
from regbench.study.job_specs import prepare_spec, propose_spec, trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import canonical_json, write_sealed
from regbench.tuning.optuna_export import export_optuna, tuned_cells
from regbench.tuning.rounds import propose
from regbench.tuning.trial import run_trials

METHOD = "voxelmorph.lcc.grad_l2"


@pytest.fixture
def searched(tiny):
    tiny["tuning"] |= {"steps": 8, "pruner": "median", "budget": "steps", "budget_amount": 40, "sampler": "tpe"}
    tiny["tuning"]["search"] = [{"parameter": "training.learning_rate", "range": [1e-4, 1e-2], "scale": "log"}]
    tiny["grid"]["similarities"] = ["lcc"]
    study = Study(load(tiny))
    lay = study.layout
    prepare(prepare_spec(study, "brains"), lay.data("brains"))
    data, results = load_data(lay.data("brains")), []
    for number in range(2):
        proposals = propose(propose_spec(study, "brains", METHOD, number), number, results)
        found = run_trials(trial_spec(study, METHOD), data, proposals, lay.trial_state("brains", METHOD))
        write_sealed(lay.trials("brains", METHOD, number, (0, 1)), found)
        results += found
    return study, results


def test_pruned_trials_and_their_export(searched, tmp_path):
    study, results = searched
    assert [len(result["reports"]) for result in results[:2]] == [2, 2], "the first round has nothing to fall short of"
    for result in results:
        assert result["values"]["training.learning_rate"] > 0
        assert result["cost"] == (8 if result["status"] == "complete" else result["reports"][-1]["step"])
    url = f"sqlite:///{tmp_path}/optuna.db"
    assert export_optuna(study, url)["written"] == 1
    assert export_optuna(study, url)["unchanged"] == 1
    exported = optuna.load_study(study_name=f"tiny/brains/{METHOD}", storage=url)
    states = {"complete": "COMPLETE", "pruned": "PRUNED"}
    assert [trial.state.name for trial in exported.trials] == [states[result["status"]] for result in results]
    for trial, result in zip(exported.trials, results, strict=True):
        assert math.isclose(trial.value, result["scores"]["dice"])
        assert trial.params == {"lam": result["lam"], **result["values"]}


@pytest.fixture
def cheap_trials(tmp_path):
    """A study of two goals with a limit of NDV whose trials are there; some diverged."""
    study = one_cell(tmp_path / "results", "nsga2", 8, constraint="ndv", ndv_limit_percent=0.2)
    with counted():
        results, _ = work(study)
    assert {row["status"] for row in results} == {"complete", "diverged"}
    return study, results


def test_searches_that_a_look_gave_are_exported_too(tiny):
    tiny["tuning"] |= {"replicates": 4}
    study = Study(load({**tiny, "seeds": [0, 1, 2, 3], "looks": {"first": 2, "step": 2}}))
    look = {"further": {METHOD: 4}, "units": {}, "pairs": []}
    write_sealed(study.layout.look("brains", "voxelmorph", 1), look)
    cells = [spec.cell for spec, _ in tuned_cells(study)]
    assert [f"tiny/brains/{METHOD}{rest}" for rest in ("", "/replicate1", "/replicate2", "/replicate3")] == cells[:4]
    assert len(cells) == 4 + 2


def stored(url):
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url)


def test_the_storage_says_what_the_files_say(cheap_trials, tmp_path):
    study, results = cheap_trials
    url = f"sqlite:///{tmp_path}/optuna.db"
    export_optuna(study, url)
    found = stored(url)
    for trial, row in zip(found.trials, results, strict=True):
        failed = row["status"] == "diverged"
        assert trial.state.name == ("FAIL" if failed else "COMPLETE")
        assert trial.values == (None if failed else list(row["scores"].values()))
        assert trial.params["lam"] == row["lam"]
        assert trial.params["model.decoder"] == canonical_json(row["values"]["model.decoder"])
        for name in ("similarity.window", "training.batch"):
            assert (type(trial.params[name]), trial.params[name]) == (int, row["values"][name])
        if not failed:
            assert trial.constraints["ndv_percent"] == pytest.approx(row["scores"]["ndv_percent"] - 0.2)
    assert found.metric_names == ["dice", "ndv_percent"]
    assert all(trial.user_attrs["ndv_percent"] <= 0.2 for trial in found.best_trials)


def test_any_number_of_exports_doubles_nothing(cheap_trials, tmp_path):
    study, results = cheap_trials
    url = f"sqlite:///{tmp_path}/optuna.db"
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: export_optuna(study, url), range(2)))
    assert sum(count["written"] for count in counts) == 1
    assert sum(count["unchanged"] for count in counts) == 1
    assert [trial.params["lam"] for trial in stored(url).trials] == [row["lam"] for row in results]


def test_an_export_that_was_cut_off_is_completed(cheap_trials, tmp_path, monkeypatch):
    study, results = cheap_trials
    url, whole = f"sqlite:///{tmp_path}/optuna.db", optuna.Study.add_trial

    def cut(self, trial):
        if len(self.trials) == 3:
            raise KeyboardInterrupt
        whole(self, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", cut)
    with pytest.raises(KeyboardInterrupt):
        export_optuna(study, url)
    assert len(stored(url).trials) == 3
    monkeypatch.undo()
    assert export_optuna(study, url)["replaced"] == 1
    assert [trial.number for trial in stored(url).trials] == list(range(len(results)))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cr3t@127.0.0.1:1/x",
        "postgresql://user:s3/cr3t@host:port/x",
        "redis://user:s3cr3t@host",
        "sqlite:////nowhere/x.db?password=s3cr3t",
    ],
)
def test_a_password_is_in_no_message(url, tiny, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UsageError, match="must be a storage that Optuna opens") as caught:
        export_optuna(Study(load(tiny)), url)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "a traceback would show the driver's own words"
    told = str(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert "cr3t" not in told
    assert "***" in str(caught.value)


def test_a_driver_that_repeats_the_password_is_silenced(tiny, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise sqlalchemy.exc.OperationalError("login as user with s3cr3t failed", None, Exception("s3cr3t"))

    monkeypatch.setattr(optuna.storages, "RDBStorage", refuse)
    with pytest.raises(UsageError) as caught:
        export_optuna(Study(load(tiny)), "postgresql://user:s3cr3t@host/x")
    assert "s3cr3t" not in "".join(traceback.format_exception_only(caught.value))
    monkeypatch.undo()
    monkeypatch.setattr(optuna, "get_all_study_names", refuse)
    with pytest.raises(RegbenchError, match="Run it again"):
        export_optuna(Study(load(tiny)), f"sqlite:///{tmp_path}/optuna.db")


def test_the_dashboard_opens_it(cheap_trials, tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard", reason="pip install optuna-dashboard")
    study, results = cheap_trials
    url = f"sqlite:///{tmp_path}/optuna.db"
    export_optuna(study, url)
    storage = optuna.storages.RDBStorage(url)
    with make_server("127.0.0.1", 0, dashboard.wsgi(storage), handler_class=Silent) as server:
        worker = Thread(target=server.serve_forever, daemon=True)
        worker.start()

        def ask(path):
            with urlopen(f"http://127.0.0.1:{server.server_port}/{path}") as answer:
                return answer.read()

        (summary,) = json.loads(ask("api/studies"))["study_summaries"]
        detail = json.loads(ask(f"api/studies/{summary['study_id']}?after=0"))
        page = ask(f"dashboard/studies/{summary['study_id']}")
        server.shutdown()
        worker.join()
    storage.engine.dispose()
    assert summary["study_name"] == f"tiny/brains/{METHOD}"
    assert detail["objective_names"] == ["dice", "ndv_percent"]
    assert len(detail["trials"]) == len(results)
    assert b"<html" in page.lower()


class Silent(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, *_):
        pass


def test_studies_of_others_in_a_shared_storage_stay(tmp_path, caplog):
    """Ann and Bob have studies of one name; a third study there has never heard of regbench."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    people = [one_cell(tmp_path / name, "tpe", 4) for name in ("ann", "bob")]
    with counted():
        for person in people:
            work(person)
    ann, bob = people
    assert export_optuna(ann, url)["written"] == 1
    (name,) = optuna.get_all_study_names(url)
    before = optuna.load_study(study_name=name, storage=url)
    shown = (before._study_id, before.user_attrs, before.trials)
    assert export_optuna(bob, url) == {"written": 1, "replaced": 0, "unchanged": 0}
    assert str(ann.layout.root) in caplog.text
    names = optuna.get_all_study_names(url)
    assert len(names) == 2
    assert name in names
    after = optuna.load_study(study_name=name, storage=url)
    assert (after._study_id, after.user_attrs, after.trials) == shown
    assert export_optuna(bob, url)["unchanged"] == export_optuna(ann, url)["unchanged"] == 1
    write_sealed(next(ann.layout.root.glob("tuning/**/trials*.json")), [])
    assert export_optuna(ann, url)["replaced"] == 1
    assert set(optuna.get_all_study_names(url)) == set(names)


def test_a_study_without_an_owner_is_replaced_in_our_own_storage_alone(tmp_path):
    study = one_cell(tmp_path / "ann", "tpe", 4)
    with counted():
        work(study)
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    name = propose_spec(study, "brains", METHOD).cell
    study.layout.root.mkdir(exist_ok=True)
    for url in (shared, study.layout.own_optuna_url):
        optuna.create_study(study_name=name, storage=url)
    assert export_optuna(study, shared)["written"] == 1
    assert export_optuna(study, study.layout.own_optuna_url)["replaced"] == 1
    assert len(optuna.get_all_study_names(shared)) == 2
    assert optuna.load_study(study_name=name, storage=shared).user_attrs == {}

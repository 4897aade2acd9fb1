"""People who share a store: each study is that of its folder, and nothing of others is deleted or changed."""

import shutil
from pathlib import Path

import pytest
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED
from tracked_study import TrackedStudy, mlflow

from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import read_json, write_json
from regbench.tracking import KEY, push, store, track
from regbench.tracking.experiment import FOLDER, STUDY_ID, find

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own making


@pytest.fixture
def shared(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "shared.db")
    return f"sqlite:///{tmp_path / 'shared.db'}"


@pytest.fixture
def people(finished_study, tmp_path, empty_store, shared):
    """Ann and Bob: two finished studies of one name in folders of their own, and one store."""
    return [TrackedStudy(finished_study, tmp_path / name, empty_store, shared) for name in ("ann", "bob")]


def everything(client):
    """All experiments, runs and tags of a store, but for the times of last changes."""
    return {
        experiment.name: (
            experiment.tags,
            {run.info.run_id: run.data.to_dictionary() for run in client.search_runs([experiment.experiment_id])},
        )
        for experiment in client.search_experiments()
    }


def test_the_second_study_of_a_name_goes_beside_the_first(people, caplog):
    ann, bob = people
    track(ann.study)
    before = everything(ann.client)
    track(bob.study)
    after = everything(ann.client)
    assert {name: after[name] for name in before} == before
    (new,) = set(after) - set(before)
    assert new.startswith("regbench/tiny-")
    assert str(ann.root) in caplog.text
    assert new in caplog.text
    assert ann.runs().keys() == bob.runs().keys()
    assert read_json(bob.study.layout.run_ids)["experiment"] == new
    caplog.clear()
    assert set(track(bob.study)["kept"]) == set(track(ann.study)["kept"]) == {"report", "method", "trial", "seed"}
    assert "beside" not in caplog.text


def test_runs_that_a_study_lost_are_deleted_in_its_own_experiment_alone(people):
    ann, bob = people
    for person in people:
        track(person.study)
    before = everything(ann.client)
    raw = bob.study.config.model_dump(mode="json")
    raw["grid"]["similarities"] = raw["grid"]["similarities"][:1]
    bob.study = Study(load(raw))
    bob.remove("analysis", "tables")
    track(bob.study)
    after = everything(ann.client)
    assert after["regbench/tiny"] == before["regbench/tiny"]
    assert len(bob.runs()) < len(ann.runs())


def test_a_folder_that_was_moved_or_copied_gets_an_experiment_of_its_own(people, tmp_path, finished_study, shared):
    ann, _ = people
    track(ann.study)
    number = find(ann.client, ann.study).experiment_id
    (tmp_path / "elsewhere").mkdir()
    ann.results.rename(tmp_path / "elsewhere" / "results")
    raw = {**ann.study.config.model_dump(mode="json"), "results": str(tmp_path / "elsewhere" / "results")}
    moved = Study(load(raw))
    assert track(moved)["pushed"], "its artifacts lay where it was"
    there = find(ann.client, moved)
    assert there.tags[STUDY_ID] == ann.client.get_experiment(number).tags[STUDY_ID]
    assert (
        ann.client.get_experiment(number).name == f"regbench/tiny (from {ann.results.resolve().as_uri()}/mlartifacts)"
    )
    assert not track(moved)["pushed"]
    number, tags = there.experiment_id, there.tags
    assert tags[FOLDER] == str(moved.layout.root)
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copy")
    copy = Study(load({**raw, "results": str(tmp_path / "copy" / "results")}))
    assert track(copy)["pushed"]
    assert find(ann.client, copy).experiment_id != number
    assert ann.client.get_experiment(number).tags == tags


@pytest.mark.parametrize("tags", [{}, {STUDY_ID: "somebody's"}, {"purpose": "no study at all"}])
def test_an_experiment_of_the_name_that_nobody_owns_stays_as_it_is(people, tags):
    ann, _ = people
    number = ann.client.create_experiment("regbench/tiny", tags=tags)
    run = ann.client.create_run(number, tags={KEY: "tiny/brains/gone"})
    track(ann.study)
    assert ann.client.get_experiment(number).tags == tags
    assert [one.info.run_id for one in ann.client.search_runs([number])] == [run.info.run_id]


def test_an_experiment_from_before_ids_is_the_study_s_whose_last_push_names_it(people):
    ann, bob = people
    number = ann.client.create_experiment("regbench/tiny", (ann.results.resolve() / "mlartifacts").as_uri())
    write_json(ann.study.layout.run_ids, {"experiment_id": number})
    track(bob.study)
    track(ann.study)
    assert find(ann.client, ann.study).experiment_id == number
    assert find(bob.client, bob.study).experiment_id != number


def test_a_renamed_experiment_is_found(people):
    ann, _ = people
    track(ann.study)
    number = find(ann.client, ann.study).experiment_id
    ann.client.rename_experiment(number, "my best study")
    assert not track(ann.study)["pushed"]
    assert find(ann.client, ann.study).experiment_id == number


def test_registered_models_of_others_stay(people):
    ann, bob = people
    for person in people:
        tracking = person.study.config.tracking.model_copy(update={"register_models": True})
        person.study = Study(person.study.config.model_copy(update={"tracking": tracking}))
    track(ann.study)
    models = {model.name: model.tags for model in ann.client.search_registered_models()}
    runs = {version.run_id for name in models for version in ann.client.search_model_versions(f"name = '{name}'")}
    own = ann.client.create_model_version(next(iter(models)), "file:///mine", tags={"whose": "a user's"})
    track(bob.study)
    track(ann.study)
    after = {model.name: model.tags for model in ann.client.search_registered_models()}
    assert len(after) == 2 * len(models)
    assert {name: after[name] for name in models} == models
    kept = [version for name in models for version in ann.client.search_model_versions(f"name = '{name}'")]
    assert {version.run_id for version in kept if version.run_id} == runs
    assert own.version in [version.version for version in kept if version.name == own.name]


def test_a_refusal_is_no_outage_and_the_other_runs_are_pushed(people, monkeypatch):
    ann, _ = people
    client, answer = mlflow.MlflowClient, "'value' had length 9000, which exceeded the limit"
    real = client.create_run

    def create_run(self, *arguments, run_name, **options):
        if "MSE" in run_name and "trial 1" in run_name:
            raise mlflow.exceptions.MlflowException(answer, error_code=INVALID_PARAMETER_VALUE)
        return real(self, *arguments, run_name=run_name, **options)

    monkeypatch.setattr(client, "create_run", create_run)
    with pytest.raises(push.RefusedError, match="refused 1 of") as error:
        track(ann.study)
    assert answer in str(error.value)
    assert "reachable" not in str(error.value)
    refused = ann.runs()
    monkeypatch.undo()
    assert len(track(ann.study)["pushed"]["trial"]) == 1
    assert len(ann.runs()) == len(refused) + 1


def test_a_store_that_forbids_is_asked_once(people, monkeypatch):
    ann, _ = people
    asked = []

    def create_experiment(self, *_arguments, **_options):
        asked.append(1)
        raise mlflow.exceptions.MlflowException("Permission denied", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(mlflow.MlflowClient, "create_experiment", create_experiment)
    monkeypatch.setattr(store, "PAUSES", (0.0, 0.0))
    with pytest.raises(push.RefusedError, match="Permission denied"):
        track(ann.study)
    assert len(asked) == 1


def test_long_texts_are_cut_and_whole_among_the_artifacts(people):
    ann, _ = people
    raw = ann.study.config.model_dump(mode="json")
    raw["description"] = "word {run_id} " * 900
    raw["datasets"][0]["splits"] = {
        "train": [f"LUMIRMRI_{k:04d}_0000" for k in range(3600)],
        "validation": 2,
        "test": 2,
    }
    ann.study = Study(load(raw))
    track(ann.study)
    assert set(track(ann.study, verify=True)["kept"]) == {"report", "method", "trial", "seed"}
    runs = ann.runs()
    whole = ann.client.download_artifacts(runs["tiny"].info.run_id, "study")
    assert Path(whole, "description.md").read_text() == raw["description"]
    assert Path(whole, "brains", "manifest.json").read_bytes() == ann.study.layout.manifest("brains").read_bytes()
    note = runs["tiny"].data.tags["mlflow.note.content"]
    assert len(note) <= 5000
    assert "artifacts" in note
    assert "{run_id}" in note
    source = runs["tiny/brains/identity"].inputs.dataset_inputs[0].dataset.source
    assert '"count":3600' in source

"""Methods say what they need; a study answers from its config alone."""

import pickle

import pytest

from regbench.orchestration.jobs import of_cell
from regbench.study.job_specs import cell_spec, evaluate_spec, timing_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError


@pytest.mark.parametrize("one_job", ["stage", "cell"])
def test_what_needs_training(tiny, one_job):
    study = Study(
        load(
            {
                **tiny,
                "models": [*tiny["models"], "instance"],
                "one_job_per": one_job,
                "controls": True,
            }
        )
    )
    needs = {method.id: method.needs_training for method in (*study.methods, *study.controls)}
    assert {name for name, trained in needs.items() if trained} == {"voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"}
    whole = {method.id for method in study.methods if study.one_job(method.id)}
    assert whole == {
        name for name in needs if name.startswith("instance.") or (one_job == "cell" and "voxelmorph" in name)
    }
    names = ("identity", "instance.mse.grad_l2", "voxelmorph.mse.grad_l2")
    assert [len(study.seeds(name)) for name in names] == [1, 1, 2]


def test_two_studies_at_once_answer_each_for_itself(tiny):
    one, other = Study(load(tiny)), Study(load({**tiny, "study": "other", "models": ["instance"], "controls": False}))
    assert one.methods is one.methods, "computed once"
    assert {method.id for method in one.methods} & {method.id for method in other.methods} == {"identity"}
    assert (one.layout.root.name, other.layout.root.name) == ("tiny", "other")
    again = pickle.loads(pickle.dumps(one))  # a report hands it to its processes
    assert (again.config, again.methods) == (one.config, one.methods)


def test_what_a_study_has_not_is_named(tiny):
    study = Study(load({**tiny, "controls": False}))
    for name in ("voxelmorph.lcc.grad_l1", "control_self"):
        with pytest.raises(UsageError, match=f"`{name}` is not in study `tiny`"):
            study.method(name)
    with pytest.raises(UsageError, match="`brain` is not in study `tiny`; did you mean `brains`"):
        study.dataset("brain")


@pytest.mark.parametrize(
    ("tracking", "variable", "words"),
    [
        ({}, "http://me:secret@lab:5000", "MLFLOW_TRACKING_URI is set (http://***@lab:5000) and not used: the config"),
        ({}, "", ""),
        ({}, None, ""),
        ({"uri": "http://other:5000"}, "http://lab:5000", ""),
        ({"enabled": False}, "http://lab:5000", ""),
    ],
)
def test_a_tracking_uri_of_the_environment_is_not_used_in_silence(tiny, tracking, variable, words):
    study = Study(load({**tiny, "tracking": tracking}))
    said = study.unused_uri({} if variable is None else {"MLFLOW_TRACKING_URI": variable})
    assert said.startswith(words)
    assert bool(said) == bool(words)
    assert "secret" not in said
    assert not words or f"runs go to sqlite:///{study.config.results}/mlflow.db" in said


def refining(tiny, **more):
    return Study(load({**tiny, "models": [{**tiny["models"][0], "refine": {"steps": 7}}, "instance"], **more}))


@pytest.mark.parametrize("one_job", ["stage", "cell", "regularizer"])
def test_refined_rows_have_runs_but_train_and_search_nothing(tiny, one_job):
    study = refining(tiny, one_job_per=one_job)
    losses = ("lcc.grad_l2", "mse.grad_l2")
    names = [f"{model}.{loss}" for model in ("voxelmorph", "voxelmorph_refined", "instance") for loss in losses]
    assert [method.id for method in study.methods] == ["identity", *names]
    refined = study.method("voxelmorph_refined.mse.grad_l2")
    assert refined.trained_as == "voxelmorph.mse.grad_l2"
    assert (refined.cell, refined.tuned, refined.needs_training, study.one_job(refined.id)) == (True, *[False] * 3)
    assert study.seeds(refined.id) == study.seeds(refined.trained_as) == (0, 1)
    assert study.rounds(refined.id) == 0
    assert study.lambda_of(refined.id) == study.lambda_of(refined.trained_as)
    assert not study.finds_range(refined.id)
    assert [job.name for job in of_cell(study, "brains", refined.id)] == [
        f"evaluate/brains/{refined.id}/seed{seed}" for seed in (0, 1)
    ]
    assert all(method.trained_as == method.id for method in study.methods if method.refine is None)


def test_a_model_may_be_called_as_the_refined_rows_of_none(tiny):
    study = Study(load({**tiny, "models": [{**tiny["models"][0], "id": "a_refined", "refine": {"steps": 7}}]}))
    assert study.method("a_refined_refined.lcc.grad_l2").trained_as == "a_refined.lcc.grad_l2"


def test_a_refined_row_changes_no_other_job(tiny):
    """Nothing is trained or evaluated again where a study is given `refine`, or other steps of it."""
    plain, few = Study(load({**tiny, "models": [*tiny["models"], "instance"]})), refining(tiny)
    many = Study(load({**tiny, "models": [{**tiny["models"][0], "refine": {"steps": 9}}, "instance"]}))
    for method in plain.methods:
        for seed in plain.seeds(method.id):
            specs = [evaluate_spec(study, method.id, seed).to_json() for study in (plain, few, many)]
            assert specs[0] == specs[1] == specs[2]
            assert "refine" not in specs[0]
        if method.tuned:
            assert len({str(cell_spec(study, "brains", method.id).to_json()) for study in (plain, few, many)}) == 1
    refined = [evaluate_spec(study, "voxelmorph_refined.mse.grad_l2", 1).to_json() for study in (few, many)]
    assert [spec["refine"]["steps"] for spec in refined] == [7, 9]
    timed = [timing_spec(study).to_json() for study in (plain, few)]
    assert "refined" not in timed[0]
    assert timed[1]["refined"]["voxelmorph.lcc.grad_l2"]["method"] == "voxelmorph_refined.lcc.grad_l2"


FIXED, NETWORK = [{"value": 0.1}], ["voxelmorph"]


@pytest.mark.parametrize(
    ("models", "lambdas", "splits", "unneeded"),
    [
        (["instance"], FIXED, {}, ("train", "validation")),
        (["instance"], FIXED, {"validation": 2, "test": 2}, ("train",)),
        (["instance"], None, {"validation": 2, "test": 2}, ("train",)),
        (["instance"], FIXED, {"train": 2, "validation": 2, "test": 2}, ()),
        (["instance"], FIXED, {"folds": 3, "fold": 0}, ()),
        (["instance", *NETWORK], FIXED, {"test": 2}, ()),
        (NETWORK, None, {}, ()),
    ],
)
def test_splits_that_no_job_looks_at_may_be_left_out(tiny, models, lambdas, splits, unneeded):
    raw = {**tiny, "models": models, "datasets": [{**tiny["datasets"][0], "splits": splits}]}
    raw |= {"lambdas": lambdas} if lambdas else {}
    study = Study(load(raw))
    assert study.unneeded_splits(study.config.datasets[0]) == unneeded

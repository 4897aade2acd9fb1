"""A dataset with folds and no fold: k datasets, pooled under its id; every mistake by the key that the user wrote."""

import copy

import pytest

from regbench.cli.options import dataset_of
from regbench.study.job_specs import prepare_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.study.shown_config import whole_config
from regbench.study.yaml_file import read_yaml
from regbench.system.errors import UsageError

STUDY = {
    "study": "folded",
    "datasets": [{"id": "slices", "source": "mni152", "parameters": {"subjects": 15}, "splits": {"folds": 3}}],
    "models": ["voxelmorph"],
    "grid": {"similarities": ["lcc"], "regularizers": ["grad_l2"]},
    "training": {"steps": 2},
    "tuning": {"trials": 2, "steps": 1},
    "seeds": [0],
}


def made(**changes):
    return copy.deepcopy(STUDY) | changes


def splits_of(**splits):
    return made(datasets=[{**STUDY["datasets"][0], "splits": splits}])


def other(name):
    return {"id": name, "source": "mni152", "splits": {"train": 2, "validation": 2, "test": 2}}


def mistakes(raw):
    with pytest.raises(UsageError) as error:
        load(raw)
    return str(error.value).splitlines()[1:]


def test_each_fold_is_a_dataset_and_all_are_pooled():
    study = Study(load(made(datasets=[other("first"), *STUDY["datasets"]])))
    assert [(one.id, one.splits.fold, one.fold_of) for one in study.config.datasets] == [
        ("first", None, None), ("slices_fold0", 0, "slices"), ("slices_fold1", 1, "slices"),
        ("slices_fold2", 2, "slices"),
    ]  # fmt: skip
    assert [(pool.id, pool.folds) for pool in study.pools] == [
        ("slices", ("slices_fold0", "slices_fold1", "slices_fold2"))
    ]
    assert len(list(study.tuned_runs())) == 4


def test_one_fold_alone_is_the_dataset_that_it_was():
    study = Study(load(splits_of(folds=3, fold=1)))
    assert [one.id for one in study.config.datasets] == ["slices"]
    assert not study.pools


def test_folds_that_are_dealt_again_are_further_folds_of_the_pool():
    study = Study(load(splits_of(folds=3, repeats=2, seed=5)))
    assert [(one.id, one.splits.fold, one.splits.repeat) for one in study.config.datasets] == [
        ("slices_fold0", 0, None), ("slices_fold1", 1, None), ("slices_fold2", 2, None),
        ("slices_repeat1_fold0", 0, 1), ("slices_repeat1_fold1", 1, 1), ("slices_repeat1_fold2", 2, 1),
    ]  # fmt: skip
    (pool,) = study.pools
    assert (pool.repeats, pool.of_one_deal) == (2, 3)
    assert "2 deals of 3 folds" in pool.words
    assert study.tested_elsewhere("slices_fold0") == []
    once = Study(load(splits_of(folds=3, seed=5)))
    assert prepare_spec(study, "slices_fold1") == prepare_spec(once, "slices_fold1"), "further deals change no job"
    assert Study(load(splits_of(folds=3, repeats=1))).config == Study(load(splits_of(folds=3))).config


def test_the_shown_config_of_several_deals_is_the_same_study(tmp_path):
    raw = splits_of(folds=3, repeats=2)
    text = whole_config(raw, load(raw))
    assert "repeat: 1  # from `splits.repeats`" in text
    path = tmp_path / "shown.yaml"
    path.write_text(text, "utf-8")
    assert load(read_yaml(path)) == load(raw)


def test_what_a_fold_is_prepared_from_does_not_know_of_the_pool():
    spec = prepare_spec(Study(load(STUDY)), "slices_fold1").to_json()
    assert spec["splits"] == {"folds": 3, "fold": 1}
    assert "fold_of" not in spec


def test_the_config_that_is_shown_is_the_same_study(tmp_path):
    config = load(STUDY)
    text = whole_config(STUDY, config)
    assert "id: slices_fold2  # from `splits.folds`" in text
    assert "fold: 2  # from `splits.folds`" in text
    path = tmp_path / "shown.yaml"
    path.write_text(text, "utf-8")
    assert load(read_yaml(path)) == config
    assert load(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (splits_of(folds=1), ["  datasets[0].splits.folds: input should be greater than or equal to 3, but got 1"]),
        (splits_of(folds=3, fold=3), ["  datasets[0].splits.fold: must be from 0 to 2 (folds - 1), but got 3"]),
        (
            splits_of(folds=4, train=5, test=2),
            ["  datasets[0].splits.folds: must stand without train and test; leave one or the other out, but got 4"],
        ),
        (
            splits_of(folds=2000),
            [
                "  datasets[0].splits.folds: must be at most 1000 where all folds run, but got 2000; name one by "
                "`fold`, or take fewer"
            ],
        ),
        (
            splits_of(folds=3, repeats=0),
            ["  datasets[0].splits.repeats: input should be greater than or equal to 1, but got 0"],
        ),
        (
            splits_of(folds=3, fold=1, repeats=2),
            [
                "  datasets[0].splits.repeats: needs folds that all run, but `fold` names one; leave one of them out, "
                "but got 2"
            ],
        ),
        (
            splits_of(train=5, repeats=2),
            ["  datasets[0].splits.repeats: needs `folds`, which are dealt anew, but got 2"],
        ),
        (
            splits_of(folds=20, repeats=60),
            [
                "  datasets[0].splits.folds: must be at most 1000 where all folds run, but got 20 of 60 deals; name "
                "one by `fold`, or take fewer"
            ],
        ),
        (
            {
                **splits_of(folds=3, repeats=2),
                "seeds": [0, 1],
                "tuning": {**STUDY["tuning"], "replicates": 2, "splits": 2},
            },
            [
                "  datasets[0].splits.repeats: deals the validation subjects anew, and so does `tuning.splits: 2`; "
                "leave one of them out"
            ],
        ),
        (
            made(datasets=[{**STUDY["datasets"][0], "id": "x" * 60}]),
            [
                f"  datasets[0].id: must leave room for the names of its folds, such as `{'x' * 60}_fold2`: 64 letters "
                "in all"
            ],
        ),
        (
            made(datasets=[*STUDY["datasets"], other("slices_fold1")]),
            ["  datasets: 'slices_fold1' is given twice; each entry (its `id`, if it has one) must be distinct"],
        ),
        (
            made(datasets=[*STUDY["datasets"], other("Slices")]),
            [
                "  (whole file): `Slices` is the id of a dataset, but the folds of another are pooled under it; rename "
                "one"
            ],
        ),
        (
            made(datasets=[*STUDY["datasets"], {**other("b"), "surce": 1}]),
            ["  datasets[1].surce: unknown key; did you mean `source`?"],
        ),
        (
            made(evaluate_on=["slices"]),
            [
                "  evaluate_on[0]: the runs of `slices` are evaluated on it anyway, and no other dataset is trained; "
                "leave it out"
            ],
        ),
    ],
)
def test_a_mistake_is_said_once_by_the_key_that_was_written(raw, expected):
    assert mistakes(raw) == expected


def test_a_pool_is_whole_or_refused():
    alone = [{**STUDY["datasets"][0], "id": "a", "splits": {"folds": 3, "fold": 1}, "fold_of": "pool"}]
    assert "must stand in one dataset for each fold" in mistakes(made(datasets=alone))[0]
    whole = load(splits_of(folds=3, repeats=2)).model_dump(mode="json")
    del whole["datasets"][3]
    assert "must stand in one dataset for each fold" in mistakes(whole)[0]


def test_no_fold_is_tested_on_another_for_it_trained_with_its_subjects():
    study = Study(load(made(datasets=[*STUDY["datasets"], other("b")], evaluate_on=["slices", "b"])))
    assert study.tested_elsewhere("slices_fold0") == ["b"]
    assert study.tested_elsewhere("b") == ["slices_fold0", "slices_fold1", "slices_fold2"]


def test_a_verb_on_one_dataset_names_the_folds():
    with pytest.raises(UsageError, match="pooled from `slices_fold0`, `slices_fold1`, `slices_fold2`"):
        dataset_of(Study(load(STUDY)), "slices")

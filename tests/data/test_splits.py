"""Splits: never a subject or a group on two sides, whatever is asked for."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import ROOT, TINY

from regbench.data.pairing import used_pairs
from regbench.data.splits import split as split_of
from regbench.data.subject import Source
from regbench.orchestration.registries import check_component
from regbench.study.data_config import NAMES, PairsConfig, SplitConfig
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import digest

IDS = [f"s{number:02d}" for number in range(20)]
GROUPS = {name: f"g{number // 3}" for number, name in enumerate(IDS)}
SOURCE = Source(tuple(IDS), (4, 4), (1.0, 1.0), {}, "", (), None)
PART = st.one_of(st.integers(1, 8), st.floats(0.05, 0.6), st.just("rest"), st.just("given"))


def split(ids, wanted, dataset, **more):
    return split_of(ids, SplitConfig.model_validate(wanted), dataset, **more)


def mistakes(splits):
    """Those of the splits of a dataset, by key."""
    try:
        load({**TINY, "datasets": [{**TINY["datasets"][0], "splits": splits}]})
    except UsageError as error:
        return dict(re.findall(r"^  datasets\[0\]\.splits(?:\.(\w+))?: (.*)$", str(error), re.M))
    return {}


@given(
    wanted=st.fixed_dictionaries(dict.fromkeys(NAMES, PART), optional={"seed": st.integers(0, 5)})
    | st.builds(lambda folds, fold: {"folds": folds, "fold": fold % folds}, st.integers(3, 6), st.integers(0, 9)),
    groups=st.dictionaries(st.sampled_from(IDS), st.sampled_from("abcde")),
    put=st.dictionaries(st.sampled_from(IDS), st.sampled_from(NAMES), max_size=6),
)
def test_no_subject_and_no_group_is_on_two_sides(wanted, groups, put):
    wanted = {key: value for key, value in wanted.items() if key not in mistakes(wanted)}
    try:
        found = split(IDS, wanted, "d", groups=groups, given=put)
    except RegbenchError as error:
        assert "dataset `d`: splits" in str(error)  # noqa: PT017 - most of what is drawn is impossible, and says so
        return
    sides = [(name, key) for key in NAMES for name in found[key]]
    assert len({name for name, _ in sides}) == len(sides)
    assert all(name in IDS for name, _ in sides)
    for group in set(groups.values()):
        assert len({key for name, key in sides if groups.get(name) == group}) <= 1
    if "folds" not in wanted:
        assert all(put.get(name, key) == key for name, key in sides)
    assert found == split(IDS, wanted, "d", groups=groups, given=put)


def test_folds_are_dealt_anew_and_test_every_subject_once():
    deals = [
        [split(IDS, {"folds": 5, "fold": fold, "repeat": repeat}, "d")["test"] for fold in range(5)]
        for repeat in range(3)
    ]
    assert all(sorted(name for fold in deal for name in fold) == sorted(IDS) for deal in deals)
    assert deals[0] == [split(IDS, {"folds": 5, "fold": fold}, "d")["test"] for fold in range(5)]
    assert len({tuple(map(tuple, deal)) for deal in deals}) == 3


def test_folds_test_every_subject_once():
    tested = [name for fold in range(5) for name in split(IDS, {"folds": 5, "fold": fold}, "d")["test"]]
    assert sorted(tested) == IDS


def test_shares_and_rest():
    found = split(IDS, {"train": "rest", "validation": 0.2, "test": 0.25}, "d")
    assert [len(found[key]) for key in NAMES] == [11, 4, 5]
    assert found != split(IDS, {"train": "rest", "validation": 0.2, "test": 0.25, "seed": 1}, "d")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"train": 10, "validation": 5, "test": 0.9}, "asks for 0.9 of them, 18 subjects, but 5 of 20 are left"),
        ({"train": 0.9, "validation": 2, "test": 5}, "asks for 5 subjects, but 0 of 20 are left"),
        ({"train": "given", "validation": 2, "test": 2}, "the data put no subject there"),
    ],
)
def test_more_than_there_is_is_refused(wanted, words):
    with pytest.raises(RegbenchError, match=re.escape(words)):
        split(IDS, wanted, "d")


def test_a_share_may_lose_one_to_the_rounding_of_others():
    parts = split(IDS[:11], {"train": 0.5, "validation": 0.25, "test": 0.25}, "d")  # 6, 3 and 3 of 11
    assert [len(parts[key]) for key in NAMES] == [6, 3, 2]


def test_a_group_that_is_listed_apart_is_named():
    with pytest.raises(RegbenchError, match="group `p` must be on one side, but is in both train and test"):
        split(
            IDS,
            {"train": ["s00", "s01"], "validation": 2, "test": ["s02", "s03"]},
            "d",
            groups={"s01": "p", "s02": "p"},
        )


def test_whom_the_authors_hold_out_is_never_trained_on():
    with pytest.raises(RegbenchError, match="`s01` is a test subject of the data"):
        split(IDS, {"train": ["s00", "s01"], "validation": 2}, "d", given={"s01": "test", "s02": "test"})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"tain": 3, "train": 1, "seed": -1}, {"tain": "did you mean `train`", "seed": "greater than or equal to 0"}),
        ({"train": 0}, {"train": "count or a list"}),
        ({"train": 1.5}, {"train": "count or a list"}),
        ({"train": -1}, {"train": "count or a list, a share such as 0.2, `given` or `rest`, but got -1"}),
        ({"train": True}, {"train": "count or a list"}),
        ({"train": 4.0}, {"train": "count or a list"}),
        ({"train": "all"}, {"train": "`given` or `rest`, but got 'all'"}),
        ({"train": {"of": 3}}, {"train": "count or a list"}),
        ({"train": []}, {"train": "must have subjects"}),
        ({"train": [1, 2]}, {"train": "put it in quotes"}),
        ({"seed": 1.5}, {"seed": "integer"}),
        ({"seed": None, "train": 3}, {"seed": "integer"}),
        ({"folds": 2, "fold": 0}, {"folds": "greater than or equal to 3"}),
        ({"folds": 4, "fold": 4}, {"fold": "from 0 to 3"}),
        ({"folds": "4", "fold": -1}, {"folds": "integer", "fold": "greater than or equal to 0"}),
        ({"fold": 1}, {"fold": "needs `folds`"}),
        ({"folds": 4, "fold": 0, "train": 3, "test": 2}, {"folds": "without train and test"}),
        ({"train": 0.7, "validation": 0.2, "test": 0.3}, {"test": "0.7 + 0.2 + 0.3 = 1.2"}),
        ({"train": ["s00", "s01"], "validation": 0.6, "test": 0.6}, {"test": "0.6 + 0.6 = 1.2"}),
        ({"train": "rest", "validation": 0, "test": "rest"}, {"validation": "a count or a list", "test": "train is"}),
    ],
)
def test_each_mistake_has_its_key_and_all_come_at_once(wanted, expected):
    found = mistakes(wanted)
    assert set(found) == set(expected)
    for key, words in expected.items():
        assert words in found[key]


@pytest.mark.parametrize(
    ("wanted", "more", "subjects", "used"),
    [  # digests of what `split` and `pairs` gave before splits had a type
        ({"train": 4, "validation": 2, "test": 2}, {}, "2c639b89153ebb5c", "d69c63529cf79046"),
        ({"train": "rest", "validation": 0.2, "test": 0.25, "seed": 1}, {}, "ec5069d73aa2784e", "8629b296e2f0cdc4"),
        ({"folds": 5, "fold": 2, "seed": 3}, {}, "8d041f13ad58455b", "eb2c54cfc170f810"),
        (
            {"train": "rest", "validation": 3, "test": 5},
            {"groups": GROUPS},
            "a8640059823e2013",
            "49be85cf78e3b8f6",
        ),
        (
            {"train": ["s03", "s01"], "validation": "rest"},
            {"given": {"s07": "test", "s09": "test"}},
            "3cb4ea79eb2d30ab",
            "1d495f48ae1c00ae",
        ),
    ],
)
def test_the_bytes_of_splits_and_pairs_stay(wanted, more, subjects, used):
    found = split(IDS, wanted, "d", **more)
    assert digest(found) == subjects
    chosen = used_pairs(PairsConfig(validation=2), SOURCE, found, "d")
    assert list(chosen) == ["validation", "test"]
    assert digest([chosen["test"], chosen["validation"]]) == used


@pytest.mark.parametrize("wanted", [{}, {"folds": 5, "fold": 2}, {"train": 0.5, "validation": ["a", "b"], "seed": 0}])
def test_a_spec_says_of_splits_what_the_config_says(wanted):
    entry = {**TINY["datasets"][0], "splits": wanted}
    dataset = load({**TINY, "datasets": [entry]}).datasets[0]
    spec = PrepareSpec.of(dataset, "code").to_json()
    assert spec.get("splits", {}) == wanted
    assert PrepareSpec.from_json(spec) == PrepareSpec.of(dataset, "code")


def test_splits_that_are_not_needed_may_be_left_out():
    found = split(IDS, {"test": 3}, "d", needed=("test",))
    assert [len(found[key]) for key in NAMES] == [0, 0, 3]
    with pytest.raises(RegbenchError, match=r"splits\.train must have subjects, but is missing"):
        split(IDS, {"test": 3}, "d", needed=("train", "test"))


def test_without_training_and_search_all_subjects_are_tested():
    chosen = split(IDS, {}, "d", needed=("test",))
    assert chosen == {"train": [], "validation": [], "test": sorted(IDS)}
    assert split(IDS[:2], {}, "d", needed=("test",))["test"] == sorted(IDS[:2])
    assert len(split(IDS, {}, "d", needed=("validation", "test"))["train"]) > 0


def test_mistakes_of_data_stand_beside_all_others():
    raw = {**TINY, "training": {"steps": 0}}
    raw["datasets"] = [
        {
            "id": "mine",
            "source": "folder",
            "parameters": {"path": "x", "imags": "y"},
            "splits": {"train": "all", "tets": 3},
            "preprocessing": {"spacing": 1.0, "intensity": "percent", "merge": {1: [3, 42]}, "names": {1: "grey"}},
        },
        {**TINY["datasets"][0], "preprocessing": {"shape": [32, 32]}},
    ]
    with pytest.raises(UsageError) as caught:
        load(raw, check_component)
    for expected in (
        "training.steps",
        "datasets[0].parameters.imags: `folder` has no parameter `imags`; did you mean `images`?",
        "datasets[0].splits.train: must be a count or a list",
        "datasets[0].splits.tets: unknown key; did you mean `test`?",
        "datasets[0].preprocessing.spacing: `preprocessing` has no parameter `spacing`; did you mean `spacing_mm`?",
        "datasets[0].preprocessing.intensity: `preprocessing`: `intensity` got 'percent'",
        "datasets[1].preprocessing: `mni152` makes its own grid",
    ):
        assert expected in str(caught.value)
    assert "merge" not in str(caught.value)
    assert "names" not in str(caught.value)


def test_every_dataset_of_the_docs_is_sound():
    text = (ROOT / "docs" / "data.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    found = [item for block in blocks for item in (block["datasets"] if isinstance(block, dict) else block)]
    assert len(found) == 13
    load({**TINY, "datasets": found}, check_component)
    (whole,) = (
        Study(load(block, check_component)) for block in blocks if isinstance(block, dict) and "models" in block
    )
    assert whole.unneeded_splits(whole.config.datasets[0]) == ("train", "validation")


@given(count=st.integers(6, 60), groups=st.integers(1, 4), seed=st.integers(0, 5))
def test_without_splits_each_has_two_subjects_and_no_group_on_two_sides(count, groups, seed):
    ids = [f"s{k:03d}" for k in range(count * groups)]
    group_of = {name: f"g{k // groups}" for k, name in enumerate(ids)}
    parts = split(ids, {"seed": seed}, "d", groups=group_of)
    assert sorted(name for names in parts.values() for name in names) == ids
    assert min(map(len, parts.values())) >= 2
    if count >= 20:
        assert abs(len(parts["validation"]) / len(ids) - 0.1) <= 0.05
        assert abs(len(parts["test"]) / len(ids) - 0.2) <= 0.05
    sides = {(group_of[name], key) for key, names in parts.items() for name in names}
    assert len(sides) == count


def test_without_splits_whom_the_data_put_there_stay():
    put = dict.fromkeys(IDS[:5], "test")
    parts = split(IDS, {}, "d", given=put)
    assert parts["test"] == IDS[:5]
    assert len(parts["validation"]) == 2
    assert len(parts["train"]) == 13


def test_too_few_subjects_for_three_splits_are_refused():
    with pytest.raises(
        RegbenchError, match=r"splits.train must have at least 2 subjects to make a pair, but has 1 of 5"
    ):
        split(IDS[:5], {}, "d")
    with pytest.raises(RegbenchError, match=r"splits.test must have subjects, but is missing"):
        split(IDS, {"train": "rest", "validation": 2}, "d")


def test_more_pairs_than_the_most_are_drawn():
    parts = {"train": [], "validation": IDS[:5], "test": IDS}

    def pairs(most, **wanted):
        return used_pairs(PairsConfig(**wanted), SOURCE, parts, "d", most)["test"]

    assert len(pairs({"test": 100})) == 100
    assert pairs({"test": 100}) == pairs({}, test=100)
    assert len(pairs({"test": 1000})) == len(pairs({})) == 380
    assert len(pairs({"test": 100}, test=150)) == 150


def test_more_folds_than_pairs_of_subjects_are_refused_with_the_most_that_fit():
    with pytest.raises(
        RegbenchError, match=r"must leave 2 subjects to each, but got 9 folds of 15 subjects\. Take at most 7"
    ):
        split([f"s{k}" for k in range(15)], {"folds": 9, "fold": 0}, "d")
    with pytest.raises(RegbenchError, match=r"4 folds of 8 subjects in 2 groups, which stay together\. Write train"):
        split(
            [f"s{k}" for k in range(8)], {"folds": 4, "fold": 0}, "d", groups={f"s{k}": f"g{k % 2}" for k in range(8)}
        )


def test_no_fold_has_a_subject_that_the_authors_hold_out():
    for fold in range(3):
        splits = split(IDS, {"folds": 3, "fold": fold}, "d", given={"s01": "test", "s02": "validation", "s03": "train"})
        placed = {name for names in splits.values() for name in names}
        assert placed == set(IDS) - {"s01", "s02"}

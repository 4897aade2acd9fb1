"""Splits: never a subject or a group on two sides, whatever is asked for."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import ROOT, TINY

from regbench.data.splits import NAMES, mistakes, pairs, split
from regbench.orchestration.registries import check_component
from regbench.study.load import load
from regbench.system.errors import RegbenchError, UsageError

IDS = [f"s{number:02d}" for number in range(20)]
PART = st.one_of(st.integers(1, 8), st.floats(0.05, 0.6), st.just("rest"), st.just("given"))


@given(
    wanted=st.fixed_dictionaries(dict.fromkeys(NAMES, PART), optional={"seed": st.integers(0, 5)})
    | st.builds(lambda folds, fold: {"folds": folds, "fold": fold % folds}, st.integers(3, 6), st.integers(0, 9)),
    groups=st.dictionaries(st.sampled_from(IDS), st.sampled_from("abcde")),
    put=st.dictionaries(st.sampled_from(IDS), st.sampled_from(NAMES), max_size=6),
)
def test_no_subject_and_no_group_is_on_two_sides(wanted, groups, put):
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
        ({"train": 0.7, "validation": 0.2, "test": 0.3}, "0.7 + 0.2 + 0.3 = 1.2"),
        ({"train": ["s00", "s01"], "validation": 0.6, "test": 0.6}, "0.6 + 0.6 = 1.2"),
        ({"train": 10, "validation": 5, "test": 0.9}, "asks for 0.9 of them, 18 subjects, but 5 of 20 are left"),
        ({"train": 0.9, "validation": 2, "test": 5}, "asks for 5 subjects, but 0 of 20 are left"),
        ({"train": "rest", "validation": 2, "test": "rest"}, "`rest` can be one split alone, but train is"),
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


def test_given_pairs_replace_all_others():
    assert pairs(["a", "b", "c"], None, "d", "test", given=[("a", "b"), ("x", "y")]) == [["a", "b"]]
    with pytest.raises(RegbenchError, match="must lie within one split"):
        pairs(["a", "b"], None, "d", "test", given=[("a", "x")])


@pytest.mark.parametrize(
    ("wanted", "key", "words"),
    [
        ({"tain": 3}, "tain", "did you mean `train`"),
        ({"train": 0}, "train", "count or a list"),
        ({"train": 1.5}, "train", "count or a list"),
        ({"train": True}, "train", "count or a list"),
        ({"train": []}, "train", "must have subjects"),
        ({"train": [1, 2]}, "train", "put it in quotes"),
        ({"seed": -1}, "seed", "integer from 0"),
        ({"folds": 2, "fold": 0}, "folds", "must be from 3 to"),
        ({"folds": 4}, "folds", "fold from 0"),
        ({"folds": 4, "fold": 0, "train": 3}, "", "has both"),
    ],
)
def test_each_mistake_has_its_key(wanted, key, words):
    assert any(found == key and words in message for found, message in mistakes(wanted))


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
        "datasets[0].splits.tets: unknown; did you mean `test`?",
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
    assert len(found) == 8
    load({**TINY, "datasets": found}, check_component)

"""Pairs: by a list, by a rule, by roles; each inside one split, each mistake with its file, line and value."""

import re
from itertools import permutations

import numpy as np
import pytest
import torch
from data_files import brain, nifti, spec
from tiny_study import TINY

from regbench.data.cache import load as load_data
from regbench.data.inspect import inspect
from regbench.data.pairing import used_pairs
from regbench.data.prepare import divide, open_source, prepare
from regbench.data.readers.pair_list import with_pair_list
from regbench.data.subject import Source
from regbench.study.config import Training
from regbench.study.data_config import PairsConfig
from regbench.study.load import load
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.training.batches import Batches

IDS = tuple("abcdefgh")
SPLITS = {"train": list("abcd"), "validation": list("ef"), "test": list("gh")}


def source(ids=IDS, **more) -> Source:
    return Source(ids, (4, 4), (1.0, 1.0), {}, "", (), None, **more)


def used(wanted: dict, splits=SPLITS, **more) -> dict[str, list[str]]:
    """Pairs as text, such as ``ab``."""
    found = used_pairs(PairsConfig.model_validate(wanted), source(**more), splits, "d")
    return {key: ["".join(pair) for pair in pairs] for key, pairs in found.items()}


def test_all_ordered_pairs_unless_more_is_asked_for_and_training_draws_any_two():
    every = {"validation": ["ef", "fe"], "test": ["gh", "hg"]}
    assert used({}) == used({"rule": "all"}) == every
    assert used({"test": 1})["validation"] == every["validation"]


def test_a_count_draws_distinct_pairs_the_same_each_time():
    splits = {"train": list("ab"), "validation": list("cd"), "test": list("efg")}
    some = used({"test": 4}, splits)["test"]
    assert some == used({"test": 4}, splits)["test"]
    assert len(set(some)) == 4
    assert set(some) < {"".join(pair) for pair in permutations("efg", 2)}
    with pytest.raises(RegbenchError, match=r"pairs\.test asks for 7, but 3 subjects make 6"):
        used({"test": 7}, splits)
    with pytest.raises(RegbenchError, match=r"pairs\.test asks for 3, but 3 subjects make 2"):
        used({"rule": "consecutive", "test": 3}, splits)


def test_each_rule_by_hand():
    groups = dict(zip(IDS, "ppqqrrss", strict=True))
    assert used({"rule": "within_group"}, groups=groups) == {
        "train": ["ab", "ba", "cd", "dc"], "validation": ["ef", "fe"], "test": ["gh", "hg"]
    }  # fmt: skip
    assert used({"rule": "consecutive"}) == {"train": ["ab", "bc", "cd"], "validation": ["ef"], "test": ["gh"]}
    assert used({"rule": "consecutive"}, groups=groups)["train"] == ["ab", "cd"]
    modalities = dict(zip(IDS, "MCMCMCMC", strict=True))
    across = used({"rule": "across_modalities"}, modalities=modalities)
    assert across["train"] == ["ab", "ad", "ba", "bc", "cb", "cd", "da", "dc"]
    assert used({"rule": "across_modalities"}, modalities=modalities, groups=groups)["train"] == [
        "ab",
        "ba",
        "cd",
        "dc",
    ]
    splits = {"train": list("abc"), "validation": ["d"], "test": ["e"]}
    assert used({"rule": "to_atlas", "atlas": "h"}, splits) == {
        "train": ["ha", "hb", "hc"], "validation": ["hd"], "test": ["he"]
    }  # fmt: skip
    assert used({"rule": "from_atlas", "atlas": "h"}, splits)["train"] == ["ah", "bh", "ch"]


def test_neighbours_of_a_series_are_not_those_of_a_split():
    splits = {"train": list("aceg"), "validation": list("bd"), "test": list("fh")}
    with pytest.raises(RegbenchError, match="`rule: consecutive` makes none: no two neighbours"):
        used({"rule": "consecutive"}, splits)


def test_roles_leave_those_pairs_that_fit_in_training_too():
    roles = {"a": "fixed", "b": "moving", "e": "fixed", "g": "moving"}
    assert used({}, roles=roles) == {
        "train": ["ab", "ac", "ad", "cb", "cd", "db", "dc"], "validation": ["ef"], "test": ["hg"]
    }  # fmt: skip
    with pytest.raises(RegbenchError, match="pairs of test: the roles of its subjects leave none"):
        used({}, roles={"g": "moving", "h": "moving"})
    with pytest.raises(RegbenchError, match=r"`rule: to_atlas` makes none.*The atlas is the fixed image"):
        used({"rule": "to_atlas", "atlas": "h"}, {**SPLITS, "test": ["g"]}, roles={"h": "moving"})


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"rule": "within_group"}, "pairs of train: `rule: within_group` makes none: no group has two"),
        ({"rule": "across_modalities"}, "needs modalities, but no subject has one"),
    ],
)
def test_a_split_without_pairs_has_its_reason(wanted, words):
    with pytest.raises(RegbenchError, match=re.escape(words)):
        used(wanted)


def test_the_data_s_own_pairs_replace_all_others_in_their_split():
    own = (("a", "b"), ("g", "h"))
    assert used({}, given_pairs=own) == {"train": ["ab"], "validation": ["ef", "fe"], "test": ["gh"]}
    assert used({"rule": "all"}, given_pairs=own)["test"] == ["gh", "hg"]
    with pytest.raises(RegbenchError, match="`a` is in train and `g` is in test"):
        used({}, given_pairs=(("a", "g"),))


@pytest.mark.parametrize(
    ("pairs", "mistakes"),
    [
        ({"list": "x.csv", "rule": "all"}, {"rule": "must not stand beside `list`"}),
        ({"rule": "to_atlas"}, {"": "`rule: to_atlas` needs `atlas`"}),
        ({"rule": "all", "atlas": "a"}, {"atlas": "has no effect without `rule: to_atlas`"}),
        ({"rule": "any", "test": 0}, {"rule": "'within_group'", "test": "greater than or equal to 1"}),
        ({"rules": "all"}, {"rules": "did you mean `rule`"}),
        ({"train": 3}, {"train": "unknown key"}),
        ({"list": 3}, {"list": "string"}),
    ],
)
def test_mistakes_of_pairs_have_their_keys(pairs, mistakes):
    with pytest.raises(UsageError) as caught:
        load({**TINY, "datasets": [{**TINY["datasets"][0], "pairs": pairs}]})
    found = dict(re.findall(r"^  datasets\[0\]\.pairs(?:\.(\w+))?: (.*)$", str(caught.value), re.M))
    assert set(found) == set(mistakes)
    for key, words in mistakes.items():
        assert words in found[key]


def test_an_atlas_of_the_training_does_not_stand_beside_a_rule():
    raw = {**TINY, "training": {**TINY["training"], "atlas": "a"}}
    raw["datasets"] = [{**TINY["datasets"][0], "pairs": {"rule": "within_group"}}]
    with pytest.raises(UsageError, match=r"datasets\[0\]\.pairs\.rule: .*`training\.atlas`; leave one"):
        load(raw)


# a list


def listed(tmp_path, text: str, content: bytes | None = None, **more) -> Source:
    path = tmp_path / "pairs.csv"
    path.write_bytes(text.encode() if content is None else content)
    return with_pair_list(source(**more), str(path), "d")


@pytest.mark.parametrize(
    "content",
    [
        b"fixed,moving\na,b\ng,h\n",
        b"\xef\xbb\xbffixed;moving\r\na;b\r\ng;h\r\n;\r\n",
        b"sep=;\nmoving;fixed\nb;a\nh;g\n",
        b"fixed\tmoving\na\tb\n\ng\th\n",
        "fixed|moving\na|b\ng|h".encode("utf-16"),
    ],
)
def test_a_list_is_read_as_programs_save_it(tmp_path, content):
    assert listed(tmp_path, "", content).given_pairs == (("a", "b"), ("g", "h"))


def test_a_list_that_names_splits_places_its_subjects(tmp_path):
    found = listed(
        tmp_path, "fixed,moving,split\na,b,train\nc,b,train\ne,f,validation\ng,h,test\n", given={"a": "train"}
    )
    assert found.given == {"a": "train", "b": "train", "c": "train", "e": "validation", "f": "validation",
                           "g": "test", "h": "test"}  # fmt: skip
    splits, pairs = divide(PrepareSpec(id="d", source="x", code=""), found)
    assert splits == {"train": list("abc"), "validation": list("ef"), "test": list("gh")}
    assert pairs == {"train": [["a", "b"], ["c", "b"]], "validation": [["e", "f"]], "test": [["g", "h"]]}


def test_every_row_at_fault_is_named_with_its_line_and_value(tmp_path):
    text = "fixed,moving,split\na,b,\nA,b,\nc,c,\na,b,\n,d,\ne,f,tset\ng,h,test\na,g,train\n"
    with pytest.raises(RegbenchError) as caught:
        listed(tmp_path, text)
    for expected in (
        f"dataset `d`: the pairs of `{tmp_path / 'pairs.csv'}` must be of its subjects",
        "line 3: fixed: no subject `A`; ",
        "line 4: `c` must have another subject than itself",
        "line 5: `a` and `b` stand in line 2 too",
        "line 6: `fixed` must not be empty",
        "line 7: split: 'tset' is unknown; did you mean `test`?",
        "line 9: split: `g` is a subject of test by line 8, but of train here",
    ):
        assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        (
            "fixed,moving,split\na,b,test\n",
            {"given": {"a": "train"}},
            "line 2: split: `a` is a subject of train by the data",
        ),
        ("fixed,movin\na,b\n", {}, "column 'movin' is unknown; did you mean `moving`?"),
        ("fixed,split\na,test\n", {}, "must have the column `moving`"),
        ("fixed,moving\n", {}, "must have a header and a row"),
        ("fixed,moving\na,b,test\n", {}, "line 2: the row has 3 cells"),
    ],
)
def test_lists_that_are_none(tmp_path, text, more, words):
    with pytest.raises(RegbenchError, match=re.escape(words)):
        listed(tmp_path, text, **more)


def test_a_pair_that_joins_splits_and_a_split_without_pairs_are_refused(tmp_path):
    found = listed(tmp_path, "fixed,moving\na,b\na,g\n")
    with pytest.raises(RegbenchError, match=r"pairs\.csv`, line 3: `a`, `g`, `a` is in train and `g` is in test"):
        used_pairs(PairsConfig(list="x"), found, SPLITS, "d")
    found = listed(tmp_path, "fixed,moving\na,b\ng,h\n")
    with pytest.raises(RegbenchError, match="pairs of validation: the list has none of its subjects"):
        used_pairs(PairsConfig(list="x"), found, SPLITS, "d")
    found = listed(tmp_path, "fixed,moving\na,b\n", roles={"b": "fixed"})
    with pytest.raises(RegbenchError, match="line 2: `a`, `b`: a pair is fixed, moving, but by their roles `b` is"):
        used_pairs(PairsConfig(list="x"), found, SPLITS, "d")


# from files to batches


def table_of(root, rows: str, count: int = 9):
    for number in range(count):
        image, labels = brain(number, (9, 12))
        nifti(root / f"i{number}.nii.gz", image)
        nifti(root / f"l{number}.nii.gz", labels)
    path = root / "all.csv"
    path.write_text(rows)
    return path


def test_an_atlas_is_in_no_split_and_in_every_pair(tmp_path):
    rows = "".join(f"s{k},i{k}.nii.gz,l{k}.nii.gz\n" for k in range(9))
    path = table_of(tmp_path, "subject,image,label\n" + rows)
    made = spec("table", {"path": str(path)}, splits={"train": 6, "validation": 1, "test": 1},
                pairs={"rule": "to_atlas", "atlas": "s4"}, preprocessing={"multiple_of": 1})  # fmt: skip
    prepare(made, tmp_path / "d")
    data = load_data(tmp_path / "d")
    assert not any("s4" in data.split(part) for part in SPLITS)
    assert [len(data.pairs(part)) for part in SPLITS] == [6, 1, 1]
    assert not data.remarks
    batches = Batches(data, Training(steps=40, batch=3), 0, torch.device("cpu"))
    atlas = torch.from_numpy(data.images(("s4",)))[0]
    seen = set()
    for step in range(40):
        batch = batches[step]
        assert all(torch.equal(image[0], atlas) for image in batch.fixed)
        seen |= {image.sum().item() for image in batch.moving}
    assert len(seen) == 6
    with pytest.raises(RegbenchError, match=r"pairs\.atlas: no subject `s44`"):
        divide(made.model_copy(update={"pairs": PairsConfig(rule="to_atlas", atlas="s44")}), open_source(made))


@pytest.mark.parametrize(
    ("splits", "groups", "words"),
    [
        ({"train": ["s4", "s1"], "validation": 2, "test": 2}, "", "splits.train: `s4` is the atlas of all pairs"),
        ({"train": 4, "validation": 2, "test": 2}, "g", "pairs.atlas must be alone in its group"),
    ],
)
def test_an_atlas_that_a_split_or_a_group_has_is_refused(tmp_path, splits, groups, words):
    rows = "".join(f"s{k},i{k}.nii.gz,{groups if k > 3 else ''}\n" for k in range(9))
    path = table_of(tmp_path, "subject,image,group\n" + rows)
    made = spec("table", {"path": str(path)}, splits=splits, pairs={"rule": "from_atlas", "atlas": "s4"},
                preprocessing={"multiple_of": 1})  # fmt: skip
    with pytest.raises(RegbenchError, match=re.escape(words)):
        divide(made, open_source(made))


def test_a_count_that_draws_others_than_the_list_places_is_explained(tmp_path):
    found = listed(tmp_path, "fixed,moving,split\na,b,train\nc,d,validation\ne,f,test\n")
    made = PrepareSpec(id="d", source="x", code="", splits={"train": "rest", "validation": 2, "test": ["e", "g"]})
    with pytest.raises(RegbenchError, match=r"`f` is in no split \(splits\.test drew others: write `given`"):
        divide(made, found)
    made = PrepareSpec(id="d", source="x", code="", splits={"train": "rest", "validation": "given"})
    assert divide(made, found)[1] == {"train": [["a", "b"]], "validation": [["c", "d"]], "test": [["e", "f"]]}


def test_training_draws_the_listed_pairs_alone_and_inspect_shows_them(tmp_path):
    rows = "".join(f"s{k},i{k}.nii.gz,l{k}.nii.gz\n" for k in range(9))
    path = table_of(tmp_path, "subject,image,label\n" + rows)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("fixed;moving;split\ns0;s1;train\ns2;s0;train\ns3;s4;validation\ns5;s6;test\ns6;s5;test\n")
    made = spec("table", {"path": str(path)}, splits={}, pairs={"list": str(pairs), "test": 2},
                preprocessing={"multiple_of": 1})  # fmt: skip
    prepare(made, tmp_path / "d")
    data = load_data(tmp_path / "d")
    drawn = Batches(data, Training(steps=30, batch=2), 0, torch.device("cpu"))
    names = np.array(drawn.names)[drawn.draws.numpy()]
    assert {tuple(pair) for pair in names.transpose(0, 2, 1).reshape(-1, 2)} == {("s0", "s1"), ("s2", "s0")}
    assert any("2 of 9 subjects are in no split" in remark for remark in data.remarks)
    text = inspect(made, tmp_path / "sheet.png")
    assert re.search(r"^test +2 +s5 +s6 +s6 +s5$", text, re.M)
    assert re.search(r"^train +2 +s0 +s1 +s2 +s0$", text, re.M)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_another_list_is_another_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = {**TINY["datasets"][0], "pairs": {"list": "pairs.csv"}}
    dataset = load({**TINY, "datasets": [entry]}).datasets[0]
    texts = []
    for content in ("fixed,moving\na,b\n", "fixed,moving\nb,a\n"):
        (tmp_path / "pairs.csv").write_text(content)
        texts.append(str(PrepareSpec.of(dataset, "code").to_json()))
    assert texts[0] != texts[1]
    assert "pair_list" not in PrepareSpec.of(load(TINY).datasets[0], "code").to_json()

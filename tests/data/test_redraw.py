"""Validation subjects drawn anew: what holds for the declared draw holds for each, and the test subjects stay."""

import pytest
from data_files import folder_of, spec
from hypothesis import given
from hypothesis import strategies as st

from regbench.data.cache import load
from regbench.data.prepare import divide, open_source, prepare
from regbench.data.redraw import redrawn
from regbench.data.subject import Source
from regbench.study.data_config import NAMES, PairsConfig, SplitConfig
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import MANIFEST, read_sealed, write_sealed

IDS = tuple(f"s{number:02d}" for number in range(16))
WANTED = {"train": "rest", "validation": 4, "test": 4}
SEEDS = (11, 12, 13)


def draws(splits=WANTED, seeds=SEEDS, pairs=None, ids=IDS, **more):
    """The declared draw of subjects, and the further ones."""
    wanted = PrepareSpec(
        id="d", source="", code="", redraws=seeds, splits=SplitConfig.model_validate(splits),
        pairs=PairsConfig.model_validate(pairs or {}),
    )  # fmt: skip
    source = Source(ids, (4, 4), (1.0, 1.0), {}, "", (), None, **more)
    first, used = divide(wanted, source)
    return [(first, used), *redrawn(wanted, source, first)]


@given(
    groups=st.dictionaries(st.sampled_from(IDS), st.sampled_from("abcde")),
    put=st.dictionaries(st.sampled_from(IDS), st.sampled_from(("train", "test")), max_size=4),
    linked=st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=3),
)
def test_no_rule_of_the_declared_draw_is_broken(groups, put, linked):
    links = [(a, b) for a, b in linked if groups.get(a, a) == groups.get(b, b) != a]
    try:
        (first, _), *further = draws(groups=groups, given=put, given_pairs=links)
    except RegbenchError as error:
        assert "dataset `d`" in str(error)  # noqa: PT017 - some of what is drawn is impossible, and says so
        return
    assert len({tuple(splits["validation"]) for splits, _ in [(first, None), *further]}) == 4
    for splits, used in further:
        assert splits["test"] == first["test"]
        assert len(splits["validation"]) == len(first["validation"])
        assert sorted(splits["train"] + splits["validation"]) == sorted(first["train"] + first["validation"])
        sides = {name: key for key in NAMES for name in splits[key]}
        for group in set(groups.values()):
            assert len({sides[name] for name in sides if groups.get(name) == group}) <= 1
        assert all(sides.get(name, "train") == "train" for name, key in put.items() if key == "train")
        assert all({sides[name] for name in pair} == {key} for key in used for pair in used[key])


def test_a_draw_is_a_function_of_both_seeds_alone():
    assert draws() == draws()
    again = draws(seeds=(11, 99))
    assert again[1] == draws()[1]
    assert again[2] != draws()[2]
    other = draws({**WANTED, "seed": 5})
    assert other[1] != draws()[1]


def test_a_fold_keeps_its_test_and_draws_out_of_all_others():
    (first, _), *further = draws({"folds": 4, "fold": 2})
    assert {tuple(splits["test"]) for splits, _ in further} == {tuple(first["test"])}
    everybody = {name for splits, _ in further for name in splits["validation"]}
    assert everybody - set(first["validation"])


def test_subjects_of_a_prescribed_pair_change_sides_together():
    pairs = [(IDS[k], IDS[k + 1]) for k in range(0, 16, 2)]
    groups = {name: f"g{number // 2}" for number, name in enumerate(IDS)}  # so that the declared draw keeps them too
    for splits, _ in draws(given_pairs=pairs, groups=groups)[1:]:
        assert all((a in splits["validation"]) == (b in splits["validation"]) for a, b in pairs)
    alone = [(splits, used) for splits, used in draws({**WANTED, "seed": 0})[1:]]
    assert any((a in s["validation"]) != (b in s["validation"]) for s, _ in alone for a, b in pairs)


def test_who_cannot_be_scored_stays_in_training():
    declared = draws()[0][0]
    lacking = frozenset(declared["train"][:5])
    everybody = {name for splits, _ in draws(unlabelled=lacking)[1:] for name in splits["validation"]}
    assert not everybody & lacking
    assert everybody - set(declared["validation"])


def test_a_draw_without_a_pair_is_not_taken():
    """Half of the subjects can be fixed alone, the others moving alone: a split needs both."""
    roles = {name: "fixed" if number % 2 else "moving" for number, name in enumerate(IDS)}
    for splits, used in draws({**WANTED, "validation": 2, "seed": 7}, roles=roles)[1:]:
        assert {roles[name] for name in splits["validation"]} == {"fixed", "moving"}
        assert used["validation"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"splits": {"train": 2, "validation": 2, "test": 2}, "ids": IDS[:6], "seeds": range(9)}, "6 were found"),
        ({"splits": {"train": 3, "validation": list(IDS[:3]), "test": 3}}, "only 1 was found: 3 of 6 subjects"),
        ({"splits": {"train": list(IDS[3:6]), "validation": 3, "test": 3}}, "were found|was found"),
        ({"groups": dict.fromkeys(IDS[:4], "a") | dict.fromkeys(IDS[4:8], "b") | dict.fromkeys(IDS[8:], "c"),
          "splits": {"train": "rest", "validation": 4, "test": 4}}, "only 1 was found"),
    ],
)  # fmt: skip
def test_draws_that_cannot_be_are_refused_with_their_numbers(more, words):
    with pytest.raises(RegbenchError, match=words) as caught:
        draws(**more)
    assert "dataset `d`: `tuning.splits: " in str(caught.value)


def test_no_validation_is_nothing_to_draw():
    wanted = PrepareSpec(id="d", source="", code="", redraws=(1,), splits=SplitConfig(test=4))
    source = Source(IDS, (4, 4), (1.0, 1.0), {}, "", (), None)
    with pytest.raises(RegbenchError, match="draws validation subjects, but there are none"):
        redrawn(wanted, source, {"train": [], "validation": [], "test": list(IDS[:4])})


def test_the_manifest_names_each_draw_and_a_dataset_is_any_of_them(tmp_path):
    folder_of(tmp_path / "data", 7)
    parameters = {"path": str(tmp_path / "data")}
    asked = spec("folder", parameters, splits={"train": 3, "validation": 2, "test": 2}, redraws=(1, 2))
    prepare(asked, tmp_path / "cache")
    data, manifest = load(tmp_path / "cache"), read_sealed(tmp_path / "cache" / MANIFEST)
    assert data.of_draw(0) is data
    for number, drawn in enumerate(manifest["redrawn"], 1):
        view = data.of_draw(number)
        assert view is data.of_draw(number)
        assert view.split("validation") == tuple(drawn["splits"]["validation"]) != data.split("validation")
        assert view.split("test") == data.split("test")
        assert view.pairs("test") == data.pairs("test")
        assert view.checksum == drawn["data_sha256"] != data.checksum
        assert set(view.pairs("validation")[0]) <= set(view.split("validation"))
        assert view.references("validation") == ("labels",)
    source = open_source(asked)
    assert [one["splits"] for one in manifest["redrawn"]] == [
        one.splits for one in redrawn(asked, source, divide(asked, source)[0])
    ]
    alone = spec("folder", parameters, splits={"train": 3, "validation": 2, "test": 2})
    prepare(alone, tmp_path / "alone")
    assert "redrawn" not in read_sealed(tmp_path / "alone" / MANIFEST)
    assert load(tmp_path / "alone").checksum == data.checksum
    manifest["redrawn"][0]["splits"]["train"].pop()
    write_sealed(tmp_path / "cache" / MANIFEST, {key: value for key, value in manifest.items() if key != "seal"})
    with pytest.raises(RegbenchError, match="altered"):
        load(tmp_path / "cache")

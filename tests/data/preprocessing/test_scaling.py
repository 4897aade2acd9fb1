"""An intensity rule for each modality; roles and modalities from every reader to the pairs."""

import re

import numpy as np
import pytest
from data_files import brain, nifti, spec
from tiny_study import TINY

from regbench.data.cache import load as load_data
from regbench.data.inspect import inspect
from regbench.data.prepare import divide, open_source, prepare
from regbench.data.preprocessing.preparation import Preparation, StoredScaling
from regbench.orchestration.registries import check_component
from regbench.study.load import load
from regbench.system.errors import RegbenchError, UsageError

RULES = {"MR": "percentile", "CT": {"window": [-1000, 500]}}
SPLITS = {"train": 4, "validation": 4, "test": 4}
SHAPE = (9, 12)


def person(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MR, CT (Hounsfield units, beyond the window on both sides) and labels."""
    image, labels = brain(number, SHAPE)
    return image, (1500 - 3 * image).astype(np.float32), labels


def two_modalities(root, people: int = 6):
    for number in range(people):
        mr, ct, labels = person(number)
        nifti(root / "images" / "MR" / f"p{number}.nii.gz", mr)
        nifti(root / "images" / "CT" / f"p{number}.nii.gz", ct)
        nifti(root / "labels" / f"p{number}.nii.gz", labels)
    return root


def made_of(root, **changes):
    given = {"splits": SPLITS, "pairs": {"rule": "across_modalities"}}
    settings = {"multiple_of": 1, "intensity": RULES}
    return spec("folder", {"path": str(root)}, **{**given, "preprocessing": settings, **changes})


def test_each_modality_has_its_rule_and_a_folder_of_each_makes_pairs_of_a_person(tmp_path):
    made = made_of(two_modalities(tmp_path / "set"))
    prepare(made, tmp_path / "d")
    data = load_data(tmp_path / "d")
    assert data.subjects[:2] == ("p0_CT", "p1_CT")
    assert data.modality("p3_MR") == "MR"
    for number in range(6):
        mr, ct, _ = person(number)
        low, high = np.percentile(mr, [0.5, 99.5])
        found = data.images((f"p{number}_MR", f"p{number}_CT"))
        np.testing.assert_allclose(found[0], np.clip((mr - low) / (high - low), 0, 1), atol=1e-3)
        np.testing.assert_allclose(found[1], (np.clip(ct, -1000, 500) + 1000) / 1500, atol=1e-6)
    for part in ("train", "validation", "test"):
        pairs = data.pairs(part)
        assert len(pairs) == 4  # two people, both directions
        assert all({fixed[:2]} == {moving[:2]} and fixed[3:] != moving[3:] for fixed, moving in pairs)
    assert data.preparation["modalities"] is None
    assert re.search(r"^p0_CT .* CT$", inspect(made), re.M)


def test_roles_of_a_table_leave_one_direction_which_the_checkpoint_knows(tmp_path):
    two_modalities(tmp_path)
    rows = "subject;image;label;group;modality;role\n" + "".join(
        f"p{k}{name};images/{name}/p{k}.nii.gz;labels/p{k}.nii.gz;p{k};{name};{role}\n"
        for k in range(6) for name, role in (("MR", "moving"), ("CT", "fixed"))
    )  # fmt: skip
    (tmp_path / "all.csv").write_text(rows)
    made = made_of(tmp_path).model_copy(update={"source": "table", "parameters": {"path": str(tmp_path / "all.csv")}})
    prepare(made, tmp_path / "d")
    data = load_data(tmp_path / "d")
    assert sorted(pair for part in SPLITS for pair in data.pairs(part)) == [(f"p{k}CT", f"p{k}MR") for k in range(6)]
    assert data.role("p0MR") == "moving"
    assert data.preparation["modalities"] == ["CT", "MR"]
    (tmp_path / "all.csv").write_text(rows.replace("moving", "movin", 1))
    with pytest.raises(RegbenchError, match="line 2: role: 'movin' is unknown; did you mean `moving`"):
        open_source(made)


def test_arrays_name_groups_modalities_and_roles(tmp_path):
    people = [person(number) for number in range(6)]
    arrays = {
        "images": np.array([image for mr, ct, _ in people for image in (mr, ct)]),
        "labels": np.array([labels for *_, labels in people for _ in range(2)]),
        "groups": [f"p{k // 2}" for k in range(12)],
        "modalities": ["MR", "CT"] * 6,
        "roles": ["fixed", ""] * 6,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    made = made_of(tmp_path).model_copy(update={"source": "arrays", "parameters": {"path": str(tmp_path / "a.npz")}})
    source = open_source(made)
    assert source.modalities["0"] == "MR"
    _, pairs = divide(made, source)
    assert sorted(pair for of in pairs.values() for pair in of) == sorted(
        [str(2 * k), str(2 * k + 1)] for k in range(6)
    )
    np.savez(tmp_path / "a.npz", **{**arrays, "roles": ["both"] * 12})
    with pytest.raises(RegbenchError, match=r"roles\[0\]: role: 'both' is unknown"):
        open_source(made)
    np.savez(tmp_path / "a.npz", **{**arrays, "groups": ["a"]})
    with pytest.raises(RegbenchError, match="must have a text for each of 12 subjects"):
        open_source(made)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"MR": "percentile"}, "modality `CT` (subject `p0_CT`) has no rule"),
        ({**RULES, "PT": "none"}, "no subject has modality `PT`"),
    ],
)
def test_a_modality_without_a_rule_and_a_rule_without_a_modality_are_named(tmp_path, rules, words):
    made = made_of(two_modalities(tmp_path), preprocessing={"multiple_of": 1, "intensity": rules})
    with pytest.raises(RegbenchError, match=re.escape(words)):
        open_source(made)


def test_rules_by_modality_need_modalities(tmp_path):
    for number in range(6):
        nifti(tmp_path / "images" / f"p{number}.nii.gz", person(number)[0])
        nifti(tmp_path / "labels" / f"p{number}.nii.gz", person(number)[2])
    with pytest.raises(RegbenchError, match="6 of 6 subjects have no modality"):
        open_source(made_of(tmp_path))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"intensity": {}}, "intensity: must have a rule for each modality"),
        ({"intensity": {"CT": "window"}}, "intensity.CT: `window` needs its ends"),
        (
            {"intensity": {"CT": {"window": [5, 1]}}},
            "intensity.CT: `window` must be two numbers that rise, but",
        ),
        ({"intensity": {"CT": {"window": [5]}}}, "intensity.CT: `window` must be two numbers that rise"),
        (
            {"intensity": {"MR": {"percentiles": [1, 101]}}},
            "intensity.MR: `percentiles` must be two numbers",
        ),
        ({"intensity": {"MR": {"percentiles": [1, 99], "window": [0, 1]}}}, "intensity.MR: must be one of"),
        ({"intensity": {"MR": "percent"}}, "intensity: `preprocessing`: `intensity` got {'MR': 'percent'}"),
        ({"intensity": {"MR": {"windows": [0, 1]}}}, "intensity: `preprocessing`: `intensity` got"),
        ({"intensity": RULES, "window": [0, 1]}, "window: has no effect beside rules by modality"),
    ],
)
def test_mistakes_of_rules_have_their_keys(settings, expected):
    entry = {"id": "d", "source": "folder", "parameters": {"path": "x"}, "splits": SPLITS, "preprocessing": settings}
    with pytest.raises(UsageError) as caught:
        load({**TINY, "datasets": [entry]}, check_component)
    assert f"datasets[0].preprocessing.{expected}" in str(caught.value)


def test_a_model_takes_the_rule_of_each_image_or_says_what_to_give():
    scalings = {"MR": StoredScaling("percentile"), "CT": StoredScaling("window", window=(-1000.0, 500.0))}
    both = Preparation(by_modality=scalings)
    with pytest.raises(UsageError, match=r"\(MR, CT\).* Give `--fixed-modality` and `--moving-modality`"):
        both.scalings()
    assert both._replace(modalities=("CT", "MR")).scalings() == (scalings["CT"], scalings["MR"])
    with pytest.raises(UsageError, match="modality `CTT` is none of the model's; did you mean `CT`"):
        both._replace(modalities=("CTT", "MR")).scalings()
    with pytest.raises(UsageError, match="one intensity rule for all images"):
        Preparation(modalities=("CT", "MR")).scalings()

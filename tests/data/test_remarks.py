"""Nothing is dropped in silence: a counted sentence in the manifest, or a refusal that names the files."""

import numpy as np
import pytest
from data_files import brain, folder_of, nifti, spec

from regbench.data.cache import load
from regbench.data.inspect import inspect
from regbench.data.prepare import prepare
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.system.errors import RegbenchError

SHAPE = (9, 12, 7)


def table_with(root, points, **changes):
    """The remarks on a table whose subjects have these landmarks (None: none), and the prepared dataset."""
    folder_of(root, len(points))
    lines = ["subject,image,label,landmarks"]
    for number, rows in enumerate(points):
        if rows is not None:
            np.savetxt(root / f"s{number}.csv", rows, delimiter=",")
        name = "" if rows is None else f"s{number}.csv"
        lines.append(f"s{number},images/s{number}.nii.gz,labels/s{number}.nii.gz,{name}")
    (root / "all.csv").write_text("\n".join(lines))
    splits = {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": ["s4", "s5"]}
    made = spec("table", {"path": str(root / "all.csv")}, splits=splits, **changes)
    prepare(made, root / "cache")
    return load(root / "cache"), made


def inside(count=4):
    return np.random.default_rng(count).uniform(1, 6, (count, 3))


def test_landmarks_of_unequal_number_name_both_files(tmp_path):
    with pytest.raises(
        RegbenchError, match=r"`s4.csv` of `s4` has 4 rows and `s5.csv` of `s5` has 3 \(pairs of test\)"
    ):
        table_with(tmp_path, [inside()] * 5 + [inside(3)])


def test_unequal_landmarks_of_training_subjects_are_nobodys_pair(tmp_path):
    data, _ = table_with(tmp_path, [inside(3), *[inside()] * 5])
    assert data.remarks == ()


def test_landmarks_far_outside_are_not_used_and_give_no_tre(tmp_path):
    data, made = table_with(tmp_path, [inside()] * 5 + [inside() * 40])
    assert len(data.remarks) == 1
    assert "landmarks of 1 subjects are not used, and their pairs have no TRE: of `s5` 4 of 4" in data.remarks[0]
    assert f"WARNING {data.remarks[0]}" in inspect(made)
    pair = data.pair("s4", "s5")
    rows = measure(
        Registered("s4", "s5", pair, np.zeros((3, *pair.fixed.shape), np.float32)), Measured([1, 2], landmarks=True)
    )
    assert np.isnan(rows["tre_mm"])
    assert np.isnan(rows["tre_l2r_mm"])


def test_landmarks_a_little_outside_alone_or_twice_are_counted(tmp_path):
    edge = inside()
    edge[0] = [8.9, 3, 3]  # of a grid without padding the last voxel is 8
    twice = inside()
    twice[1] = twice[0]
    data, _ = table_with(tmp_path, [inside(), inside(), None, inside(), edge, twice], preprocessing={"multiple_of": 1})
    said = "\n".join(data.remarks)
    assert "2 of 2 pairs of validation have landmarks of one subject alone and no TRE" in said
    assert "1 of 20 landmarks lie outside of the grid" in said
    assert "1 of 20 landmarks stand twice in their file: in 1 of 5 subjects (`s5`...)" in said


def test_pairs_without_a_common_label(tmp_path):
    folder_of(tmp_path)
    _, labels = brain(5)
    nifti(tmp_path / "labels" / "s5.nii.gz", np.where(labels, 7, 0).astype(np.uint8))
    wanted = {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": ["s4", "s5"]}
    with pytest.raises(RegbenchError, match="pairs of test must share labels, but none has one in common"):
        prepare(spec("folder", {"path": str(tmp_path)}, splits=wanted), tmp_path / "a")
    wanted = {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": ["s4", "s5"]}
    folder_of(tmp_path / "more", 7)
    nifti(tmp_path / "more" / "labels" / "s5.nii.gz", np.where(labels, 7, 0).astype(np.uint8))
    wanted["test"].append("s6")
    prepare(spec("folder", {"path": str(tmp_path / "more")}, splits=wanted), tmp_path / "b")
    assert load(tmp_path / "b").remarks == ("4 of 6 pairs of test share no label and have no Dice (`s4` and `s5`...)",)


def test_files_that_no_reader_takes_and_ids_that_nobody_has(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "images" / "s0.nrrd").write_text("")
    (tmp_path / "images" / "notes.txt").write_text("")
    nifti(tmp_path / "labels" / "other.nii.gz", brain(0)[1])
    settings = {"labels": [1], "names": {"1": "one", "9": "nine"}, "merge": {"1": [1, 11]}}
    prepare(
        spec(
            "folder", {"path": str(tmp_path)}, splits={"train": 2, "validation": 2, "test": 2}, preprocessing=settings
        ),
        tmp_path / "a",
    )
    said = "\n".join(load(tmp_path / "a").remarks)
    assert "2 files of `images` are no images that are read: `notes.txt`, `s0.nrrd`" in said
    assert "1 files of `labels` have no image: `other.nii.gz`" in said
    assert "1 label ids of the files of 6 subjects are not among `labels`: background (2)" in said
    assert "1 ids of preprocessing.names occur in no subject: 9" in said
    assert "1 ids of preprocessing.merge occur in no subject: 11" in said


def test_subjects_of_no_split_are_counted(tmp_path):
    folder_of(tmp_path, 7)
    prepare(spec("folder", {"path": str(tmp_path)}), tmp_path / "a")
    assert "1 of 7 subjects are in no split" in load(tmp_path / "a").remarks[0]


def test_one_image_of_two_subjects_is_said_by_prepare(tmp_path):
    folder_of(tmp_path, 6)
    (tmp_path / "images/s5.nii.gz").write_bytes((tmp_path / "images/s0.nii.gz").read_bytes())
    splits = {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": ["s4", "s5"]}
    made = spec("folder", {"path": str(tmp_path), "same_affine": False}, splits=splits)
    prepare(made, tmp_path / "cache")
    remark = "`s0` and `s5` have the same image (train and test). Leave one out, or make them one group."
    assert remark in load(tmp_path / "cache").remarks
    assert inspect(made).count(remark) == 1


@pytest.mark.parametrize("name", ["landmarksTr", "Masks", "keypointsTr", "brain_mask", "segmentations"])
def test_a_folder_of_landmarks_or_masks_beside_the_images_is_named(tmp_path, name):
    folder_of(tmp_path, 6)
    (tmp_path / name).mkdir()
    prepare(spec("folder", {"path": str(tmp_path)}), tmp_path / "cache")
    assert any(f"`{name}`" in remark and "`source: table`" in remark for remark in load(tmp_path / "cache").remarks)

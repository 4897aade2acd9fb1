"""Labels that lie on their image's grid with other axes, and labels that do not."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from data_files import brain, folder_of, nifti, spec

from regbench.data.cache import load
from regbench.data.inspect import inspect
from regbench.data.prepare import prepare
from regbench.data.readers.image_file import ImageFile
from regbench.data.readers.subject_files import entry, labels_on_image
from regbench.system.errors import RegbenchError

AFFINE = np.array([[-1.5, 0, 0, 30], [0, 2, 0, -20], [0, 0, 2.5, 10], [0, 0, 0, 1]])


def oblique(degrees):
    turn = np.eye(4)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:2, :2] = [[c, -s], [s, c]]
    return turn @ AFFINE


@pytest.mark.parametrize("degrees", [0, 20, 45])
def test_every_order_and_direction_of_axes(tmp_path, degrees):
    """nibabel turns array and header; the anatomy stays."""
    image, labels = brain(0)
    path = nifti(tmp_path / "i.nii.gz", image, oblique(degrees))
    header = ImageFile(path).header
    upright = nib.Nifti1Image(labels, oblique(degrees))
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        turned = upright.as_reoriented(np.column_stack([order, signs]))
        label = nifti(tmp_path / "l.nii.gz", np.asarray(turned.dataobj), turned.affine)
        values, notes = labels_on_image(label, path, header)
        np.testing.assert_array_equal(values, labels)
        assert any("turned onto the image" in note for note in notes) == ((order, signs) != ((0, 1, 2), (1, 1, 1)))


def test_a_cube_whose_header_alone_tells_its_axes_apart(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (6, 6, 6)).astype(np.uint8)
    path = nifti(tmp_path / "i.nii.gz", labels, np.eye(4))
    turned = nib.Nifti1Image(labels, np.eye(4)).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    label = nifti(tmp_path / "l.nii.gz", np.asarray(turned.dataobj), turned.affine)
    np.testing.assert_array_equal(labels_on_image(label, path, ImageFile(path).header)[0], labels)


@pytest.mark.parametrize("image_axis", [0, 1, 2])
@pytest.mark.parametrize("label_axis", [0, 1, 2])
def test_slices_whose_axis_of_one_stands_elsewhere(tmp_path, image_axis, label_axis):
    image, labels = brain(0, (9, 12))
    stored = {}
    for kind, values, axis in (("i", image, image_axis), ("l", labels, label_axis)):
        columns = [0, 1]
        columns.insert(axis, 2)  # the plane of right and front, whichever axis is the one of one voxel
        stored[kind] = nifti(tmp_path / f"{kind}.nii.gz", np.expand_dims(values, axis), AFFINE[:, [*columns, 3]])
    read = entry("s", stored["i"], label=stored["l"]).read()
    np.testing.assert_array_equal(read.image, image)
    np.testing.assert_array_equal(read.labels, labels)


def changed(**parts):
    affine = AFFINE.copy()
    affine[:3, 3] += parts.get("shift", (0, 0, 0))
    affine[:3, :3] *= parts.get("scale", 1)
    return affine


@pytest.mark.parametrize(
    ("shape", "affine", "words"),
    [
        ((9, 12, 7), changed(shift=(0.75, 0, 0)), "must lie where `i.nii.gz` lies"),
        ((9, 12, 7), changed(scale=2), "must lie where.*voxels of 3 x 4 x 5 mm.*against.*1.5 x 2 x 2.5 mm"),
        ((9, 12, 7), changed(scale=1.02), "must lie where"),
        ((9, 12, 7), oblique(5), "must lie where"),
        ((9, 12, 7), oblique(90), "must lie where"),
        ((9, 12, 7), np.diag([-1, 1, 1, 1]) @ AFFINE, "must lie where"),
        ((12, 9, 7), AFFINE, "must lie where.*shape \\(12, 9, 7\\)"),
        ((9, 12, 8), AFFINE, "must have the shape"),
        ((9, 12, 1), AFFINE, "must have the shape"),
    ],
)
def test_another_grid_is_refused_with_both_headers(tmp_path, shape, affine, words):
    path = nifti(tmp_path / "i.nii.gz", brain(0)[0], AFFINE)
    label = nifti(tmp_path / "l.nii.gz", np.zeros(shape, np.uint8), affine)
    with pytest.raises(RegbenchError, match=rf"l\.nii\.gz` {words}"):
        labels_on_image(label, path, ImageFile(path).header)


def test_prepare_turns_labels_and_inspect_says_so(tmp_path):
    root = folder_of(tmp_path / "data")
    plain = spec("folder", {"path": str(root)}, preprocessing={"multiple_of": 1})
    prepare(plain, tmp_path / "plain")
    path = root / "labels" / "s3.nii.gz"
    turned = nib.load(path).as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    nifti(path, np.asarray(turned.dataobj), turned.affine)
    prepare(plain, tmp_path / "turned")
    np.testing.assert_array_equal(load(tmp_path / "turned").label_map("s3"), load(tmp_path / "plain").label_map("s3"))
    text = inspect(plain)
    assert "1 of 6 (`s3`...): labels stored with axes in another order or direction were turned" in text
    assert "6 of 6 (`s0`...): the header names no unit of length: read as mm" in text


def test_a_header_that_says_nothing_among_others_is_refused(tmp_path):
    root = folder_of(tmp_path)
    for kind in ("images", "labels"):
        stored = nib.load(root / kind / "s3.nii.gz")
        silent = nib.Nifti1Image(np.asarray(stored.dataobj), None)
        silent.header["sform_code"] = silent.header["qform_code"] = 0
        nib.save(silent, root / kind / "s3.nii.gz")
    with pytest.raises(RegbenchError, match=r"`s5` does and `s3` does not.*orientation: keep"):
        prepare(spec("folder", {"path": str(root)}), tmp_path / "cache")
    prepare(spec("folder", {"path": str(root)}, preprocessing={"orientation": "keep"}), tmp_path / "cache")


def test_slices_of_two_planes_are_refused(tmp_path):
    for number in range(6):
        image, labels = brain(number, (12, 12))
        for kind, values in (("images", image), ("labels", labels)):
            nifti(tmp_path / kind / f"s{number}.nii.gz", values[None] if number == 3 else values[..., None])
    with pytest.raises(
        RegbenchError, match="one plane, but by their headers `s5` runs right and front and `s3` front and"
    ):
        prepare(spec("folder", {"path": str(tmp_path)}), tmp_path / "cache")

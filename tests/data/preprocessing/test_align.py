"""Pre-alignment: a known rigid or affine map is found, recorded, and undone when a field is written back."""

import sys

import numpy as np
import pytest
from data_files import nifti, spec
from scipy.ndimage import affine_transform, map_coordinates

from regbench.data.cache import load
from regbench.data.embedded.mni152 import mni152
from regbench.data.prepare import prepare
from regbench.data.preprocessing.align import align
from regbench.data.space import displacement_to_native
from regbench.system.errors import RegbenchError


def template(dims):
    shape = (80, 96) if dims == 2 else (40, 44, 40)
    spacing = 2.0 if dims == 2 else 4.5
    subject = next(iter(mni152(dims=dims, subjects=1, shape=shape, spacing_mm=spacing)))
    return subject.image, subject.labels


def known(shape, kind):
    """A turn of 8 degrees and a shift about the middle; 6 % of shear and scale for affine."""
    dims, angle = len(shape), np.deg2rad(8)
    inner = np.eye(dims)
    inner[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    if kind == "affine":
        inner = inner @ (np.eye(dims) + 0.06 * np.eye(dims, k=1)) * 1.04
    middle = (np.array(shape) - 1) / 2
    matrix = np.eye(dims + 1)
    matrix[:dims, :dims] = inner
    matrix[:dims, dims] = middle - inner @ middle + [2.0, -3.0, 1.0][:dims]
    return matrix


def moved(array, matrix, order):
    """`array` placed so that `matrix` maps a voxel of `array` to where it now lies."""
    back = np.linalg.inv(matrix)
    return affine_transform(array, back[:-1, :-1], back[:-1, -1], order=order)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_a_known_map_is_found_twice_the_same(dims, kind):
    image, labels = template(dims)
    wanted = known(image.shape, kind)
    spacing = (2.0, 2.0, 2.0)[:dims]
    found = align(moved(image, wanted, 1), image, spacing, kind)
    points = np.argwhere(labels > 0)
    error = (points @ found[:-1, :-1].T + found[:-1, -1]) - (points @ wanted[:-1, :-1].T + wanted[:-1, -1])
    assert np.sqrt((error**2).sum(1)).mean() < 0.5  # voxels; up to 10 before
    np.testing.assert_array_equal(found, align(moved(image, wanted, 1), image, spacing, kind))


def study(tmp_path):
    """Six copies of a slice, all but the first turned and shifted."""
    image, labels = template(2)
    turn = known(image.shape, "rigid")
    for number in range(6):
        here = np.eye(3) if number == 0 else turn
        nifti(tmp_path / "images" / f"s{number}.nii.gz", moved(image, here, 1) + np.float32(0.001 * number))
        nifti(tmp_path / "labels" / f"s{number}.nii.gz", moved(labels, here, 0).astype(np.int32))
    return image, labels, turn


def test_it_is_in_the_manifest_and_undone(tmp_path):
    image, labels, turn = study(tmp_path)
    settings = {"align": "rigid", "multiple_of": 1}
    prepare(spec("folder", {"path": str(tmp_path)}, preprocessing=settings), tmp_path / "cache", threads=2)
    data = load(tmp_path / "cache")
    overlap = (data.label_map("s3") == data.label_map("s0"))[labels > 0].mean()
    assert overlap > 0.85
    np.testing.assert_allclose(data.space("s3").matrix[:2, :2], turn[:2, :2], atol=0.02)
    # No displacement between the prepared images is the turn between the files.
    native = displacement_to_native(np.zeros((2, *data.shape), np.float32), data.space("s0"), data.space("s3"))
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"))
    wanted = np.einsum("ij,jxy->ixy", turn[:2, :2], grid) + turn[:2, 2, None, None] - grid
    assert np.abs(native - wanted)[:, labels > 0].mean() < 0.5
    # And back: from a turned file to the upright one.
    back = displacement_to_native(np.zeros((2, *data.shape), np.float32), data.space("s3"), data.space("s0"))
    there_and_back = native + np.stack([map_coordinates(part, grid + native, order=1, mode="nearest") for part in back])
    assert np.abs(there_and_back[:, labels > 0]).max() < 0.05


def test_without_simpleitk_it_says_how_to_install_it(tmp_path, monkeypatch):
    study(tmp_path)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(RegbenchError, match=r"subject `s1`: .*pip install simpleitk"):
        prepare(spec("folder", {"path": str(tmp_path)}, preprocessing={"align": "rigid"}), tmp_path / "cache")

"""Baselines: a zero field for equal images, the right direction and unit for a known translation, fields from files."""

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from regbench.baselines import BASELINES
from regbench.baselines.fields import fields, from_itk, to_itk
from regbench.data.cache import Pair
from regbench.data.nifti import write_displacement
from regbench.errors import RegbenchError

METHODS = [name for name in BASELINES if name != "fields"]
NEEDS = {"sitk_affine": "SimpleITK", "sitk_demons": "SimpleITK", "greedy_ncc": "picsl_greedy", "dipy_syn": "dipy"}


def blobs(shape, seed=0):
    """A smooth image with structure everywhere and a dark border."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.5)
    inside = np.zeros(shape)
    inside[tuple(slice(6, -6) for _ in shape)] = 1
    noise = (noise - noise.min()) / np.ptp(noise)
    return (noise * gaussian_filter(inside, 2)).astype(np.float32)


def pair(fixed, moving, spacing):
    labels = np.zeros(fixed.shape, np.int32)
    return Pair(fixed, moving, labels, labels, None, spacing)


CASES = [((48, 40), (1.5, 2.0)), ((36, 32, 28), (1.0, 1.5, 2.0))]


@pytest.mark.parametrize(("shape", "spacing"), CASES, ids=["2D", "3D"])
@pytest.mark.parametrize("name", METHODS)
def test_equal_images_give_no_displacement(name, shape, spacing):
    pytest.importorskip(NEEDS[name])
    image = blobs(shape)
    found = BASELINES[name](pair(image, image.copy(), spacing), "a", "b")
    assert found.shape == (len(shape), *shape)
    assert found.dtype == np.float32
    # Greedy steps on whatever gradient rounding leaves, and drifts where nothing holds it.
    assert np.median(np.abs(found)) < 0.05
    assert np.abs(found).max() < (1 if name == "greedy_ncc" else 0.05)


@pytest.mark.parametrize(("shape", "spacing"), CASES, ids=["2D", "3D"])
@pytest.mark.parametrize("name", METHODS)
def test_a_translation_is_found_in_voxels_along_its_axis(name, shape, spacing):
    """moving(p + u) = fixed(p): content that lies two voxels further along axis 0 in the moving image gives u0 = +2."""
    pytest.importorskip(NEEDS[name])
    image = blobs(shape)
    moved_by = (2.0, -1.0, 0.5)[: len(shape)]
    moving = shift(image, moved_by, order=1).astype(np.float32)
    found = BASELINES[name](pair(image, moving, spacing), "a", "b")
    centre = tuple(slice(n // 3, -n // 3) for n in shape)
    for k, expected in enumerate(moved_by):
        assert np.median(found[k][centre]) == pytest.approx(expected, abs=0.35), k


@pytest.mark.parametrize("name", METHODS)
def test_the_same_bytes_each_time(name):
    pytest.importorskip(NEEDS[name])
    one = pair(blobs((40, 36)), blobs((40, 36), seed=1), (1.0, 1.0))
    np.testing.assert_array_equal(BASELINES[name](one, "a", "b"), BASELINES[name](one, "a", "b"))


@pytest.mark.parametrize("shape", [(6, 7), (5, 6, 7)])
@pytest.mark.parametrize("ending", [".nii.gz", ".npz"])
def test_fields_come_back_as_they_were_written(tmp_path, shape, ending):
    field = np.random.default_rng(0).normal(size=(len(shape), *shape)).astype(np.float32)
    path = tmp_path / f"disp_a_b{ending}"
    if ending == ".npz":
        np.savez(path, field)
    else:
        write_displacement(path, field, np.eye(4))
        assert nib.load(path).shape == (*shape, len(shape))
    image = np.zeros(shape, np.float32)
    np.testing.assert_array_equal(fields(pair(image, image, (2.0,) * len(shape)), "a", "b", path=str(tmp_path)), field)


def test_itk_fields_are_converted(tmp_path):
    """Against SimpleITK's own reading of points: a vector in mm, LPS, on an oblique grid."""
    sitk = pytest.importorskip("SimpleITK")
    shape = (5, 6, 7)
    affine = nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.1, 0.2, 0.3) @ np.diag([1.0, 1.5, 2.0]), [3.0, -4.0, 5.0]
    )
    voxels = np.random.default_rng(0).normal(size=(3, *shape))
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), tmp_path / "grid.nii")
    grid = sitk.ReadImage(str(tmp_path / "grid.nii"))
    vectors = to_itk(voxels, affine[:3, :3])
    for index in ((0, 0, 0), (2, 3, 4), (4, 5, 6)):
        target = [i + voxels[k][index] for k, i in enumerate(index)]
        expected = np.subtract(
            grid.TransformContinuousIndexToPhysicalPoint(target), grid.TransformIndexToPhysicalPoint(index)
        )
        np.testing.assert_allclose(vectors[(slice(None), *index)], expected, atol=1e-5)
    np.testing.assert_allclose(from_itk(vectors, affine[:3, :3]), voxels, atol=1e-9)
    # As SimpleITK writes it: five axes, intent vector.
    image = sitk.GetImageFromArray(np.moveaxis(vectors, 0, -1).transpose(2, 1, 0, 3), isVector=True)
    image.CopyInformation(grid)
    sitk.WriteImage(image, str(tmp_path / "disp_a_b.nii.gz"))
    empty = np.zeros(shape, np.float32)
    found = fields(pair(empty, empty, (1.0, 1.5, 2.0)), "a", "b", path=str(tmp_path), form="itk")
    np.testing.assert_allclose(found, voxels, atol=1e-4)


def test_the_numbers_of_an_id_are_enough(tmp_path):
    np.savez(tmp_path / "disp_0001_0000_0002_0000.npz", np.ones((2, 4, 5)))
    image = np.zeros((4, 5), np.float32)
    found = fields(pair(image, image, (1.0, 1.0)), "OASIS_0001_0000", "OASIS_0002_0000", path=str(tmp_path))
    assert (found == 1).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.ones((2, 4, 4)), "must have shape"),
        (np.full((2, 4, 5), np.nan), "must be finite"),
        (None, "must hold a field"),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_are_named(tmp_path, content, expected):
    if content is not None:
        np.savez(tmp_path / "disp_a_b.npz", content)
    image = np.zeros((4, 5), np.float32)
    with pytest.raises(RegbenchError, match=expected):
        fields(pair(image, image, (1.0, 1.0)), "a", "b", path=str(tmp_path))


def test_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", np.array([{"a": 1}], dtype=object))
    image = np.zeros((4, 5), np.float32)
    with pytest.raises(RegbenchError, match="readable field"):
        fields(pair(image, image, (1.0, 1.0)), "a", "b", path=str(tmp_path))

"""Baselines: a zero field for equal images, the right direction and unit for a known translation."""

import numpy as np
import pytest
from made_images import blobs, pair
from scipy.ndimage import shift

from regbench.models.classical import BASELINES

METHODS = [name for name in BASELINES if name not in ("fields", "ants_syn")]  # tests/models/classical/test_ants_syn.py
NEEDS = {"sitk_affine": "SimpleITK", "sitk_demons": "SimpleITK", "greedy_ncc": "picsl_greedy", "dipy_syn": "dipy"}


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

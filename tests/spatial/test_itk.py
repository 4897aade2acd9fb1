"""Voxels to mm and back, against SimpleITK's own reading of points."""

import nibabel as nib
import numpy as np
import pytest

from regbench.spatial.itk import ras_to_lps, to_mm, to_voxels


def _affine(angles, spacing, origin):
    return nib.affines.from_matvec(nib.eulerangles.euler2mat(*angles) @ np.diag(spacing), origin)


FIXED = _affine((0.1, 0.2, 0.3), (1.0, 1.5, 2.0), (3.0, -4.0, 5.0))
MOVING = _affine((-0.2, 0.1, 0.0), (2.0, 0.5, 1.0), (-1.0, 2.0, 7.0))


@pytest.mark.parametrize("moving", [FIXED, MOVING], ids=["one header", "two headers"])
def test_vectors_lead_from_point_to_point(tmp_path, moving):
    sitk = pytest.importorskip("SimpleITK")
    shape = (5, 6, 7)
    grids = []
    for affine in (FIXED, moving):
        nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), tmp_path / "grid.nii")
        grids.append(sitk.ReadImage(str(tmp_path / "grid.nii")))
    voxels = np.random.default_rng(0).normal(size=(3, *shape))
    vectors = ras_to_lps(to_mm(voxels, FIXED, moving))
    for index in ((0, 0, 0), (2, 3, 4), (4, 5, 6)):
        target = [i + voxels[k][index] for k, i in enumerate(index)]
        expected = np.subtract(
            grids[1].TransformContinuousIndexToPhysicalPoint(target), grids[0].TransformIndexToPhysicalPoint(index)
        )
        np.testing.assert_allclose(vectors[(slice(None), *index)], expected, atol=1e-5)
    np.testing.assert_allclose(to_voxels(ras_to_lps(vectors), FIXED, moving), voxels, atol=1e-9)


def test_nothing_stays_nothing():
    """Not one bit of rounding: a zero field must leave labels as they are."""
    zero = np.zeros((3, 2, 3, 4))
    assert not to_mm(zero, FIXED, FIXED).any()
    assert not to_voxels(zero, FIXED, FIXED).any()


def test_by_hand_in_2d():
    """Spacing 2 and 3 mm, the first axis runs to the left: one voxel along it is -2 mm right, +2 mm left."""
    affine = np.array([[-2.0, 0, 10], [0, 3, 0], [0, 0, 1]])
    field = np.stack([np.ones((2, 2)), np.full((2, 2), 2.0)])
    mm = to_mm(field, affine, affine)
    assert mm[:, 0, 0].tolist() == [-2, 6]
    assert ras_to_lps(mm)[:, 0, 0].tolist() == [2, -6]

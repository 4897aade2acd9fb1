"""A field on disk, judged by Learn2Reg's evaluator as its formulas are published, gets the numbers that we give it."""

import nibabel as nib
import numpy as np
import pytest
from numpy.linalg import det
from scipy.ndimage import correlate, gaussian_filter, map_coordinates

from regbench.data.cache import Pair
from regbench.data.nifti import displacement_name, write_displacement
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.metrics import hd95_l2r
from regbench.models.classical.fields import fields
from regbench.spatial import warp_labels

CASES = [((27, 22), (1.7, 0.6)), ((17, 20, 15), (1.7, 0.6, 2.3))]
IDS = ("L2R_0011_0000", "L2R_0012_0000")
ABSENT = 9
LABELS = [1, 2, 3, ABSENT]


@pytest.fixture(params=CASES, ids=["2d", "3d"])
def judged(request, tmp_path):
    """A pair, our metrics of its field, and the field's file; the field folds and leaves the image in places."""
    shape, spacing = request.param
    generator = np.random.default_rng(0)
    maps = gaussian_filter(generator.normal(size=(2, 4, *shape)), (0, 0, *[2] * len(shape))).argmax(1)
    image = np.zeros(shape, np.float32)
    inside = generator.uniform(0, np.array(shape) - 1, (2, 30, len(shape)))
    inside[0, :2] = np.stack(
        [np.array(shape) - 0.6, np.full(len(shape), -0.4)]
    )  # beyond the outermost centres, still in the image
    points = {"fixed_landmarks": inside[0], "moving_landmarks": inside[1]}
    pair = Pair(image, image, maps[0].astype(np.int32), maps[1].astype(np.int32), None, spacing, **points)
    noise = generator.normal(size=(len(shape), *shape))
    written = (gaussian_filter(noise, (0, *[1.2] * len(shape))) * 6).astype(np.float32)
    path = tmp_path / displacement_name(*IDS)
    write_displacement(path, written, np.diag([*spacing, 1.0, 1.0])[:4, :4] if len(spacing) == 3 else np.eye(4))
    return pair, fields(pair, *IDS, path=str(tmp_path)), path


def loaded(path):
    """As the evaluator loads it: components last on disk, first in memory."""
    return np.moveaxis(np.asarray(nib.load(path).dataobj, dtype=np.float64), -1, 0)


def warped(labels, field):
    return map_coordinates(labels, np.indices(labels.shape) + field, order=0)


def jacobian_determinants(field):
    """Central differences by correlation, the identity added, two voxels cropped."""
    dims = len(field)
    kernel = [np.array([-0.5, 0, 0.5]).reshape([3 if k == axis else 1 for k in range(dims)]) for axis in range(dims)]
    rows = [[correlate(part, kernel[axis], mode="constant", cval=0.0) for axis in range(dims)] for part in field]
    inner = np.array(rows)[(..., *[slice(2, -2)] * dims)]
    return det(np.moveaxis(inner, (0, 1), (-2, -1)) + np.eye(dims))


def test_the_file_has_the_name_and_layout_that_the_evaluator_looks_for(judged):
    pair, _, path = judged
    stored = nib.load(path)
    assert path.name == "disp_0011_0000_0012_0000.nii.gz"
    assert stored.shape == (*pair.fixed.shape, pair.fixed.ndim)
    assert stored.get_data_dtype() == np.float32


def test_labels_are_warped_alike(judged):
    pair, field, path = judged
    expected = warped(pair.moving_labels, loaded(path))
    assert (expected != pair.moving_labels).mean() > 0.1
    np.testing.assert_array_equal(warp_labels(pair.moving_labels, field), expected)


def test_dice_per_label_and_mean(judged):
    pair, field, path = judged
    moved = warped(pair.moving_labels, loaded(path))
    found, expected = measure(Registered("a", "b", pair, field), Measured(LABELS, landmarks=True)), []
    for label in LABELS:
        a, b = pair.fixed_labels == label, moved == label
        if not a.any() or not (pair.moving_labels == label).any():
            assert np.isnan(found[f"dice_{label}"])
            continue
        expected.append(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert found[f"dice_{label}"] == pytest.approx(expected[-1], rel=1e-12)
    assert len(expected) == len(LABELS) - 1
    assert found["dice"] == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.filterwarnings("ignore:Please (import|use).*scipy.ndimage:DeprecationWarning")
def test_hd95_in_voxels(judged):
    surface_distance = pytest.importorskip("surface_distance")
    pair, field, path = judged
    moved = warped(pair.moving_labels, loaded(path))
    found = hd95_l2r(pair.fixed_labels, warp_labels(pair.moving_labels, field), LABELS, moving=pair.moving_labels)
    assert np.isnan(found.pop(ABSENT))
    for label, value in found.items():
        distances = surface_distance.compute_surface_distances(
            pair.fixed_labels == label, moved == label, np.ones(moved.ndim)
        )
        assert value == pytest.approx(surface_distance.compute_robust_hausdorff(distances, 95.0), rel=1e-9)


def test_sdlogj_and_its_count_of_folds(judged):
    """Its `num_foldings` counts after adding 3: it says 0 of a field in which our count finds folds."""
    pair, field, path = judged
    determinants = jacobian_determinants(loaded(path))
    found = measure(Registered("a", "b", pair, field), Measured(LABELS, landmarks=True))
    clipped = np.clip(determinants + 3, 1e-9, 1e9)
    assert found["sdlogj_l2r"] == pytest.approx(np.log(clipped).std(), rel=1e-6)
    assert np.count_nonzero(clipped <= 0) == 0
    assert np.count_nonzero(determinants <= 0) > 0
    assert found["fold_central_percent"] > 0


def test_tre_in_mm(judged):
    """Its script samples by `map_coordinates` at the default order, 3, and measures with the moving spacing."""
    pair, field, path = judged
    stored = loaded(path)
    sampled = np.stack([map_coordinates(part, pair.fixed_landmarks.transpose()) for part in stored], axis=1)
    difference = pair.fixed_landmarks + sampled - pair.moving_landmarks
    expected = np.linalg.norm(difference * pair.spacing_mm, axis=1).mean()
    found = measure(Registered("a", "b", pair, field), Measured(LABELS, landmarks=True))
    assert found["tre_l2r_mm"] == pytest.approx(expected, rel=1e-6)
    assert found["tre_mm"] != pytest.approx(expected, rel=1e-3)

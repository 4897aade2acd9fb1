"""Labels warped linearly: one-hot images, interpolation, argmax."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from regbench.spatial import linear_labels
from regbench.spatial.displacement import warp_labels
from regbench.spatial.linear_labels import warp_labels_linearly


def by_definition(labels, displacement):
    """Slowly: an image of 0 and 1 for each label, sampled linearly; the first of the largest wins."""
    positions = displacement + np.indices(displacement.shape[1:])
    values = np.unique(labels)
    images = [map_coordinates((labels == value).astype(float), positions, order=1, mode="nearest") for value in values]
    warped = values[np.argmax(np.round(images, 12), axis=0)]
    last = np.array(labels.shape).reshape(-1, *[1] * labels.ndim) - 1
    return np.where(((positions >= 0) & (positions <= last)).all(0), warped, 0)


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6), (1, 6), (7, 1, 3)])
def test_is_interpolation_of_every_label_and_the_largest_of_them(shape, monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3, 7, 1021], shape).astype(np.uint16)
    field = rng.normal(0, 1.2, (len(shape), *shape)).astype(np.float32)
    monkeypatch.setattr(linear_labels, "VOXELS", 2 * int(np.prod(shape[1:])))  # several pieces
    warped = warp_labels_linearly(labels, field)
    np.testing.assert_array_equal(warped, by_definition(labels, field.astype(float)))
    assert warped.dtype == labels.dtype
    if min(shape) > 1:
        assert (warped != warp_labels(labels, field)).any(), "nearest neighbour is another convention"


def test_a_zero_field_changes_nothing_and_outside_is_background():
    labels = np.array([[5, 6], [7, 8]])
    np.testing.assert_array_equal(warp_labels_linearly(labels, np.zeros((2, 2, 2))), labels)
    np.testing.assert_array_equal(warp_labels_linearly(labels, np.full((2, 2, 2), 0.25)), [[5, 0], [0, 0]])
    np.testing.assert_array_equal(warp_labels_linearly(labels, np.full((2, 2, 2), np.nan)), np.zeros((2, 2)))


def test_of_equal_weights_the_lowest_label_wins():
    half = np.zeros((2, 1, 2))
    half[1, 0, 0] = 0.5
    for line in ([4, 9], [9, 4]):
        assert warp_labels_linearly(np.array([line]), half)[0, 0] == 4


def test_a_displacement_of_other_axes_is_refused():
    with pytest.raises(ValueError, match=r"must be \(2, \*S\), components first and without a batch, but got \(3, 4"):
        warp_labels_linearly(np.zeros((4, 4), int), np.zeros((3, 4, 4)))

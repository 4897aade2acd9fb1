"""What is kept of a pair for the figures."""

from types import SimpleNamespace

import numpy as np

from regbench.evaluation.slices import slices
from regbench.metrics.determinants import central_determinant


def test_the_determinant_of_a_slice_is_that_of_the_volume():
    random = np.random.default_rng(0)
    displacement = random.normal(size=(3, 6, 7, 5)).astype(np.float32)
    image = random.random((6, 7, 5)).astype(np.float32)
    for level in range(5):
        foreground = np.zeros(image.shape, bool)
        foreground[..., level] = True
        pair = SimpleNamespace(fixed=image, moving=image + 1, foreground=foreground)
        shown = slices(pair, displacement, image + 2)
        whole = central_determinant(displacement.astype(np.float64))
        np.testing.assert_array_equal(shown["determinant"], whole[..., level].astype(np.float32))
        np.testing.assert_array_equal(shown["displacement"], displacement[:2, ..., level])
        np.testing.assert_array_equal(shown["moved"], (image + 2)[..., level])

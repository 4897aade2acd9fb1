"""Surface distances in the forms of other programs, by hand."""

import numpy as np
import pytest

from regbench.metrics import assd_mm, hd95_mm
from regbench.metrics.surface_pooled import other_surface_forms

FIXED, MOVED = np.zeros((3, 40), int), np.zeros((3, 40), int)
FIXED[1, 2:8] = 1  # six voxels, all of them surface
MOVED[1, 2:12] = 1  # ten, of which four lie 1 to 4 voxels beyond
MISSING = np.zeros_like(FIXED)


def test_pooled_percentile_and_mean_of_means_by_hand():
    forms = other_surface_forms(FIXED, MOVED, [1], (5.0, 2.0), moving=MOVED)
    there, back = [0.0] * 6, [0.0] * 6 + [2.0, 4.0, 6.0, 8.0]
    assert forms["hd95_pooled_mm"][1] == pytest.approx(np.percentile(there + back, 95))
    assert forms["assd_means_mm"][1] == pytest.approx((0 + 2) / 2)
    assert forms["hd95_pooled_mm"] != hd95_mm(FIXED, MOVED, [1], (5.0, 2.0))
    assert forms["assd_means_mm"] != assd_mm(FIXED, MOVED, [1], (5.0, 2.0))


def test_absent_is_nan_and_vanished_is_infinite():
    for form in other_surface_forms(FIXED, MISSING, [1, 2], (1.0, 1.0), moving=MOVED).values():
        assert np.isinf(form[1])
        assert np.isnan(form[2])

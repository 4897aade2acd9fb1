"""The Pareto front of trials: nobody beats its members, and every other trial is beaten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regbench.tuning.pareto import front, front_points, hypervolume

NUMBERS = st.integers(0, 4)  # few values: many ties


def dominates(one, other):
    """As good in both goals, and better in one."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def test_a_front_by_hand():
    dice, ndv = np.array([0.5, 0.6, 0.55, 0.7]), np.array([0.0, 1.0, 2.0, 3.0])
    assert front(dice, ndv) == [0, 1, 3]
    points = front_points(dice, ndv)
    np.testing.assert_array_equal(points, [[0.5, 0.0], [0.6, 1.0], [0.7, 3.0]])
    assert hypervolume(points, 0.4, 4.0) == pytest.approx(0.1 * 1 + 0.2 * 2 + 0.3 * 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_a_front_is_what_no_other_trial_beats(trials):
    """By the definition, trial by trial; equal trials are all members, and one point."""
    members = [k for k, one in enumerate(trials) if not any(dominates(other, one) for other in trials)]
    dice, ndv = [one[0] for one in trials], [one[1] for one in trials]
    assert front(dice, ndv) == members
    assert [tuple(point) for point in front_points(dice, ndv)] == sorted({trials[k] for k in members})


def test_a_trial_without_a_number_is_no_member():
    assert front([0.5, np.nan, 0.9], [1.0, 0.0, np.nan]) == [0]
    assert front([], []) == []

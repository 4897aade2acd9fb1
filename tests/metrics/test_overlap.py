"""Overlap: hand-worked cases, slow loops, and MONAI and SimpleITK as a second opinion."""

import numpy as np
import pytest
import torch

from regbench.metrics import dice, dice30, mean_over_labels

SHAPES = [(12, 7), (8, 11, 6)]
LABELS = [1, 2, 3]


def maps(shape, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(generator.integers(0, 4, shape) for _ in range(2))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.uint32])
def test_dice_counts_voxels(shape, kind):
    fixed, moved = (part.astype(kind) for part in maps(shape))
    kept = fixed.copy(), moved.copy()
    found = dice(fixed, moved, LABELS)
    for label in LABELS:
        ours = {p for p in np.ndindex(*shape) if fixed[p] == label}
        theirs = {p for p in np.ndindex(*shape) if moved[p] == label}
        assert found[label] == pytest.approx(2 * len(ours & theirs) / (len(ours) + len(theirs)))
    assert list(found) == LABELS
    np.testing.assert_array_equal(fixed, kept[0])
    np.testing.assert_array_equal(moved, kept[1])
    assert dice(torch.tensor(fixed.astype(int)), torch.tensor(moved.astype(int)), LABELS) == found


@pytest.mark.parametrize("shape", SHAPES)
def test_dice_agrees_with_monai(shape):
    from monai.metrics import compute_dice
    from monai.networks import one_hot

    fixed, moved = (one_hot(torch.tensor(part)[None, None], 4) for part in maps(shape))
    expected = compute_dice(moved, fixed, include_background=False)[0]
    found = dice(*maps(shape), LABELS)
    np.testing.assert_allclose([found[label] for label in LABELS], expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_dice_agrees_with_simpleitk(shape):
    sitk = pytest.importorskip("SimpleITK")
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(part.astype(np.uint8)) for part in maps(shape)))
    found = dice(*maps(shape), LABELS)
    for label in LABELS:
        assert found[label] == pytest.approx(overlap.GetDiceCoefficient(label), rel=1e-9)


def test_dice_by_hand():
    fixed = np.array([[1, 1, 2], [2, 2, 0]])
    moved = np.array([[1, 2, 2], [0, 2, 0]])
    assert dice(fixed, moved, [1, 2]) == {1: 2 * 1 / 3, 2: 2 * 2 / 6}
    assert dice(fixed, fixed, [1, 2]) == {1: 1.0, 2: 1.0}


def test_absent_and_vanished_labels_are_two_things():
    fixed = np.array([[1, 1, 2], [2, 2, 3]])
    moved = np.array([[1, 1, 5], [4, 4, 5]])
    moving = np.array([[1, 1, 2], [4, 4, 5]])
    found = dice(fixed, moved, [1, 2, 3, 4, 5, 6], moving=moving)
    assert found[1] == 1.0
    assert found[2] == 0.0  # it was in the moving labels: the warp lost it
    assert np.isnan(found[3])  # never in the moving labels
    assert np.isnan(found[4])  # never in the fixed labels
    assert np.isnan(found[5])
    assert np.isnan(found[6])
    # Without the unwarped labels nobody can know: what is missing counts as vanished.
    assert dice(fixed, moved, [3]) == {3: 0.0}
    assert mean_over_labels(found) == 0.5


def test_background_is_no_structure():
    with pytest.raises(ValueError, match="must not contain 0"):
        dice(np.ones((3, 4), int), np.ones((3, 4), int), [0, 1])


def test_sparse_and_negative_labels():
    fixed = np.array([[10**9, 10**9, -7], [0, -7, -7]])
    moved = np.array([[10**9, -7, -7], [0, -7, 0]])
    assert dice(fixed, moved, [10**9, -7]) == {10**9: 2 / 3, -7: 4 / 6}


def test_wrong_maps_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        dice(np.ones((3, 4), int), np.ones((4, 3), int), [1])
    with pytest.raises(ValueError, match="integers"):
        dice(np.ones((3, 4)), np.ones((3, 4), int), [1])


def test_dice30_is_the_learn2reg_aggregate():
    import pandas as pd

    scores = [0.7, 0.5, np.nan, 0.9, 0.8]
    assert dice30(scores) == pytest.approx(pd.Series(scores).quantile(0.3))
    assert dice30([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]) == pytest.approx(0.4)
    assert np.isnan(dice30([]))
    assert np.isnan(mean_over_labels({}))
    assert np.isnan(mean_over_labels({1: float("nan")}))
    assert mean_over_labels({1: 0.5, 2: float("nan"), 3: 0.25}) == 0.375
    assert mean_over_labels({1: 1.0, 2: float("inf")}) == float("inf")

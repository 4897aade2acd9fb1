"""Overlap of label maps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from regbench.metrics.inputs import Array, integers, label_maps

# Above this a table of counts would be larger than the image it counts; sorting is then cheaper.
LARGEST_COUNTED = 1 << 20


def dice(fixed: Any, moved: Any, labels: Sequence[int], *, moving: Any = None) -> dict[int, float]:
    """Dice overlap of each label.

    Args:
        fixed: ``(*S)`` integers.
        moved: warped moving labels, same shape.
        labels: the labels to compare; 0 is background and never one of them.
        moving: the moving labels before the warp; without it, a label that is missing in `moved` counts as vanished.

    Returns:
        Label to Dice in [0, 1]: NaN where the label is absent in `fixed` or, before the warp, in `moving`;
        0 where it vanished in the warp.

    Raises:
        ValueError: if the shapes differ, a map is not of integers, or 0 is among the labels.

    Reference:
        Dice 1945, doi:10.2307/1932409.

    Example:
        >>> import numpy as np
        >>> dice(np.array([[1, 1], [0, 2]]), np.array([[1, 0], [0, 2]]), [1, 2])
        {1: 0.6666666666666666, 2: 1.0}
    """
    fixed, moved, labels = label_maps(fixed, moved, labels)
    in_fixed = label_counts(fixed)
    return dice_of(fixed, moved, labels, in_fixed, absent_labels(in_fixed, labels, moving))


def dice_of(
    fixed: Array, moved: Array, labels: Iterable[int], in_fixed: Mapping[int, int], absent: Collection[int]
) -> dict[int, float]:
    """`dice` of maps whose numbers of voxels and absent labels are known."""
    # One pass each, whatever the number of labels.
    in_moved, in_both = label_counts(moved), label_counts(fixed[fixed == moved])
    return {
        label: float("nan")
        if label in absent
        else 2 * in_both.get(label, 0) / (in_fixed.get(label, 0) + in_moved.get(label, 0))
        for label in labels
    }


def absent_labels(in_fixed: Mapping[int, int], labels: Iterable[int], moving: Any = None) -> set[int]:
    """Labels that no registration could overlap: missing in the fixed or in the unwarped moving labels."""
    in_moving = None if moving is None else label_counts(integers(moving))
    return {
        label
        for label in labels
        if not in_fixed.get(label, 0) or (in_moving is not None and not in_moving.get(label, 0))
    }


def label_counts(labels: Array) -> dict[int, int]:
    """Number of voxels of each value that occurs."""
    if labels.size and labels.min() >= 0 and labels.max() < LARGEST_COUNTED:
        counts = np.bincount(labels.ravel())
        return {int(label): int(counts[label]) for label in counts.nonzero()[0]}
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def mean_over_labels(scores: Mapping[int, float]) -> float:
    """A case's score: the mean over its labels, absent ones (NaN) left out; NaN if none is left.

    Example:
        >>> mean_over_labels({1: 0.5, 2: 1.0, 3: float("nan")})
        0.75
    """
    present = [score for score in scores.values() if not np.isnan(score)]
    return float(np.mean(present)) if present else float("nan")


def dice30(case_scores: Sequence[float]) -> float:
    """The 30th percentile over cases of their mean Dice: how well the hard cases went.

    Args:
        case_scores: one mean Dice a case; NaN is left out.

    Returns:
        Linearly interpolated quantile 0.3, as Learn2Reg aggregates; NaN without a case.

    Reference:
        Hering et al. 2022, doi:10.1109/TMI.2022.3213983.

    Example:
        >>> round(dice30([0.6, 0.7, 0.8, 0.9]), 3)
        0.69
    """
    scores = np.asarray(case_scores, dtype=np.float64)
    scores = scores[~np.isnan(scores)]
    return float(np.quantile(scores, 0.3)) if scores.size else float("nan")

"""Overlap of label maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor


def array(value: Any) -> np.ndarray[Any, Any]:
    """The numpy array behind an array or a tensor on any device."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


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
        ValueError: if the shapes differ or 0 is among the labels.

    Reference:
        Dice 1945, doi:10.2307/1932409.
    """
    fixed, moved = array(fixed), array(moved)
    if fixed.shape != moved.shape:
        raise ValueError(f"fixed and moved must have one shape, but got {fixed.shape} and {moved.shape}")
    if 0 in labels:
        raise ValueError("labels must not contain 0: background is no structure. Leave it out.")
    # One pass each, whatever the number of labels.
    in_fixed, in_moved = _counts(fixed), _counts(moved)
    in_both = _counts(fixed[fixed == moved])
    in_moving = in_moved if moving is None else _counts(array(moving))
    found = {}
    for label in labels:
        absent = in_fixed.get(label, 0) == 0 or (moving is not None and in_moving.get(label, 0) == 0)
        total = in_fixed.get(label, 0) + in_moved.get(label, 0)
        found[label] = float("nan") if absent else 2 * in_both.get(label, 0) / total
    return found


def _counts(labels: np.ndarray[Any, Any]) -> dict[int, int]:
    if labels.size and labels.min() >= 0 and labels.max() < 1 << 20:
        counts = np.bincount(labels.ravel())
        return {int(label): int(counts[label]) for label in counts.nonzero()[0]}
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}

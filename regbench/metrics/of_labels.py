"""Every metric of label maps at once."""

from collections.abc import Sequence
from typing import Any

from regbench.metrics.inputs import label_maps
from regbench.metrics.overlap import absent_labels, dice_of, label_counts
from regbench.metrics.surface import TOLERANCE_MM, distances_of, measures_of, surfaces_of
from regbench.metrics.surface_l2r import hd95_l2r_of


def label_metrics(
    fixed: Any,
    moved: Any,
    labels: Sequence[int],
    spacing: Sequence[float],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    moving: Any = None,
) -> dict[str, dict[int, float]]:
    """`dice`, `hd95_mm`, `assd_mm`, `nsd` and `hd95_l2r`: voxels are counted and surfaces searched once for all.

    Args:
        fixed: ``(*S)`` integers, 2D or 3D.
        moved: warped moving labels, same shape.
        labels: the labels to compare; never 0.
        spacing: mm per voxel of the fixed image along each axis.
        tolerance_mm: of `nsd`.
        moving: the moving labels before the warp; without it, a label that is missing in `moved` counts as vanished.

    Returns:
        Metric to label to value.

    Raises:
        ValueError: if the shapes differ or are not 2D or 3D, a map is not of integers, or 0 is among the labels.

    Example:
        >>> import numpy as np
        >>> fixed = np.zeros((8, 8), int)
        >>> fixed[2:6, 2:6] = 1
        >>> moved = np.roll(fixed, 1, axis=0)
        >>> sorted(label_metrics(fixed, moved, [1], (1.0, 1.0)))
        ['assd_mm', 'dice', 'hd95_l2r', 'hd95_mm', 'nsd']
    """
    fixed, moved, labels = label_maps(fixed, moved, labels)
    in_fixed = label_counts(fixed)
    absent = absent_labels(in_fixed, labels, moving)
    surfaces = surfaces_of(fixed, moved, labels, absent)
    return {
        "dice": dice_of(fixed, moved, labels, in_fixed, absent),
        **measures_of(distances_of(surfaces, spacing), tolerance_mm),
        "hd95_l2r": hd95_l2r_of(surfaces),
    }

"""Errors of a displacement against a truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regbench.metrics.overlap import array


def endpoint_error_mm(displacement: Any, truth: Any, spacing: Sequence[float], *, mask: Any = None) -> float:
    """Mean distance between where a displacement and the true one send each voxel.

    Args:
        displacement: ``(d, *S)`` in voxels.
        truth: the true displacement, same shape and unit.
        spacing: mm per voxel along each axis.
        mask: ``(*S)`` booleans; the mean is over the whole box without it.

    Returns:
        mm; for a zero displacement the mean length of the true one. NaN for an empty mask.

    Raises:
        ValueError: if the shapes differ.
    """
    difference = array(displacement).astype(np.float64) - array(truth)
    if array(displacement).shape != array(truth).shape:
        raise ValueError(
            f"displacement and truth must have one shape: {array(displacement).shape}, {array(truth).shape}"
        )
    millimetres = np.asarray(spacing, float).reshape(-1, *[1] * (difference.ndim - 1))
    error = np.sqrt(((difference * millimetres) ** 2).sum(0))
    if mask is not None:
        error = error[array(mask).astype(bool)]
    return float(error.mean()) if error.size else float("nan")

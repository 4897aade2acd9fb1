"""Displacements as ITK and ANTs hold them: in mm, along the axes LPS (left, posterior, superior)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def to_mm(displacement: Array, fixed: Array, moving: Array) -> Array:
    """The way in mm from each fixed point to its moving one.

    Args:
        displacement: ``(d, *S)``, voxels of the fixed array to those of the moving one.
        fixed: ``(d + 1, d + 1)``, voxels of the fixed array to mm, axes RAS (as NIfTI has them).
        moving: likewise of the moving array.

    Returns:
        ``(d, *S)``, mm, axes RAS.
    """
    inner = np.tensordot(moving[:-1, :-1], displacement, 1)
    return np.asarray(inner + _apart(moving - fixed, displacement.shape[1:]))


def to_voxels(vectors: Array, fixed: Array, moving: Array) -> Array:
    """The inverse of `to_mm`: voxels ``(d, *S)`` from vectors ``(d, *S)`` in mm, axes RAS."""
    there = np.asarray(vectors + _apart(fixed - moving, vectors.shape[1:]))
    return np.asarray(np.tensordot(np.linalg.inv(moving[:-1, :-1]), there, 1))


def ras_to_lps(vectors: Array) -> Array:
    """Vectors ``(d, *S)`` along RAS as the same along LPS, and back."""
    sign = np.array([-1.0, -1.0, 1.0])[: len(vectors)].reshape(-1, *[1] * (vectors.ndim - 1))
    return np.asarray(vectors * sign)


def _apart(difference: Array, shape: tuple[int, ...]) -> Array | float:
    """How far apart two headers put the same voxel, for every voxel; 0 where they agree."""
    if not difference.any():
        return 0.0
    points = np.indices(shape, dtype=np.float64)
    return np.asarray(
        np.tensordot(difference[:-1, :-1], points, 1) + difference[:-1, -1].reshape(-1, *[1] * len(shape))
    )

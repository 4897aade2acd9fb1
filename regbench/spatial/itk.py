"""Displacements as ITK and ANTs hold them: in mm, along the axes LPS (left, posterior, superior)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def from_itk(vectors: Array, affine: Array) -> Array:
    """Voxels of a grid from vectors in mm, LPS.

    Args:
        vectors: ``(d, *S)``, mm, axes LPS.
        affine: ``(d, d)``, voxels of the grid to mm, axes RAS (as NIfTI has them).

    Returns:
        ``(d, *S)`` in voxels.
    """
    return np.asarray(np.einsum("kj,j...->k...", np.linalg.inv(affine), ras_to_lps(vectors)))


def ras_to_lps(vectors: Array) -> Array:
    """Vectors ``(d, *S)`` along RAS as the same along LPS, and back."""
    sign = np.array([-1.0, -1.0, 1.0])[: len(vectors)].reshape(-1, *[1] * (vectors.ndim - 1))
    return np.asarray(vectors * sign)

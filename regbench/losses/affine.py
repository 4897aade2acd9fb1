"""How far an affine map is from the identity."""

import torch
from torch import Tensor

from regbench.losses.checks import real


def affine_identity_l1(matrix: Tensor, /) -> Tensor:
    """Mean absolute difference of an affine matrix and the identity.

    The linear part is dimensionless and the translation in its own unit (voxels, or mm): rescale the one that should
    count less.

    Args:
        matrix: ``(B, d, d + 1)``, d = 2 or 3: linear part and translation.

    Returns:
        Scalar, mean over entries and batch; 0 for the identity.

    Raises:
        ValueError: if the matrix has another shape.

    Example:
        >>> import torch
        >>> matrix = torch.eye(2, 3)[None]
        >>> matrix[:, 0, 2] = 6
        >>> float(affine_identity_l1(matrix))
        1.0
    """
    return _from_identity(matrix).abs().mean()


def affine_identity_l2(matrix: Tensor, /) -> Tensor:
    """Mean squared difference of an affine matrix and the identity.

    Args:
        matrix: ``(B, d, d + 1)``, d = 2 or 3: linear part and translation (voxels, or mm).

    Returns:
        Scalar, mean over entries and batch; 0 for the identity.

    Raises:
        ValueError: if the matrix has another shape.

    Example:
        >>> import torch
        >>> matrix = torch.eye(2, 3)[None]
        >>> matrix[:, 0, 2] = 6
        >>> float(affine_identity_l2(matrix))
        6.0
    """
    return _from_identity(matrix).square().mean()


def _from_identity(matrix: Tensor) -> Tensor:
    if matrix.ndim != 3 or matrix.shape[1] not in (2, 3) or matrix.shape[2] != matrix.shape[1] + 1:
        raise ValueError(f"matrix must be (B, d, d + 1) with d = 2 or 3, but got {tuple(matrix.shape)}.")
    matrix = real(matrix)
    return matrix - torch.eye(*matrix.shape[1:], dtype=matrix.dtype, device=matrix.device)

"""Huber's loss: squares of small differences, sizes of large ones."""

import torch.nn.functional as F
from torch import Tensor

from regbench.losses.checks import check_unmatched, image_pair, lacking, masked_mean


def huber(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    delta: float = 0.1,
    unmatched: float = 1.0,
) -> Tensor:
    """Mean of ``x^2 / 2`` for intensity differences x up to `delta`, and of ``delta (|x| - delta / 2)`` beyond (Huber).

    In squared intensity, 0 or more. A few large differences, as of what only one image shows, weigh less than in `mse`.

    Args:
        fixed: ``(B, C, *S)``, scaled to order one: `delta` is absolute.
        moved: warped moving image, same shape.
        mask: mean over its voxels only, by its weights.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, by a difference
            of `unmatched`.
        delta: intensity at which the square ends.
        unmatched: difference of intensity that a voxel counts whose partner has left the moving mask; by default the
            largest that images scaled to [0, 1] can have.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes differ, `delta` is not positive, or `unmatched` below 0.

    Reference:
        Huber 1964, doi:10.1214/aoms/1177703732.

    Example:
        >>> import torch
        >>> flat = torch.zeros(1, 1, 8, 8)
        >>> round(float(huber(flat, flat + 2, delta=1.0)), 3)
        1.5
    """
    fixed, moved = image_pair(fixed, moved)
    check_unmatched(unmatched)
    if not 0 < delta < float("inf"):
        raise ValueError(f"delta must be positive, but got {delta}; for squares alone choose `mse`.")
    local = F.huber_loss(moved, fixed, reduction="none", delta=delta)
    worst = unmatched**2 / 2 if unmatched <= delta else delta * (unmatched - delta / 2)
    return masked_mean(local, mask, expected) + worst * lacking(mask, fixed, expected)

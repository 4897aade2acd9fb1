"""Mean squared difference."""

from torch import Tensor

from regbench.losses.checks import check_unmatched, image_pair, lacking, masked_mean


def mse(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    unmatched: float = 1.0,
) -> Tensor:
    """Mean squared difference of intensities; 0 or more, in squared intensity.

    Args:
        fixed: ``(B, C, *S)``.
        moved: warped moving image, same shape.
        mask: mean over its voxels only, by its weights.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, `unmatched`.
        unmatched: squared intensity that a voxel counts whose partner has left the moving mask; by default the largest
            that images scaled to [0, 1] can have.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes differ, or `unmatched` is below 0.

    Example:
        >>> import torch
        >>> float(mse(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 2.0)))
        4.0
    """
    fixed, moved = image_pair(fixed, moved)
    check_unmatched(unmatched)
    difference = fixed - moved
    return masked_mean(difference * difference, mask, expected) + unmatched * lacking(mask, fixed, expected)

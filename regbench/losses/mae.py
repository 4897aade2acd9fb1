"""Mean absolute difference."""

from torch import Tensor

from regbench.losses.checks import check_unmatched, image_pair, lacking, masked_mean


def mae(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    unmatched: float = 1.0,
) -> Tensor:
    """Mean absolute difference of intensities; 0 or more, in the intensity's unit.

    Args:
        fixed: ``(B, C, *S)``.
        moved: warped moving image, same shape.
        mask: mean over its voxels only, by its weights.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, `unmatched`.
        unmatched: intensity that a voxel counts whose partner has left the moving mask; by default the largest
            difference that images scaled to [0, 1] can have.

    Returns:
        Scalar; the gradient is 0 where the images are equal.

    Raises:
        ValueError: if the shapes differ, or `unmatched` is below 0.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> round(float(mae(image, image + 0.5)), 3)
        0.5
    """
    fixed, moved = image_pair(fixed, moved)
    check_unmatched(unmatched)
    return masked_mean((fixed - moved).abs(), mask, expected) + unmatched * lacking(mask, fixed, expected)

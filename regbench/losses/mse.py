"""Mean squared difference."""

from torch import Tensor

from regbench.losses.checks import image_pair, masked_mean


def mse(fixed: Tensor, moved: Tensor, /, *, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of intensities; 0 or more, in squared intensity.

    Args:
        fixed: ``(B, C, *S)``.
        moved: warped moving image, same shape.
        mask: mean over its voxels only.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes differ.
    """
    fixed, moved = image_pair(fixed, moved)
    difference = fixed - moved
    return masked_mean(difference * difference, mask)

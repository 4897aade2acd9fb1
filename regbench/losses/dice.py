"""Overlap of labels."""

from torch import Tensor

from regbench.losses.checks import image_pair


def dice_loss(fixed_labels: Tensor, moved_labels: Tensor, /, *, eps: float = 1e-5) -> Tensor:
    """One minus the soft Dice overlap, averaged over the labels that the fixed or the moved image has; in [0, 1].

    For semi-supervised training: a weighted third term of the objective.

    Args:
        fixed_labels: one-hot ``(B, L, *S)`` without background.
        moved_labels: one-hot labels of the moving image, warped linearly; same shape.
        eps: added to numerator and denominator, in voxels.

    Returns:
        Scalar. A label that is absent in both images of a pair is left out of the mean; with `eps` alone, as in
        VoxelMorph, it would count as matched perfectly.

    Raises:
        ValueError: if the shapes differ, or `eps` is below 0.

    Example:
        >>> import torch
        >>> fixed = torch.zeros(1, 1, 4, 4)
        >>> fixed[..., :2] = 1
        >>> round(float(dice_loss(fixed, fixed)), 3), round(float(dice_loss(fixed, 1 - fixed)), 3)
        (0.0, 1.0)
    """
    fixed, moved = image_pair(fixed_labels, moved_labels)
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps must be 0 or more, but got {eps}.")
    fixed, moved = fixed.flatten(2), moved.flatten(2)
    sizes = fixed.sum(2) + moved.sum(2)
    overlap = (2 * (fixed * moved).sum(2) + eps) / (sizes + eps)
    present = (sizes > 0).to(overlap.dtype)
    return ((1 - overlap) * present).sum() / present.sum().clamp_min(1)

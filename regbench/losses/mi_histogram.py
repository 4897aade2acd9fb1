"""Joint histogram of two images with Gaussian Parzen windows."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Voxels whose weights, `bins` float64 of each image, are in memory at once: with 32 bins 67 MB an array. Those of
# 160 x 192 x 224 voxels would be 1.8 GB, several times over.
VOXELS_AT_ONCE = 1 << 18


class Settings(NamedTuple):
    """Number of bins, width of the Parzen window in bins, and the range (None: each image's own)."""

    bins: int
    sigma: float
    ends: tuple[float, float] | None


def ranges(settings: Settings, weights: Tensor | None, fixed: Tensor, moved: Tensor) -> Tensor:
    """Lower end, upper end and bins per unit of intensity (0 for a constant image) of each map of each image.

    In float64: in float32 the bins per unit would move a voxel by 1e-6 bins, and the value by as much.

    Args:
        settings: what the ends are, and how many bins lie between them.
        weights: ``(B, C, N)``: an image's own range is that of its voxels with a weight; None: of all.
        fixed: ``(B, C, *S)``.
        moved: same shape.

    Returns:
        ``(B, C, 2, 3)`` float64.
    """
    rows = []
    for image in (fixed.detach().flatten(2), moved.detach().flatten(2)):
        if settings.ends is None:
            low, high = (end.double() for end in _ends(image, weights))
        else:  # rounded as the intensities are, of which one at the end is not beyond it
            low, high = (torch.full_like(image[..., 0], end).double() for end in settings.ends)
        extent = high - low
        per_unit = torch.where(extent > 0, (settings.bins - 1) / torch.where(extent > 0, extent, 1), 0)
        rows.append(torch.stack([low, high, per_unit], -1))
    return torch.stack(rows, 2)


def _ends(image: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The least and the largest intensity ``(B, C)`` of the voxels with a weight; 0 and 0 where none has."""
    if weights is None:
        return image.amin(2), image.amax(2)
    inside = weights > 0
    some = inside.any(2)
    low, high = torch.where(inside, image, torch.inf).amin(2), torch.where(inside, image, -torch.inf).amax(2)
    return torch.where(some, low, 0), torch.where(some, high, 0)


def joint(weights: Tensor | None, settings: Settings, fixed: Tensor, moved: Tensor) -> Tensor:
    """Joint histograms that sum to 1; differentiable, a part of the voxels after the other.

    Args:
        weights: ``(B, C, N)`` of the N voxels, with sum 1 in each map, or None: all equal.
        settings: bins, windows and range.
        fixed: ``(B, C, *S)``.
        moved: same shape.

    Returns:
        ``(B, C, bins, bins)`` float64.
    """
    images, ends = (fixed.flatten(2), moved.flatten(2)), ranges(settings, weights, fixed, moved)
    voxels = images[0].shape[2]
    step = max(VOXELS_AT_ONCE // images[0].shape[:2].numel(), 1)
    if voxels <= step:
        total = _joint_of(settings, weights, ends, *images)
    else:
        total = torch.zeros_like(ends[..., 0, :1, None]).expand(-1, -1, settings.bins, settings.bins)
        for start in range(0, voxels, step):
            part = slice(start, start + step)
            weights_of_part = None if weights is None else weights[..., part]
            total = total + checkpoint(  # the weights of the bins are made again in the backward pass
                _joint_of, settings, weights_of_part, ends, *(image[..., part] for image in images),
                use_reentrant=False, preserve_rng_state=False,
            )  # fmt: skip
    return total if weights is not None else total / voxels


def _joint_of(settings: Settings, weights: Tensor | None, ends: Tensor, *images: Tensor) -> Tensor:
    """Sums over voxels, ``(B, C, n)`` of each image."""
    shares = []
    for k, image in enumerate(images):
        low, high, per_unit = (end[..., None] for end in ends[..., k, :].unbind(-1))
        # Clamped before it is scaled: rounding must not push an end, and its gradient, beyond the range.
        place = (image.double().clamp(low, high) - low) * per_unit
        offset = place[..., None] - torch.arange(settings.bins, device=image.device, dtype=place.dtype)
        shares.append(torch.softmax(offset.square() * (-0.5 / settings.sigma**2), -1))
    fixed = shares[0] if weights is None else shares[0] * weights[..., None]
    return fixed.transpose(-1, -2) @ shares[1]

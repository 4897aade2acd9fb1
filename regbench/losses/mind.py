"""Modality-independent neighbourhood descriptor, self-similarity context (MIND-SSC)."""

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.losses.checks import image_pair, masked_mean
from regbench.losses.windows import box_sum, window_counts


def mind(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    radius: int = 2,
    dilation: int = 2,
) -> Tensor:
    """Mean squared difference of the images' MIND-SSC descriptors; in [0, 1].

    A descriptor says how alike the patches around a voxel are: ``exp(-D / V)`` for each pair of next neighbours at
    `dilation` voxels that lie askew (12 in 3D, 4 in 2D), D the mean squared difference of their patches less the
    smallest of the voxel's pairs, V the mean over the pairs, kept within 0.001 and 1000 times its mean over the image.
    It does not change under any linear change of intensity, and hardly under a change of modality. A region constant
    in both images scores 0.

    Args:
        fixed: ``(B, C, *S)``, any intensity unit; 2D or 3D.
        moved: warped moving image, same shape.
        mask: mean over its voxels only.
        radius: of the patch, a box of ``2 * radius + 1`` voxels; at the border, its voxels inside the image.
        dilation: distance of the compared neighbours from the voxel, in voxels; the image is repeated beyond its edge.

    Returns:
        Scalar, mean over voxels, pairs, channels and batch.

    Raises:
        ValueError: if the shapes differ, the images are 1D, or smaller than patch and neighbours.

    Reference:
        Heinrich et al. 2013, doi:10.1007/978-3-642-40811-3_24.
    """
    fixed, moved = image_pair(fixed, moved)
    reach = 2 * (radius + dilation) + 1
    if fixed.ndim < 4 or radius < 0 or dilation < 1 or min(fixed.shape[2:]) < reach:
        raise ValueError(
            f"images must be 2D or 3D with {reach} voxels along each axis (2 (radius + dilation) + 1), "
            f"but got {tuple(fixed.shape)} with radius {radius} and dilation {dilation}."
        )
    squares = (_descriptors(fixed, radius, dilation) - _descriptors(moved, radius, dilation)).square()
    return masked_mean(squares.mean(0), mask)


def _descriptors(image: Tensor, radius: int, dilation: int) -> Tensor:
    """``(pairs, B, C, *S)``, the largest of a voxel's descriptors is 1."""
    distances = torch.stack([_patch_distance(image, one, two, radius) for one, two in _pairs(image.ndim - 2, dilation)])
    distances = distances - distances.amin(0)
    mean = distances.mean(0)
    typical = mean.detach().mean(tuple(range(2, image.ndim)), keepdim=True)
    # Where the image is constant, all distances are 0 and so are the bounds: any scale will do.
    scale = torch.minimum(torch.maximum(mean, 0.001 * typical), 1000 * typical)
    return torch.exp(-distances / torch.where(scale > 0, scale, 1))


def _pairs(dims: int, dilation: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Offsets of next neighbours that are not opposite each other."""
    ends = [tuple(sign * dilation * (k == axis) for k in range(dims)) for axis in range(dims) for sign in (-1, 1)]
    return [(one, two) for one, two in combinations(ends, 2) if any(a + b for a, b in zip(one, two, strict=True))]


def _patch_distance(image: Tensor, one: tuple[int, ...], two: tuple[int, ...], radius: int) -> Tensor:
    """Mean squared difference of the patches at two offsets from each voxel."""
    square = (_shifted(image, one) - _shifted(image, two)).square()
    sides = (2 * radius + 1,) * len(one)
    total = box_sum(square, sides)
    for axis, side in enumerate(sides):
        counts = window_counts(image.shape[2 + axis], side, image)
        total = total / counts.view(-1, *(1,) * (len(sides) - 1 - axis))
    return total


def _shifted(image: Tensor, offset: tuple[int, ...]) -> Tensor:
    """``image(p + offset)``, the edge repeated."""
    ahead = [max(step, 0) for step in offset]
    behind = [max(-step, 0) for step in offset]
    pads = [pad for axis in reversed(range(len(offset))) for pad in (behind[axis], ahead[axis])]
    padded = F.pad(image, pads, mode="replicate")
    for axis, size in enumerate(image.shape[2:]):
        padded = padded.narrow(2 + axis, ahead[axis], size)
    return padded

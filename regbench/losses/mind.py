"""Modality-independent neighbourhood descriptor, self-similarity context (MIND-SSC)."""

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.losses.checks import broadcast, image_pair, lacking, masked_mean
from regbench.losses.windows import box_sum, window_counts


def mind(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
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
        mask: mean over its voxels only, by its weights; a voxel of weight 0 has no part in a patch either, and a pair
            of patches that have no voxels in common is left out.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 1.
        radius: of the patch, a box of ``2 * radius + 1`` voxels; at the border, its voxels inside the image.
        dilation: distance of the compared neighbours from the voxel, in voxels; the image is repeated beyond its edge.

    Returns:
        Scalar, mean over voxels, pairs, channels and batch.

    Raises:
        ValueError: if the shapes differ, the images are 1D, or smaller than patch and neighbours.

    Reference:
        Heinrich et al. 2013, doi:10.1007/978-3-642-40811-3_24.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> round(float(mind(image, image)), 3)
        0.0
    """
    fixed, moved = image_pair(fixed, moved)
    reach = 2 * (radius + dilation) + 1
    if fixed.ndim < 4 or radius < 0 or dilation < 1 or min(fixed.shape[2:]) < reach:
        raise ValueError(
            f"images must be 2D or 3D with {reach} voxels along each axis (2 (radius + dilation) + 1), "
            f"but got {tuple(fixed.shape)} with radius {radius} and dilation {dilation}."
        )
    if mask is None:
        squares = (_descriptors(fixed, radius, dilation) - _descriptors(moved, radius, dilation)).square()
        return squares.mean(0).mean()
    inside = (broadcast(mask, fixed) > 0).to(fixed.dtype)
    (f, known), (m, _) = (_descriptors_within(image, inside, radius, dilation) for image in (fixed, moved))
    local = torch.where(known, (f - m).square(), 0).sum(0) / known.sum(0).clamp_min(1)
    return masked_mean(local, mask, expected) + lacking(mask, fixed, expected)


def _descriptors(image: Tensor, radius: int, dilation: int) -> Tensor:
    """``(pairs, B, C, *S)``, the largest of a voxel's descriptors is 1."""
    distances = torch.stack([_patch_distance(image, one, two, radius) for one, two in _pairs(image.ndim - 2, dilation)])
    distances = distances - distances.amin(0)
    mean = distances.mean(0)
    typical = mean.detach().mean(tuple(range(2, image.ndim)), keepdim=True)
    return _similar(distances, mean, typical)


def _similar(distances: Tensor, mean: Tensor, typical: Tensor) -> Tensor:
    # Where the image is constant, all distances are 0 and so are the bounds: any scale will do.
    scale = torch.minimum(torch.maximum(mean, 0.001 * typical), 1000 * typical)
    return torch.exp(-distances / torch.where(scale > 0, scale, 1))


def _descriptors_within(image: Tensor, inside: Tensor, radius: int, dilation: int) -> tuple[Tensor, Tensor]:
    """As `_descriptors`, from the voxels that are `inside` (1 or 0); and which of them are known, the others are 0."""
    pairs = _pairs(image.ndim - 2, dilation)
    sums, counts = (torch.stack(parts) for parts in zip(
        *(_patch_within(image, inside, one, two, radius) for one, two in pairs), strict=True
    ))  # fmt: skip
    known = counts > 0
    distances = torch.where(known, sums / counts.clamp_min(1), torch.inf)
    least = distances.amin(0)
    distances = torch.where(known, distances - torch.where(known.any(0), least, 0), 0)
    mean = distances.sum(0) / known.sum(0).clamp_min(1)
    dims = tuple(range(2, image.ndim))
    typical = (mean.detach() * inside).sum(dims, keepdim=True) / inside.sum(dims, keepdim=True).clamp_min(1)
    return _similar(distances, mean, typical), known


def _patch_within(
    image: Tensor, inside: Tensor, one: tuple[int, ...], two: tuple[int, ...], radius: int
) -> tuple[Tensor, Tensor]:
    """Summed squared differences of the patches at two offsets, where both are inside, and how many there are."""
    both = _shifted(inside, one) * _shifted(inside, two)
    square = (_shifted(image, one) - _shifted(image, two)).square()
    sides = (2 * radius + 1,) * len(one)
    return box_sum(torch.where(both > 0, square, 0), sides), box_sum(both, sides)


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

"""Normalised gradient fields."""

import torch
from torch import Tensor

from regbench.losses.checks import broadcast, image_pair, masked_mean


def ngf(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    edge: float = 0.01,
    spacing: tuple[float, ...] | None = None,
) -> Tensor:
    """One minus the squared cosine between the images' intensity gradients, averaged over voxels; in [0, 1].

    Edges count, not their contrast or its sign: for images of different modalities. Gradients are central differences,
    one-sided at the border, and ``<a, b>^2 / (|a|^2 |b|^2)`` has ``edge^2`` added to each squared length; so a region
    without edges scores 1 with gradient 0.

    Args:
        fixed: ``(B, C, *S)``; scaled to order one, as `edge` is absolute.
        moved: warped moving image, same shape.
        mask: mean over its voxels only, by its weights; a voxel of weight 0 has no part in a gradient either: at the
            edge of the mask differences are one-sided, as at the border of the image.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 1.
        edge: length of a gradient that is half noise, intensity per voxel (per mm with `spacing`).
        spacing: of each axis in mm.

    Returns:
        Scalar, mean over voxels, channels and batch. (Often summed elsewhere; Haber & Modersitzki put `edge` into the
        scalar product too, which is another number where the images are flat.)

    Raises:
        ValueError: if the shapes differ, an axis has a single voxel, or `edge` is not positive.

    Reference:
        Haber & Modersitzki 2006, doi:10.1007/11866763_89.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> bool(ngf(image, 1 - image) < ngf(image, image.transpose(2, 3)))
        True
    """
    fixed, moved = image_pair(fixed, moved)
    dims = fixed.ndim - 2
    steps = (1.0,) * dims if spacing is None else spacing
    if min(fixed.shape[2:]) < 2 or not edge > 0 or len(steps) != dims or not min(steps) > 0:
        raise ValueError(
            f"every axis must have two voxels, edge be positive and spacing {dims} positive numbers, "
            f"but got {tuple(fixed.shape)}, {edge} and {spacing}."
        )
    inside = None if mask is None else broadcast(mask, fixed) > 0
    f = _gradients(fixed, steps, inside)
    m = _gradients(moved, steps, inside)
    product = sum((a * b for a, b in zip(f, m, strict=True)), torch.zeros_like(fixed))
    f_length = sum((a * a for a in f), torch.full_like(fixed, edge**2))
    m_length = sum((b * b for b in m), torch.full_like(fixed, edge**2))
    return 1 - masked_mean((product / f_length) * (product / m_length), mask, expected)


def _gradients(image: Tensor, steps: tuple[float, ...], inside: Tensor | None) -> list[Tensor]:
    if inside is None:
        return [torch.gradient(image, spacing=step, dim=2 + axis)[0] for axis, step in enumerate(steps)]
    return [_within(image, 2 + axis, inside) / step for axis, step in enumerate(steps)]


def _within(image: Tensor, axis: int, inside: Tensor) -> Tensor:
    """The mean of the differences to the neighbours along an axis that are inside; 0 where none is."""
    size = image.shape[axis]
    both = inside.narrow(axis, 1, size - 1) & inside.narrow(axis, 0, size - 1)
    none = torch.zeros_like(image.narrow(axis, 0, 1))
    step = torch.where(both, image.diff(dim=axis), 0)
    count = both.to(image.dtype)
    sums, counts = (torch.cat([x, none], axis) + torch.cat([none, x], axis) for x in (step, count))
    return sums / counts.clamp_min(1)

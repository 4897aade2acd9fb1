"""Normalised gradient fields."""

import torch
from torch import Tensor

from regbench.losses.checks import image_pair, masked_mean


def ngf(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
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
        mask: mean over its voxels only.
        edge: length of a gradient that is half noise, intensity per voxel (per mm with `spacing`).
        spacing: of each axis in mm.

    Returns:
        Scalar, mean over voxels, channels and batch. (Often summed elsewhere; Haber & Modersitzki put `edge` into the
        scalar product too, which is another number where the images are flat.)

    Raises:
        ValueError: if the shapes differ, an axis has a single voxel, or `edge` is not positive.

    Reference:
        Haber & Modersitzki 2006, doi:10.1007/11866763_89.
    """
    fixed, moved = image_pair(fixed, moved)
    dims = fixed.ndim - 2
    steps = (1.0,) * dims if spacing is None else spacing
    if min(fixed.shape[2:]) < 2 or not edge > 0 or len(steps) != dims or min(steps) <= 0:
        raise ValueError(
            f"every axis must have two voxels, edge be positive and spacing {dims} positive numbers, "
            f"but got {tuple(fixed.shape)}, {edge} and {spacing}."
        )
    f = _gradients(fixed, steps)
    m = _gradients(moved, steps)
    product = sum((a * b for a, b in zip(f, m, strict=True)), torch.zeros_like(fixed))
    f_length = sum((a * a for a in f), torch.full_like(fixed, edge**2))
    m_length = sum((b * b for b in m), torch.full_like(fixed, edge**2))
    return 1 - masked_mean((product / f_length) * (product / m_length), mask)


def _gradients(image: Tensor, steps: tuple[float, ...]) -> list[Tensor]:
    return [torch.gradient(image, spacing=step, dim=2 + axis)[0] for axis, step in enumerate(steps)]

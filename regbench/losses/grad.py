"""First differences of the displacement."""

import torch
from torch import Tensor

from regbench.losses.checks import real, voxel_spacing


def grad_l1(displacement: Tensor, /, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Mean over axes of the mean absolute forward difference; dimensionless.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        spacing: of each axis in mm; then the derivative of mm by mm.

    Returns:
        Scalar; zero for a translation.
    """
    return _mean_over_axes(displacement, spacing, 1)


def grad_l2(displacement: Tensor, /, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Mean over axes of the mean squared forward difference; dimensionless.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        spacing: of each axis in mm; then the derivative of mm by mm.

    Returns:
        Scalar; zero for a translation.
    """
    return _mean_over_axes(displacement, spacing, 2)


def _mean_over_axes(displacement: Tensor, spacing: tuple[float, ...] | None, power: int) -> Tensor:
    steps = voxel_spacing(spacing, displacement)
    dims = len(steps)
    field = real(displacement)
    scale = torch.tensor(steps, dtype=field.dtype, device=field.device).view(1, dims, *([1] * dims))
    terms = []
    for axis, step in enumerate(steps):
        difference = field.diff(dim=2 + axis)
        if spacing is not None:
            difference = difference * (scale / step)
        terms.append(difference.abs().mean() if power == 1 else difference.square().mean())
    return torch.stack(terms).mean()

"""First differences of the displacement."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.losses.checks import at_least, in_mm, masked_mean, neighbours, real, voxel_spacing
from regbench.system.compiled_or_formula import compiled_or_formula, gradient_on_demand


def grad_l1(displacement: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Mean over axes of the mean absolute forward difference; dimensionless.

    No padding: an axis of n voxels has n - 1 differences. The gradient is 0 where a difference is.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        mask: ``(B, 1, *S)``: mean over the differences between its voxels, by the product of both weights.
        spacing: of each axis in mm: then the differences are of mm by mm, whatever the grid.

    Returns:
        Scalar; zero for a translation.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has a single voxel.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> u[:, 0] = torch.arange(8.0)
        >>> float(grad_l1(u))
        0.25
    """
    return _mean_over_axes(displacement, mask, spacing, 1)


def grad_l2(displacement: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Mean over axes of the mean squared forward difference (diffusion); dimensionless.

    No padding: an axis of n voxels has n - 1 differences. The number of VoxelMorph's ``Grad('l2')``.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        mask: ``(B, 1, *S)``: mean over the differences between its voxels, by the product of both weights.
        spacing: of each axis in mm: then the differences are of mm by mm, whatever the grid.

    Returns:
        Scalar; zero for a translation.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has a single voxel.

    Reference:
        Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538.

    Example:
        >>> import torch
        >>> float(grad_l2(torch.ones(1, 2, 8, 8)))
        0.0
    """
    return _mean_over_axes(displacement, mask, spacing, 2)


def _mean_over_axes(displacement: Tensor, mask: Tensor | None, spacing: tuple[float, ...] | None, power: int) -> Tensor:
    steps = voxel_spacing(spacing, displacement)
    at_least(2, displacement)
    field = real(displacement)
    if mask is not None:
        return _formula(steps, power, mask, field)
    # A component's differences are of its own steps.
    weights = np.outer(np.array(steps) ** power, _factors(field, steps, power))
    return compiled_or_formula(
        *gradient_on_demand(partial(_value, weights, power == 2), partial(_gradient, weights, power == 2)),
        partial(_formula, steps, power, None),
        field,
    )


def _formula(steps: tuple[float, ...], power: int, mask: Tensor | None, field: Tensor) -> Tensor:
    components = in_mm(field, steps)
    means = []
    for axis, step in enumerate(steps):
        slope = components.diff(dim=2 + axis) / step
        values = slope.abs() if power == 1 else slope.square()
        means.append(masked_mean(values, None if mask is None else neighbours(mask, (2 + axis,))))
    return torch.stack(means).mean()


def _factors(field: Tensor, steps: tuple[float, ...], power: int) -> list[float]:
    """What a sum of differences along each axis is multiplied with."""
    shape = field.shape[2:]
    return [(n / (n - 1)) / (field.numel() * len(steps) * step**power) for n, step in zip(shape, steps, strict=True)]


def _value(weights: NDArray[np.float64], square: bool, field: Tensor) -> Tensor:
    from regbench.losses import difference_loops  # noqa: PLC0415 - starts Numba

    return difference_loops.grad_value(weights, square, field)


def _gradient(weights: NDArray[np.float64], square: bool, field: Tensor, scale: float) -> Tensor:
    from regbench.losses import difference_loops  # noqa: PLC0415 - starts Numba

    return difference_loops.grad_gradient(weights, square, field, scale)

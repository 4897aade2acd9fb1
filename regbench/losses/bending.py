"""Second differences of the displacement."""

from functools import partial, reduce
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.losses.checks import at_least, in_mm, masked_mean, neighbours, real, voxel_spacing
from regbench.system.compiled_or_formula import compiled_or_formula, gradient_on_demand
from regbench.system.errors import one_of


def bending(
    displacement: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    spacing: tuple[float, ...] | None = None,
    stencil: Literal["compact", "central"] = "compact",
) -> Tensor:
    """Bending energy: the sum over second differences of their mean squares, mixed ones twice; 1/voxel^2.

    No padding: each second difference is averaged over the places where it exists.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least three voxels along each axis.
        mask: ``(B, 1, *S)``: mean over the second differences between its voxels, by the product of their weights.
        spacing: of each axis in mm: then of mm by mm^2, so 1/mm^2, whatever the grid.
        stencil: ``compact`` takes mixed differences over 2 x 2 voxels; ``central`` over 3 x 3, and averages all over
            the voxels that are no border: the number of MONAI.

    Returns:
        Scalar; zero for an affine displacement.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has under three voxels.

    Reference:
        Rueckert et al. 1999, doi:10.1109/42.796284.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> u[:, 0] = torch.arange(8.0)
        >>> float(bending(u)), round(float(bending(u.square())), 3)
        (0.0, 2.0)
    """
    steps = voxel_spacing(spacing, displacement)
    at_least(3, displacement)
    one_of("stencil", stencil, "compact", "central")
    field = real(displacement)
    if stencil == "central":
        return _central(steps, mask, field)
    if mask is not None:
        return _formula(steps, mask, field)
    weights = _weights(field, steps)
    return compiled_or_formula(
        *gradient_on_demand(partial(_value, weights), partial(_gradient, weights)),
        partial(_formula, steps, None),
        field,
    )


def _pairs(dims: int) -> list[tuple[int, int]]:
    """Each pair of axes once."""
    return [(i, j) for i in range(dims) for j in range(i, dims)]


def _formula(steps: tuple[float, ...], mask: Tensor | None, field: Tensor) -> Tensor:
    components = in_mm(field, steps)
    terms = []
    for i, j in _pairs(len(steps)):
        second = components.diff(dim=2 + i).diff(dim=2 + j) / (steps[i] * steps[j])
        weights = None if mask is None else neighbours(mask, (2 + i, 2 + j))
        terms.append((1 if i == j else 2) * masked_mean(second.square(), weights))
    return torch.stack(terms).sum()


def _weights(field: Tensor, steps: tuple[float, ...]) -> NDArray[np.float64]:
    """What a sum of squares is multiplied with, ``(d, d, d)``: of each component along each pair of axes."""
    weights = np.zeros((len(steps),) * 3)
    for i, j in _pairs(len(steps)):
        shape = list(field.shape)
        shape[2 + i] -= 1
        shape[2 + j] -= 1
        factor = (1 if i == j else 2) / (prod(shape) * (steps[i] * steps[j]) ** 2)
        weights[:, i, j] = factor * np.array(steps) ** 2  # a component's differences are of its own steps
    return weights


def _value(weights: NDArray[np.float64], field: Tensor) -> Tensor:
    from regbench.losses import difference_loops  # noqa: PLC0415 - starts Numba

    return difference_loops.bending_value(weights, field)


def _gradient(weights: NDArray[np.float64], field: Tensor, scale: float) -> Tensor:
    from regbench.losses import difference_loops  # noqa: PLC0415 - starts Numba

    return difference_loops.bending_gradient(weights, field, scale)


def _central(steps: tuple[float, ...], mask: Tensor | None, field: Tensor) -> Tensor:
    """Centred on the voxels that are no border; ordinary autograd."""
    components, terms = in_mm(field, steps), []
    for i, j in _pairs(len(steps)):
        if i == j:
            places: list[dict[int, int]] = [{i: 1}, {}, {i: -1}]
            factors = [1.0, -2.0, 1.0]
        else:
            places = [{i: 1, j: 1}, {i: 1, j: -1}, {i: -1, j: 1}, {i: -1, j: -1}]
            factors = [0.25, -0.25, -0.25, 0.25]
        parts = [factor * _at(components, place) for factor, place in zip(factors, places, strict=True)]
        weights = None if mask is None else torch.stack([_at(mask, place) for place in places]).prod(0)
        second = reduce(torch.add, parts) / (steps[i] * steps[j])
        terms.append((1 if i == j else 2) * masked_mean(second.square(), weights))
    return torch.stack(terms).sum()


def _at(values: Tensor, offsets: dict[int, int]) -> Tensor:
    """What stands at an offset from each voxel that is no border."""
    for axis in range(values.ndim - 2):
        values = values.narrow(2 + axis, 1 + offsets.get(axis, 0), values.shape[2 + axis] - 2)
    return values

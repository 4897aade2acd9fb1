"""Second differences of the displacement."""

from functools import partial
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from regbench.losses.autograd import Backward, Forward, Gradients, Wanted, analytic, recomputed
from regbench.losses.checks import at_least, real, voxel_spacing
from regbench.losses.difference_blocks import add_adjoint, adjoint, blocks, forward_difference, sum_of_squares
from regbench.losses.scratch import Rooms
from regbench.system import numba_loops


def bending(
    displacement: Tensor,
    /,
    *,
    spacing: tuple[float, ...] | None = None,
    stencil: Literal["compact", "central"] = "compact",
) -> Tensor:
    """Bending energy: the sum over second differences of their mean squares, mixed ones twice; 1/voxel^2.

    No padding: each second difference is averaged over the places where it exists.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least three voxels along each axis.
        spacing: of each axis in mm: then of mm by mm^2, so 1/mm^2, whatever the grid.
        stencil: ``compact`` takes mixed differences over 2 x 2 voxels; ``central`` over 3 x 3, and averages all over
            the voxels that are no border: the number of MONAI.

    Returns:
        Scalar; zero for an affine displacement.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has under three voxels.

    Reference:
        Rueckert et al. 1999, doi:10.1109/42.796284.
    """
    steps = voxel_spacing(spacing, displacement)
    at_least(3, displacement)
    field = real(displacement)
    if stencil == "central":
        return _central(steps, field)
    forward: Forward = partial(_forward, steps)
    backward: Backward = partial(_backward, steps)
    if numba_loops.serves(field):
        from regbench.losses import difference_loops  # noqa: PLC0415 - starts Numba

        weights = np.zeros((len(steps),) * 3)
        for pair, factor in _factors(field, steps).items():
            weights[:, *pair] = factor * np.array(steps) ** 2  # a component's differences are of its own steps
        forward, backward = recomputed(
            partial(difference_loops.bending_value, weights), partial(difference_loops.bending_gradient, weights)
        )
    return analytic(forward, backward, partial(_definition, steps), field)


def _pairs(dims: int) -> list[tuple[int, int]]:
    """Each pair of axes once."""
    return [(i, j) for i in range(dims) for j in range(i, dims)]


def _factors(field: Tensor, steps: tuple[float, ...]) -> dict[tuple[int, int], float]:
    """For each pair of axes, what its sum of squares is multiplied with."""
    found = {}
    for i, j in _pairs(len(steps)):
        shape = list(field.shape)
        shape[2 + i] -= 1
        shape[2 + j] -= 1
        found[i, j] = (1 if i == j else 2) / (prod(shape) * (steps[i] * steps[j]) ** 2)
    return found


def _forward(steps: tuple[float, ...], _: Wanted, field: Tensor) -> tuple[Tensor, Gradients]:
    rooms, factors, sums = Rooms(field), _factors(field, steps), []
    for block in blocks(field, steps, rooms, 0, 2):
        rows, last = block.inside.stop, block.field.shape[2]
        for (i, j), factor in factors.items():
            # As many rows of the halo as the difference reaches; its own differences belong to the next block.
            reach = min(rows + (i == 0) + (j == 0), last)
            if j == i:
                first = forward_difference(block.field[:, :, :reach], i, rooms, "first")
            if reach > (i == 0) + (j == 0):
                sums.append(sum_of_squares(first[:, :, : reach - (i == 0)], j, rooms, "second") * factor)
    return torch.stack(sums).sum(), ()


def _backward(steps: tuple[float, ...], upstream: Tensor, _: Gradients, __: Wanted, field: Tensor) -> Gradients:
    gradient = torch.empty(field.shape, dtype=field.dtype, device=field.device)
    rooms, factors = Rooms(field), _factors(field, steps)
    unit = factors[0, 0]
    for block in blocks(field, steps, rooms, 2, 2):
        summed = None
        for i in range(len(steps)):
            first = forward_difference(block.field, i, rooms, "first")
            back = adjoint(forward_difference(first, i, rooms, "second"), i, rooms, "back")
            for j in range(i + 1, len(steps)):
                second = forward_difference(first, j, rooms, "second")
                add_adjoint(second, j, factors[i, j] / factors[i, i], back)
            if summed is None:
                summed = adjoint(back, i, rooms, "sum")
            else:
                add_adjoint(back, i, factors[i, i] / unit, summed)
        assert summed is not None  # there is at least one axis
        torch.mul(summed[:, :, block.inside], upstream * block.scale * (2 * unit), out=gradient[block.place])
    return (gradient,)


def _definition(steps: tuple[float, ...], field: Tensor) -> Tensor:
    components = torch.stack([field[:, k] * step for k, step in enumerate(steps)], 1)
    terms = []
    for i, j in _pairs(len(steps)):
        second = components.diff(dim=2 + i).diff(dim=2 + j) / (steps[i] * steps[j])
        terms.append((1 if i == j else 2) * second.square().mean())
    return torch.stack(terms).sum()


def _central(steps: tuple[float, ...], field: Tensor) -> Tensor:
    """Centred on the voxels that are no border; ordinary autograd."""
    components = torch.stack([field[:, k] * step for k, step in enumerate(steps)], 1)

    def at(offsets: dict[int, int]) -> Tensor:
        part = components
        for axis in range(len(steps)):
            part = part.narrow(2 + axis, 1 + offsets.get(axis, 0), part.shape[2 + axis] - 2)
        return part

    terms = []
    for i, j in _pairs(len(steps)):
        if i == j:
            second = at({i: 1}) - 2 * at({}) + at({i: -1})
        else:
            second = (at({i: 1, j: 1}) - at({i: 1, j: -1}) - at({i: -1, j: 1}) + at({i: -1, j: -1})) / 4
        terms.append((1 if i == j else 2) * (second / (steps[i] * steps[j])).square().mean())
    return torch.stack(terms).sum()

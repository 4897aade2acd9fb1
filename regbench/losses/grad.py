"""First differences of the displacement."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from regbench.losses.autograd import Backward, Forward, Gradients, Wanted, analytic, recomputed
from regbench.losses.checks import at_least, real, voxel_spacing
from regbench.losses.difference_blocks import add_adjoint, adjoint_of_rows, blocks, column, forward_difference
from regbench.losses.scratch import Rooms
from regbench.system import numba_loops

# Values of one inner product: on a CPU, over a million values a single one in float32 would lose two digits. A GPU adds
# up in many parts anyway, and wants few products.
AT_ONCE = {"cpu": 250_000}
AT_ONCE_ELSEWHERE = 16_000_000


def grad_l1(displacement: Tensor, /, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Mean over axes of the mean absolute forward difference; dimensionless.

    No padding: an axis of n voxels has n - 1 differences. The gradient is 0 where a difference is.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        spacing: of each axis in mm: then the differences are of mm by mm, whatever the grid.

    Returns:
        Scalar; zero for a translation.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has a single voxel.
    """
    return _mean_over_axes(displacement, spacing, 1)


def grad_l2(displacement: Tensor, /, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Mean over axes of the mean squared forward difference (diffusion); dimensionless.

    No padding: an axis of n voxels has n - 1 differences. The number of VoxelMorph's ``Grad('l2')``.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        spacing: of each axis in mm: then the differences are of mm by mm, whatever the grid.

    Returns:
        Scalar; zero for a translation.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has a single voxel.

    Reference:
        Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538.
    """
    return _mean_over_axes(displacement, spacing, 2)


def _mean_over_axes(displacement: Tensor, spacing: tuple[float, ...] | None, power: int) -> Tensor:
    steps = voxel_spacing(spacing, displacement)
    at_least(2, displacement)
    field = real(displacement)
    forward: Forward = partial(_forward, steps, power)
    backward: Backward = partial(_backward, steps, power)
    if numba_loops.serves(field):
        from regbench.losses import difference_loops  # noqa: PLC0415 - starts Numba

        # A component's differences are of its own steps.
        weights = np.outer(np.array(steps) ** power, _factors(field, steps, power))
        given = weights, power == 2
        forward, backward = recomputed(
            partial(difference_loops.grad_value, *given), partial(difference_loops.grad_gradient, *given)
        )
    return analytic(forward, backward, partial(_definition, steps, power), field)


def _factors(field: Tensor, steps: tuple[float, ...], power: int) -> list[float]:
    """What a sum of differences along each axis is multiplied with."""
    shape = field.shape[2:]
    return [(n / (n - 1)) / (field.numel() * len(steps) * step**power) for n, step in zip(shape, steps, strict=True)]


def _forward(steps: tuple[float, ...], power: int, wanted: Wanted, field: Tensor) -> tuple[Tensor, Gradients]:
    gradient = torch.empty(field.shape, dtype=field.dtype, device=field.device) if wanted[0] else None
    rooms, factors, sums = Rooms(field), _factors(field, steps, power), []
    for block in blocks(field, steps, rooms, 1, 1):
        target = None if gradient is None else gradient[block.place]
        for axis, factor in enumerate(factors):
            # Of the halo, only the differences across the border reach the rows inside.
            rows = block.field if axis == 0 else block.field[:, :, block.inside]
            difference = forward_difference(rows, axis, rooms, "difference")
            # A difference belongs to its lower row: that of the halo below to the first row is not of this block.
            slope = torch.sign(difference, out=rooms.get("sign", difference.shape)) if power == 1 else difference
            own = block.inside if axis == 0 else slice(None)
            sums += [each * factor for each in _products(difference[:, :, own], slope[:, :, own])]
            if target is None:
                continue
            if axis == 0:
                adjoint_of_rows(slope, block.inside, target)
            else:
                add_adjoint(slope, axis, factor / factors[0], target)
    return torch.stack(sums).sum(), (gradient,)


def _products(one: Tensor, two: Tensor) -> list[Tensor]:
    """What together is the inner product."""
    size = AT_ONCE.get(one.device.type, AT_ONCE_ELSEWHERE)
    parts = [torch.split(each.reshape(-1), size) for each in (one, two)]
    return [torch.dot(*pair) for pair in zip(*parts, strict=True)]


def _backward(
    steps: tuple[float, ...], power: int, upstream: Tensor, kept: Gradients, _: Wanted, field: Tensor
) -> Gradients:
    (gradient,) = kept
    if gradient is None:
        return (None,)
    scale = upstream * (power * _factors(field, steps, power)[0])
    return (gradient.mul_(scale if all(step == 1 for step in steps) else column(steps, field) * scale),)


def _definition(steps: tuple[float, ...], power: int, field: Tensor) -> Tensor:
    components = torch.stack([field[:, k] * step for k, step in enumerate(steps)], 1)
    means = []
    for axis, step in enumerate(steps):
        slope = components.diff(dim=2 + axis) / step
        means.append((slope.abs() if power == 1 else slope.square()).mean())
    return torch.stack(means).mean()

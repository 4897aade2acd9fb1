"""First differences of a displacement in one place: at each voxel that has a next one along every axis."""

from math import prod

import torch
from torch import Tensor

from regbench.losses.checks import in_mm


def slopes(field: Tensor, steps: tuple[float, ...]) -> Tensor:
    """Forward differences of each component along each axis, ``(d axes, B, d components, *S - 1)``; of mm by mm.

    Args:
        field: ``(B, d, *S)`` in voxels.
        steps: spacing of each axis.
    """
    components = in_mm(field, steps)
    here = _at(components, None)
    return torch.stack([(_at(components, axis) - here) / step for axis, step in enumerate(steps)])


def weights(mask: Tensor | None, dims: int) -> Tensor | None:
    """The product of the weights ``(B, 1, *S)`` of the voxels that the slopes at a voxel look at; None for no mask."""
    return None if mask is None else prod((_at(mask, axis) for axis in range(dims)), start=_at(mask, None))


def _at(values: Tensor, ahead: int | None) -> Tensor:
    """What stands at the voxels that have a next one along every axis, or one ahead of them along an axis."""
    for axis in range(values.ndim - 2):
        values = values.narrow(2 + axis, int(axis == ahead), values.shape[2 + axis] - 1)
    return values

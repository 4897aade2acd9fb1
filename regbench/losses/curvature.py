"""Squared Laplacian of the displacement."""

from functools import reduce
from math import prod

import torch
from torch import Tensor

from regbench.losses.checks import at_least, in_mm, masked_mean, real, voxel_spacing


def curvature(
    displacement: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None
) -> Tensor:
    """Mean over voxels and components of the squared Laplacian, ``(sum_j d_j d_j u)^2``; 1/voxel^2.

    Second differences are added up over the axes before they are squared, at the voxels that are no border.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least three voxels along each axis.
        mask: ``(B, 1, *S)``: mean over the Laplacians between its voxels, by the product of the weights of a voxel and
            its neighbours.
        spacing: of each axis in mm: then of mm by mm^2, so 1/mm^2, whatever the grid.

    Returns:
        Scalar; zero for an affine displacement, and for any other whose components are harmonic: where one axis bends
        up and another down as much, `bending` sees it and this does not.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has under three voxels.

    Reference:
        Fischer & Modersitzki 2003, doi:10.1023/A:1021897212261.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> u[:, 0] = torch.arange(8.0)
        >>> float(curvature(u))
        0.0
    """
    steps = voxel_spacing(spacing, displacement)
    at_least(3, displacement)
    components = in_mm(real(displacement), steps)
    second = [
        ((_at(components, axis, 1) - _at(components, axis, 0)) - (_at(components, axis, 0) - _at(components, axis, -1)))
        / step**2
        for axis, step in enumerate(steps)
    ]
    weights = None
    if mask is not None:
        places = [(axis, way) for axis in range(len(steps)) for way in (1, -1)]
        weights = prod((_at(mask, *place) for place in places), start=_at(mask, 0, 0))
    return masked_mean(reduce(torch.add, second).square(), weights)


def _at(values: Tensor, axis: int, way: int) -> Tensor:
    """What stands `way` voxels along an axis from each voxel that is no border."""
    for k in range(values.ndim - 2):
        values = values.narrow(2 + k, 1 + way * (k == axis), values.shape[2 + k] - 2)
    return values

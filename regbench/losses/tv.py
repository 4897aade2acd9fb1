"""Isotropic total variation of the displacement."""

import torch
from torch import Tensor

from regbench.losses import cells
from regbench.losses.checks import at_least, masked_mean, real, voxel_spacing


def tv(
    displacement: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    spacing: tuple[float, ...] | None = None,
    vectorial: bool = True,
) -> Tensor:
    """Isotropic total variation: mean over voxels of the length of the displacement's gradient; dimensionless.

    ``sqrt(sum_j sum_k (d_j u_k)^2)``: joint over axes, so that a step costs the same whichever way it runs, where
    `grad_l1` counts an oblique one for more. Slopes are forward differences, at the voxels that have a next one along
    every axis. Not squared: a sharp step, as of sliding organs, costs no more than a slow slope. The gradient is 0
    where the displacement is flat.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least two voxels along each axis.
        mask: ``(B, 1, *S)``: mean over its voxels, by the product of the weights that a voxel's slopes look at.
        spacing: of each axis in mm: then the slopes are of mm by mm, whatever the grid.
        vectorial: joint over components too, the length of the whole matrix; else the mean over components of
            ``sqrt(sum_j (d_j u_k)^2)``.

    Returns:
        Scalar; zero for a translation.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has a single voxel.

    Reference:
        Vishnevskiy et al. 2017, doi:10.1109/TMI.2016.2610583.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> u[:, 0, 4:] = 2
        >>> float(tv(u)) == float(tv(u + 3)) > 0
        True
    """
    steps = voxel_spacing(spacing, displacement)
    at_least(2, displacement)
    squares = cells.slopes(real(displacement), steps).square().sum(0)
    if vectorial:
        squares = squares.sum(1, keepdim=True)
    flat = squares == 0
    lengths = torch.where(flat, 0, torch.where(flat, 1, squares).sqrt())
    return masked_mean(lengths, cells.weights(mask, len(steps)))

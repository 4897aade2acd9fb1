"""Linear elastic energy of the displacement."""

from math import isfinite

from torch import Tensor

from regbench.losses import cells
from regbench.losses.checks import at_least, masked_mean, real, voxel_spacing


def elastic(
    displacement: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    spacing: tuple[float, ...] | None = None,
    mu: float = 1.0,
    lam: float = 1.0,
) -> Tensor:
    """Energy of a linear elastic body: mean over voxels of ``mu sum_ij e_ij^2 + lam / 2 (div u)^2``; dimensionless.

    ``e_ij = (d_j u_i + d_i u_j) / 2`` is the strain, summed over all pairs of axes, and ``div u = sum_i d_i u_i``.
    Slopes are forward differences, at the voxels that have a next one along every axis: an axis of n has n - 1.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least two voxels along each axis.
        mask: ``(B, 1, *S)``: mean over its voxels, by the product of the weights that a voxel's slopes look at.
        spacing: of each axis in mm: then the slopes are of mm by mm, whatever the grid.
        mu: second Lame parameter, of shear; a scale of its own, as lambda, so that its ratio to `lam` counts.
        lam: first Lame parameter, of change of volume; with `mu` = `lam` Poisson's ratio is 1/4.

    Returns:
        Scalar; zero for a translation, and for an infinitesimal rotation (``u = W p`` with W skew).

    Raises:
        ValueError: if there is not one component and one spacing for each axis, an axis has a single voxel, `mu` is not
            positive or `lam` below 0.

    Reference:
        Bajcsy & Kovacic 1989, doi:10.1016/S0734-189X(89)80014-3.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> float(elastic(u + 3))
        0.0
    """
    steps = voxel_spacing(spacing, displacement)
    at_least(2, displacement)
    if not (mu > 0 and isfinite(mu) and lam >= 0 and isfinite(lam)):
        raise ValueError(f"mu must be positive and lam 0 or more, but got mu {mu} and lam {lam}.")
    slopes = cells.slopes(real(displacement), steps)
    dims = len(steps)
    divergence = sum((slopes[i, :, i] for i in range(1, dims)), slopes[0, :, 0])
    stretch = sum((slopes[i, :, i].square() for i in range(1, dims)), slopes[0, :, 0].square())
    shear = [(slopes[i, :, j] + slopes[j, :, i]).square() for i in range(dims) for j in range(i)]
    energy = mu * (stretch + 0.5 * sum(shear)) + lam / 2 * divergence.square()  # both halves of a pair of axes
    return masked_mean(energy.unsqueeze(1), cells.weights(mask, dims))

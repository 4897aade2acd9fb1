"""How far a displacement and the one of the other direction are from being inverses.

Both measure the residual ``r(p) = u(p) + v(p + u(p))`` of forth (u) and back (v). Between voxels v is interpolated
linearly; where ``p + u(p)`` leaves the grid, v goes on as at the edge. So a point that is moved out still costs what
its way back lacks; the metric `inverse_consistency_mm` leaves it out instead.

One direction is measured, on the grid of u. The other is the same function with its arguments swapped.
"""

from torch import Tensor

from regbench.losses.checks import at_least, real, voxel_spacing
from regbench.losses.displacement import displacement_l2
from regbench.losses.grad import grad_l2
from regbench.spatial.displacement import compose


def inverse_consistency(
    forward: Tensor, backward: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None
) -> Tensor:
    """Mean squared length of the residual, ``|u(p) + v(p + u(p))|^2``; squared voxels, or mm^2 with `spacing`.

    The sum over components (three times the mean over them, in 3D), the mean over voxels and batch.

    Args:
        forward: u, ``(B, d, *S)`` in voxels.
        backward: v, the displacement of the other direction, same shape.
        mask: ``(B, 1, *S)`` on the grid of `forward`: mean over its voxels, by its weights; over all without one.
        spacing: of each axis in mm.

    Returns:
        Scalar; zero where the two are inverses of each other.

    Raises:
        ValueError: if the shapes differ, or there is not one component and one spacing for each axis.

    Reference:
        Christensen & Johnson 2001, doi:10.1109/42.932742.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> float(inverse_consistency(u + 2, u - 2)), float(inverse_consistency(u + 2, u))
        (0.0, 8.0)
    """
    residual = _residual(forward, backward, spacing)
    return residual.shape[1] * displacement_l2(residual, mask=mask, spacing=spacing)


def gradicon(
    forward: Tensor, backward: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None
) -> Tensor:
    """Mean squared Frobenius norm of the Jacobian of forth and back, less the identity; dimensionless (GradICON).

    That Jacobian is ``1 + grad r``, so the norm is the sum over components and axes of squared forward differences of
    the residual r, each averaged over the places where it exists (an axis of n voxels has n - 1).

    Args:
        forward: u, ``(B, d, *S)`` in voxels; at least two voxels along each axis.
        backward: v, the displacement of the other direction, same shape.
        mask: ``(B, 1, *S)`` on the grid of `forward`: mean over the differences between its voxels, by the product of
            both weights.
        spacing: of each axis in mm: then the differences are of mm by mm, whatever the grid.

    Returns:
        Scalar; zero where the two are inverses up to a translation. `inverse_consistency` sees that too.

    Raises:
        ValueError: if the shapes differ, there is not one component and one spacing for each axis, or an axis has a
            single voxel.

    Reference:
        Tian et al. 2023, doi:10.1109/CVPR52729.2023.01734.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> float(gradicon(u + 2, u))
        0.0
    """
    residual = _residual(forward, backward, spacing)
    at_least(2, residual)
    return residual.shape[1] ** 2 * grad_l2(residual, mask=mask, spacing=spacing)


def _residual(forward: Tensor, backward: Tensor, spacing: tuple[float, ...] | None) -> Tensor:
    """``u(p) + v(p + u(p))``."""
    voxel_spacing(spacing, forward)
    if forward.shape != backward.shape:
        raise ValueError(
            "forward and backward must be displacements (B, d, *S) of one shape, "
            f"but got {tuple(forward.shape)} and {tuple(backward.shape)}."
        )
    u, v = real(forward), real(backward)
    return compose(v, u)

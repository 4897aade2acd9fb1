"""Jacobian determinant of ``p + u(p)``."""

import torch
from torch import Tensor

from regbench.system.compiled_or_formula import Gradients, Wanted, compiled_or_formula


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Determinant of the gradient of ``p + u(p)`` by central differences, one-sided at the border (numpy.gradient).

    Args:
        displacement: ``(B, d, *S)`` in voxels, d from 1 to 3; at least two voxels along each axis.

    Returns:
        ``(B, *S)``, at least float32; 1 where the map preserves volume, <= 0 where it folds. Differentiable.

    Raises:
        ValueError: if there is not one component for each axis, or an axis has a single voxel.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 6, 6)
        >>> u[:, 0] = 0.5 * torch.arange(6.0)[:, None]
        >>> float(jacobian_determinant(u).mean())
        1.5
    """
    dims = displacement.ndim - 2
    if not 1 <= dims <= 3 or displacement.shape[1] != dims or min(displacement.shape[2:]) < 2:
        raise ValueError(
            "displacement must be (B, d, *S) with d components, d from 1 to 3, and two voxels along each axis, "
            f"but got {tuple(displacement.shape)}."
        )
    field = displacement if displacement.dtype == torch.float64 else displacement.float()
    return compiled_or_formula(_forward, _backward, _formula, field) if dims == 3 else _formula(field)


def _formula(field: Tensor) -> Tensor:
    """The first row times its cofactors; row k is the gradient of component k of ``p + u(p)``."""
    axes = tuple(range(1, field.ndim - 1))
    rows = [list(torch.gradient(field[:, k], dim=axes)) for k in range(len(axes))]
    for k, row in enumerate(rows):
        row[k] = row[k] + 1
    if len(rows) == 1:
        return rows[0][0]
    if len(rows) == 2:
        return rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    (a, b, c), (d, e, f) = rows[1:]
    return rows[0][0] * (b * f - c * e) + rows[0][1] * (c * d - a * f) + rows[0][2] * (a * e - b * d)


def _forward(_: Wanted, field: Tensor) -> tuple[Tensor, Gradients]:
    from regbench.spatial import determinant_loops  # noqa: PLC0415 - starts Numba

    return determinant_loops.determinant(field), ()


def _backward(upstream: Tensor, _: Gradients, __: Wanted, field: Tensor) -> Gradients:
    from regbench.spatial import determinant_loops  # noqa: PLC0415 - starts Numba

    return (determinant_loops.gradient(field, upstream),)

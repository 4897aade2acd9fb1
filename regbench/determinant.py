"""Jacobian determinant of ``p + u(p)``, a slab of planes at a time."""

from collections.abc import Iterator
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor

# Voxels of a slab: on a CPU its arrays should stay in the last cache level; a GPU wants fewer and larger kernels.
SLAB_VOXELS = {"cpu": 150_000}
SLAB_VOXELS_ELSEWHERE = 16_000_000


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Determinant of the gradient of ``p + u(p)`` by central differences, one-sided at the border (numpy.gradient).

    Args:
        displacement: ``(B, d, *S)`` in voxels, d from 1 to 3; at least two voxels along each axis.

    Returns:
        ``(B, *S)``, at least float32; 1 where the map preserves volume, <= 0 where it folds. Differentiable.

    Raises:
        ValueError: if there is not one component for each axis, or an axis has a single voxel.
    """
    dims = displacement.ndim - 2
    if not 1 <= dims <= 3 or displacement.shape[1] != dims or min(displacement.shape[2:]) < 2:
        raise ValueError(
            "displacement must be (B, d, *S) with d components, d from 1 to 3, and two voxels along each axis, "
            f"but got {tuple(displacement.shape)}."
        )
    field = displacement if displacement.dtype == torch.float64 else displacement.float()
    if torch.compiler.is_compiling():
        return _definition(field)
    determinant: Tensor = _Determinant.apply(field)  # type: ignore[no-untyped-call]
    return determinant


def _definition(field: Tensor) -> Tensor:
    """The same by differentiable operations on the whole field at once."""
    dims = field.shape[1]
    rows = [list(torch.gradient(field[:, k], dim=tuple(range(1, dims + 1)))) for k in range(dims)]
    for k in range(dims):
        rows[k][k] = rows[k][k] + 1
    total = torch.zeros_like(field[:, 0])
    for one, two in zip(rows[0], _cofactors(rows), strict=True):
        total = total + one * two
    return total


def _cofactors(rows: list[list[Tensor]], rooms: list[Tensor | None] | None = None) -> list[Tensor]:
    """Cofactors of the first row of a matrix of one to three rows; those of three in `rooms`, if given."""
    if len(rows) == 1:
        return [torch.ones_like(rows[0][0])]
    if len(rows) == 2:
        return [rows[1][1], -rows[1][0]]
    (a, b, c), (d, e, f) = rows[1], rows[2]
    found = []
    for (one, two, three, four), room in zip(
        ((b, f, c, e), (c, d, a, f), (a, e, b, d)), rooms or [None] * 3, strict=True
    ):
        product = one * two if room is None else torch.mul(one, two, out=room)
        found.append(product - three * four if room is None else product.addcmul_(three, four, value=-1))
    return found


class _Determinant(torch.autograd.Function):
    @staticmethod
    def forward(field: Tensor) -> Tensor:
        out = torch.empty_like(field[:, 0], memory_format=torch.contiguous_format)
        rooms, zero, dims = None, field.new_zeros(()), field.shape[1]
        for sample, rows, halo, inside in _slabs(field, 1):
            target = out[sample, rows]
            if rooms is None:  # the first slab is as large as any
                rooms = field.new_empty((dims**2 + 3, *target.shape))
            free = rooms[:, : target.shape[0]]
            twice = _twice_jacobian(field[sample, :, halo], inside, free[:-3])
            total: Tensor = zero
            for one, two in zip(twice[0], _cofactors(twice, list(free[-3:])), strict=True):
                total = torch.addcmul(total, one, two, value=0.5**dims, out=target)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (field,), (upstream,) = ctx.saved_tensors, grad_outputs
        if torch.is_grad_enabled():  # create_graph=True: the gradient must itself be differentiable
            return torch.autograd.grad(_definition(field), field, upstream, create_graph=True)
        gradient = torch.empty_like(field, memory_format=torch.contiguous_format)
        # A voxel's neighbours have determinants that depend on it, and they on their own neighbours.
        for sample, rows, halo, inside in _slabs(field, 2):
            around = field[sample, :, halo]
            free = field.new_empty((field.shape[1] ** 2, *around.shape[1:]))
            jacobian = _twice_jacobian(around, slice(0, around.shape[1]), free)
            weight = upstream[sample, halo] * 0.5 ** (field.shape[1] - 1)
            for k in range(len(jacobian)):
                # Rotating the rows keeps the determinant of three; of two it changes the sign.
                order = jacobian[k:] + jacobian[:k]
                sign = -1 if len(jacobian) == 2 and k == 1 else 1
                total = torch.zeros_like(jacobian[0][0])
                for axis, cofactor in enumerate(_cofactors(order)):
                    _add_adjoint(cofactor * weight, axis, sign, total)
                gradient[sample, k, rows] = total[inside]
        return gradient

    @staticmethod
    def vmap(info: Any, in_dims: Any, field: Tensor) -> Any:
        moved = field.movedim(in_dims[0], 0)
        flat = _Determinant.apply(moved.flatten(0, 1))  # type: ignore[no-untyped-call]
        return flat.unflatten(0, moved.shape[:2]), 0


def _slabs(field: Tensor, halo: int) -> Iterator[tuple[int, slice, slice, slice]]:
    """Sample, rows along the first spatial axis, the same with halo, and the rows inside those."""
    shape = field.shape[2:]
    most = SLAB_VOXELS.get(field.device.type, SLAB_VOXELS_ELSEWHERE)
    step = ceil(shape[0] / ceil(prod(shape) / most))
    for sample in range(field.shape[0]):
        for start in range(0, shape[0], step):
            stop = min(start + step, shape[0])
            low, high = max(start - halo, 0), min(stop + halo, shape[0])
            yield sample, slice(start, stop), slice(low, high), slice(start - low, stop - low)


def _twice_jacobian(field: Tensor, rows: slice, room: Tensor) -> list[list[Tensor]]:
    """Twice the Jacobian matrix of ``p + u(p)`` on some rows; entry [k][j] is from component k along axis j."""
    dims = field.shape[0]
    by_axis = room.view(dims, dims, *room.shape[1:])  # a kernel takes all components at once
    for axis in range(dims):
        _twice_derivative(field, axis, rows, by_axis[axis])
    room[:: dims + 1].add_(2)
    return [[by_axis[j, k] for j in range(dims)] for k in range(dims)]


def _twice_derivative(field: Tensor, axis: int, rows: slice, out: Tensor) -> None:
    """Twice numpy.gradient along an axis: the halving is left to the determinant, which needs it once."""
    count = field.shape[1 + axis]
    first, last = (rows.start, rows.stop) if axis == 0 else (0, count)
    part = field if axis == 0 else field[:, rows]
    low, high = max(first, 1), min(last, count - 1)
    inner = _planes(out, axis, low - first, high - low)
    torch.sub(_planes(part, axis, low + 1, high - low), _planes(part, axis, low - 1, high - low), out=inner)
    for edge, other in ((0, 0), (count - 1, count - 2)):
        if first <= edge < last:
            plane = _planes(out, axis, edge - first, 1)
            torch.sub(_planes(part, axis, other + 1, 1), _planes(part, axis, other, 1), out=plane).mul_(2)


def _planes(field: Tensor, axis: int, start: int, count: int) -> Tensor:
    return field.narrow(1 + axis, start, count)


def _add_adjoint(values: Tensor, axis: int, sign: int, out: Tensor) -> None:
    """Add the transpose of `_derivative`, times a sign."""
    count = values.shape[axis]
    inner = values.narrow(axis, 1, count - 2)
    out.narrow(axis, 2, count - 2).add_(inner, alpha=0.5 * sign)
    out.narrow(axis, 0, count - 2).sub_(inner, alpha=0.5 * sign)
    for low, place in ((0, 0), (count - 2, count - 1)):
        edge = values.narrow(axis, place, 1)
        out.narrow(axis, low + 1, 1).add_(edge, alpha=sign)
        out.narrow(axis, low, 1).sub_(edge, alpha=sign)

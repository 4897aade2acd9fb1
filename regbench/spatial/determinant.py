"""Jacobian determinant of ``p + u(p)``, a slab of planes at a time."""

from collections.abc import Callable, Iterator
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor

from regbench.system import numba_loops

# Voxels of a slab: on a CPU its arrays should stay in the last cache level; a GPU wants fewer and larger kernels.
SLAB_VOXELS = {"cpu": 175_000}
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
        if field.shape[1] == 3 and numba_loops.serves(field):
            from regbench.spatial import determinant_loops as loops  # noqa: PLC0415 - starts Numba

            return loops.determinant(field)
        out = torch.empty_like(field[:, 0], memory_format=torch.contiguous_format)
        scratch, zero, dims = _scratches(field, cofactors=True), field.new_zeros(()), field.shape[1]
        for sample, rows, halo, inside in _slabs(field, 1):
            free = scratch(rows.stop - rows.start)
            twice = _twice_jacobian(field[sample, :, halo], inside, free)
            target, total = out[sample, rows], zero
            for one, two in zip(twice[0], _cofactors(twice, free.rooms), strict=True):
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
        scratch = _scratches(field, cofactors=False)
        # A voxel's neighbours have determinants that depend on it, and they on their own neighbours.
        for sample, rows, halo, inside in _slabs(field, 2):
            around = field[sample, :, halo]
            jacobian = _twice_jacobian(around, slice(0, around.shape[1]), scratch(around.shape[1]))
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


class _Scratch:
    """Memory for the Jacobian matrices of a slab, cut up once: at this size making a view costs as much as a sum."""

    def __init__(self, memory: Tensor, dims: int) -> None:
        # One matrix: [axis][component], so that a kernel takes all components at once.
        self.by_axis = memory[: dims**2].view(dims, dims, *memory.shape[1:])
        self.diagonal = memory[: dims**2 : dims + 1]
        self.matrix = [[self.by_axis[axis, k] for axis in range(dims)] for k in range(dims)]
        self.rooms = list(memory[dims**2 :]) or None
        # Of the axes after the first, along which a slab is whole.
        after = [(axis, self.by_axis[axis], memory.shape[1 + axis]) for axis in range(1, dims)]
        self.inner = [_planes(each, axis, 1, count - 2) for axis, each, count in after]
        self.ends = [_two_planes(each, axis, 0, count - 1) for axis, each, count in after]


def _scratches(field: Tensor, *, cofactors: bool) -> Callable[[int], _Scratch]:
    """What gives the scratch for a slab of so many rows: memory for the largest, which the others share."""
    dims, made = field.shape[1], dict[int, _Scratch]()
    memory = field.new_empty(0)

    def scratch(rows: int) -> _Scratch:
        nonlocal memory
        if rows not in made:
            shape = (dims**2 + (3 if cofactors else 0), rows, *field.shape[3:])
            if memory.numel() < prod(shape):
                memory = field.new_empty(prod(shape))
                made.clear()
            made[rows] = _Scratch(memory[: prod(shape)].view(shape), dims)
        return made[rows]

    return scratch


def _twice_jacobian(field: Tensor, rows: slice, free: _Scratch) -> list[list[Tensor]]:
    """Twice the Jacobian matrix of ``p + u(p)`` on some rows, by numpy.gradient; [k][j]: component k along axis j.

    The halving is left to the determinant, which needs it once.
    """
    count = field.shape[1]
    low, high = max(rows.start, 1), min(rows.stop, count - 1)
    inner = _planes(free.by_axis[0], 0, low - rows.start, high - low)
    torch.sub(_planes(field, 0, low + 1, high - low), _planes(field, 0, low - 1, high - low), out=inner)
    for edge, other in ((0, 0), (count - 1, count - 2)):
        if rows.start <= edge < rows.stop:
            plane = _planes(free.by_axis[0], 0, edge - rows.start, 1)
            _twice_difference(_planes(field, 0, other + 1, 1), _planes(field, 0, other, 1), plane)
    part = _planes(field, 0, rows.start, rows.stop - rows.start)
    for axis in range(1, field.shape[0]):
        count = part.shape[1 + axis]
        torch.sub(_planes(part, axis, 2, count - 2), _planes(part, axis, 0, count - 2), out=free.inner[axis - 1])
        _twice_difference(
            _two_planes(part, axis, 1, count - 2), _two_planes(part, axis, 0, count - 2), free.ends[axis - 1]
        )
    free.diagonal.add_(2)
    return free.matrix


def _twice_difference(high: Tensor, low: Tensor, out: Tensor) -> None:
    """Twice `high` less `low`, in one kernel: the slope of the squared error is that."""
    torch.ops.aten.mse_loss_backward.grad_input(high.new_ones(()), high, low, 0, grad_input=out)


def _planes(field: Tensor, axis: int, start: int, count: int) -> Tensor:
    return field.narrow(1 + axis, start, count)


def _two_planes(field: Tensor, axis: int, start: int, step: int) -> Tensor:
    """The planes `start` and ``start + step``; a step of 0 gives one of them twice, which is for reading only."""
    shape, strides = list(field.shape), list(field.stride())
    offset = field.storage_offset() + start * strides[1 + axis]
    shape[1 + axis], strides[1 + axis] = 2, strides[1 + axis] * step
    return field.as_strided(shape, strides, offset)


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

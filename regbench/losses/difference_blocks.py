"""Displacements cut into blocks that stay in the cache while a stencil of differences runs over them."""

from collections.abc import Iterator
from math import ceil, prod
from typing import NamedTuple

import torch
from torch import Tensor

from regbench.losses.scratch import Rooms

# Values of a block: on a CPU its few arrays should stay in the last cache level; a GPU wants fewer and larger kernels.
BLOCK_VALUES = {"cpu": 1_250_000}
BLOCK_VALUES_ELSEWHERE = 32_000_000


class Block(NamedTuple):
    """Rows ``start .. stop`` along the first spatial axis, of some samples and components, with their neighbours."""

    field: Tensor  # (b, k, rows with halo, ...), contiguous, multiplied with `scale`
    scale: Tensor | float
    place: tuple[slice, slice, slice]  # of the rows without halo, in the whole field
    inside: slice  # of the rows without halo, in `field`


def blocks(displacement: Tensor, steps: tuple[float, ...], rooms: Rooms, before: int, after: int) -> Iterator[Block]:
    """Blocks that together cover the field once.

    Args:
        displacement: ``(B, d, *S)``.
        steps: each component k is multiplied by ``steps[k]``: to mm, or all 1.
        rooms: memory; its ``field`` is taken.
        before: rows of halo below each block, as far as the field has them.
        after: rows of halo above.
    """
    batch, dims, *shape = displacement.shape
    most = BLOCK_VALUES.get(displacement.device.type, BLOCK_VALUES_ELSEWHERE)
    scale = None if all(step == 1 for step in steps) else column(steps, displacement)
    for samples, components, rows in _cut(batch, dims, shape, most):
        halo = slice(max(rows.start - before, 0), min(rows.stop + after, shape[0]))
        part = displacement[samples, components, halo]
        factor: Tensor | float = 1.0
        if scale is not None:
            factor = scale[:, components]
            part = torch.mul(part, factor, out=rooms.get("field", part.shape))
        elif not part.is_contiguous():
            part = rooms.get("field", part.shape).copy_(part)
        inside = slice(rows.start - halo.start, rows.stop - halo.start)
        yield Block(part, factor, (samples, components, rows), inside)


def column(values: tuple[float, ...], like: Tensor) -> Tensor:
    """``(1, d, 1, ...)``, made on the device: copying a list there would wait for it."""
    column = like.new_empty((1, len(values)) + (1,) * (like.ndim - 2))
    for k, value in enumerate(values):
        column[:, k].fill_(value)
    return column


def _cut(batch: int, dims: int, shape: list[int], most: int) -> Iterator[tuple[slice, slice, slice]]:
    """Whole samples where several fit; rows of one component where not even one does."""
    sample = dims * prod(shape)
    if sample <= most:
        count = most // sample
        for start in range(0, batch, count):
            yield slice(start, min(start + count, batch)), slice(0, dims), slice(0, shape[0])
        return
    rows = ceil(shape[0] / ceil(prod(shape) / most))
    for index in range(batch * dims):
        one, k = divmod(index, dims)
        for start in range(0, shape[0], rows):
            yield slice(one, one + 1), slice(k, k + 1), slice(start, min(start + rows, shape[0]))


def neighbours(block: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Every voxel that has a next one along a spatial axis, and that next one."""
    count = block.shape[2 + axis] - 1
    return block.narrow(2 + axis, 0, count), block.narrow(2 + axis, 1, count)


def forward_difference(block: Tensor, axis: int, rooms: Rooms, name: str) -> Tensor:
    """Forward difference along a spatial axis, in the named room."""
    low, high = neighbours(block, axis)
    return torch.sub(high, low, out=rooms.get(name, low.shape))


def sum_of_squares(block: Tensor, axis: int, rooms: Rooms, name: str) -> Tensor:
    """Sum of the squared forward differences; the named room is overwritten."""
    low, high = neighbours(block, axis)
    room = rooms.get(name, low.shape)
    torch.ops.aten.mse_loss.out(high, low, 0, out=room)  # difference and square in one pass over memory
    return room.sum()


def adjoint_of_rows(values: Tensor, rows: slice, out: Tensor) -> None:
    """Transpose of `forward_difference` along the first spatial axis, of some rows only, to `out`.

    Args:
        values: one fewer than the rows of the field: the difference of each row and its next.
        rows: which rows of the field `out` has.
    """
    last = values.shape[2]
    low, high = max(rows.start, 1), min(rows.stop, last)
    inner = out[:, :, low - rows.start : high - rows.start]
    torch.sub(values[:, :, low - 1 : high - 1], values[:, :, low:high], out=inner)
    if rows.start == 0:
        torch.neg(values[:, :, :1], out=out[:, :, :1])
    if rows.stop == last + 1:
        out[:, :, -1:].copy_(values[:, :, -1:])


def adjoint(values: Tensor, axis: int, rooms: Rooms, name: str) -> Tensor:
    """Transpose of `forward_difference`, in the named room."""
    count = values.shape[2 + axis]
    shape = list(values.shape)
    shape[2 + axis] = count + 1
    out = rooms.get(name, torch.Size(shape))
    torch.neg(values.narrow(2 + axis, 0, 1), out=out.narrow(2 + axis, 0, 1))
    out.narrow(2 + axis, count, 1).copy_(values.narrow(2 + axis, count - 1, 1))
    low, high = neighbours(values, axis)
    torch.sub(low, high, out=out.narrow(2 + axis, 1, count - 1))
    return out


def add_adjoint(values: Tensor, axis: int, factor: float, out: Tensor) -> None:
    """Add `factor` times the transpose of `forward_difference` to `out`."""
    low, high = neighbours(out, axis)
    high.add_(values, alpha=factor)
    low.sub_(values, alpha=factor)

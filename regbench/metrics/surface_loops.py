"""Surface voxels of a label map and the nearest of two surfaces, compiled.

Registered surfaces are near each other, so the voxels around each point are looked at in the order of their distance,
up to a reach; a tree is asked only for what lies farther. The distances are the tree's, to the bit: every voxel that
could be nearest by rounding alone is compared by the same arithmetic.
"""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.metrics.inputs import Array, Floats
from regbench.system.numba_loops import jit

REACH = {2: 12, 3: 5}  # voxels of the axis with the smallest: some 500 places each
ROUNDING = 1 + 1e-9  # two ways to one squared length differ by less

exact = partial(jit, exact=True)


class Places(NamedTuple):
    """Steps to the voxels within a reach, nearest first.

    Attributes:
        steps: ``(n, 3)`` by axis.
        squares: ``(n,)`` squared lengths.
        reach: ``(3,)`` longest step along each axis.
    """

    steps: NDArray[np.int64]
    squares: Floats
    reach: NDArray[np.int64]


@cache
def places(scale: tuple[float, ...]) -> Places:
    """Every voxel nearer than the first that a box of `REACH` leaves out; `scale` is the length of each axis."""
    limit = (REACH[len(scale)] + 1) * min(scale)
    reach = [int(limit / side) for side in scale]
    steps = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1).reshape(-1, len(scale))
    squares = ((steps * scale) ** 2).sum(1)
    order = np.argsort(squares, kind="stable")
    order = order[squares[order] * ROUNDING < limit**2]
    steps = np.concatenate([np.zeros((len(order), 3 - len(scale)), np.int64), steps[order]], 1)
    return Places(np.ascontiguousarray(steps), squares[order], np.abs(steps).max(0))


def nearest(ours: NDArray[np.int64], theirs: NDArray[np.int64], scale: Floats) -> tuple[Floats, Floats]:
    """Distance of each point to the nearest of the other set, both ways; infinity where none is within reach.

    Args:
        ours: ``(d, n)`` voxel coordinates, d = 2 or 3; at least one point.
        theirs: ``(d, m)`` voxel coordinates; at least one point.
        scale: ``(d,)`` length of a voxel along each axis.
    """
    known = places(tuple(scale.tolist()))
    flat = 3 - len(scale)
    sets = [np.pad(points, ((flat, 0), (0, 0))) for points in (ours, theirs)]
    sides = np.concatenate([np.ones(flat), scale])
    low = np.minimum(*(points.min(1) for points in sets)) - known.reach
    shape = np.maximum(*(points.max(1) for points in sets)) + known.reach - low + 1
    weights = np.array([shape[1] * shape[2], shape[2], 1])
    indices = [points[0] * weights[0] + points[1] * weights[1] + points[2] - low @ weights for points in sets]
    ways = known.steps @ weights
    distances = []
    for mine, other in ((0, 1), (1, 0)):
        filled = np.zeros(int(shape.prod()), np.uint8)
        filled[indices[other]] = 1
        squares = np.empty(len(indices[mine]))
        _search(indices[mine], sets[mine], filled, ways, known.steps, known.squares, sides, squares)
        distances.append(np.sqrt(squares))
    return distances[0], distances[1]


def surface_index(ranks: NDArray[np.uint16]) -> tuple[Array, NDArray[np.uint16]]:
    """Flat indices, ascending, of voxels that are not 0 and touch another number or the end; and their numbers.

    Args:
        ranks: ``(Y, X)`` or ``(A, Y, X)``.
    """
    volume = np.ascontiguousarray(ranks if ranks.ndim == 3 else ranks[None])
    index = np.empty(ranks.size, np.int64)
    marks = np.empty(volume.shape[-1], np.uint8)
    index = index[: _surface(volume, ranks.ndim == 3, marks, index)].copy()
    return index, ranks.reshape(-1)[index]


@exact
def _search(indices, points, filled, ways, steps, squares, sides, out):
    """Squared distances ``(n,)``.

    Args:
        indices: ``(n,)`` of the points in `filled`.
        points: ``(3, n)`` coordinates.
        filled: ``(k,)``, 1 where the other surface is, flat.
        ways: ``(m,)``, the steps in it.
        steps: ``(m, 3)``.
        squares: ``(m,)`` their squared lengths, ascending.
        sides: ``(3,)`` length of a voxel.
        out: ``(n,)``.
    """
    for n in range(len(indices)):
        best, bound, here = np.inf, np.inf, indices[n]
        for place in range(len(ways)):
            if squares[place] > bound:
                break
            if filled[np.uintp(here + ways[place])]:
                total = 0.0
                for axis in range(3):
                    at = points[axis, n]
                    way = np.float64(at) * sides[axis] - np.float64(at + steps[place, axis]) * sides[axis]
                    total += way * way
                best = min(best, total)
                bound = min(bound, squares[place] * ROUNDING)
        out[n] = best


@exact
def _differs(row, other, marks):
    for x in range(len(marks)):
        marks[x] |= row[x] != other[x]


@exact
def _surface(ranks, deep, marks, out):
    """How many there are, see `surface_index`; `marks` ``(X,)`` is scratch, `deep` is whether the first axis counts."""
    depth, rows, columns = ranks.shape
    count = 0
    for z in range(depth):
        for y in range(rows):
            row = ranks[z, y]
            marks[:] = y == 0 or y == rows - 1 or (deep and (z == 0 or z == depth - 1))
            marks[0] = marks[columns - 1] = 1
            for dz, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                if 0 <= z + dz < depth and 0 <= y + dy < rows:
                    _differs(row, ranks[z + dz, y + dy], marks)
            _differs(row[1:], row[: columns - 1], marks[1:])
            _differs(row[: columns - 1], row[1:], marks[: columns - 1])
            first = (z * rows + y) * columns
            for x in range(columns):
                if marks[x] and row[x] != 0:
                    out[count] = first + x
                    count += 1
    return count

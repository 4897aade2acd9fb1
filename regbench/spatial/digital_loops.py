"""A cost of how the simplices around each voxel stretch, summed, and its gradient: in 3D, compiled.

A row of voxels at a time. Around each lie twelve edges: to its six neighbours, and along the face diagonals of the
cubes behind and ahead of it; a simplex is spanned by three of them.
"""

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.spatial.digital import MIDDLE
from regbench.system.numba_loops import in_parts, jit

Doubles = NDArray[np.float64]

# Kinds of cost.
BELOW, ABSOLUTE, LOG = 0, 1, 2
# Steps of the edges ``(12, 3)``, by axis; the edges of each simplex ``(10, 3)``; the determinants of their steps: 1 of
# a corner, -1 where an odd number of its edges looks back, 2 of the simplices in the middle.
STEPS = np.array([*np.eye(3, dtype=int), *-np.eye(3, dtype=int), *MIDDLE[0], *MIDDLE[1]])
SIMPLICES = np.array([*((i, j, k) for i in (0, 3) for j in (1, 4) for k in (2, 5)), (6, 7, 8), (9, 10, 11)])
SIZES = np.round(np.linalg.det(STEPS[SIMPLICES]))


def cost(field: Tensor, kind: int, level: float) -> Tensor:
    """Mean over the inner voxels of the costs of their simplices, by share; see `regbench.losses.jacobian`.

    Args:
        field: ``(B, 3, A, Y, X)`` float32.
        kind: one of the three above.
        level: margin of BELOW, end of the logarithm of LOG.
    """
    values = field.detach().contiguous().numpy()
    planes = values.shape[0] * (values.shape[2] - 2)
    sums = np.empty(planes)
    in_parts(_cost, planes, values.size, _scratch(values), values, STEPS, SIMPLICES, SIZES, kind, level, sums)
    return torch.tensor(sums.sum() / _voxels(values), dtype=field.dtype)


def gradient(field: Tensor, kind: int, level: float, scale: float) -> Tensor:
    """Gradient of `cost`, ``(B, 3, A, Y, X)``, times `scale`."""
    values, out = field.detach().contiguous().numpy(), torch.zeros(field.shape, dtype=field.dtype)
    target, factor = out.numpy(), scale / _voxels(values)
    # A plane writes to the planes before and after it: every third at a time, so that no two write to one.
    for first in range(3):
        planes = values.shape[0] * len(range(first, values.shape[2] - 2, 3))
        in_parts(
            _gradient, planes, values.size // 3, _scratch(values),
            values, STEPS, SIMPLICES, SIZES, kind, level, factor, first, target,
        )  # fmt: skip
    return out


def _voxels(values: NDArray[np.float32]) -> int:
    batch, _, *sides = values.shape
    return int(batch * prod(side - 2 for side in sides))


def _scratch(values):
    """Edges and ratios of a row."""
    columns = values.shape[-1] - 2
    return lambda: (np.empty((12, 3, columns)), np.empty((10, columns)))


@jit
def _edge(here, there, step, out):
    """Rows ``(X,)``."""
    for x in range(len(out)):
        out[x] = np.float64(there[x]) - np.float64(here[x]) + step


# Small loops, of which the compiler makes vectors; see determinant_loops.
@jit
def _add_product(one, a, b, c, d, out):
    """``out += one * (a * b - c * d)``; all ``(X,)``."""
    for x in range(len(out)):
        out[x] += one[x] * (a[x] * b[x] - c[x] * d[x])


@jit
def _row(field, n, z, y, steps, simplices, sizes, edges, ratios):
    """Edges ``(12, 3, X - 2)`` and ratios ``(10, X - 2)`` of the inner voxels of a row."""
    columns = field.shape[4]
    for edge in range(len(steps)):
        dz, dy, dx = steps[edge]
        for k in range(3):
            here, there = field[n, k, z, y, 1 : columns - 1], field[n, k, z + dz, y + dy, 1 + dx : columns - 1 + dx]
            _edge(here, there, np.float64(steps[edge, k]), edges[edge, k])
    for simplex in range(len(sizes)):
        i, j, k = simplices[simplex]
        ratio, size = ratios[simplex], sizes[simplex]
        ratio[:] = 0
        for axis in range(3):
            one, two = (axis + 1) % 3, (axis + 2) % 3
            _add_product(edges[i, axis], edges[j, one], edges[k, two], edges[j, two], edges[k, one], ratio)
        for x in range(len(ratio)):
            ratio[x] /= size


@jit
def _cost_of(ratio, kind, level):
    """As `regbench.losses.jacobian` has it of one determinant."""
    if kind == BELOW:
        return (level - ratio) if ratio < level or np.isnan(ratio) else 0.0
    if kind == ABSOLUTE:
        return abs(ratio - 1)
    logarithm = np.log(ratio) if ratio > level else np.log(level) + (ratio - level) / level
    return logarithm * logarithm


@jit
def _slope_of(ratio, kind, level):
    """Derivative of `_cost_of`."""
    if kind == BELOW:
        return -1.0 if ratio < level or np.isnan(ratio) else 0.0
    if kind == ABSOLUTE:
        return np.sign(ratio - 1)
    if ratio > level:
        return 2 * np.log(ratio) / ratio
    return 2 * (np.log(level) + (ratio - level) / level) / level


@jit
def _cost(start, stop, edges, ratios, field, steps, simplices, sizes, kind, level, sums):
    """Inner planes of all fields.

    Args:
        edges: ``(12, 3, X - 2)``, of this thread.
        ratios: ``(10, X - 2)``, of this thread.
        field: ``(B, 3, A, Y, X)`` float32.
        steps: see above.
        simplices: see above.
        sizes: see above.
        kind: of cost.
        level: its parameter.
        sums: ``(B * (A - 2),)`` float64, one for each plane.
    """
    depth, rows = field.shape[2] - 2, field.shape[3]
    for plane in range(start, stop):
        n, z, total = plane // depth, plane % depth + 1, 0.0
        for y in range(1, rows - 1):
            _row(field, n, z, y, steps, simplices, sizes, edges, ratios)
            for simplex in range(len(sizes)):
                part = 0.0
                for x in range(ratios.shape[1]):
                    part += _cost_of(ratios[simplex, x], kind, level)
                total += abs(sizes[simplex]) * part
        sums[plane] = total / 12


@jit
def _gradient(start, stop, edges, ratios, field, steps, simplices, sizes, kind, level, scale, first, out):
    """Every third of the inner planes of all fields, from `first`; further arguments as of `_cost`.

    Args:
        edges: ``(12, 3, X - 2)``, of this thread.
        ratios: ``(10, X - 2)``, of this thread.
        scale: of the gradient.
        out: ``(B, 3, A, Y, X)`` float32, added to.
    """
    rows, count = field.shape[3], (field.shape[2] - first) // 3
    for item in range(start, stop):
        n, z = item // count, 3 * (item % count) + first + 1
        for y in range(1, rows - 1):
            _row(field, n, z, y, steps, simplices, sizes, edges, ratios)
            for simplex in range(len(sizes)):
                factor = scale * np.sign(sizes[simplex]) / 12
                _gradient_of_row(out, n, z, y, steps, simplices[simplex], edges, ratios[simplex], kind, level, factor)


@jit
def _gradient_of_row(out, n, z, y, steps, simplex, edges, ratios, kind, level, factor):
    """Of one simplex at each inner voxel of a row."""
    for x in range(len(ratios)):
        slope = _slope_of(ratios[x], kind, level)
        if slope != 0:
            _add_slopes(out, n, z, y, x, steps, simplex, edges, factor * slope)


@jit
def _add_slopes(out, n, z, y, x, steps, simplex, edges, slope):
    """Gradient of a determinant to the displacement of the four corners of its simplex."""
    for i in range(3):
        edge, before, after = simplex[i], simplex[(i + 1) % 3], simplex[(i + 2) % 3]
        dz, dy, dx = steps[edge]
        for k in range(3):
            one, two = (k + 1) % 3, (k + 2) % 3
            cofactor = edges[before, one, x] * edges[after, two, x] - edges[before, two, x] * edges[after, one, x]
            part = np.float32(slope * cofactor)
            out[n, k, z + dz, y + dy, x + 1 + dx] += part
            out[n, k, z, y, x + 1] -= part

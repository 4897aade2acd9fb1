"""All determinants of a displacement in one pass over its rows, compiled: the bits of `determinants` and `digital`."""

from functools import partial
from typing import NamedTuple

import numpy as np

from regbench.metrics.determinants import slabs
from regbench.metrics.inputs import Array, Floats
from regbench.system.numba_loops import jit

# Steps of the twelve edges of a voxel ``(12, 3)``, by axis: ahead, behind, and the face diagonals of the two stars.
STARS = (((-1, -1, 0), (-1, 0, -1), (0, -1, -1)), ((1, 1, 0), (0, 1, 1), (1, 0, 1)))
STEPS = np.array([*np.eye(3, dtype=int), *-np.eye(3, dtype=int), *STARS[0], *STARS[1]])
# Edges of each simplex ``(10, 3)`` in the order of `digital`; -1 where an odd number of its edges looks back.
SIMPLICES = np.array([*((i, j, k) for j in (1, 4) for k in (2, 5) for i in (0, 3)), (6, 7, 8), (9, 10, 11)])
SIGNS = np.sign(np.linalg.det(STEPS[SIMPLICES]))
FORWARD, BACKWARD = 0, 7  # the simplices of these differences

exact = partial(jit, exact=True)


class Folds(NamedTuple):
    """What folds.

    Attributes:
        central: ``(A, Y, X)`` float64, determinants by central differences.
        counts: voxels that count and whose determinant is 0 or below: central, central in the foreground, forward,
            backward, any of the ten simplices.
        turned: minus the sum over the simplices' determinants that are below 0.
    """

    central: Floats
    counts: list[int]
    turned: float


def folds(field: Array, counted: Array, foreground: Array) -> Folds:
    """Every determinant of a displacement, once.

    Args:
        field: ``(3, A, Y, X)`` float32, finite; at least two voxels along each axis.
        counted: ``(A, Y, X)`` booleans.
        foreground: ``(A, Y, X)`` booleans.
    """
    field = np.ascontiguousarray(field)
    shape = field.shape[1:]
    rows, columns = shape[1:]
    central, counts, turned = np.empty(shape), np.zeros(5, np.int64), 0.0
    # The sums of `digital` are of slabs; the planes at the ends have no simplices and go with the nearest slab.
    cuts = list(slabs(shape, 1, shape[0] - 1)) or [(0, shape[0])]
    folded = np.empty((10, (cuts[0][1] - cuts[0][0] + 2) * rows * columns))
    scratch = np.empty((3, 3, columns)), np.empty((12, 3, columns)), np.empty(columns), np.empty(columns, bool)
    for number, (start, stop) in enumerate(cuts):
        low = 0 if number == 0 else start
        high = shape[0] if number == len(cuts) - 1 else stop
        sizes = np.zeros(10, np.int64)
        _slab(
            low, high, *scratch, field, counted, foreground, STEPS, SIMPLICES, SIGNS, central, folded, sizes, counts
        )  # fmt: skip
        for simplex, size in enumerate(sizes):
            if size:
                turned -= float(folded[simplex, :size].sum())
    return Folds(central, counts.tolist(), turned)


# Small loops, of which the compiler makes vectors; see `regbench.spatial.determinant_loops`.
@exact
def _difference(there, here, step, out):
    """``there - here + step``; rows ``(X,)``."""
    for x in range(len(out)):
        out[x] = np.float64(there[x]) - np.float64(here[x]) + step


@exact
def _slope(low, high, gap, add, out):
    """``(high - low) / gap + add``; rows ``(X,)``, `gap` 1 or 2."""
    for x in range(len(out)):
        out[x] = (np.float64(high[x]) - np.float64(low[x])) / gap + add


@exact
def _add_product(one, a, b, c, d, out):
    """``out += one * (a * b - c * d)``; all ``(X,)``."""
    for x in range(len(out)):
        out[x] += one[x] * (a[x] * b[x] - c[x] * d[x])


@exact
def _determinant(a, b, c, sign, out):
    """Of three columns ``(3, X)`` by component, times a sign."""
    out[:] = 0
    for k in range(3):
        one, two = (k + 1) % 3, (k + 2) % 3
        _add_product(a[k], b[one], c[two], b[two], c[one], out)
    if sign < 0:
        for x in range(len(out)):
            out[x] = -out[x]


@exact
def _count(values, counted):
    """How many are 0 or below where they count."""
    total = 0
    for x in range(len(values)):
        total += (values[x] <= 0) & counted[x]
    return total


@exact
def _central_of_row(field, z, y, d):
    """``d[j, k]`` ``(X,)``: derivative of component k of ``p + u(p)`` along axis j, as numpy.gradient takes it."""
    depth, rows, columns = field.shape[1:]
    zb, za, yb, ya = max(z - 1, 0), min(z + 1, depth - 1), max(y - 1, 0), min(y + 1, rows - 1)
    for k in range(3):
        u = field[k]
        _slope(u[zb, y], u[za, y], np.float64(za - zb), np.float64(k == 0), d[0, k])
        _slope(u[z, yb], u[z, ya], np.float64(ya - yb), np.float64(k == 1), d[1, k])
        row, along = u[z, y], d[2, k]
        _slope(row[: columns - 2], row[2:], 2.0, np.float64(k == 2), along[1 : columns - 1])
        _slope(row[:1], row[1:2], 1.0, np.float64(k == 2), along[:1])
        _slope(row[columns - 2 : columns - 1], row[columns - 1 :], 1.0, np.float64(k == 2), along[columns - 1 :])


@exact
def _edges_of_row(field, z, y, steps, edges):
    """Where the edges from the voxels of a row to their neighbours go, ``(12, 3, X)``; 1 without a neighbour."""
    depth, rows, columns = field.shape[1:]
    for edge in range(len(steps)):
        dz, dy, dx = steps[edge]
        if not (0 <= z + dz < depth and 0 <= y + dy < rows):
            continue
        first, last = max(0, -dx), columns - max(0, dx)
        for k in range(3):
            here, there = field[k, z, y, first:last], field[k, z + dz, y + dy, first + dx : last + dx]
            edges[edge, k, 0] = edges[edge, k, columns - 1] = 1.0
            _difference(there, here, np.float64(steps[edge, k]), edges[edge, k, first:last])


@exact
def _gather(values, counted, seen, out, size):
    """Append what is 0 or below and counts to ``out[size:]``, and mark all that is 0 or below; the new size."""
    total = 0
    for x in range(len(values)):
        total += values[x] <= 0
    if total == 0:
        return size
    for x in range(len(values)):
        if values[x] <= 0:
            seen[x] = True
            if counted[x]:
                out[size] = values[x]
                size += 1
    return size


@exact
def _count_central(row, counted, foreground, seen, counts):
    """Of a row of determinants by central differences; `seen` ``(X,)`` is scratch."""
    counts[0] += _count(row, counted)
    for x in range(len(row)):
        seen[x] = counted[x] & foreground[x]
    counts[1] += _count(row, seen)


@exact
def _slab(start, stop, d, edges, values, seen, field, counted, foreground, steps, simplices, signs, central, folded,
          sizes, counts):  # fmt: skip
    """Planes start..stop-1; arguments as in `folds`.

    Args:
        d: ``(3, 3, X)``, scratch: the matrices of a row.
        edges: ``(12, 3, X)``, scratch.
        values: ``(X,)``, scratch.
        seen: ``(X,)`` booleans, scratch.
        folded: ``(10, n)``, gets the determinants of each simplex that are 0 or below, in order.
        sizes: ``(10,)``, gets how many.
        counts: ``(5,)``, added to.
    """
    depth, rows = field.shape[1:3]
    for z in range(start, stop):
        for y in range(rows):
            _central_of_row(field, z, y, d)
            _determinant(d[0], d[1], d[2], 1.0, central[z, y])
            _count_central(central[z, y], counted[z, y], foreground[z, y], seen, counts)
            _edges_of_row(field, z, y, steps, edges)
            ahead, behind = z < depth - 1 and y < rows - 1, z > 0 and y > 0
            _simplices_of_row(
                ahead, behind, edges, values, seen, counted[z, y], simplices, signs, folded, sizes, counts
            )


@exact
def _simplices_of_row(ahead, behind, edges, values, seen, counted, simplices, signs, folded, sizes, counts):
    """All ten where the row has neighbours `ahead` and `behind`, else the one that it has; arguments as in `_slab`."""
    last = len(values) - 1
    seen[:] = False
    for simplex in range(len(signs)):
        forward, backward = simplex == FORWARD and ahead, simplex == BACKWARD and behind
        if not ((ahead and behind) or forward or backward):
            continue
        i, j, k = simplices[simplex]
        _determinant(edges[i], edges[j], edges[k], signs[simplex], values)
        if forward:
            counts[2] += _count(values[:last], counted[:last])
        if backward:
            counts[3] += _count(values[1:], counted[1:])
        if ahead and behind:
            inner = values[1:last], counted[1:last], seen[1:last]
            sizes[simplex] = _gather(inner[0], inner[1], inner[2], folded[simplex], sizes[simplex])
    for x in range(1, last):
        counts[4] += seen[x] & counted[x]

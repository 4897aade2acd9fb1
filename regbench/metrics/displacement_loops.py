"""Lengths of displacements and of round trips, compiled: the bits of the expressions in `displacement_errors`."""

from functools import partial

import numpy as np

from regbench.metrics.inputs import Array, Floats
from regbench.system.numba_loops import jit

exact = partial(jit, exact=True)
ONE = np.uintp(1)


def lengths_mm(field: Array, other: Array, scale: Floats, out: Floats) -> None:
    """Length in mm of the difference of two rows of a displacement.

    Args:
        field: ``(3, Y, X)`` float32, in voxels.
        other: ``(3, Y, X)`` float32.
        scale: ``(3,)`` mm a voxel.
        out: ``(Y, X)``.
    """
    _lengths(field, other, scale, out)


def round_trips_mm(there: Array, back: Array, counted: Array, scale: Floats, first: int, out: Floats) -> Floats:
    """How far from their start voxels end that go there and back again.

    Args:
        there: ``(3, a, Y, X)`` float32: some planes of a displacement.
        back: ``(3, *M)`` float32, finite; sampled linearly, as scipy's `map_coordinates` does.
        counted: ``(a, Y, X)`` booleans.
        scale: ``(3,)`` mm a voxel.
        first: number of the first of the planes.
        out: memory for the result.

    Returns:
        ``(n,)`` mm, in order, of the voxels that count and land inside the other image; a part of `out`.
    """
    values = back.reshape(3, -1)
    return out[: _round_trips(there, values, back.shape[1:], counted, scale, first, out)]


@exact
def _lengths(field, other, scale, out):
    for y in range(out.shape[0]):
        a, b, c = field[0, y], field[1, y], field[2, y]
        d, e, f = other[0, y], other[1, y], other[2, y]
        target = out[y]
        for x in range(len(target)):
            one = (np.float64(a[x]) - np.float64(d[x])) * scale[0]
            two = (np.float64(b[x]) - np.float64(e[x])) * scale[1]
            three = (np.float64(c[x]) - np.float64(f[x])) * scale[2]
            target[x] = np.sqrt(one * one + two * two + three * three)


@exact
def _sample(values, at, low, high):
    """Of ``(n,)`` float32 at the eight corners of a cell; a corner's three weights come one after the other."""
    total = np.float64(values[at[0]]) * low[0] * low[1] * low[2]
    total += np.float64(values[at[1]]) * low[0] * low[1] * high[2]
    total += np.float64(values[at[2]]) * low[0] * high[1] * low[2]
    total += np.float64(values[at[3]]) * low[0] * high[1] * high[2]
    total += np.float64(values[at[4]]) * high[0] * low[1] * low[2]
    total += np.float64(values[at[5]]) * high[0] * low[1] * high[2]
    total += np.float64(values[at[6]]) * high[0] * high[1] * low[2]
    total += np.float64(values[at[7]]) * high[0] * high[1] * high[2]
    return total


@exact
def _round_trips(there, back, shape, counted, scale, first, out):
    """As `round_trips_mm`; `back` ``(3, n)``, `shape` M."""
    planes, rows, columns = there.shape[1:]
    count, deep, high, wide = 0, shape[0] - 1, shape[1] - 1, shape[2] - 1
    for z in range(planes):
        for y in range(rows):
            along_z, along_y, along_x, inside = there[0, z, y], there[1, z, y], there[2, z, y], counted[z, y]
            for x in range(columns):
                u, v, w = np.float64(along_z[x]), np.float64(along_y[x]), np.float64(along_x[x])
                a, b, c = u + np.float64(z + first), v + np.float64(y), w + np.float64(x)
                if not (inside[x] and 0 <= a <= deep and 0 <= b <= high and 0 <= c <= wide):
                    continue
                i, j, k = np.uintp(a), np.uintp(b), np.uintp(c)
                # At the last voxel the weight above is 0, whichever value it has.
                below = 1.0 - (a - np.float64(i)), 1.0 - (b - np.float64(j)), 1.0 - (c - np.float64(k))
                above = 1.0 - below[0], 1.0 - below[1], 1.0 - below[2]
                i1, j1, k1 = min(i + ONE, np.uintp(deep)), min(j + ONE, np.uintp(high)), min(k + ONE, np.uintp(wide))
                n, m = np.uintp(high + 1), np.uintp(wide + 1)
                p, q, r, s = (i * n + j) * m, (i * n + j1) * m, (i1 * n + j) * m, (i1 * n + j1) * m
                at = (p + k, p + k1, q + k, q + k1, r + k, r + k1, s + k, s + k1)
                one = (u + _sample(back[0], at, below, above)) * scale[0]
                two = (v + _sample(back[1], at, below, above)) * scale[1]
                three = (w + _sample(back[2], at, below, above)) * scale[2]
                out[count] = np.sqrt(one * one + two * two + three * three)
                count += 1
    return count

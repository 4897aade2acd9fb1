"""Finite differences of a displacement: value and gradient of the regularizers.

A field here is ``(N, A, Y, Z)``, N = batch x components: fewer spatial axes have leading ones. An index beyond the
border is drawn back to it, so that a difference across it is zero.

Every difference is one of neighbours, never a sum of weighted voxels: that would lose the digits of a displacement
with a large common part.
"""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.system.numba_loops import in_parts, jit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

f32 = np.float32


def grad_value(weights: Doubles, square: bool, field: Tensor) -> Tensor:
    """Weighted sum of the absolute or squared forward differences.

    Args:
        weights: ``(d, d)``: of each component's differences along each axis.
        square: whether squared.
        field: ``(B, d, *S)`` float32.
    """
    return _sum(_grad_value, field, _of_volumes(weights), square)


def grad_gradient(weights: Doubles, square: bool, field: Tensor, scale: float) -> Tensor:
    """Gradient of `grad_value`, ``(B, d, *S)``, times `scale`."""
    return _gradient(_grad_gradient, field, _of_volumes(scale * weights), square)


def bending_value(weights: Doubles, field: Tensor) -> Tensor:
    """Weighted sum of the squared second differences.

    Args:
        weights: ``(d, d, d)``: of each component's differences along each pair of axes, the first not above the second.
        field: ``(B, d, *S)`` float32.
    """
    return _sum(_bending_value, field, _of_volumes(weights))


def bending_gradient(weights: Doubles, field: Tensor, scale: float) -> Tensor:
    """Gradient of `bending_value`, ``(B, d, *S)``, times `scale`."""
    return _gradient(_bending_gradient, field, _of_volumes(2 * scale * weights))


def _of_volumes(weights: Doubles) -> Floats:
    """Zeros for the axes that a field has fewer than three."""
    missing = 3 - len(weights)
    return np.pad(weights, [(0, 0), *[(missing, 0)] * (weights.ndim - 1)]).astype(np.float32)


def _volumes(field: Tensor) -> Floats:
    volumes: Floats = field.detach().contiguous().numpy().reshape(-1, *(1, 1, *field.shape[2:])[-3:])
    return volumes


def _sum(kernel: Callable[..., None], field: Tensor, *arguments: Any) -> Tensor:
    volumes = _volumes(field)
    planes, columns = prod(volumes.shape[:2]), volumes.shape[-1]
    sums = np.empty(planes)
    in_parts(kernel, planes, volumes.size, lambda: (np.empty(columns, f32),), volumes, sums, *arguments)
    return torch.tensor(sums.sum(), dtype=field.dtype)


def _gradient(kernel: Callable[..., None], field: Tensor, *arguments: Any) -> Tensor:
    volumes, gradient = _volumes(field), torch.empty(field.shape, dtype=field.dtype)
    planes, columns = prod(volumes.shape[:2]), volumes.shape[-1]
    # A row of second differences, with a zero beyond either end, where there is none.
    in_parts(
        kernel, planes, volumes.size, lambda: (np.zeros(columns + 2, f32),), volumes, _volumes(gradient), *arguments
    )
    return gradient


@partial(jit, reorder=True)
def _total(row):
    """Sum of ``(X,)``."""
    total = 0.0
    for x in range(len(row)):
        total += row[x]
    return total


@jit
def _size(difference, square):
    return difference * difference if square else abs(difference)


@jit
def _slope(difference, square):
    return difference + difference if square else f32(difference > 0) - f32(difference < 0)


@jit
def _grad_value(start, stop, terms, field, sums, weights, square):
    """Planes of all fields, ``N * A``.

    Args:
        terms: ``(X,)``, of this thread.
        field: ``(N, A, Y, X)`` float32.
        sums: ``(N * A,)`` float64, one for each plane.
        weights: ``(d, 3)``, of component ``n % d`` along each axis.
        square: squared differences instead of absolute ones.
    """
    depth, rows, columns = field.shape[1:]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        along_z, along_y, along_x = weights[n % len(weights)]
        sums[plane] = 0.0
        for y in range(rows):
            here = field[n, z, y]
            above, after = field[n, min(z + 1, depth - 1), y], field[n, z, min(y + 1, rows - 1)]
            for x in range(columns):
                value = here[x]
                terms[x] = along_z * _size(above[x] - value, square) + along_y * _size(after[x] - value, square)
            for x in range(columns - 1):
                terms[x] += along_x * _size(here[x + 1] - here[x], square)
            sums[plane] += _total(terms)


@jit
def _grad_gradient(start, stop, _, field, out, weights, square):
    """Planes of all fields; `field` and `out` ``(N, A, Y, X)``, `weights` ``(d, 3)``."""
    depth, rows, columns = field.shape[1:]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        along_z, along_y, along_x = weights[n % len(weights)]
        for y in range(rows):
            here, target = field[n, z, y], out[n, z, y]
            below, above = field[n, max(z - 1, 0), y], field[n, min(z + 1, depth - 1), y]
            before, after = field[n, z, max(y - 1, 0)], field[n, z, min(y + 1, rows - 1)]
            for x in range(columns):
                value = here[x]
                in_z = _slope(value - below[x], square) - _slope(above[x] - value, square)
                in_y = _slope(value - before[x], square) - _slope(after[x] - value, square)
                target[x] = along_z * in_z + along_y * in_y
            for x in range(1, columns - 1):
                in_x = _slope(here[x] - here[x - 1], square) - _slope(here[x + 1] - here[x], square)
                target[x] += along_x * in_x
            target[0] -= along_x * _slope(here[1] - here[0], square)
            target[-1] += along_x * _slope(here[-1] - here[-2], square)


@jit
def _second(low, middle, high):
    return (high - middle) - (middle - low)


@jit
def _mixed(low_low, low_high, high_low, high_high):
    return (high_high - high_low) - (low_high - low_low)


@jit
def _bending_value(start, stop, terms, field, sums, weights):
    """Planes of all fields, ``N * A``.

    Args:
        terms: ``(X,)``, of this thread.
        field: ``(N, A, Y, X)`` float32.
        sums: ``(N * A,)`` float64, one for each plane.
        weights: ``(d, 3, 3)``, of component ``n % d`` along each pair of axes, the first not above the second.
    """
    depth, rows, columns = field.shape[1:]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        w = weights[n % len(weights)]
        in_z = w[0, 0] * f32(0 < z < depth - 1)
        sums[plane] = 0.0
        za = min(z + 1, depth - 1)
        for y in range(rows):
            in_y = w[1, 1] * f32(0 < y < rows - 1)
            ya = min(y + 1, rows - 1)
            here, below, above = field[n, z, y], field[n, max(z - 1, 0), y], field[n, za, y]
            before, after, corner = field[n, z, max(y - 1, 0)], field[n, z, ya], field[n, za, ya]
            for x in range(columns):
                one = _second(below[x], here[x], above[x])
                two = _second(before[x], here[x], after[x])
                both = _mixed(here[x], after[x], above[x], corner[x])
                terms[x] = in_z * (one * one) + in_y * (two * two) + w[0, 1] * (both * both)
            for x in range(columns - 1):
                one = _mixed(here[x], here[x + 1], above[x], above[x + 1])
                two = _mixed(here[x], here[x + 1], after[x], after[x + 1])
                terms[x] += w[0, 2] * (one * one) + w[1, 2] * (two * two)
            for x in range(1, columns - 1):
                one = _second(here[x - 1], here[x], here[x + 1])
                terms[x] += w[2, 2] * (one * one)
            sums[plane] += _total(terms)


# The compiler makes vectors of a loop only if few arrays could overlap with the one it writes: so each term of the
# gradient is a small loop of its own.
@jit
def _add_second(a, b, c, d, e, low, middle, high, out):
    """Add the transpose of the second difference across rows.

    Args:
        a, b, c, d, e: five neighbouring rows ``(X,)``.
        low, middle, high: numbers, weights of the three differences that they have.
        out: ``(X,)``, gradient of row `c`.
    """
    for x in range(len(out)):
        one, two, three = _second(a[x], b[x], c[x]), _second(b[x], c[x], d[x]), _second(c[x], d[x], e[x])
        out[x] += (low * one - middle * two) + (high * three - middle * two)


@jit
def _add_mixed(before, here, after, far_before, far, far_after, weight, out):
    """Add, of the four mixed differences around a voxel, the two towards one side; rows ``(X,)``, `weight` a number."""
    for x in range(len(out)):
        one = _mixed(here[x], after[x], far[x], far_after[x])
        two = _mixed(before[x], here[x], far_before[x], far[x])
        out[x] += weight * (one - two)


@jit
def _add_mixed_in_row(low, here, high, weight, out):
    """Add all four, where one of the axes is along the row; rows ``(X,)``, `weight` a number."""
    for x in range(1, len(out) - 1):
        out[x] += weight * _around(low, here, high, x, x - 1, x + 1)
    last = len(out) - 1
    out[0] += weight * _around(low, here, high, 0, 0, 1)
    out[last] += weight * _around(low, here, high, last, last - 1, last)


@jit
def _around(low, here, high, x, before, after):
    up = _mixed(here[x], here[after], high[x], high[after]) - _mixed(here[before], here[x], high[before], high[x])
    down = _mixed(low[x], low[after], here[x], here[after]) - _mixed(low[before], low[x], here[before], here[x])
    return up - down


@jit
def _hold(place, last):
    return min(max(place, 0), last)


@jit
def _bending_gradient(start, stop, in_x, field, out, weights):
    """Planes of all fields.

    Args:
        in_x: ``(X + 2,)``, of this thread: second differences along the row, with a zero beyond either end.
        field: ``(N, A, Y, X)`` float32.
        out: ``(N, A, Y, X)`` float32.
        weights: ``(d, 3, 3)``, as in `_bending_value`.
    """
    depth, rows, columns = field.shape[1:]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        w, volume, z1, z3 = weights[n % len(weights)], field[n], _hold(z - 1, depth - 1), _hold(z + 1, depth - 1)
        zz, yy = w[0, 0], w[1, 1]
        # Which of the second differences around this plane and its two neighbours exist.
        z_low, z_here, z_high = zz * f32(z > 1), zz * f32(0 < z < depth - 1), zz * f32(z < depth - 2)
        for y in range(rows):
            y1, y3 = _hold(y - 1, rows - 1), _hold(y + 1, rows - 1)
            y_low, y_here, y_high = yy * f32(y > 1), yy * f32(0 < y < rows - 1), yy * f32(y < rows - 2)
            target, here, low, high = out[n, z, y], volume[z, y], volume[z1, y], volume[z3, y]
            before, after = volume[z, y1], volume[z, y3]
            far_low, far_high = volume[_hold(z - 2, depth - 1), y], volume[_hold(z + 2, depth - 1), y]
            target[:] = 0
            _add_second(far_low, low, here, high, far_high, z_low, z_here, z_high, target)
            far_before, far_after = volume[z, _hold(y - 2, rows - 1)], volume[z, _hold(y + 2, rows - 1)]
            _add_second(far_before, before, here, after, far_after, y_low, y_here, y_high, target)
            _add_mixed(before, here, after, volume[z3, y1], high, volume[z3, y3], w[0, 1], target)
            _add_mixed(after, here, before, volume[z1, y3], low, volume[z1, y1], w[0, 1], target)
            _add_mixed_in_row(low, here, high, w[0, 2], target)
            _add_mixed_in_row(before, here, after, w[1, 2], target)
            for x in range(1, columns - 1):
                in_x[x + 1] = _second(here[x - 1], here[x], here[x + 1])
            for x in range(columns):
                target[x] += w[2, 2] * _second(in_x[x], in_x[x + 1], in_x[x + 2])

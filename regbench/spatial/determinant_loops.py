"""Jacobian determinants in 3D and their gradient, compiled."""

from math import prod

import numpy as np
import torch
from torch import Tensor

from regbench.system.numba_loops import in_parts, jit

f32 = np.float32


def determinant(field: Tensor) -> Tensor:
    """Determinants ``(B, A, Y, X)`` of the gradient of ``p + u(p)``, as numpy.gradient takes it.

    Args:
        field: ``(B, 3, A, Y, X)`` float32.
    """
    out = torch.empty((field.shape[0], *field.shape[2:]), dtype=field.dtype)
    values, rows = field.detach().contiguous().numpy(), field.shape[-1]
    in_parts(
        _determinant, prod(out.shape[:2]), values.size, lambda: (np.empty((3, 3, rows), f32),), values, out.numpy()
    )
    return out


def gradient(field: Tensor, upstream: Tensor) -> Tensor:
    """Gradient ``(B, 3, A, Y, X)`` to the field.

    Args:
        field: ``(B, 3, A, Y, X)`` float32.
        upstream: ``(B, A, Y, X)`` float32, gradient to the determinants.
    """
    values, slopes = field.detach().contiguous().numpy(), upstream.detach().contiguous().numpy()
    planes, rows = prod(slopes.shape[:2]), field.shape[-1]
    cofactors = np.empty((field.shape[0], 3, *field.shape[1:]), f32)
    in_parts(_cofactors, planes, values.size, lambda: (np.empty((3, 3, rows), f32),), values, slopes, cofactors)
    out = torch.empty(field.shape, dtype=field.dtype)
    in_parts(_gradient, planes, values.size, tuple, cofactors, out.numpy())
    return out


# The compiler makes vectors of a loop only if few arrays could overlap with the one it writes: so each term is a small
# loop of its own.
@jit
def _difference(low, high, factor, add, out):
    """``add + factor * (high - low)``; rows ``(X,)``."""
    for x in range(len(out)):
        out[x] = add + factor * (high[x] - low[x])


@jit
def _gradient_in_row(row, add, out):
    """Central differences along the row, one-sided at its ends, plus `add`; both ``(X,)``."""
    for x in range(1, len(row) - 1):
        out[x] = add + f32(0.5) * (row[x + 1] - row[x - 1])
    out[0] = add + (row[1] - row[0])
    out[-1] = add + (row[-1] - row[-2])


@jit
def _add_product(one, a, b, c, d, out):
    """``out += one * (a * b - c * d)``; all ``(X,)``."""
    for x in range(len(out)):
        out[x] += one[x] * (a[x] * b[x] - c[x] * d[x])


@jit
def _jacobian_of_row(field, n, z, y, d):
    """Of a row of `field` ``(B, 3, A, Y, X)``: ``d[k, j]`` ``(X,)`` is the derivative of component k along axis j."""
    depth, rows = field.shape[2:4]
    zb, za, yb, ya = max(z - 1, 0), min(z + 1, depth - 1), max(y - 1, 0), min(y + 1, rows - 1)
    for k in range(3):
        u = field[n, k]
        _difference(u[zb, y], u[za, y], f32(1) / f32(za - zb), f32(k == 0), d[k, 0])
        _difference(u[z, yb], u[z, ya], f32(1) / f32(ya - yb), f32(k == 1), d[k, 1])
        _gradient_in_row(u[z, y], f32(k == 2), d[k, 2])


@jit
def _determinant(start, stop, d, field, out):
    """Planes of all fields, ``B * A``.

    Args:
        d: ``(3, 3, X)``, of this thread: the matrices of a row.
        field: ``(B, 3, A, Y, X)`` float32.
        out: ``(B, A, Y, X)`` float32.
    """
    depth, rows = field.shape[2:4]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        for y in range(rows):
            _jacobian_of_row(field, n, z, y, d)
            target = out[n, z, y]
            target[:] = 0
            for j in range(3):
                one, two = (j + 1) % 3, (j + 2) % 3
                _add_product(d[0, j], d[1, one], d[2, two], d[1, two], d[2, one], target)


@jit
def _cofactors(start, stop, d, field, upstream, out):
    """Planes of all fields: cofactors times the gradient to the determinant.

    Args:
        d: ``(3, 3, X)``, of this thread: the matrices of a row.
        field: ``(B, 3, A, Y, X)`` float32.
        upstream: ``(B, A, Y, X)`` float32.
        out: ``(B, 3, 3, A, Y, X)`` float32, of component k along axis j.
    """
    depth, rows = field.shape[2:4]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        for y in range(rows):
            _jacobian_of_row(field, n, z, y, d)
            for k in range(3):
                before, after = d[(k + 1) % 3], d[(k + 2) % 3]
                for j in range(3):
                    one, two = (j + 1) % 3, (j + 2) % 3
                    target = out[n, k, j, z, y]
                    target[:] = 0
                    _add_product(upstream[n, z, y], before[one], after[two], before[two], after[one], target)


@jit
def _weights(place, count):
    """Of the value below and above a place, or its own where there is none, in the transpose of numpy.gradient."""
    below = f32(-1) if place == 0 else f32(1) if place == 1 else f32(0.5)
    above = f32(1) if place == count - 1 else f32(-1) if place == count - 2 else f32(-0.5)
    return below, above


@jit
def _add_both(low, high, below, above, out):
    """``out += below * low + above * high``; rows ``(X,)``."""
    for x in range(len(out)):
        out[x] += below * low[x] + above * high[x]


@jit
def _add_in_row(values, out):
    """The same along a row, ``(X,)``."""
    count = len(out)
    for x in range(2, count - 2):
        out[x] += f32(0.5) * (values[x - 1] - values[x + 1])
    for x in range(count):
        if x < 2 or x >= count - 2:
            below, above = _weights(x, count)
            out[x] += below * values[max(x - 1, 0)] + above * values[min(x + 1, count - 1)]


@jit
def _gradient(start, stop, cofactors, out):
    """Planes of all fields; `cofactors` ``(B, 3, 3, A, Y, X)``, `out` ``(B, 3, A, Y, X)``."""
    depth, rows = out.shape[2:4]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        z_below, z_above = _weights(z, depth)
        for k in range(3):
            along_z, along_y, along_x = cofactors[n, k, 0], cofactors[n, k, 1, z], cofactors[n, k, 2, z]
            for y in range(rows):
                target = out[n, k, z, y]
                target[:] = 0
                _add_both(along_z[max(z - 1, 0), y], along_z[min(z + 1, depth - 1), y], z_below, z_above, target)
                y_below, y_above = _weights(y, rows)
                _add_both(along_y[max(y - 1, 0)], along_y[min(y + 1, rows - 1)], y_below, y_above, target)
                _add_in_row(along_x[y], target)

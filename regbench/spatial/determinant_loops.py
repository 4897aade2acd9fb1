"""Jacobian determinants in 3D, compiled."""

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
def _determinant(start, stop, d, field, out):
    """Planes of all fields, ``B * A``.

    Args:
        d: ``(3, 3, X)``, of this thread: ``d[k, j]`` is the derivative of component k along axis j.
        field: ``(B, 3, A, Y, X)`` float32.
        out: ``(B, A, Y, X)`` float32.
    """
    depth, rows = field.shape[2:4]
    for plane in range(start, stop):
        n, z = plane // depth, plane % depth
        zb, za = max(z - 1, 0), min(z + 1, depth - 1)
        for y in range(rows):
            yb, ya = max(y - 1, 0), min(y + 1, rows - 1)
            for k in range(3):
                u = field[n, k]
                _difference(u[zb, y], u[za, y], f32(1) / f32(za - zb), f32(k == 0), d[k, 0])
                _difference(u[z, yb], u[z, ya], f32(1) / f32(ya - yb), f32(k == 1), d[k, 1])
                _gradient_in_row(u[z, y], f32(k == 2), d[k, 2])
            target = out[n, z, y]
            target[:] = 0
            for j in range(3):
                one, two = (j + 1) % 3, (j + 2) % 3
                _add_product(d[0, j], d[1, one], d[2, two], d[1, two], d[2, one], target)

"""Jacobian determinants in 3D."""

from math import prod

import numpy as np
import torch
from torch import Tensor

from regbench.system.numba_loops import in_parts, jit

f32 = np.float32


def determinant(field: Tensor) -> Tensor:
    """Determinants of the gradient of ``p + u(p)`` in 3D, as numpy.gradient takes it; ``(B, *S)``."""
    out = torch.empty((field.shape[0], *field.shape[2:]), dtype=field.dtype)
    values, found = field.detach().contiguous().numpy(), out.numpy()
    columns = found.shape[-1]
    in_parts(_determinant, prod(found.shape[:2]), values.size, lambda: (np.empty((3, 3, columns), f32),), values, found)
    return out


# A loop is turned into vectors only if few arrays could overlap with the one it writes: hence one small loop a term.


@jit
def _difference(low, high, factor, add, out):
    for x in range(len(out)):
        out[x] = add + factor * (high[x] - low[x])


@jit
def _gradient_in_row(row, add, out):
    for x in range(1, len(row) - 1):
        out[x] = add + f32(0.5) * (row[x + 1] - row[x - 1])
    out[0] = add + (row[1] - row[0])
    out[-1] = add + (row[-1] - row[-2])


@jit
def _add_product(one, a, b, c, d, out):
    for x in range(len(out)):
        out[x] += one[x] * (a[x] * b[x] - c[x] * d[x])


@jit
def _determinant(start, stop, d, field, out):  # d[k][j]: component k along axis j
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

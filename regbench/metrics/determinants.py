"""Jacobian determinants of p -> p + u(p), computed slab by slab so that nothing larger than the result is held.

In float64: a determinant that is exactly zero (a collapsed plane) must compare as zero. Index and displacement are
both in voxels, so no spacing enters.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from regbench.metrics.inputs import Array, Floats

# Voxels a slab: small enough for its dozen temporaries to stay in a core's cache, large enough to hide Python.
SLAB_VOXELS = 1 << 17


def slabs(shape: Sequence[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Cut the rows first..last-1 along the first axis into pieces of about `SLAB_VOXELS`."""
    rows = max(1, SLAB_VOXELS // max(1, int(np.prod(shape[1:]))))
    for start in range(first, last, rows):
        yield start, min(start + rows, last)


def determinant(columns: Sequence[Sequence[Floats]]) -> Floats:
    """Determinant of the matrix whose columns (edges of a simplex) are given by their components."""
    if len(columns) == 2:
        (a, b), (c, d) = columns
        return a * d - b * c
    return triple(columns[0], cross(columns[1], columns[2]))


def cross(a: Sequence[Floats], b: Sequence[Floats]) -> list[Floats]:
    """Cross product by components."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def triple(a: Sequence[Floats], normal: Sequence[Floats]) -> Floats:
    """Dot product by components: with a cross product, the determinant."""
    total = a[0] * normal[0]
    total += a[1] * normal[1]
    total += a[2] * normal[2]
    return total


def central_determinant(field: Array) -> Floats:
    """Determinants by central differences, one-sided at the border, as numpy.gradient takes them; ``(*S)``."""
    rows = field.shape[1]
    result = np.empty(field.shape[1:])
    for start, stop in slabs(field.shape[1:], 0, rows):
        # One more row on either side, where there is one, makes the inner differences central.
        low, high = max(start - 1, 0), min(stop + 1, rows)
        piece = field[:, low:high].astype(np.float64)
        inner = slice(start - low, stop - low)
        columns = [[np.gradient(component, axis=axis)[inner] for component in piece] for axis in range(len(piece))]
        result[start:stop] = determinant(_plus_identity(columns))
    return result


def forward_determinant(field: Array) -> Floats:
    """Determinants by forward differences at the voxels 0..N-2; at p + 1 they are the backward ones; ``(*S - 1)``."""
    dims, shape = len(field), [n - 1 for n in field.shape[1:]]
    result = np.empty(shape)
    for start, stop in slabs(shape, 0, shape[0]):
        piece = field[:, start : stop + 1].astype(np.float64)
        corner = [slice(0, n - 1) for n in piece.shape[1:]]
        columns = []
        for axis in range(dims):
            ahead = (slice(None), *(slice(1, None) if k == axis else corner[k] for k in range(dims)))
            columns.append(list(piece[ahead] - piece[(slice(None), *corner)]))
        result[start:stop] = determinant(_plus_identity(columns))
    return result


def _plus_identity(columns: list[list[Floats]]) -> list[list[Floats]]:
    """From the differences of u to those of p + u(p)."""
    for axis, column in enumerate(columns):
        column[axis] = column[axis] + 1
    return columns

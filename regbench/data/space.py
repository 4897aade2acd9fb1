"""Where a prepared grid lies in a subject's own array, and the way back for displacements."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Space:
    """Where a prepared grid lies in a subject's own array.

    Attributes:
        shape: of the prepared grid.
        native_shape: of the subject's array.
        matrix: ``(d + 1, d + 1)``, prepared voxel to native voxel. Axes are permuted, flipped and scaled; only
            pre-alignment turns or shears them.
    """

    shape: tuple[int, ...]
    native_shape: tuple[int, ...]
    matrix: Array

    def to_native(self, points: Array) -> Array:
        """Prepared voxel coordinates ``(n, d)`` as native ones."""
        return np.asarray(points @ self.matrix[:-1, :-1].T + self.matrix[:-1, -1])

    def to_prepared(self, points: Array) -> Array:
        """Native voxel coordinates ``(n, d)`` as prepared ones."""
        if not self.along_axes:
            return np.asarray(np.linalg.solve(self.matrix[:-1, :-1], (points - self.matrix[:-1, -1]).T).T)
        order, scale, offset = self.parts
        return np.asarray((points[:, order] - offset) / scale)

    def after(self, aligned: Array) -> "Space":
        """The space of a subject that `regbench.data.preprocessing.align.align` moved: `aligned` first, then this."""
        return Space(self.shape, self.native_shape, self.matrix @ aligned)

    @property
    def along_axes(self) -> bool:
        """Whether each prepared axis runs along a native one."""
        inner = self.matrix[:-1, :-1] != 0
        return bool((inner.sum(0) == 1).all() and (inner.sum(1) == 1).all())

    @property
    def parts(self) -> tuple[list[int], Array, Array]:
        """Native axis, scale and offset of each prepared axis, where they run along native ones."""
        dims = len(self.shape)
        order = [int(np.flatnonzero(self.matrix[:dims, k])[0]) for k in range(dims)]
        return order, self.matrix[order, range(dims)].copy(), self.matrix[order, dims].copy()


def displacement_to_native(displacement: Array, fixed: Space, moving: Space) -> Array:
    """A displacement between prepared images as one between the subjects' own arrays, pre-alignment included.

    Exact at every native voxel that is a prepared voxel; linear between them; outside the prepared grid the nearest
    edge counts.

    Args:
        displacement: ``(d, *fixed.shape)`` in prepared voxels.
        fixed: space of the fixed subject.
        moving: space of the moving subject.

    Returns:
        ``(d, *fixed.native_shape)`` float32, in native voxels: ``moving(p + u(p)) = fixed(p)`` for the native arrays.
    """
    from scipy.ndimage import map_coordinates

    dims = len(fixed.shape)
    native = np.stack(np.meshgrid(*[np.arange(n) for n in fixed.native_shape], indexing="ij")).reshape(dims, -1).T
    prepared = fixed.to_prepared(native.astype(np.float64))
    moved = [map_coordinates(part, prepared.T, order=1, mode="nearest", output=np.float64) for part in displacement]
    displaced = moving.to_native(prepared + np.stack(moved, 1)) - native
    return displaced.T.reshape(dims, *fixed.native_shape).astype(np.float32)

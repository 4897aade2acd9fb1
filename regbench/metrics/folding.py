"""Folding of a displacement: where the map p -> p + u(p) turns space inside out (determinant <= 0)."""

from itertools import product
from typing import Any

import numpy as np

from regbench.metrics.overlap import array
from regbench.spatial import jacobian_determinant


def fold_central_percent(displacement: Any, mask: Any = None) -> float:
    """Percent of voxels whose central-difference determinant is <= 0, in the whole box or in `mask`.

    Args:
        displacement: ``(d, *S)`` in voxels.
        mask: ``(*S)`` booleans, for example the fixed foreground.

    Returns:
        Percent; NaN for an empty mask. Differences are one-sided at the border, as numpy.gradient takes them.
    """
    import torch  # noqa: PLC0415  the rest of this module needs none

    field = torch.from_numpy(np.ascontiguousarray(array(displacement), dtype=np.float64))
    folded = (jacobian_determinant(field[None])[0] <= 0).numpy()
    if mask is not None:
        folded = folded[array(mask).astype(bool)]
    return 100 * float(folded.mean()) if folded.size else float("nan")


def ndv_percent(displacement: Any) -> float:
    """Non-diffeomorphic volume: the part of space that is turned inside out, in percent of the voxels 1..N-2.

    Around each voxel the map is piecewise linear on simplices: in 2D the four corner triangles, in 3D the eight corner
    tetrahedra and the two that they leave over (two ways to cut a cube into five). The volume of every simplex that is
    turned over is summed, each way counting half. Central differences see 0 % on a checkerboard where this sees all.

    Args:
        displacement: ``(d, *S)`` in voxels; at least 3 voxels along each axis.

    Reference:
        Liu et al. 2024, doi:10.1007/s11263-024-02047-1.
    """
    turned, points = 0.0, 0
    for slab in _slabs(displacement):
        factorial = 2 if len(slab) == 2 else 6
        for determinant in _simplices(slab):
            turned += 0.5 * float(-np.minimum(determinant, 0).sum()) / factorial
        points += int(np.prod([n - 2 for n in slab.shape[1:]]))
    return 100 * turned / points


def nd_points_percent(displacement: Any) -> float:
    """Percent of the voxels 1..N-2 at which any simplex (see `ndv_percent`) has a determinant <= 0."""
    bad, points = 0, 0
    for slab in _slabs(displacement):
        folded = np.zeros([n - 2 for n in slab.shape[1:]], bool)
        for determinant in _simplices(slab):
            folded |= determinant <= 0
        bad, points = bad + int(folded.sum()), points + folded.size
    return 100 * bad / points


def _slabs(displacement: Any, thickness: int = 16) -> Any:
    """Overlapping pieces of the map p + u(p) along the first axis, so that memory stays small."""
    field = array(displacement)
    shape = field.shape[1:]
    if len(shape) not in (2, 3) or len(field) != len(shape) or min(shape) < 3:
        raise ValueError(f"displacement must be (d, *S) with d = 2 or 3 and 3 voxels an axis, but got {field.shape}")
    for start in range(1, shape[0] - 1, thickness):
        rows = slice(start - 1, min(start + thickness, shape[0] - 1) + 1)
        piece = field[:, rows].astype(np.float64)
        yield piece + np.stack(np.meshgrid(*(np.arange(n) for n in piece.shape[1:]), indexing="ij"))


def _simplices(positions: np.ndarray[Any, Any]) -> Any:
    """Determinants at the inner points: d! times the signed volume of each simplex, positive where it kept its side."""
    dims = len(positions)

    def at(offset: tuple[int, ...]) -> np.ndarray[Any, Any]:
        return positions[
            (slice(None), *(slice(1 + k, n - 1 + k) for k, n in zip(offset, positions.shape[1:], strict=True)))
        ]

    here = at((0,) * dims)
    for signs in product((1, -1), repeat=dims):
        steps = np.eye(dims, dtype=int) * signs
        yield _determinant([(at(tuple(step)) - here) * sign for step, sign in zip(steps, signs, strict=True)])
    if dims == 3:
        # The regular tetrahedra inside a cube, one in either cutting: from a corner along three face diagonals.
        yield _determinant([at((1, 1, 0)) - here, at((0, 1, 1)) - here, at((1, 0, 1)) - here])
        ends = [at((0, 1, 0)), at((0, 0, 1)), at((1, 0, 0))]
        yield _determinant([at((1, 1, 1)) - end for end in ends])


def _determinant(edges: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    if len(edges) == 2:
        (a, b), (c, d) = edges
        return np.asarray(a * d - b * c)
    a, b, c = edges
    return np.asarray((np.cross(a, b, axis=0) * c).sum(0))

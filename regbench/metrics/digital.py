"""Digital diffeomorphism: is the piecewise linear map between voxels free of folds, whichever way a cell is cut?

A central difference at p never looks at p itself, so a checkerboard of folds escapes it. Liu et al. interpolate the
map linearly on simplices instead. In 2D a square is cut into two triangles, in two ways: the triangles at p are
spanned by one neighbour along each axis, four sign patterns. In 3D a cube is cut into four corner tetrahedra and a
regular one in the middle, in two ways: at p there are eight corner tetrahedra and two middle ones (the stars), along
the face diagonals of the cube behind p and of the cube ahead of p. The map is a digital diffeomorphism at p when all
four (2D) or ten (3D) determinants are positive.

A mirrored simplex of determinant D has volume -D / d!, and every cell is cut twice, so each cut counts half.

Reference:
    Liu et al. 2024, doi:10.1007/s11263-024-02047-1.
"""

from collections.abc import Iterator
from itertools import product
from math import factorial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.metrics.determinants import cross, determinant, slabs, triple
from regbench.metrics.inputs import Array, Floats, compiled, displacement_array, mask_array


class Digital(NamedTuple):
    """Both digital measures, from one pass."""

    ndv_percent: float
    nd_points_percent: float


def ndv_percent(displacement: Any, mask: Any = None) -> float:
    """Non-diffeomorphic volume (area in 2D): the volume that is turned inside out, in percent of the voxels 1..N-2.

    Unlike a share of voxels it also says how badly they fold; it can exceed 100.

    Args:
        displacement: ``(d, *S)`` in voxels, d = 2 or 3; at least 3 voxels along each axis.
        mask: ``(*S)`` booleans: only these voxels are counted, above and below the fraction bar.

    Returns:
        Percent; NaN for a displacement that is not finite or an empty mask.

    Raises:
        ValueError: if the displacement or the mask has another shape.

    Reference:
        Liu et al. 2024, doi:10.1007/s11263-024-02047-1.

    Example:
        >>> import numpy as np
        >>> stripes = np.zeros((2, 16, 16))
        >>> stripes[0, 1::2] = 2
        >>> ndv_percent(stripes)
        50.0
    """
    return digital_percent(displacement, mask).ndv_percent


def nd_points_percent(displacement: Any, mask: Any = None) -> float:
    """Percent of the voxels 1..N-2 at which the map is no digital diffeomorphism: any of its determinants is <= 0.

    Args, Returns, Raises, Reference: as for `ndv_percent`.

    Example:
        >>> import numpy as np
        >>> stripes = np.zeros((2, 16, 16))
        >>> stripes[0, 1::2] = 2
        >>> nd_points_percent(stripes)
        100.0
    """
    return digital_percent(displacement, mask).nd_points_percent


def digital_percent(displacement: Any, mask: Any = None) -> Digital:
    """`ndv_percent` and `nd_points_percent` in one pass; arguments as there.

    Example:
        >>> import numpy as np
        >>> stripes = np.zeros((2, 16, 16))
        >>> stripes[0, 1::2] = 2
        >>> digital_percent(stripes)
        Digital(ndv_percent=50.0, nd_points_percent=100.0)
    """
    field = displacement_array(displacement, voxels=3)
    counted = mask_array(mask, field.shape[1:])
    if not np.isfinite(field).all():
        return Digital(float("nan"), float("nan"))
    dims, shape = len(field), field.shape[1:]
    if compiled(field):
        from regbench.metrics import folding_loops  # noqa: PLC0415 - starts Numba

        among = np.ones(shape, bool) if counted is None else counted
        found = folding_loops.folds(field, among, among)
        return digital_of(found.turned, found.counts[-1], among)
    turned, bad = 0.0, 0
    for start, stop in slabs(shape, 1, shape[0] - 1):
        inside = None if counted is None else counted[(slice(start, stop), *[slice(1, -1)] * (dims - 1))]
        folded = np.zeros([stop - start, *(n - 2 for n in shape[1:])], dtype=bool)
        for corner in _determinants(field[:, start - 1 : stop + 1].astype(np.float64)):
            outside_in = corner <= 0
            if outside_in.any():
                folded |= outside_in
                turned -= float(corner[outside_in if inside is None else outside_in & inside].sum())
        bad += int((folded if inside is None else folded & inside).sum())
    return digital_of(turned, bad, np.ones(shape, bool) if counted is None else counted)


def digital_of(turned: float, bad: int, counted: NDArray[np.bool_]) -> Digital:
    """Both measures from their numerators.

    Args:
        turned: minus the sum over the simplices' determinants that are below 0.
        bad: voxels with any that is 0 or below.
        counted: ``(*S)``; of these the voxels 1..N-2 are the denominator.
    """
    points = int(np.count_nonzero(counted[(slice(1, -1),) * counted.ndim]))
    if not points:
        return Digital(float("nan"), float("nan"))
    return Digital(100 * turned / 2 / factorial(counted.ndim) / points, 100 * bad / points)


def _determinants(piece: Floats) -> Iterator[Floats]:
    """The 4 or 10 determinants at the inner voxels of a piece of a displacement; 1 (stars: 2) where u is constant."""
    dims = len(piece)
    ahead, behind = [], []
    for axis in range(dims):
        step = tuple(int(k == axis) for k in range(dims))
        ahead.append(_edge(piece, step))
        behind.append([-component for component in _edge(piece, tuple(-k for k in step))])
    if dims == 2:
        for first, second in product((ahead, behind), repeat=2):
            yield determinant([first[0], second[1]])
        return
    for second, third in product((ahead, behind), repeat=2):
        normal = cross(second[1], third[2])
        yield triple(ahead[0], normal)
        yield triple(behind[0], normal)
    for diagonals in (((-1, -1, 0), (-1, 0, -1), (0, -1, -1)), ((1, 1, 0), (0, 1, 1), (1, 0, 1))):
        yield determinant([_edge(piece, step) for step in diagonals])


def _edge(piece: Array, step: tuple[int, ...]) -> list[Floats]:
    """Where the edge from each inner voxel to its neighbour at `step` goes, by components."""
    there = tuple(slice(1 + k, n - 1 + k) for k, n in zip(step, piece.shape[1:], strict=True))
    here = tuple(slice(1, n - 1) for n in piece.shape[1:])
    return [component[there] - component[here] + k for component, k in zip(piece, step, strict=True)]

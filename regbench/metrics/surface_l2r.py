"""HD95 as Learn2Reg computes it: surface elements between voxels, weighted by their area, distances in voxels.

The elements are those of marching cubes: each corner where eight (2D: four) voxels meet is coded by which of them
belong to the structure, and the code has an area. Voxels of the structure that hang together along the cell's edges
are cut off by one piece of surface; the smaller side decides, so a code and its complement have one area.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product
from math import sqrt
from typing import Any

import numpy as np

from regbench.metrics.inputs import Array, Floats
from regbench.metrics.surface import Surfaces, directed, surfaces

SHARE = 0.95

# Area of the piece that cuts off a connected set of voxels of a unit cell; the key is how many of the cell's edges
# each of them has inside the set. One corner: an equilateral triangle through the middles of three edges; two: a
# rectangle; four round a face: a square; four round one corner: a hexagon; the others: triangles of these.
AREAS_2D = {(0,): sqrt(2) / 2, (1, 1): 1.0}
AREAS_3D = {
    (0,): sqrt(3) / 8,
    (1, 1): sqrt(2) / 2,
    (1, 1, 2): 1 / 2 + 3 * sqrt(3) / 8,
    (2, 2, 2, 2): 1.0,
    (1, 1, 1, 3): 3 * sqrt(3) / 4,
    (1, 1, 2, 2): sqrt(2) / 2 + sqrt(3) / 2,
}

Corner = tuple[int, ...]


def hd95_l2r(fixed: Any, moved: Any, labels: Sequence[int], *, moving: Any = None) -> dict[int, float]:
    """95 % Hausdorff distance of each label in voxels, whatever the spacing, as Learn2Reg's evaluator reports it.

    Args:
        fixed: ``(*S)`` integers.
        moved: warped moving labels, same shape.
        labels: the labels to compare; never 0.
        moving: the moving labels before the warp; without it, a label that is missing in `moved` counts as vanished.

    Returns:
        Label to voxels: the larger of the two directed distances below which 95 % of the surface area lies; NaN where
        the label is absent in `fixed` or, before the warp, in `moving`; infinity where it vanished in the warp.

    Raises:
        ValueError: if the shapes differ or are not 2D or 3D, a map is not of integers, or 0 is among the labels.

    Reference:
        Nikolov et al. 2021, doi:10.2196/26151.

    Example:
        >>> import numpy as np
        >>> fixed = np.zeros((8, 8), int)
        >>> fixed[2:6, 2:6] = 1
        >>> moved = np.roll(fixed, 1, axis=0)
        >>> hd95_l2r(fixed, moved, [1])
        {1: 1.0}
    """
    return hd95_l2r_of(surfaces(fixed, moved, labels, moving))


def hd95_l2r_of(surfaces: Surfaces) -> dict[int, float]:
    """`hd95_l2r` of label maps whose surfaces are known."""
    shape = surfaces.fixed.shape
    if len(shape) not in (2, 3):
        raise ValueError(f"hd95_l2r is of images of 2 or 3 dimensions, but got {shape}")
    scores = {}
    for label, ours in surfaces.ours.items():
        theirs = surfaces.theirs[label]
        if label in surfaces.absent:
            scores[label] = float("nan")
        elif not theirs.size:
            scores[label] = float("inf")
        else:
            box = _box(np.concatenate([ours, theirs]), shape)
            scores[label] = _robust_hausdorff(surfaces.fixed[box] == label, surfaces.moved[box] == label)
    return scores


def _box(index: Array, shape: Sequence[int]) -> tuple[slice, ...]:
    """The smallest box around voxels; around a structure it is that of its surface."""
    return tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in np.unravel_index(index, shape))


def _robust_hausdorff(ours: Array, theirs: Array) -> float:
    codes = cell_codes(ours), cell_codes(theirs)
    full = len(element_areas(ours.ndim)) - 1
    elements = [np.flatnonzero((code != 0) & (code != full)) for code in codes]
    distances = directed(elements[0], elements[1], codes[0].shape, np.ones(ours.ndim))
    found = [code.reshape(-1)[index] for code, index in zip(codes, elements, strict=True)]
    return max(_weighted(*pair, ours.ndim) for pair in zip(distances, found, strict=True))


def cell_codes(mask: Array) -> Array:
    """For each point where 2**d voxels meet, which of them are set: one bit each, the last of them the lowest."""
    codes: Array = np.zeros([n + 2 for n in mask.shape], np.uint8)
    codes[(slice(1, -1),) * mask.ndim] = mask
    for axis in reversed(range(mask.ndim)):
        along = codes.swapaxes(0, axis)
        # Bits of the neighbour behind go above those already there: 1, then 2, then 4 of them.
        shift = 1 << (mask.ndim - 1 - axis)
        codes = ((along[:-1] << shift) | along[1:]).swapaxes(0, axis)
    return codes


def _weighted(distances: Floats, codes: Array, dims: int) -> float:
    """The distance below which a share of the area lies; elements of one distance from the smallest area on."""
    areas, ranks = _sizes(dims)
    # The square of a distance in voxels is a whole number: one key for both, which sorts faster than two.
    keys = np.rint(distances * distances).astype(np.int64) * len(areas) + ranks[codes]
    keys.sort()
    reached = np.cumsum(areas[keys % len(areas)]) / areas[ranks[codes]].sum()
    return float(np.sqrt(keys[min(int(np.searchsorted(reached, SHARE)), keys.size - 1)] // len(areas)))


@cache
def _sizes(dims: int) -> tuple[Floats, Array]:
    """The areas that occur, ascending, and which of them each code has."""
    areas, ranks = np.unique(element_areas(dims), return_inverse=True)
    return areas, ranks


@cache
def element_areas(dims: int) -> Floats:
    """Area (2D: length) of the surface element of every code of a cell of unit spacing."""
    corners = list(product((0, 1), repeat=dims))
    known = AREAS_2D if dims == 2 else AREAS_3D
    areas = np.zeros(1 << len(corners))
    for code in range(1, len(areas) - 1):
        inside = [corner for bit, corner in enumerate(reversed(corners)) if code >> bit & 1]
        outside = [corner for corner in corners if corner not in inside]
        smaller = min(inside, outside, key=len)
        areas[code] = sum(known[_shape(piece)] for piece in _pieces(smaller))
    areas.setflags(write=False)
    return areas


def _pieces(corners: list[Corner]) -> list[list[Corner]]:
    """Sets of corners that hang together along edges."""
    left, pieces = list(corners), []
    while left:
        piece = [left.pop()]
        for corner in piece:
            joined = [other for other in left if _touch(corner, other)]
            piece += joined
            left = [other for other in left if other not in joined]
        pieces.append(piece)
    return pieces


def _shape(piece: list[Corner]) -> tuple[int, ...]:
    return tuple(sorted(sum(_touch(corner, other) for other in piece) for corner in piece))


def _touch(one: Corner, other: Corner) -> bool:
    return sum(a != b for a, b in zip(one, other, strict=True)) == 1

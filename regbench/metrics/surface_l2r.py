"""HD95 as Learn2Reg computes it: surface elements between voxels, weighted by their area, distances in voxels.

The elements are those of marching cubes: each corner where eight (2D: four) voxels meet is coded by which of them
belong to the structure, and the code has an area. Voxels of the structure that hang together along the cell's edges
are cut off by one piece of surface; the smaller side decides, so a code and its complement have one area.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from regbench.metrics.inputs import Array, Floats, label_maps
from regbench.metrics.overlap import absent_labels, label_counts
from regbench.metrics.surface import directed

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
    """
    fixed, moved, labels = label_maps(fixed, moved, labels)
    if fixed.ndim not in (2, 3):
        raise ValueError(f"hd95_l2r is of images of 2 or 3 dimensions, but got {fixed.shape}")
    absent = absent_labels(label_counts(fixed), labels, moving)
    ours, theirs = bounding_boxes(fixed, labels), bounding_boxes(moved, labels)
    scores = {}
    for label in labels:
        if label in absent:
            scores[label] = float("nan")
        elif label not in theirs:
            scores[label] = float("inf")
        else:
            box = tuple(
                slice(min(a.start, b.start), max(a.stop, b.stop))
                for a, b in zip(ours[label], theirs[label], strict=True)
            )
            scores[label] = _robust_hausdorff(fixed[box] == label, moved[box] == label)
    return scores


def bounding_boxes(labels: Array, wanted: Iterable[int]) -> dict[int, tuple[slice, ...]]:
    """The smallest box around each wanted label that occurs."""
    wanted = list(wanted)
    if not wanted:
        return {}
    # Ranks in place of labels: find_objects would make a list as long as the largest label.
    values = np.array(sorted(wanted))
    rank = np.searchsorted(values, labels).clip(max=len(values) - 1)
    ranked = np.where(values[rank] == labels, rank + 1, 0).astype(np.int32)
    boxes = find_objects(ranked, max_label=len(values))
    return {int(label): box for label, box in zip(values, boxes, strict=True) if box is not None}


def _robust_hausdorff(ours: Array, theirs: Array) -> float:
    areas = element_areas(ours.ndim)
    codes = cell_codes(ours), cell_codes(theirs)
    full = len(areas) - 1
    surfaces = [np.flatnonzero((code != 0) & (code != full)) for code in codes]
    distances = directed(surfaces[0], surfaces[1], codes[0].shape, np.ones(ours.ndim))
    weights = [areas[code.reshape(-1)[index]] for code, index in zip(codes, surfaces, strict=True)]
    return max(_weighted(*pair) for pair in zip(distances, weights, strict=True))


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


def _weighted(distances: Floats, weights: Floats) -> float:
    order = np.lexsort((weights, distances))
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(distances[order[min(int(np.searchsorted(reached, SHARE)), order.size - 1)]])


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

"""Distances between the surfaces of labelled structures, in mm.

The surface of a label is the set of its voxels that touch another label, or the end of the image, across a face.
All surfaces of an image are found in one pass; distances come from k-d trees over surface voxels only.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from regbench.metrics.inputs import Array, Floats, label_maps, loops_serve, spacing_mm
from regbench.metrics.overlap import LARGEST_COUNTED, absent_labels, label_counts

# Two directed sets of distances: fixed to moved, moved to fixed.
Directed = tuple[Floats, Floats]
TOLERANCE_MM = 1.0  # of `nsd`, unless another is given
LARGEST_RANK = 1 << 16  # of labels, in two bytes
FEW = 1 << 16  # products of numbers of points: fewer are compared each with each, which costs less than a tree


def hd95_mm(
    fixed: Any, moved: Any, labels: Sequence[int], spacing: Sequence[float], *, moving: Any = None
) -> dict[int, float]:
    """95 % Hausdorff distance of each label: the larger of the two directed 95th percentiles.

    Args:
        fixed: ``(*S)`` integers.
        moved: warped moving labels, same shape.
        labels: the labels to compare; never 0.
        spacing: mm per voxel of the fixed image along each axis.
        moving: the moving labels before the warp; without it, a label that is missing in `moved` counts as vanished.

    Returns:
        Label to mm: NaN where the label is absent in `fixed` or, before the warp, in `moving`; infinity where it
        vanished in the warp. Percentiles are interpolated linearly, as MONAI does; MedPy pools both directions instead.

    Raises:
        ValueError: if the shapes differ, a map is not of integers, or 0 is among the labels.

    Reference:
        Huttenlocher et al. 1993, doi:10.1109/34.232073.

    Example:
        >>> import numpy as np
        >>> fixed = np.zeros((8, 8), int)
        >>> fixed[2:6, 2:6] = 1
        >>> moved = np.roll(fixed, 1, axis=0)
        >>> hd95_mm(fixed, moved, [1], (2.0, 1.0))
        {1: 2.0}
    """
    return _each(surface_distances(fixed, moved, labels, spacing, moving=moving), hd95_of)


def assd_mm(
    fixed: Any, moved: Any, labels: Sequence[int], spacing: Sequence[float], *, moving: Any = None
) -> dict[int, float]:
    """Average symmetric surface distance of each label: the mean over the voxels of both surfaces, pooled.

    Args, Returns, Raises: as for `hd95_mm`. MedPy averages the two directed means instead.

    Reference:
        Heimann et al. 2009, doi:10.1109/TMI.2009.2013851.

    Example:
        >>> import numpy as np
        >>> fixed = np.zeros((8, 8), int)
        >>> fixed[2:6, 2:6] = 1
        >>> moved = np.roll(fixed, 1, axis=0)
        >>> assd_mm(fixed, fixed, [1], (1.0, 2.0)), round(assd_mm(fixed, moved, [1], (1.0, 2.0))[1], 3)
        ({1: 0.0}, 0.5)
    """
    return _each(surface_distances(fixed, moved, labels, spacing, moving=moving), assd_of)


def nsd(
    fixed: Any,
    moved: Any,
    labels: Sequence[int],
    spacing: Sequence[float],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    moving: Any = None,
) -> dict[int, float]:
    """Normalised surface distance of each label: the share of both surfaces that lies within a tolerance of the other.

    Args, Raises: as for `hd95_mm`, and `tolerance_mm`, 0 or more: distances up to it count as none.

    Returns:
        Label to share in [0, 1]: NaN where the label is absent in `fixed` or, before the warp, in `moving`; 0 where it
        vanished in the warp. The voxels of both surfaces are counted, as Metrics Reloaded and MONAI do;
        surface-distance weights them by area.

    Reference:
        Nikolov et al. 2021, doi:10.2196/26151; Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z.

    Example:
        >>> import numpy as np
        >>> fixed = np.zeros((8, 8), int)
        >>> fixed[2:6, 2:6] = 1
        >>> moved = np.roll(fixed, 1, axis=0)
        >>> nsd(fixed, moved, [1], (1.0, 1.0), tolerance_mm=1.0)
        {1: 1.0}
    """
    distances = surface_distances(fixed, moved, labels, spacing, moving=moving)
    return _each(distances, partial(nsd_of, tolerance_mm=tolerance_mm))


def surface_metrics(
    fixed: Any,
    moved: Any,
    labels: Sequence[int],
    spacing: Sequence[float],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    moving: Any = None,
) -> dict[str, dict[int, float]]:
    """`hd95_mm`, `assd_mm` and `nsd` from one search; arguments as there.

    Example:
        >>> import numpy as np
        >>> fixed = np.zeros((8, 8), int)
        >>> fixed[2:6, 2:6] = 1
        >>> moved = np.roll(fixed, 1, axis=0)
        >>> surface_metrics(fixed, moved, [1], (2.0, 1.0))["hd95_mm"]
        {1: 2.0}
    """
    return measures_of(surface_distances(fixed, moved, labels, spacing, moving=moving), tolerance_mm)


def surface_distances(
    fixed: Any, moved: Any, labels: Sequence[int], spacing: Sequence[float], *, moving: Any = None
) -> dict[int, Directed | None]:
    """Distances in mm from each surface voxel to the other surface, both ways; None where the label was absent.

    Args: as for `hd95_mm`. The distances of a label that vanished are infinite.
    """
    return distances_of(surfaces(fixed, moved, labels, moving), spacing)


class Surfaces(NamedTuple):
    """The surfaces of two label maps.

    Attributes:
        fixed: ``(*S)`` integers.
        moved: ``(*S)`` integers.
        absent: of the labels, those that no registration could overlap.
        ours: flat indices, ascending, of the surface voxels of each label of `fixed`.
        theirs: the same of `moved`.
    """

    fixed: Array
    moved: Array
    absent: Collection[int]
    ours: dict[int, Array]
    theirs: dict[int, Array]


def surfaces(fixed: Any, moved: Any, labels: Sequence[int], moving: Any = None) -> Surfaces:
    """The surfaces of two label maps, which several measures can share.

    Args, Raises: as for `hd95_mm`.
    """
    fixed, moved, labels = label_maps(fixed, moved, labels)
    return surfaces_of(fixed, moved, labels, absent_labels(label_counts(fixed), labels, moving))


def surfaces_of(fixed: Array, moved: Array, labels: Sequence[int], absent: Collection[int]) -> Surfaces:
    """The same of maps that are checked, and whose absent labels are known."""
    return Surfaces(fixed, moved, absent, surface_voxels(fixed, labels), surface_voxels(moved, labels))


def distances_of(surfaces: Surfaces, spacing: Sequence[float]) -> dict[int, Directed | None]:
    """`surface_distances` of surfaces that are known."""
    shape, scale = surfaces.fixed.shape, spacing_mm(spacing, surfaces.fixed.ndim)
    return {
        label: None if label in surfaces.absent else directed(ours, surfaces.theirs[label], shape, scale)
        for label, ours in surfaces.ours.items()
    }


def measures_of(distances: dict[int, Directed | None], tolerance_mm: float) -> dict[str, dict[int, float]]:
    """`hd95_mm`, `assd_mm` and `nsd` of distances that are known."""
    return {
        "hd95_mm": _each(distances, hd95_of),
        "assd_mm": _each(distances, assd_of),
        "nsd": _each(distances, partial(nsd_of, tolerance_mm=tolerance_mm)),
    }


def surface_voxels(labels: Array, wanted: Iterable[int]) -> dict[int, Array]:
    """Flat indices, ascending, of the surface voxels of each wanted label."""
    wanted = list(wanted)
    if loops_serve() and labels.ndim in (2, 3) and len(wanted) < LARGEST_RANK:
        return _by_loops(labels, wanted)
    surface = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        along = surface.swapaxes(0, axis)
        changes = np.diff(labels.swapaxes(0, axis).astype(np.int64, copy=False), axis=0) != 0
        along[:-1] |= changes
        along[1:] |= changes
        along[0] = along[-1] = True
    surface &= labels != 0
    index = np.flatnonzero(surface)
    values = labels.reshape(-1)[index]
    # A stable sort keeps each label's indices ascending.
    order = np.argsort(values, kind="stable")
    index, values = index[order], values[order]
    bounds = {label: np.searchsorted(values, [label, label], side="left") for label in wanted}
    return {label: index[low : np.searchsorted(values, label, side="right")] for label, (low, _) in bounds.items()}


def _by_loops(labels: Array, wanted: list[int]) -> dict[int, Array]:
    from regbench.metrics import surface_loops  # noqa: PLC0415 - starts Numba

    values = np.array(sorted(set(wanted)), dtype=np.int64)
    index, rank = surface_loops.surface_index(ranks(labels, values))
    order = np.argsort(rank, kind="stable")
    index, ends = index[order], np.cumsum(np.bincount(rank, minlength=len(values) + 1))
    parts = {int(value): index[low:high] for value, low, high in zip(values, ends[:-1], ends[1:], strict=True)}
    return {label: parts[label] for label in wanted}


def ranks(labels: Array, values: Array) -> NDArray[np.uint16]:
    """Of each voxel: 1 and up for the wanted values in their order, ascending, 0 for all other."""
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < LARGEST_COUNTED:
        table = np.zeros(high + 1, np.uint16)
        known = values[(values >= 0) & (values <= high)]
        table[known] = np.searchsorted(values, known) + 1
        return table[labels]
    place = np.searchsorted(values, labels).clip(max=max(len(values) - 1, 0))
    return np.where(values[place] == labels, place + 1, 0).astype(np.uint16)


def directed(ours: Array, theirs: Array, shape: Sequence[int], scale: Floats) -> Directed:
    """Distance from each of our points to the nearest of theirs, and back; points are flat indices, ascending."""
    if not ours.size or not theirs.size:
        return np.full(ours.size, np.inf), np.full(theirs.size, np.inf)
    voxels = [np.stack(np.unravel_index(index, shape)) for index in (ours, theirs)]
    if ours.size * theirs.size > FEW and loops_serve():
        from regbench.metrics import surface_loops  # noqa: PLC0415 - starts Numba

        near = surface_loops.nearest(voxels[0], voxels[1], scale)
    else:
        # Shared points are at distance 0: no need to search for them, and good registrations share many.
        near = np.where(_among(ours, theirs), 0.0, np.inf), np.where(_among(theirs, ours), 0.0, np.inf)
    here, there = (points.T * scale for points in voxels)
    return _farther(near[0], here, there), _farther(near[1], there, here)


def _among(ours: Array, theirs: Array) -> Array:
    """Which of our indices are theirs too; both ascending."""
    found: Array = theirs[np.searchsorted(theirs, ours).clip(max=theirs.size - 1)] == ours
    return found


def _farther(distances: Floats, here: Floats, there: Floats) -> Floats:
    """The distances, where they are infinite by a search among all points."""
    alone = np.isinf(distances)
    here = here[alone]
    if len(here) * len(there) <= FEW:
        squares = np.sum([(a[:, None] - b) ** 2 for a, b in zip(here.T, there.T, strict=True)], axis=0)
        distances[alone] = np.sqrt(squares.min(axis=1))
    else:
        distances[alone] = KDTree(there, balanced_tree=False, compact_nodes=False).query(here)[0]
    return distances


def hd95_of(distances: Directed) -> float:
    """The larger of the two directed 95th percentiles; infinite if either surface is empty."""
    if not all(part.size and np.isfinite(part).all() for part in distances):
        return float("inf")
    return max(_percentile95(part) for part in distances)


def _percentile95(values: Floats) -> float:
    """`numpy.percentile`'s number to the bit, without the 50 us that its questions take: labels are many and small."""
    place = (values.size - 1) * 0.95
    low = int(place)
    high = min(low + 1, values.size - 1)
    ordered = np.partition(values, (low, high))
    below, above, share = float(ordered[low]), float(ordered[high]), place - low
    # Numpy counts from the nearer end, so that the result is never outside the two.
    return above - (above - below) * (1 - share) if share >= 0.5 else below + (above - below) * share


def assd_of(distances: Directed) -> float:
    """The mean over both directions, pooled; infinite if either surface is empty."""
    if not all(part.size for part in distances):
        return float("inf")
    return float(np.concatenate(distances).mean())


def nsd_of(distances: Directed, *, tolerance_mm: float) -> float:
    """The share of the voxels of both surfaces within the tolerance of the other; 0 if either surface is empty.

    Raises:
        ValueError: if the tolerance is negative or no number.
    """
    if not tolerance_mm >= 0:
        raise ValueError(f"tolerance_mm must be 0 or more, but got {tolerance_mm}")
    # Distances are sums of squares: of two equal lengths one may be a last digit longer.
    near = sum(int((part <= tolerance_mm * (1 + 1e-9)).sum()) for part in distances)
    return near / sum(part.size for part in distances)


def _each(by_label: dict[int, Directed | None], measure: Any) -> dict[int, float]:
    return {label: float("nan") if distances is None else measure(distances) for label, distances in by_label.items()}

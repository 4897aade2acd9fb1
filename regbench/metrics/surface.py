"""Distances between the surfaces of labelled structures, in mm.

The surface of a label is the set of its voxels that touch another label, or the end of the image, across a face.
All surfaces of an image are found in one pass; distances come from k-d trees over surface voxels only.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from regbench.metrics.inputs import Array, Floats, label_maps, spacing_mm
from regbench.metrics.overlap import absent_labels, label_counts

# Two directed sets of distances: fixed to moved, moved to fixed.
Directed = tuple[Floats, Floats]
TOLERANCE_MM = 1.0  # of `nsd`, unless another is given
FEW = 1 << 14  # products of numbers of points: fewer are compared each with each, which costs less than a tree


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
    """
    return _each(surface_distances(fixed, moved, labels, spacing, moving=moving), hd95_of)


def assd_mm(
    fixed: Any, moved: Any, labels: Sequence[int], spacing: Sequence[float], *, moving: Any = None
) -> dict[int, float]:
    """Average symmetric surface distance of each label: the mean over the voxels of both surfaces, pooled.

    Args, Returns, Raises: as for `hd95_mm`. MedPy averages the two directed means instead.

    Reference:
        Heimann et al. 2009, doi:10.1109/TMI.2009.2013851.
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
    """`hd95_mm`, `assd_mm` and `nsd` from one search; arguments as there."""
    distances = surface_distances(fixed, moved, labels, spacing, moving=moving)
    return {
        "hd95_mm": _each(distances, hd95_of),
        "assd_mm": _each(distances, assd_of),
        "nsd": _each(distances, partial(nsd_of, tolerance_mm=tolerance_mm)),
    }


def surface_distances(
    fixed: Any, moved: Any, labels: Sequence[int], spacing: Sequence[float], *, moving: Any = None
) -> dict[int, Directed | None]:
    """Distances in mm from each surface voxel to the other surface, both ways; None where the label was absent.

    Args: as for `hd95_mm`. The distances of a label that vanished are infinite.
    """
    fixed, moved, labels = label_maps(fixed, moved, labels)
    scale = spacing_mm(spacing, fixed.ndim)
    absent = absent_labels(label_counts(fixed), labels, moving)
    ours, theirs = surface_voxels(fixed, labels), surface_voxels(moved, labels)
    return {
        label: None if label in absent else directed(ours[label], theirs[label], fixed.shape, scale) for label in labels
    }


def surface_voxels(labels: Array, wanted: Iterable[int]) -> dict[int, Array]:
    """Flat indices, ascending, of the surface voxels of each wanted label."""
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


def directed(ours: Array, theirs: Array, shape: Sequence[int], scale: Floats) -> Directed:
    """Distance from each of our points to the nearest of theirs, and back; points are flat indices, ascending."""
    if not ours.size or not theirs.size:
        return np.full(ours.size, np.inf), np.full(theirs.size, np.inf)
    here, there = (np.stack(np.unravel_index(index, shape), -1) * scale for index in (ours, theirs))
    return _nearest(ours, here, theirs, there), _nearest(theirs, there, ours, here)


def _nearest(ours: Array, here: Floats, theirs: Array, there: Floats) -> Floats:
    # Shared points are at distance 0: no need to search for them, and good registrations share many.
    alone = theirs[np.searchsorted(theirs, ours).clip(max=theirs.size - 1)] != ours
    nearest = np.zeros(ours.size)
    here = here[alone]
    if len(here) * len(there) <= FEW:
        squares = np.sum([(a[:, None] - b) ** 2 for a, b in zip(here.T, there.T, strict=True)], axis=0)
        nearest[alone] = np.sqrt(squares.min(axis=1))
    else:
        nearest[alone] = KDTree(there, balanced_tree=False, compact_nodes=False).query(here)[0]
    return nearest


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

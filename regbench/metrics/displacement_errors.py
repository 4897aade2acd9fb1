"""Errors of a displacement against a truth: landmarks, a known displacement, its own inverse."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from regbench.metrics.determinants import slabs
from regbench.metrics.inputs import Array, Floats, array, compiled, displacement_array, mask_array, spacing_mm


def tre_mm(displacement: Any, fixed_points: Any, moving_points: Any, spacing: Sequence[float]) -> float:
    """Target registration error: mean distance from where a displacement sends the fixed landmarks to the moving ones.

    Args:
        displacement: ``(d, *S)`` in voxels; sampled linearly, repeated beyond the border.
        fixed_points: ``(n, d)`` voxel coordinates of the array, in the fixed image; 0 is the centre of the first voxel.
        moving_points: ``(n, d)`` voxel coordinates of the same landmarks in the moving image.
        spacing: mm per voxel of the moving image along each axis: that is where the distance is measured.

    Returns:
        mm; NaN without a landmark. Learn2Reg samples the field otherwise: `tre_l2r_mm`.

    Raises:
        ValueError: if the landmarks do not pair up or have not one coordinate an axis.

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> tre_mm(u, [[2, 2], [4, 4]], [[3, 3], [5, 6]], (1.0, 2.0))
        1.0
    """
    error = landmark_errors_mm(displacement, fixed_points, moving_points, spacing)
    return float(error.mean()) if error.size else float("nan")


def tre_metrics(
    displacement: Any, fixed_points: Any, moving_points: Any, spacing: Sequence[float], *, diagonal_mm: float
) -> dict[str, float]:
    """`tre_mm`, and beside it what a mean with a heavy tail hides; arguments as for `tre_mm`.

    Args:
        displacement: ``(d, *S)`` in voxels.
        fixed_points: ``(n, d)`` voxel coordinates in the fixed image.
        moving_points: ``(n, d)`` voxel coordinates in the moving image.
        spacing: mm per voxel of the moving image along each axis.
        diagonal_mm: of the fixed image.

    Returns:
        ``tre_mm``, ``tre_median_mm`` and ``tre70_mm`` (70th percentile, interpolated linearly) over the landmarks, and
        ``rtre_percent``, the mean in per cent of the diagonal; NaN without a landmark.

    Reference:
        Hering et al. 2022, doi:10.1109/TMI.2022.3213983 (70th percentile); Borovec et al. 2020,
        doi:10.1109/TMI.2020.2986331 (relative error).

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> sorted(tre_metrics(u, [[2, 2]], [[3, 3]], (1.0, 1.0), diagonal_mm=10.0))
        ['rtre_percent', 'tre70_mm', 'tre_median_mm', 'tre_mm']
    """
    error = landmark_errors_mm(displacement, fixed_points, moving_points, spacing)
    if not error.size:
        return dict.fromkeys(("tre_mm", "tre_median_mm", "tre70_mm", "rtre_percent"), float("nan"))
    mean = float(error.mean())
    return {
        "tre_mm": mean,
        "tre_median_mm": float(np.median(error)),
        "tre70_mm": float(np.quantile(error, 0.7)),
        "rtre_percent": 100 * mean / diagonal_mm,
    }


def tre_l2r_mm(displacement: Any, fixed_points: Any, moving_points: Any, spacing: Sequence[float]) -> float:
    """The target registration error as Learn2Reg's evaluator computes it; arguments, unit and errors as for `tre_mm`.

    The displacement is sampled by cubic splines and is zero beyond the outermost voxel centres: scipy's
    `map_coordinates` at its defaults. At whole voxels inside the image both sample alike.

    Reference:
        Hering et al. 2022, doi:10.1109/TMI.2022.3213983.

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> round(tre_l2r_mm(u, [[2, 2], [4, 4]], [[3, 3], [5, 6]], (1.0, 2.0)), 6)
        1.0
    """
    field, start, end = _landmarks(displacement, fixed_points, moving_points)
    components = [map_coordinates(part, start.T, order=3, mode="constant", output=np.float64) for part in field]
    error = _length_mm(start.T + np.stack(components) - end.T, spacing)
    return float(error.mean()) if error.size else float("nan")


def landmark_errors_mm(displacement: Any, fixed_points: Any, moving_points: Any, spacing: Sequence[float]) -> Floats:
    """The error of each landmark, ``(n,)`` mm; arguments as for `tre_mm`.

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> landmark_errors_mm(u, [[2, 2]], [[3, 3]], (1.0, 1.0)), landmark_errors_mm(u, [[2, 2]], [[3, 5]], (1.0, 2.0))
        (array([0.]), array([4.]))
    """
    field, start, end = _landmarks(displacement, fixed_points, moving_points)
    return _length_mm(start.T + _sampled(field, start.T) - end.T, spacing)


def endpoint_error_mm(displacement: Any, truth: Any, spacing: Sequence[float], *, mask: Any = None) -> float:
    """Mean distance between where a displacement and the true one send each voxel.

    Args:
        displacement: ``(d, *S)`` in voxels.
        truth: the true displacement, same shape and unit.
        spacing: mm per voxel along each axis.
        mask: ``(*S)`` booleans; the mean is over the whole box without it.

    Returns:
        mm; for a zero displacement the mean length of the true one. NaN for an empty mask, or if
        either is not finite in it.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> endpoint_error_mm(u, np.zeros_like(u), (3.0, 4.0))
        5.0
    """
    field, true = displacement_array(displacement, voxels=1), displacement_array(truth, voxels=1)
    if field.shape != true.shape:
        raise ValueError(f"displacement and truth must have one shape, but got {field.shape} and {true.shape}")
    return _mean_length_mm(field, true, spacing, mask)


def displacement_mm(displacement: Any, spacing: Sequence[float], *, mask: Any = None) -> float:
    """Mean length of a displacement over the whole box.

    Args:
        displacement: ``(d, *S)`` in voxels.
        spacing: mm per voxel along each axis.
        mask: ``(*S)`` booleans; the mean is over the whole box without it.

    Returns:
        mm; NaN for a displacement that is not finite or an empty mask.

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> displacement_mm(u, (3.0, 4.0))
        5.0
    """
    return _mean_length_mm(displacement_array(displacement, voxels=1), None, spacing, mask)


def inverse_consistency_mm(forward: Any, backward: Any, spacing: Sequence[float], *, mask: Any = None) -> float:
    """Mean distance from each fixed voxel to where the two directions, one after the other, take it.

    Args:
        forward: ``(d, *S)`` in voxels, fixed to moving.
        backward: ``(d, *M)`` in voxels, moving to fixed; sampled linearly.
        spacing: mm per voxel of the fixed image along each axis.
        mask: ``(*S)`` booleans; the mean is over the whole box without it.

    Returns:
        mm; 0 for exact inverses. Voxels sent outside the moving image have no way back and are left out; NaN if
        all are, and for a displacement that is not finite.

    Raises:
        ValueError: if the dimensions differ.

    Reference:
        Christensen and Johnson 2001, doi:10.1109/42.932742.

    Example:
        >>> import numpy as np
        >>> u = np.ones((2, 8, 8))
        >>> inverse_consistency_mm(u, -u, (1.0, 1.0))
        0.0
    """
    there, back = displacement_array(forward, voxels=1), displacement_array(backward, voxels=1)
    if len(there) != len(back):
        raise ValueError(f"both directions must have one dimension, but got {there.shape} and {back.shape}")
    shape = there.shape[1:]
    inside = mask_array(mask, shape)
    last = (np.array(back.shape[1:]) - 1).reshape(-1, *[1] * len(shape))
    if not (np.isfinite(there).all() and np.isfinite(back).all()):
        return float("nan")  # a NaN would count as sent outside
    if compiled(there) and compiled(back):
        return _mean_round_trip_mm(there, back, spacing, inside)
    total, count = 0.0, 0
    for start, stop in slabs(shape, 0, shape[0]):
        step = there[:, start:stop].astype(np.float64)
        landed = step + np.stack(np.meshgrid(np.arange(start, stop), *map(np.arange, shape[1:]), indexing="ij"))
        counted = ((landed >= 0) & (landed <= last)).all(0)
        if inside is not None:
            counted &= inside[start:stop]
        error = _length_mm(step[:, counted] + _sampled(back, landed[:, counted]), spacing)
        total, count = total + float(error.sum()), count + error.size
    return total / count if count else float("nan")


def _mean_round_trip_mm(there: Array, back: Array, spacing: Sequence[float], inside: Array | None) -> float:
    """What `inverse_consistency_mm` says, by the compiled loop; slab by slab too, so that the sums are the same."""
    from regbench.metrics import displacement_loops  # noqa: PLC0415 - starts Numba

    shape, scale = there.shape[1:], spacing_mm(spacing, len(there))
    counted = np.ones(shape, bool) if inside is None else inside
    cuts = list(slabs(shape, 0, shape[0]))
    total, count, lengths = 0.0, 0, np.empty(cuts[0][1] * int(np.prod(shape[1:])))
    for start, stop in cuts:
        error = displacement_loops.round_trips_mm(
            there[:, start:stop], back, counted[start:stop], scale, start, lengths
        )
        total, count = total + float(error.sum()), count + error.size
    return total / count if count else float("nan")


def _mean_length_mm(field: Array, other: Array | None, spacing: Sequence[float], mask: Any) -> float:
    """Mean length of a displacement, less another, row by row; NaN for none that counts, and for one not finite."""
    inside, total, count = mask_array(mask, field.shape[1:]), 0.0, 0
    length_of = _lengths_mm(field, other, spacing)
    for row in range(field.shape[1]):
        length = length_of(row)
        counted = length if inside is None else length[inside[row]]
        total, count = total + float(counted.sum()), count + counted.size
    return total / count if count and np.isfinite(total) else float("nan")


def _lengths_mm(field: Array, other: Array | None, spacing: Sequence[float]) -> Callable[[int], Floats]:
    """What gives the lengths ``(*S[1:])`` of the differences in a row; the next row may overwrite them."""
    # Arrays in another order of memory are summed in that order, which only numpy does.
    given = [field] if other is None else [field, other]
    if not all(compiled(values) and values.flags.c_contiguous for values in given):
        return lambda row: _length_mm(
            field[:, row].astype(np.float64) - (0.0 if other is None else other[:, row]), spacing
        )
    from regbench.metrics import displacement_loops  # noqa: PLC0415 - starts Numba

    scale, lengths = spacing_mm(spacing, len(field)), np.empty(field.shape[2:])
    nothing = np.zeros_like(field[:, 0])

    def of_row(row: int) -> Floats:
        less = nothing if other is None else other[:, row]
        displacement_loops.lengths_mm(field[:, row], less, scale, lengths)
        return lengths

    return of_row


def _landmarks(displacement: Any, fixed_points: Any, moving_points: Any) -> tuple[Array, Floats, Floats]:
    field = displacement_array(displacement, voxels=1)
    start, end = (np.asarray(array(value), dtype=np.float64) for value in (fixed_points, moving_points))
    if start.shape != end.shape or start.ndim != 2 or start.shape[1] != len(field):
        raise ValueError(
            f"fixed and moving points must both be (n, {len(field)}) and pair up, but got {start.shape} and {end.shape}"
        )
    return field, start, end


def _sampled(field: Array, coordinates: Floats) -> Floats:
    """The displacement at ``(d, n)`` voxel coordinates, linearly; ``(d, n)``."""
    components = [map_coordinates(part, coordinates, order=1, mode="nearest", output=np.float64) for part in field]
    return np.stack(components)


def _length_mm(difference: Floats, spacing: Sequence[float]) -> Floats:
    """Length in mm of vectors ``(d, ...)`` in voxels."""
    scale = spacing_mm(spacing, len(difference)).reshape(-1, *[1] * (difference.ndim - 1))
    length: Floats = np.sqrt(((difference * scale) ** 2).sum(0))
    return length

"""Folding and smoothness: the map p -> p + u(p) turns space inside out where its determinant is <= 0."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.metrics.determinants import central_determinant, forward_determinant
from regbench.metrics.digital import Digital, digital_of, digital_percent
from regbench.metrics.inputs import Array, Floats, compiled, displacement_array, mask_array

# Below this a determinant has no logarithm; both kinds of SDlogJ clip here.
SMALLEST = 1e-9
OF_A_FIELD = (
    "fold_central_percent",
    "fold_forward_percent",
    "fold_backward_percent",
    "ndv_percent",
    "nd_points_percent",
    "sdlogj",
    "sdlogj_l2r",
)
OF_THE_FOREGROUND = "fold_foreground_percent"


def fold_central_percent(displacement: Any, mask: Any = None) -> float:
    """Percent of voxels whose central-difference determinant is <= 0, in the whole box or in `mask`.

    Args:
        displacement: ``(d, *S)`` in voxels, d = 2 or 3; at least 2 voxels along each axis.
        mask: ``(*S)`` booleans, for example the fixed foreground.

    Returns:
        Percent; NaN for a displacement that is not finite or an empty mask. Differences are one-sided at the border
        (numpy.gradient), as VoxelMorph and TransMorph count.

    Raises:
        ValueError: if the displacement or the mask has another shape.

    Example:
        >>> import numpy as np
        >>> u = np.zeros((2, 8, 8))
        >>> u[0] = -2 * np.arange(8)[:, None]
        >>> fold_central_percent(u)
        100.0
    """
    field = displacement_array(displacement, voxels=2)
    inside = mask_array(mask, field.shape[1:])
    return _folded_percent(central_determinant(field), inside) if _finite(field) else float("nan")


def fold_forward_percent(displacement: Any, mask: Any = None) -> float:
    """The same by forward differences, over the voxels 0..N-2 that have a next one along each axis.

    Args, Returns, Raises: as for `fold_central_percent`.

    Example:
        >>> import numpy as np
        >>> stripes = np.zeros((2, 9, 9))
        >>> stripes[0, 1::2] = 2
        >>> fold_forward_percent(stripes), fold_central_percent(stripes)
        (50.0, 11.11111111111111)
    """
    field = displacement_array(displacement, voxels=2)
    inside = mask_array(mask, field.shape[1:])
    counted = None if inside is None else inside[(slice(None, -1),) * len(field)]
    return _folded_percent(forward_determinant(field), counted) if _finite(field) else float("nan")


def fold_backward_percent(displacement: Any, mask: Any = None) -> float:
    """The same by backward differences, over the voxels 1..N-1 that have a previous one along each axis.

    Args, Returns, Raises: as for `fold_central_percent`.

    Example:
        >>> import numpy as np
        >>> stripes = np.zeros((2, 9, 9))
        >>> stripes[0, 1::2] = 2
        >>> fold_backward_percent(stripes), fold_central_percent(stripes)
        (50.0, 11.11111111111111)
    """
    field = displacement_array(displacement, voxels=2)
    inside = mask_array(mask, field.shape[1:])
    counted = None if inside is None else inside[(slice(1, None),) * len(field)]
    if not _finite(field):
        return float("nan")
    # Backward differences of u are forward differences of -u seen from the far corner.
    mirrored = (slice(None, None, -1),) * len(field)
    determinants = forward_determinant(-field[(slice(None), *mirrored)])[mirrored]
    return _folded_percent(determinants, counted)


def sdlogj(displacement: Any, mask: Any = None) -> float:
    """Standard deviation (ddof 0) over voxels of the logarithm of the central-difference determinant, clipped at 1e-9.

    Args, Returns, Raises: as for `fold_central_percent`, without unit; 0 for a translation or a scaling.

    Reference:
        Leow et al. 2007, doi:10.1109/TMI.2007.892646.

    Example:
        >>> import numpy as np
        >>> u = np.zeros((2, 8, 8))
        >>> u[0] = 0.5 * np.arange(8)[:, None]
        >>> round(sdlogj(u), 6)
        0.0
    """
    field = displacement_array(displacement, voxels=2)
    inside = mask_array(mask, field.shape[1:])
    return _sdlogj(central_determinant(field), inside) if _finite(field) else float("nan")


def sdlogj_l2r(displacement: Any) -> float:
    """SDlogJ as Learn2Reg computes it: of log(clip(det + 3, 1e-9, 1e9)), without the two outer voxels, ddof 0.

    The 3 hides every fold milder than det = -3 and divides the spread by about four: no other paper's number.

    Args:
        displacement: ``(d, *S)`` in voxels, d = 2 or 3; at least 5 voxels along each axis.

    Returns:
        A number without unit; NaN for a displacement that is not finite.

    Raises:
        ValueError: if the displacement has another shape.

    Reference:
        Hering et al. 2022, doi:10.1109/TMI.2022.3213983.

    Example:
        >>> import numpy as np
        >>> sdlogj_l2r(np.zeros((2, 8, 8)))
        0.0
    """
    field = displacement_array(displacement, voxels=5)
    return _sdlogj_l2r(central_determinant(field)) if _finite(field) else float("nan")


def folding_metrics(displacement: Any, foreground: Any = None, mask: Any = None) -> dict[str, float]:
    """Every metric of this module and the digital ones, each determinant computed once.

    Args:
        displacement: ``(d, *S)`` in voxels.
        foreground: ``(*S)`` booleans for `fold_foreground_percent`, which is left out without it.
        mask: ``(*S)`` booleans: all count inside it alone, but `sdlogj_l2r`, whose box is Learn2Reg's own.

    Returns:
        Metric name to value; NaN for what needs more voxels along an axis than there are.

    Example:
        >>> import numpy as np
        >>> folding_metrics(np.zeros((2, 8, 8)))["ndv_percent"]
        0.0
    """
    field = displacement_array(displacement, voxels=1)
    inside, counted = (mask_array(where, field.shape[1:]) for where in (foreground, mask))
    names = (*OF_A_FIELD, *(() if inside is None else (OF_THE_FOREGROUND,)))
    scores = dict.fromkeys(names, float("nan"))
    thinnest = min(field.shape[1:])
    if thinnest < 2 or not _finite(field):
        return scores
    if compiled(field):
        central, percents, digital = _in_one_pass(field, inside, counted)
        scores |= percents
    else:
        central = central_determinant(field)
        scores["fold_central_percent"] = _folded_percent(central, counted)
        scores["fold_forward_percent"] = fold_forward_percent(field, counted)
        scores["fold_backward_percent"] = fold_backward_percent(field, counted)
        if inside is not None:
            scores[OF_THE_FOREGROUND] = _folded_percent(central, inside if counted is None else inside & counted)
        digital = digital_percent(field, counted) if thinnest >= 3 else None
    if digital is not None:
        scores["ndv_percent"], scores["nd_points_percent"] = digital
    scores["sdlogj"] = _sdlogj(central, counted)
    if thinnest >= 5:
        scores["sdlogj_l2r"] = _sdlogj_l2r(central)
    return scores


def _in_one_pass(
    field: Array, foreground: NDArray[np.bool_] | None, mask: NDArray[np.bool_] | None
) -> tuple[Floats, dict[str, float], Digital | None]:
    """Central determinants, the shares that fold, and the digital measures, by the compiled loop."""
    from regbench.metrics import folding_loops  # noqa: PLC0415 - starts Numba

    counted = np.ones(field.shape[1:], bool) if mask is None else mask
    within = counted if foreground is None else counted & foreground
    found = folding_loops.folds(field, counted, within)
    ahead, behind = (counted[(part,) * len(field)] for part in (slice(None, -1), slice(1, None)))
    percents = {
        name: _percent(count, int(np.count_nonzero(among)))
        for name, count, among in zip(
            ("fold_central_percent", OF_THE_FOREGROUND, "fold_forward_percent", "fold_backward_percent"),
            found.counts,
            (counted, within, ahead, behind),
            strict=False,
        )
    }
    if foreground is None:
        del percents[OF_THE_FOREGROUND]
    digital = digital_of(found.turned, found.counts[-1], counted) if min(field.shape[1:]) >= 3 else None
    return found.central, percents, digital


def _finite(field: Array) -> bool:
    # A comparison with NaN is False: without this a diverged network would fold nowhere.
    return bool(np.isfinite(field).all())


def _folded_percent(determinants: Floats, inside: Array | None) -> float:
    counted = determinants if inside is None else determinants[inside]
    return _percent(int(np.count_nonzero(counted <= 0)), counted.size)


def _percent(count: int, among: int) -> float:
    return float(100 * count / among) if among else float("nan")


def _sdlogj(determinants: Floats, inside: Array | None) -> float:
    counted = determinants if inside is None else determinants[inside]
    return _sd_of_logarithms(np.maximum(counted, SMALLEST)) if counted.size else float("nan")


def _sdlogj_l2r(determinants: Floats) -> float:
    shifted = determinants[(slice(2, -2),) * determinants.ndim] + 3
    return _sd_of_logarithms(np.clip(shifted, SMALLEST, 1e9, out=shifted))


def _sd_of_logarithms(values: Floats) -> float:
    """`numpy.std`'s number (ddof 0) to the bit, in the memory of the values: new pages cost more than the sums."""
    logarithms = np.log(values, out=values)
    logarithms -= logarithms.mean()
    logarithms *= logarithms
    return float(np.sqrt(logarithms.sum() / logarithms.size))

"""DIPY's SyN. An optional extra: ``pip install dipy``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.system.errors import RegbenchError, UsageError

Array = NDArray[Any]


def dipy_syn(
    pair: Pair,
    fixed: str,
    moving: str,
    /,
    *,
    radius: int = 4,
    iterations: tuple[int, ...] = (100, 60, 30),
    sigma: float = 2.0,
) -> Array:
    """Symmetric diffeomorphic registration (SyN) by local cross-correlation, as DIPY has it.

    Args:
        pair: the two images.
        fixed: id of the fixed subject.
        moving: id of the moving subject.
        radius: of the correlation window, in voxels.
        iterations: on each level, the coarsest first; levels too small for the window are left out.
        sigma: smoothing of the metric's gradient, in voxels.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        RegbenchError: if DIPY is not installed, or the window does not fit into the image.

    Reference:
        Avants et al. 2008, doi:10.1016/j.media.2007.06.004; Garyfallidis et al. 2014, doi:10.3389/fninf.2014.00008.
    """
    try:
        from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
        from dipy.align.metrics import CCMetric
    except ImportError as error:
        raise UsageError("DIPY is needed for this baseline: pip install dipy.") from error
    dims = pair.fixed.ndim
    # A level smaller than the window cannot be: the finest levels are those that remain.
    fitting = [k for k in range(len(iterations)) if min(pair.fixed.shape) / 2**k > 2 * radius + 1]
    if not fitting:
        raise RegbenchError(f"dipy_syn: a window of radius {radius} needs more than {2 * radius + 1} voxels a side.")
    metric = CCMetric(dims, sigma_diff=sigma, radius=radius)
    engine = SymmetricDiffeomorphicRegistration(metric, level_iters=list(iterations[-len(fitting) :]))
    engine.verbosity = 0
    mapping = engine.optimize(pair.fixed.astype(np.float64), pair.moving.astype(np.float64))
    # DIPY's mapping holds its inverse: `get_forward_field` is what takes fixed points to moving ones.
    return np.ascontiguousarray(np.moveaxis(np.asarray(mapping.get_forward_field()), -1, 0), dtype=np.float32)

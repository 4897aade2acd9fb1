"""Distances between surfaces in the forms that other programs have: what is pooled, and what is averaged, differs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regbench.metrics.surface import Directed, surface_distances


def other_surface_forms(
    fixed: Any, moved: Any, labels: Sequence[int], spacing: Sequence[float], *, moving: Any = None
) -> dict[str, dict[int, float]]:
    """`hd95_mm` and `assd_mm` in the form of MedPy, from one search.

    Args: as for `regbench.metrics.hd95_mm`.

    Returns:
        ``hd95_pooled_mm``: label to the 95th percentile of the distances of both directions, pooled;
        ``assd_means_mm``: label to the mean of the two directed means. NaN where a label was absent, infinity where it
        vanished in the warp.

    Raises:
        ValueError: as `regbench.metrics.hd95_mm`.

    Reference:
        Maier et al. 2019 (MedPy), doi:10.5281/zenodo.2565940.
    """
    distances = surface_distances(fixed, moved, labels, spacing, moving=moving)
    forms = {"hd95_pooled_mm": hd95_pooled_of, "assd_means_mm": assd_means_of}
    return {
        name: {label: float("nan") if parts is None else form(parts) for label, parts in distances.items()}
        for name, form in forms.items()
    }


def hd95_pooled_of(distances: Directed) -> float:
    """The 95th percentile of both directions together; infinite if either surface is empty."""
    if not all(part.size for part in distances):
        return float("inf")
    return float(np.percentile(np.concatenate(distances), 95))


def assd_means_of(distances: Directed) -> float:
    """The mean of both directed means: the smaller surface counts as much as the larger; infinite if one is empty."""
    if not all(part.size for part in distances):
        return float("inf")
    return float(np.mean([part.mean() for part in distances]))

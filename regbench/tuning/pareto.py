"""The Pareto front of trials by two goals: a good validation score, low NDV.

It stands here and not in `statistics`, which loads scipy and pandas: a round of the tuning must start fast.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def front(merit: ArrayLike, ndv: ArrayLike) -> list[int]:
    """The trials that no other beats: as good in both goals, and better in one.

    Args:
        merit: ``(trials,)``, higher is better: Dice, or less TRE.
        ndv: ``(trials,)``, lower is better.

    Returns:
        Their indices, rising. Equal trials are all in it; one without a number is not.
    """
    high, low = np.asarray(merit, dtype=np.float64), np.asarray(ndv, dtype=np.float64)
    members: list[int] = []
    best = -np.inf, np.inf  # the last member: of all trials so far the one of highest merit
    for k in np.lexsort((-high, low)).tolist():
        point = float(high[k]), float(low[k])
        if point[0] > best[0] or point == best:
            best = point
            members.append(k)
    return sorted(k for k in members if not np.isnan(low[k]))


def front_points(merit: ArrayLike, ndv: ArrayLike) -> Floats:
    """The points ``(n, 2)`` of the front, merit and NDV, by rising NDV and therefore by rising merit, each once."""
    points = np.stack([np.asarray(merit, dtype=np.float64), np.asarray(ndv, dtype=np.float64)], axis=1)
    return np.unique(points[front(merit, ndv)][:, ::-1], axis=0)[:, ::-1]


def hypervolume(points: Floats, merit: float, ndv: float) -> float:
    """The area that a front dominates.

    Args:
        points: of `front_points`.
        merit: of the reference point, the lowest that counts.
        ndv: of the reference point, the highest that counts.
    """
    area, edges = 0.0, [*points[1:, 1], ndv]
    for (height, left), right in zip(points, edges, strict=True):
        area += max(height - merit, 0) * max(right - left, 0)
    return area

"""Whether a training had come to its end when its steps did: what its second half still gained."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIDDLE, LAST = (0.4, 0.6), (0.8, 1.0)  # shares of the steps
SHORTEST = 20  # steps: of fewer, the parts would be a few steps each


def second_half(similarity: Sequence[float]) -> dict[str, float] | None:
    """How much of all that the training similarity fell, it fell between the middle and the end of the training.

    A learning rate that ends at zero flattens every curve at its end, so the last steps tell nothing. From the middle
    to the end all trainings of one schedule anneal alike: what has converged gains little by it.

    Args:
        similarity: of each step, of random pairs; lower is better.

    Returns:
        ``share``: of the fall from the first steps to the last; ``se``: its standard error by the scatter of the steps.
        None for a training that is too short, did not stay finite, or did not fall.
    """
    values = np.asarray(similarity, dtype=np.float64)
    if len(values) < SHORTEST or not np.isfinite(values).all():
        return None
    first = values[: max(3, len(values) // 50)].mean()
    (middle, middle_error), (last, last_error) = (_level(values, *part) for part in (MIDDLE, LAST))
    fall = first - last
    if fall <= 0:
        return None
    return {"share": float((middle - last) / fall), "se": float(np.hypot(middle_error, last_error) / fall)}


def _level(values: NDArray[np.float64], start: float, end: float) -> tuple[float, float]:
    """Mean of a part of the steps, and its standard error about a straight line."""
    part = values[round(start * len(values)) : round(end * len(values))]
    steps = np.arange(len(part)) - (len(part) - 1) / 2
    rest = part - part.mean() - steps * (steps @ part) / (steps @ steps)
    return float(part.mean()), float(np.sqrt((rest @ rest) / (len(part) - 2) / len(part)))

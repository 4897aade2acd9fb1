"""The median over cases, in a form that the verdict engine takes as it takes means.

A median moves with its cases as a mean does of numbers that are all but constant: the median itself, and half the
spacing of the scores around it up or down, by the side on which a case lies (Bahadur 1966). Their mean is the median,
and their variance over cases is that of the median, whatever cases share; so subjects, runs and families are dealt with
as ever.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
WIDEST = 0.4  # quantiles each side of the median that its spacing is taken from, at most
BANDWIDTH = 0.9715  # times n ** (-1/3): of Hall and Sheather for the median and a 95 % interval


def about_median(scores: ArrayLike) -> Floats:
    """For each case of a run a number whose mean over the cases is their median.

    Args:
        scores: ``(cases,)``; NaN stays NaN, and infinite scores count by the side on which they lie.

    Returns:
        ``(cases,)``; infinite where the median is, NaN where no case has a number.

    Reference:
        Bahadur 1966, doi:10.1214/aoms/1177699450; Hall and Sheather 1988, doi:10.1111/j.2517-6161.1988.tb01735.x.
    """
    values = np.asarray(scores, dtype=np.float64)
    known = ~np.isnan(values)
    numbers = np.full(values.shape, np.nan)
    if not known.any():
        return numbers
    ordered = np.sort(values[known])
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if not np.isfinite(middle).all():
        numbers[known] = np.inf
        return numbers
    median = float(np.mean(middle))
    sides = np.sign(values[known] - median)
    numbers[known] = median + _spacing(ordered, median) / 2 * (sides - sides.mean())
    return numbers


def _spacing(ordered: Floats, median: float) -> float:
    """One over the density at the median, from the quantiles around it; of finite scores alone."""
    share = min(WIDEST, BANDWIDTH * len(ordered) ** (-1 / 3))
    with np.errstate(invalid="ignore"):  # between two infinite scores
        low, high = np.quantile(ordered, [0.5 - share, 0.5 + share])
    below, above = median - low, high - median
    if not np.isfinite(above):
        return float(below / share)
    if not np.isfinite(below):
        return float(above / share)
    return float((below + above) / (2 * share))

"""How far a difference of two methods moves when subjects are drawn again, and when trainings are repeated.

Both are variances of the same number, the mean over runs and cases of a difference. Sums are taken by einsum, never by
BLAS: their order must not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import polygamma

Floats = NDArray[np.float64]
FEWEST_POOLED = 4  # methods whose variances can tell whether they are alike
# Standard errors by which the dispersion of the variances is overestimated: what is pooled wrongly makes false claims.
CAUTION = 1.0


class SubjectNoise(NamedTuple):
    """Variance of means over cases, its degrees of freedom, and the subjects behind it."""

    variance: Floats
    df: float
    subjects: int


class Prior(NamedTuple):
    """The variance that all pairs of methods share, and the degrees of freedom that this knowledge is worth."""

    variance: float
    df: float


def membership(subjects: ArrayLike) -> NDArray[np.bool_]:
    """Which subject stands in which case, ``(subjects, cases)``.

    Args:
        subjects: ``(cases,)`` or ``(cases, k)``: the subjects of each case, in any order.

    Example:
        >>> membership([[0, 1], [1, 2]]).astype(int).tolist()
        [[1, 0], [1, 1], [0, 1]]
    """
    given = np.asarray(subjects, dtype=object)
    given = given[:, None] if given.ndim == 1 else given
    names = list(dict.fromkeys(str(name) for name in given.ravel()))
    place = {name: number for number, name in enumerate(names)}
    member = np.zeros((len(names), len(given)), dtype=bool)
    for case, members in enumerate(given):
        member[[place[str(name)] for name in members], case] = True
    return member


def sampled(member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The subjects that were drawn: not one that stands in every case (an atlas), nor one that stands in no case.

    Example:
        >>> sampled(membership([[0, 1], [0, 2]])).tolist()  # 0 is an atlas
        [[True, False], [False, True]]
    """
    return member[~member.all(axis=1) & member.any(axis=1)]


def subject_noise(values: ArrayLike, member: NDArray[np.bool_]) -> SubjectNoise:
    """Variance of the mean over cases, by leaving out one subject at a time with all its cases.

    Pairs that share a subject are not independent, so neither n nor the pairs' own spread says how sure a mean is. With
    few subjects this errs to the safe side (docs/statistics.md has by how much).

    Args:
        values: ``(cases,)`` or ``(cases, k)``, finite.
        member: ``(subjects, cases)``, who stands in which case (`membership`).

    Returns:
        Variance of each column's mean; NaN, with 0 degrees of freedom, where nobody can be left out.

    Reference:
        Jackknife: Efron and Stein 1981, doi:10.1214/aos/1176345462; of pairs: Snijders and Borgatti 1999.

    Example:
        >>> subject_noise([0.7, 0.8, 0.9, 0.6], membership([0, 1, 2, 3]))
        SubjectNoise(variance=array([0.00416667]), df=3.0, subjects=4)
    """
    table = np.asarray(values, dtype=np.float64)
    columns = table[:, None] if table.ndim == 1 else table
    drawn = sampled(member)
    left = len(columns) - drawn.sum(axis=1)
    count = len(drawn)
    if count < 2 or (left == 0).any():
        return SubjectNoise(np.full(columns.shape[1], np.nan), 0.0, count)
    lost = np.einsum("gn,nk->gk", drawn.astype(np.float64), columns)
    without = (columns.sum(axis=0) - lost) / left[:, None]
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return SubjectNoise((count - 1) / count * spread, float(count - 1), count)


def prior(means: ArrayLike, *, caution: float = CAUTION) -> Prior:
    """Estimate the variance of a difference of two methods, run by run, from the runs of all methods.

    A method's own variance over two to five runs is hardly known. Where the methods' variances are alike, all of them
    together are; how alike is estimated from their dispersion (empirical Bayes), with caution.

    Args:
        means: ``(methods, runs)``, the mean over cases of each; runs are shared, so what moves all methods of a run
            together drops out.
        caution: standard errors that are added to the dispersion.

    Returns:
        Mean over all pairs of the variance of their difference in one run; degrees of freedom, 0 where fewer than four
        methods or two runs cannot tell, at most those of the pooled variance.

    Reference:
        Smyth 2004, doi:10.2202/1544-6115.1027.
    """
    table = np.asarray(means, dtype=np.float64)
    methods, runs = table.shape
    if methods < 2 or runs < 2:
        return Prior(float("nan"), 0.0)
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    own = (rest**2).sum(axis=1) / (runs - 1)
    pooled = 2 * own.sum() / (methods - 1)
    if methods < FEWEST_POOLED or not own.all():
        return Prior(float(pooled), 0.0)
    sampling = float(polygamma(1, (runs - 1) / 2))  # of the logarithm of an estimated variance
    dispersion = float(np.log(own).var(ddof=1)) - sampling + caution * sampling * float(np.sqrt(2 / (methods - 1)))
    most = float((methods - 1) * (runs - 1))
    return Prior(float(pooled), min(2 * _inverse_trigamma(dispersion), most) if dispersion > 0 else most)


def moderated(variance: float, df: float, known: Prior) -> tuple[float, float]:
    """A variance drawn towards the shared one, and its degrees of freedom."""
    if known.df <= 0:
        return variance, df
    return (known.df * known.variance + df * variance) / (known.df + df), known.df + df


def _inverse_trigamma(value: float) -> float:
    """The x whose trigamma is `value`."""
    low, high = 1e-3, 1e6
    if value >= polygamma(1, low):
        return low
    if value <= polygamma(1, high):
        return high
    return float(brentq(lambda x: float(polygamma(1, x)) - value, low, high, xtol=1e-9))

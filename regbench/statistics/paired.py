"""Is one method better than another on the same cases? Signed ranks, corrected over the family, with effect sizes."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, wilcoxon

from regbench.statistics.bootstrap import RESAMPLES, bootstrap_means, interval

Floats = NDArray[np.float64]


def differences(ours: ArrayLike, theirs: ArrayLike) -> Floats:
    """Paired differences; cases without a number on either side are left out; two infinities are equal.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> differences([0.7, 0.8, float('nan')], [0.6, 0.9, 0.5]).round(3).tolist()
        [0.1, -0.1]
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired scores must be two lists of one length, but got {a.shape} and {b.shape}")
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    result = np.zeros(a.shape)
    # A structure that vanished under both methods is a tie; infinity minus infinity would be NaN.
    np.subtract(a, b, out=result, where=a != b)
    return result


def wilcoxon_p(difference: ArrayLike) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test; zeros are dropped; exact for small samples.

    Returns:
        1 if all differences are zero, NaN without any.

    Reference:
        Wilcoxon 1945, doi:10.2307/3001968.

    Example:
        >>> float(wilcoxon_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
        0.03125
    """
    values = np.asarray(difference, dtype=np.float64)
    if not values.size:
        return float("nan")
    values = values[values != 0]
    return float(wilcoxon(values, zero_method="wilcox", alternative="two-sided").pvalue) if values.size else 1.0


def rank_biserial(difference: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation: (favourable - unfavourable rank sum) / all; 1 if every case is positive.

    Returns:
        In [-1, 1]; 0 if all differences are zero, NaN without any.

    Reference:
        Kerby 2014, doi:10.2466/11.IT.3.1.

    Example:
        >>> float(rank_biserial([0.1, 0.2, 0.3])), round(float(rank_biserial([0.3, 0.2, -0.1])), 3)
        (1.0, 0.667)
    """
    values = np.asarray(difference, dtype=np.float64)
    if not values.size:
        return float("nan")
    values = values[values != 0]
    if not values.size:
        return 0.0
    ranks = rankdata(np.abs(values))
    return float((ranks * np.sign(values)).sum() / ranks.sum())


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjustment over one family; NaN stays NaN and is not counted.

    Reference:
        Holm 1979, https://www.jstor.org/stable/4615733.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(raw.shape, np.nan)
    known = np.flatnonzero(~np.isnan(raw))
    order = known[np.argsort(raw[known], kind="stable")]
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def smallest_p(cases: int) -> float:
    """The smallest two-sided p-value that a signed-rank test of this many cases can reach: all signs equal.

    Example:
        >>> smallest_p(5), smallest_p(6)
        (0.0625, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - cases))


def too_few(cases: int, *, family: int = 1, alpha: float = 0.05) -> bool:
    """Whether no outcome at all could be significant after Holm over `family` comparisons.

    Example:
        >>> too_few(5), too_few(6), too_few(6, family=3)
        (True, False, True)
    """
    return smallest_p(cases) * family > alpha


def _mean(difference: NDArray[np.float64]) -> float:
    """NaN of no case, and of infinite distances on both sides: neither method is then known to be better."""
    with np.errstate(invalid="ignore"):
        return float(difference.mean()) if len(difference) else np.nan


def compare(
    scores: pd.DataFrame,
    generator: Generator,
    *,
    pairs: Iterable[tuple[Any, Any]] | None = None,
    subjects: ArrayLike | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compare methods on the same cases, two by two; all comparisons are one family.

    Args:
        scores: cases x methods, seeds averaged (`case_scores`).
        generator: for the bootstrap; comparisons over the same cases share their draws.
        pairs: methods to compare; all pairs without it. They are the family of Holm's adjustment.
        subjects: for the bootstrap, one or two a case (`bootstrap_means`).
        alpha: for `significant` and `too_few`.
        level: of the interval.
        resamples: of the bootstrap.

    Returns:
        One row a comparison: `a`, `b`, `n`, `mean_difference` (a - b), `ci_low`, `ci_high`, `p`, `p_holm`,
        `rank_biserial` (positive: a is larger), `significant`, `too_few`.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"a": [0.7, 0.8, 0.9], "b": [0.6, 0.7, 0.5]})
        >>> table = compare(scores, np.random.default_rng(0), resamples=99)
        >>> len(table), 'p_holm' in table
        (1, True)
    """
    chosen = list(combinations(scores.columns, 2)) if pairs is None else list(pairs)
    by_pair = [differences(scores[a].to_numpy(), scores[b].to_numpy()) for a, b in chosen]
    low, high = _intervals(scores, chosen, generator, subjects=subjects, level=level, resamples=resamples)
    p = np.array([wilcoxon_p(difference) for difference in by_pair])
    adjusted = holm(p)
    return pd.DataFrame(
        {
            "a": [a for a, _ in chosen],
            "b": [b for _, b in chosen],
            "n": [len(difference) for difference in by_pair],
            "mean_difference": [_mean(difference) for difference in by_pair],
            "ci_low": low,
            "ci_high": high,
            "p": p,
            "p_holm": adjusted,
            "rank_biserial": [rank_biserial(difference) for difference in by_pair],
            "significant": adjusted <= alpha,
            "too_few": [too_few(len(difference), family=len(by_pair), alpha=alpha) for difference in by_pair],
        }
    )


def _intervals(
    scores: pd.DataFrame,
    pairs: Sequence[tuple[Any, Any]],
    generator: Generator,
    *,
    subjects: ArrayLike | None,
    level: float,
    resamples: int,
) -> tuple[Floats, Floats]:
    """Bootstrap intervals of the mean difference of each pair; NaN with fewer than two cases or an infinite score."""
    groups = None if subjects is None else np.asarray(subjects)
    low, high = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    # Comparisons over the same cases share their draws: one table of weights for nearly all of them.
    alike: dict[bytes, list[int]] = {}
    for number, (a, b) in enumerate(pairs):
        known = scores[[a, b]].notna().all(axis=1).to_numpy()
        alike.setdefault(known.tobytes(), []).append(number)
    seed = int(generator.integers(0, 2**63))
    for mask, numbers in alike.items():
        known = np.frombuffer(mask, dtype=bool)
        of_pair = np.stack([differences(scores[a][known], scores[b][known]) for a, b in (pairs[k] for k in numbers)], 1)
        usable = np.isfinite(of_pair).all(0)
        if known.sum() < 2 or not usable.any():
            continue
        drawn = bootstrap_means(
            of_pair[:, usable],
            np.random.default_rng(seed),
            subjects=None if groups is None else groups[known],
            resamples=resamples,
        )
        index = np.array(numbers)[usable]
        low[index], high[index] = interval(drawn, level=level)
    return low, high

"""Ranking methods: over cases, after tests, and how far a ranking can be trusted. Rank 1 is the best."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from regbench.statistics.bootstrap import RESAMPLES, bootstrap_means
from regbench.statistics.paired import differences, holm, rank_biserial, wilcoxon_p

Direction = Literal["higher", "lower"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Friedman:
    """Do the methods differ at all? Chi-square, its p-value, and each method's mean rank over the cases."""

    statistic: float
    p: float
    cases: int
    mean_ranks: "pd.Series[float]"


@dataclass(frozen=True)
class RankStability:
    """How often each method (rows) held each rank (columns); Kendall's tau of each resample with the full ranking."""

    frequency: pd.DataFrame
    kendall_tau: Floats


def case_ranks(scores: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """Rank of each method in each case, ties averaged; cases where a method has no number are left out.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"a": [0.7, 0.8, 0.9], "b": [0.6, 0.7, 0.5]})
        >>> case_ranks(scores, "higher").to_dict("list")
        {'a': [1.0, 1.0, 1.0], 'b': [2.0, 2.0, 2.0]}
    """
    complete = scores.dropna()
    values = complete.to_numpy(dtype=np.float64)
    ranks = rankdata(-values if direction == "higher" else values, axis=1) if len(complete) else values
    return pd.DataFrame(ranks, index=complete.index, columns=complete.columns)


def friedman(scores: pd.DataFrame, direction: Direction) -> Friedman:
    """Friedman's test and mean ranks.

    Args:
        scores: cases x methods, seeds averaged; at least three methods and two complete cases.
        direction: which way is better.

    Returns:
        p is 1 where all methods tie in every case.

    Raises:
        ValueError: if there are fewer methods or cases.

    Reference:
        Demsar 2006, https://jmlr.org/papers/v7/demsar06a.html.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"a": [0.7, 0.8, 0.9], "b": [0.6, 0.7, 0.5]})
        >>> friedman(scores.assign(c=0.1), "higher").mean_ranks.to_dict()
        {'a': 1.0, 'b': 2.0, 'c': 3.0}
    """
    ranks = case_ranks(scores, direction)
    if ranks.shape[1] < 3 or len(ranks) < 2:
        raise ValueError(f"Friedman's test needs 3 methods and 2 complete cases, but got {ranks.shape[::-1]}")
    table = ranks.to_numpy()
    if (table == table[:, :1]).all():
        return Friedman(0.0, 1.0, len(ranks), ranks.mean())
    statistic, p = friedmanchisquare(*table.T)
    return Friedman(float(statistic), float(p), len(ranks), ranks.mean())


def critical_difference(methods: int, cases: int, *, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks: methods closer than this are not told apart.

    Reference:
        Demsar 2006, https://jmlr.org/papers/v7/demsar06a.html.

    Example:
        >>> round(critical_difference(3, 10), 3)
        1.048
    """
    quantile = studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * cases)))


def cliques(mean_ranks: "pd.Series[float]", difference: float) -> list[list[str]]:
    """The largest groups of methods whose mean ranks lie within the critical difference, best first.

    Example:
        >>> import pandas as pd
        >>> cliques(pd.Series({"a": 1.0, "b": 1.4, "c": 2.6}), 0.5)
        [['a', 'b']]
    """
    ordered = mean_ranks.sort_values(kind="stable")
    values, names = ordered.to_numpy(), list(ordered.index)
    groups: list[list[str]] = []
    reached = 0
    for start in range(len(names)):
        stop = int(np.searchsorted(values, values[start] + difference, side="right"))
        if stop > reached and stop - start > 1:
            groups.append(names[start:stop])
        reached = max(reached, stop)
    return groups


def rank_after_tests(scores: pd.DataFrame, direction: Direction, *, alpha: float = 0.05) -> pd.DataFrame:
    """Rank methods by how many others they beat significantly (Wilcoxon, Holm over all pairs).

    Args:
        scores: cases x methods, seeds averaged.
        direction: which way is better.
        alpha: level of the adjusted tests.

    Returns:
        One row a method: `wins`, `losses`, `rank` (ties share the better rank), in the order of the columns.

    Reference:
        Wiesenfarth et al. 2021, doi:10.1038/s41598-021-82017-6.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"a": [0.7, 0.8, 0.9], "b": [0.6, 0.7, 0.5]})
        >>> rank_after_tests(scores, "higher").index.to_list()
        ['a', 'b']
    """
    names = list(scores.columns)
    pairs = list(combinations(range(len(names)), 2))
    values = scores.to_numpy(dtype=np.float64) * (1 if direction == "higher" else -1)
    by_pair = [differences(values[:, a], values[:, b]) for a, b in pairs]
    adjusted = holm([wilcoxon_p(difference) for difference in by_pair])
    wins, losses = np.zeros(len(names), int), np.zeros(len(names), int)
    for (a, b), difference, p in zip(pairs, by_pair, adjusted, strict=True):
        if p <= alpha:
            better, worse = (a, b) if rank_biserial(difference) > 0 else (b, a)
            wins[better] += 1
            losses[worse] += 1
    rank = rankdata(-wins, method="min").astype(int)
    return pd.DataFrame({"wins": wins, "losses": losses, "rank": rank}, index=names)


def rank_stability(
    scores: pd.DataFrame,
    direction: Direction,
    generator: Generator,
    *,
    by: Literal["mean", "mean_rank"] = "mean",
    subjects: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> RankStability:
    """Rank again on cases drawn with replacement.

    Args:
        scores: cases x methods, seeds averaged; cases where a method has no number are left out.
        direction: which way is better.
        generator: the source of the draws.
        by: rank the means over cases, or the mean of the ranks in each case.
        subjects: one or two a case (`bootstrap_means`).
        resamples: number of draws.

    Returns:
        Ranks 1..k (ties share the better one) and their frequencies; the rows follow the columns of `scores`.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"a": [0.7, 0.8, 0.9], "b": [0.6, 0.7, 0.5]})
        >>> stable = rank_stability(scores, "higher", np.random.default_rng(0), resamples=99)
        >>> stable.frequency.shape
        (2, 2)
    """
    complete = ~scores.isna().any(axis=1).to_numpy()
    whole = scores[complete]
    per_case = (case_ranks(whole, direction) if by == "mean_rank" else whole).to_numpy(dtype=np.float64)
    sign = -1 if by == "mean" and direction == "higher" else 1
    groups = None if subjects is None else np.asarray(subjects)[complete]
    means = bootstrap_means(per_case, generator, subjects=groups, resamples=resamples)
    means = means[~np.isnan(means).any(1)]
    ranks = rankdata(sign * means, method="min", axis=1).astype(int)
    full = rankdata(sign * per_case.mean(0), method="min")
    numbers = range(1, scores.shape[1] + 1)
    frequency = pd.DataFrame(
        {number: (ranks == number).mean(0) for number in numbers}, index=scores.columns
    ).rename_axis(columns="rank")
    return RankStability(frequency, _kendall_tau(full, ranks))


def _kendall_tau(full: Floats, ranks: NDArray[np.int_]) -> Floats:
    """Kendall's tau-b between one ranking and each row of many; NaN where one of the two puts all on one rank.

    scipy's takes one pair of rankings a call, and thousands of calls were two thirds of the analysis.
    """
    a, b = np.triu_indices(len(full), 1)
    order, orders = np.sign(full[a] - full[b]), np.sign(ranks[:, a] - ranks[:, b])
    untied = np.sqrt(np.abs(order).sum() * np.abs(orders).sum(1))
    tau: Floats = np.divide(orders @ order, untied, out=np.full(len(ranks), np.nan), where=untied > 0)
    return tau

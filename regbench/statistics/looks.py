"""Decisions in looks: after each batch of runs, which pairs of methods are decided, and which hardly ever will be.

A pair may be declared better, worse or equal at any of several looks, so each look has a stricter level than a study
with one look has. Each spends a declared part of alpha (Lan and DeMets 1983), and its level follows from how the
numbers of successive looks move together. A pair that has little chance left is given up: that makes no claim and costs
no alpha. docs/statistics.md explains the choice and has the simulations behind it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from regbench.statistics.verdicts import Comparison, Family, Run, Scores, judge

Floats = NDArray[np.float64]
SPENDING = 3.0  # of alpha, a look has spent its share of the most runs, to this power
LEAST_CHANCE = 0.1  # of being decided by the last look: a pair with less is given up
PLACES = 801  # of the numerical integral; a test compares levels with published ones
WIDEST = 8.5  # standard deviations: no level is smaller than that of this bound
DIGITS = 6  # of a level, so that it is the same on every machine
Pair = tuple[str, str]


class Outcome(NamedTuple):
    """What a look says of a pair.

    Attributes:
        comparison: at the level of the look.
        chance: of an undecided pair to be decided by the last look, if difference and noise stay as measured.
        goes_on: whether it gets further runs.
    """

    comparison: Comparison
    chance: float
    goes_on: bool


def spent(shares: Sequence[float], alpha: float, spending: float = SPENDING) -> list[float]:
    """Alpha that is spent up to each look.

    Args:
        shares: of the most runs, rising; the last one is 1.
        alpha: of all looks.
        spending: the power of the share.

    Reference:
        Kim and DeMets 1987, doi:10.1093/biomet/74.1.149: powers of the share.

    Example:
        >>> [round(alpha, 4) for alpha in spent((0.5, 1.0), 0.05)]
        [0.0063, 0.05]
    """
    return [alpha * share**spending for share in shares]


@cache
def levels(shares: tuple[float, ...], alpha: float, spending: float = SPENDING) -> tuple[float, ...]:
    """The two-sided level of each look; all looks together reject a true hypothesis with the chance `alpha`.

    The sum over runs moves as a Brownian motion. What all looks share beside (the subjects) makes them agree more,
    which errs to the safe side. A level holds for t, with its degrees of freedom, as it holds for the normal
    distribution (Jennison and Turnbull 2000, doi:10.1201/9780367805326; simulated here).

    Args:
        shares: of the most runs, rising; the last one is 1.
        alpha: of a pair.
        spending: as that of `spent`.

    Reference:
        Lan and DeMets 1983, doi:10.2307/2336502; Armitage, McPherson and Rowe 1969, doi:10.2307/2343787.
    """
    found = list[float]()
    places, mass = np.zeros(1), np.ones(1)  # of the sum, on paths that no look has ended
    paid = before = 0.0
    for share, total in zip(shares, spent(shares, alpha, spending), strict=True):
        step, spread = float(np.sqrt(share - before)), float(np.sqrt(share))
        bound = _bound(places, mass, step, total - paid, WIDEST * spread)
        found.append(float(f"{2 * ndtr(-bound / spread):.{DIGITS}g}"))
        inside = np.linspace(-bound, bound, PLACES)
        density = (mass * np.exp(-(((inside[:, None] - places) / step) ** 2) / 2)).sum(axis=1)
        mass = density * _simpson(inside) / (step * np.sqrt(2 * np.pi))
        places, paid, before = inside, total, share
    return tuple(found)


def _bound(places: Floats, mass: Floats, step: float, due: float, widest: float) -> float:
    """The bound that a sum passes, either way, with the chance `due` after its next step."""

    def too_often(bound: float) -> float:
        passed = ndtr((places - bound) / step) + ndtr((-bound - places) / step)
        return float((mass * passed).sum()) - due

    return widest if too_often(widest) >= 0 else float(brentq(too_often, 0.0, widest, xtol=1e-12))


def _simpson(places: Floats) -> Floats:
    """Weights of an integral over an odd number of even places."""
    weights = np.full(len(places), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    weights *= (places[1] - places[0]) / 3
    return weights


class Looks(NamedTuple):
    """The looks of a study.

    Attributes:
        runs: that a method may have at each look: rising, the last ones are all. Each holds those before it.
        counts: of units (runs, or searches with their runs) at each look.
        spending: as that of `spent`.
        least_chance: of being decided by the last look, below which a pair is given up.
        best: only the best methods are looked for: a pair is given up when another method has beaten one of it.
    """

    runs: Sequence[Collection[Run]]
    counts: Sequence[int]
    spending: float = SPENDING
    least_chance: float = LEAST_CHANCE
    best: bool = False

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the most units, at each look."""
        return tuple(count / self.counts[-1] for count in self.counts)

    def levels(self, alpha: float) -> tuple[float, ...]:
        """The two-sided level of a comparison at each look, `alpha` over all looks."""
        return levels(self.shares, alpha, self.spending)


def comparisons(methods: Collection[str]) -> int:
    """How many pairs some methods have.

    Example:
        >>> comparisons(["a", "b", "c"])
        3
    """
    return len(methods) * (len(methods) - 1) // 2


def look(
    scores: Mapping[str, Scores], family: Family, looks: Looks, number: int, pairs: Sequence[Pair]
) -> dict[Pair, Outcome]:
    """Judge the pairs that no earlier look has decided or given up.

    Args:
        scores: of all methods that are compared; one that got no further runs has fewer.
        family: how they are judged; `alpha` is that of all pairs of methods and all looks.
        looks: of the study.
        number: of this look, from 0.
        pairs: whom to compare.

    Example:
        >>> from regbench.statistics import Family, scores_of
        >>> one = scores_of([[0.70, 0.74, 0.72, 0.73]] * 2, (0, 1))
        >>> two = scores_of([[0.60, 0.65, 0.61, 0.62]] * 2, (0, 1))
        >>> family = Family([[0, 1], [1, 2], [2, 3], [3, 4]], region=0.005)
        >>> pair = ("one", "two")
        >>> found = look({"one": one, "two": two}, family, Looks([[0, 1]], [2]), 0, [pair])
        >>> found[pair].comparison.verdict
        'better'
    """
    of_pair = looks.levels(family.alpha / comparisons(scores))
    more = looks.counts[-1] / looks.counts[number]
    judged = judge_at(scores, family, pairs, runs=looks.runs[number], level=of_pair[number])
    outcomes = dict[Pair, Outcome]()
    for pair, one in zip(pairs, judged, strict=True):
        chance = chance_of_decision(one, more, of_pair[-1], family.region) if one.verdict == "undecided" else 1.0
        outcomes[pair] = Outcome(one, chance, one.verdict == "undecided" and more > 1 and chance >= looks.least_chance)
    return _without_beaten(outcomes) if looks.best else outcomes


def _without_beaten(outcomes: Mapping[Pair, Outcome]) -> dict[Pair, Outcome]:
    """The outcomes with every pair given up of which a method was beaten by another.

    Of earlier looks none is left: their pairs were given up then.
    """
    judged = [outcome.comparison for outcome in outcomes.values()]
    beaten = {one.b for one in judged if one.verdict == "better"} | {one.a for one in judged if one.verdict == "worse"}
    return {
        pair: outcome._replace(goes_on=outcome.goes_on and not beaten & set(pair)) for pair, outcome in outcomes.items()
    }


def judge_at(
    scores: Mapping[str, Scores], family: Family, pairs: Sequence[Pair], *, runs: Collection[Run], level: float
) -> list[Comparison]:
    """Judge pairs of methods with some runs alone, each at a two-sided level.

    Example:
        >>> from regbench.statistics import Family, scores_of
        >>> one = scores_of([[0.70, 0.74, 0.72, 0.73]] * 2, (0, 1))
        >>> two = scores_of([[0.60, 0.65, 0.61, 0.62]] * 2, (0, 1))
        >>> family = Family([[0, 1], [1, 2], [2, 3], [3, 4]], region=0.005)
        >>> scores, pairs = {"one": one, "two": two}, [("one", "two")]
        >>> judge_at(scores, family, pairs, runs=[0, 1], level=0.05)[0].verdict
        'better'
    """
    known = {name: having(one, runs) for name, one in scores.items()}
    # `judge` divides by the pairs that it gets.
    return judge(known, replace(family, alpha=level * len(pairs)), pairs)


def having(one: Scores, runs: Collection[Run]) -> Scores:
    """The scores of some runs alone; what no seed enters has one run, whatever it is called.

    Example:
        >>> from regbench.statistics import scores_of
        >>> having(scores_of([[0.7, 0.8], [0.6, 0.9]], (0, 1)), [1]).runs
        (1,)
    """
    rows = [row for row, run in enumerate(one.runs) if run in runs or not one.drawn]
    return replace(one, values=one.values[rows], runs=tuple(one.runs[row] for row in rows))


def chance_of_decision(one: Comparison, more: float, level: float, region: float | None) -> float:
    """The chance that `more` times the runs decide a pair, if its difference and noise stay as measured.

    Args:
        one: the pair as it is.
        more: the factor of the runs.
        level: two-sided, of the last look.
        region: half width of practical equivalence.

    Returns:
        0 where the pair cannot be judged at all: more runs of it change nothing.

    Reference:
        Spiegelhalter, Freedman and Blackburn 1986 (predictive power), doi:10.1016/0197-2456(86)90003-6.
    """
    if np.isnan(one.low):
        return 0.0
    by_subject, by_run = one.se_subjects**2, one.se_runs**2
    total, of_subjects = by_subject + by_run / more, by_subject**2 / (one.subjects - 1)
    # Satterthwaite's sum: what is not of the subjects is of the runs, whose degrees of freedom are more then.
    of_runs = max((by_subject + by_run) ** 2 / one.df - of_subjects, 0.0)
    half = float(stdtrit(total**2 / (of_subjects + of_runs / more**3), 1 - level / 2)) * float(np.sqrt(total))
    moves = float(np.sqrt(by_run * (1 - 1 / more)))
    if not moves:
        return 0.0  # the number stays where it is

    def below(bound: float) -> float:
        return float(ndtr((bound - one.difference) / moves))

    differs = below(-half) + 1 - below(half)
    margin = 0.0 if region is None else max(region - half, 0.0)
    # Where the region is wider than both half widths, every place decides, and those between would count twice.
    return min(differs + below(margin) - below(-margin), 1.0)

"""What would it take: how many runs and subjects decide a difference, if its noise stays as it was measured."""

from collections.abc import Callable
from math import ceil, log2
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

POWER = 0.8  # chance that so many decide
MOST = 100_000  # of runs or subjects: more are no advice


class Both(TypedDict):
    """Runs and subjects that are raised by one factor."""

    seeds: int
    subjects: int
    pairs: int


class Needs(TypedDict):
    """What decides a difference; None where no number in reach is enough."""

    seeds: int | None  # of these alone
    subjects: int | None  # of these alone, with `pairs`
    pairs: int | None
    both: Both | None
    unit: str  # what `seeds` counts: seeds, or searches with their trainings
    text: str


def needs(
    target: float,
    level: float,
    *,
    subjects: tuple[float, float, int, int],
    runs: tuple[float, float, int] | None,
    unit: str = "seeds",
) -> Needs:
    """The smallest numbers of runs and subjects with which the half width of an interval falls below `target`.

    Args:
        target: distance from the difference to the nearest place that decides it.
        level: quantile of the interval, such as 1 - 0.05 / (2 * comparisons).
        subjects: variance of the mean over cases, its degrees of freedom, subjects and cases as they are.
        runs: variance of the mean over runs, its degrees of freedom and runs; None where nothing is drawn, or only one
            run is there to tell.
        unit: what a run is called in the text: with several searches, a search with its trainings.

    Returns:
        `seeds`: more runs alone; `subjects` and `pairs`: more of them alone; `both`: both times one factor; each null
        where no number in reach is enough. `text` says it.

    Example:
        >>> needs(0.005, 0.975, subjects=(0.00001, 5.0, 6, 30), runs=(0.00001, 3.0, 4))["text"]
        '27 seeds and 41 test subjects (203 pairs)'
    """
    by_subject, df_subject, count, cases = subjects
    by_run, df_run, drawn = runs or (0.0, 0.0, 1)

    def enough(more_subjects: Floats | float, more_runs: Floats | float) -> NDArray[np.bool_]:
        one, two = np.divide(by_subject, more_subjects), np.divide(by_run, more_runs)
        spent = one**2 / (df_subject * np.asarray(more_subjects))
        df = (one + two) ** 2 / (spent + (two**2 / (df_run * np.asarray(more_runs)) if by_run else 0.0))
        return np.asarray((stdtrit(df, level) + stdtrit(df, POWER)) * np.sqrt(one + two) <= target)

    seeds = _smallest(lambda total: enough(1.0, total / drawn), drawn) if runs else None
    people = _smallest(lambda total: enough(total / count, 1.0), count)
    quarters = _smallest(lambda step: enough(step / 4, step / 4), 4) if runs else None
    both: Both | None = None
    if quarters is not None:
        raised = [ceil(number * quarters / 4) for number in (drawn, count, cases)]
        both = {"seeds": raised[0], "subjects": raised[1], "pairs": raised[2]}
    answer: Needs = {
        "seeds": seeds,
        "subjects": people,
        "pairs": None if people is None else ceil(people * cases / count),
        "both": both,
        "unit": unit,
        "text": "",
    }
    return {**answer, "text": _words(answer, unit)}


def _smallest(enough: Callable[[Floats], NDArray[np.bool_]], start: int) -> int | None:
    """The smallest number from `start` on that is enough; None where none in reach is."""
    doubled = np.array([start * 2.0**k for k in range(max(ceil(log2(MOST / start)), 0) + 1)])
    reached = np.flatnonzero(enough(doubled))
    if not reached.size:
        return None
    high = doubled[reached[0]]
    low = doubled[reached[0] - 1] if reached[0] else float(start)
    while high - low > 1:  # a hundred at a time: each call of the quantile costs more than what it computes
        between = np.unique(np.ceil(np.linspace(low, high, 100, dtype=np.float64)))
        first = int(np.flatnonzero(enough(between))[0])
        low, high = (between[first - 1] if first else between[0]), between[first]
    return int(high)


def _words(answer: Needs, unit: str) -> str:
    ways = []
    if answer["seeds"] is not None:
        ways.append(f"{answer['seeds']} {unit}")
    if answer["subjects"] is not None:
        ways.append(f"{answer['subjects']} test subjects ({answer['pairs']} pairs)")
    if (both := answer["both"]) is not None:
        ways.append(f"{both['seeds']} {unit} and {both['subjects']} test subjects ({both['pairs']} pairs)")
    return ", or ".join(ways) if ways else "no number in reach"

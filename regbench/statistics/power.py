"""What would it take: how many runs and subjects decide a difference, if its noise stays as it was measured."""

from collections.abc import Callable
from math import ceil, sqrt
from typing import Any

from scipy.special import stdtrit

POWER = 0.8  # chance that so many decide
MOST = 100_000  # of runs or subjects: more are no advice


def needs(
    target: float,
    level: float,
    *,
    subjects: tuple[float, float, int, int],
    runs: tuple[float, float, int] | None,
) -> dict[str, Any]:
    """The smallest numbers of runs and subjects with which the half width of an interval falls below `target`.

    Args:
        target: distance from the difference to the nearest place that decides it.
        level: quantile of the interval, such as 1 - 0.05 / (2 * comparisons).
        subjects: variance of the mean over cases, its degrees of freedom, subjects and cases as they are.
        runs: variance of the mean over runs, its degrees of freedom and runs; None where nothing is drawn, or only one
            run is there to tell.

    Returns:
        `seeds`: more runs alone; `subjects` and `pairs`: more of them alone; `both`: both times one factor; each null
        where no number in reach is enough. `text` says it.
    """
    by_subject, df_subject, count, cases = subjects
    by_run, df_run, drawn = runs or (0.0, 0.0, 1)

    def enough(more_subjects: float, more_runs: float) -> bool:
        one, two = by_subject / more_subjects, by_run / more_runs
        df = (one + two) ** 2 / (one**2 / (df_subject * more_subjects) + (two**2 / (df_run * more_runs) if two else 0))
        return float(stdtrit(df, level) + stdtrit(df, POWER)) * sqrt(one + two) <= target

    seeds = _smallest(lambda total: enough(1, total / drawn), drawn) if runs else None
    people = _smallest(lambda total: enough(total / count, 1), count)
    both = None
    if runs:
        quarters = _smallest(lambda step: enough(step / 4, step / 4), 4)
        if quarters is not None:
            both = {name: ceil(number * quarters / 4) for name, number in
                    (("seeds", drawn), ("subjects", count), ("pairs", cases))}  # fmt: skip
    found = {
        "seeds": seeds,
        "subjects": people,
        "pairs": None if people is None else ceil(people * cases / count),
        "both": both,
    }
    return {**found, "text": _words(found)}


def _smallest(enough: Callable[[int], bool], start: int) -> int | None:
    """The smallest number from `start` on that is enough; None where none in reach is."""
    low = high = start
    while not enough(high):
        if high > MOST:
            return None
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _words(found: dict[str, Any]) -> str:
    ways = []
    if found["seeds"] is not None:
        ways.append(f"{found['seeds']} seeds")
    if found["subjects"] is not None:
        ways.append(f"{found['subjects']} test subjects ({found['pairs']} pairs)")
    if found["both"] is not None:
        both = found["both"]
        ways.append(f"{both['seeds']} seeds and {both['subjects']} test subjects ({both['pairs']} pairs)")
    return ", or ".join(ways) if ways else "no number in reach"

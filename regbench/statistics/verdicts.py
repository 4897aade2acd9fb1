"""Better, worse, equal or undecided: what may be claimed of two methods, with every noise that their numbers have.

A difference of two methods moves when other subjects are drawn, when the trainings are repeated with other seeds, and
when lambda is searched for again. Its interval carries all of them, crossed: the variance over subjects plus that over
runs, with degrees of freedom by Satterthwaite, as min F' has it for persons and items. Where several folds are pooled,
that of their training sets, which share subjects, is added. Intervals are simultaneous over the comparisons of a
family. docs/statistics.md explains the choice and has the simulations behind it.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from regbench.statistics.components import Unit
from regbench.statistics.noise import Prior, SubjectNoise, membership, moderated, prior, subject_noise
from regbench.statistics.power import Needs, needs

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "equal", "undecided"]
Run = Hashable
ALPHA = 0.05
TIED = 1e-12  # of the scores' size: a smaller standard error is rounding
LEAST_RATIO = 1 / 3  # of test to training subjects, that of five folds: simulated (docs/statistics.md)
NAN = float("nan")
UNKNOWN = Prior(NAN, 0.0)


@dataclass(frozen=True)
class Scores:
    """One metric of one method: ``(runs, cases)``, NaN where a case has no number.

    Attributes:
        values: one row a run.
        runs: what names each run; two methods are compared run by run where they share all runs.
        drawn: whether another run would give other numbers; False for what no seed enters (`identity`, `instance`).
    """

    values: Floats
    runs: tuple[Run, ...] = (0,)
    drawn: bool = True


class Comparison(NamedTuple):
    """A verdict on `a` against `b`, and what it rests on. `difference` is a - b in the metric's unit."""

    a: str
    b: str
    verdict: Verdict
    reason: str
    difference: float
    low: float
    high: float
    se_subjects: float
    se_runs: float
    se_folds: float  # 0 where nothing is pooled
    df: float
    n: int
    subjects: int
    runs: int
    needs: Needs | None


class Folds(NamedTuple):
    """Cases that are pooled over the folds of a cross-validation: each fold has trainings of its own.

    Attributes:
        of_cases: ``(cases,)``, the fold that tests each case; of the k folds of a deal each trains with k - 2.
        borrowed: as that of `Family`, of the noise from fold to fold.
        deals: how often all subjects were dealt to k folds; every deal has folds of its own.
    """

    of_cases: NDArray[Any]
    borrowed: float | None = None
    deals: int = 1


@dataclass(frozen=True)
class Family:
    """Comparisons that are judged together, and how.

    Attributes:
        subjects: one or two of each case (`membership`).
        direction: which way is better.
        region: half width of practical equivalence; None where none was declared.
        alpha: chance that any statement of the family is false.
        groups: the unit that each run belongs to: runs of one search share its lambda, searches of one split its
            validation subjects. Without it each run is one of its own.
        unit: what a group is, for messages.
        borrowed: degrees of freedom that the methods' common noise is worth, where a larger family tells it better.
        folds: of cases that are pooled; None where all were tested by the trainings of one split.
    """

    subjects: ArrayLike
    direction: Literal["higher", "lower"] = "higher"
    region: float | None = None
    alpha: float = ALPHA
    groups: Mapping[Run, Hashable] = field(default_factory=dict)
    borrowed: float | None = None
    folds: Folds | None = None
    unit: Unit = "searches"


class _Shared(NamedTuple):
    """What the comparisons of a family share: the noise of all methods, and the level of the intervals."""

    runs: Prior
    folds: Prior
    level: float


class _Difference(NamedTuple):
    """A difference case by case, and how its mean moves from run to run."""

    cases: Floats
    units: int  # runs, or searches or splits with their runs
    variance: float  # of the mean over units
    df: float


def scores_of(values: ArrayLike, runs: Sequence[Run] = (0,), *, drawn: bool = True) -> Scores:
    """`Scores` from ``(runs, cases)``, or from ``(cases,)`` of one run.

    Raises:
        ValueError: if the rows are not as many as the runs.

    Example:
        >>> scores_of([0.7, 0.8, 0.9]).values.shape, scores_of([[0.7, 0.8], [0.6, 0.9]], (0, 1)).values.shape
        ((1, 3), (2, 2))
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.ndim != 2 or len(table) != len(runs):
        raise ValueError(f"scores must be (runs, cases) with {len(runs)} runs, but got {table.shape}")
    return Scores(table, tuple(runs), drawn)


def judge(
    scores: Mapping[str, Scores], family: Family, pairs: Sequence[tuple[str, str]] | None = None
) -> list[Comparison]:
    """Judge methods two by two; all comparisons are one family.

    Args:
        scores: of each method, on the same cases.
        family: how they are judged.
        pairs: whom to compare; all pairs without it.

    Returns:
        One comparison a pair. *equal*: the interval lies inside the region; *better*, *worse*: it lies on one side of 0
        and not inside the region; *undecided*: anything else, and whatever cannot be judged, with its reason.

    Reference:
        Clark 1973 (min F'), doi:10.1016/S0022-5371(73)80014-3; Satterthwaite 1946, doi:10.2307/3002019; Schuirmann
        1987, doi:10.1007/BF01068419 (equivalence by an interval); Nadeau and Bengio 2003,
        doi:10.1023/A:1024068626366 (training sets that overlap).

    Example:
        >>> one = scores_of([[0.70, 0.74, 0.72, 0.73]] * 2, (0, 1))
        >>> two = scores_of([[0.60, 0.65, 0.61, 0.62]] * 2, (0, 1))
        >>> family = Family([[0, 1], [1, 2], [2, 3], [3, 4]], region=0.005)
        >>> (verdict,) = judge({"one": one, "two": two}, family)
        >>> verdict.verdict, round(verdict.difference, 3)
        ('better', 0.102)
    """
    chosen = list(combinations(scores, 2)) if pairs is None else list(pairs)
    level = 1 - family.alpha / (2 * max(len(chosen), 1))
    shared = _Shared(common_noise(scores, family), common_fold_noise(scores, family), level)
    member = membership(family.subjects)
    return [_compare((a, b), scores, family, shared, member) for a, b in chosen]


def rank_intervals(methods: Sequence[str], comparisons: Sequence[Comparison]) -> dict[str, tuple[int, int]]:
    """The ranks that each method may hold: after all that are better, before all that it is better than.

    Example:
        >>> one = scores_of([[0.70, 0.74, 0.72, 0.73]] * 2, (0, 1))
        >>> two = scores_of([[0.60, 0.65, 0.61, 0.62]] * 2, (0, 1))
        >>> family = Family([[0, 1], [1, 2], [2, 3], [3, 4]], region=0.005)
        >>> rank_intervals(["one", "two"], judge({"one": one, "two": two}, family))
        {'one': (1, 1), 'two': (2, 2)}
    """
    won = {(c.a, c.b) for c in comparisons if c.verdict == "better"}
    won |= {(c.b, c.a) for c in comparisons if c.verdict == "worse"}
    return {
        name: (
            1 + sum((other, name) in won for other in methods),
            len(methods) - sum((name, other) in won for other in methods),
        )
        for name in methods
    }


def common_noise(scores: Mapping[str, Scores], family: Family) -> Prior:
    """The noise from run to run that methods share: of those methods and runs that tell it best.

    Where methods differ in runs, each set of runs is taken with all methods that have them, and the one with the most
    degrees of freedom counts.

    Example:
        >>> one = scores_of([[0.70, 0.74, 0.72, 0.73]] * 2, (0, 1))
        >>> two = scores_of([[0.60, 0.65, 0.61, 0.62]] * 2, (0, 1))
        >>> family = Family([[0, 1], [1, 2], [2, 3], [3, 4]], region=0.005)
        >>> common_noise({"one": one, "two": two}, family)
        Prior(variance=0.0, df=0.0)
    """
    known = [one for one in scores.values() if one.drawn and not _empty(one)]
    best = np.empty((0, 0, 0))
    for runs in dict.fromkeys(tuple(sorted(one.runs, key=str)) for one in known):
        tables = [_units(one.values[_rows(one, runs)], runs, family) for one in known if set(runs) <= set(one.runs)]
        if _freedom(np.stack(tables)) > _freedom(best):
            best = np.stack(tables)
    complete = np.isfinite(best).all(axis=(0, 1)) if len(best) > 1 else np.zeros(0, bool)
    if not complete.any():
        return UNKNOWN
    return _borrowing(best[:, :, complete].mean(axis=2), family.borrowed)


def _rows(one: Scores, runs: Sequence[Run]) -> list[int]:
    return [one.runs.index(run) for run in runs]


def _freedom(tables: Floats) -> tuple[int, int]:
    """Degrees of freedom of the noise of methods crossed with runs; of equal ones more methods count."""
    methods, units = tables.shape[:2]
    return (methods - 1) * (units - 1) if methods and units else 0, methods


def common_fold_noise(scores: Mapping[str, Scores], family: Family) -> Prior:
    """The noise from fold to fold that the methods share; unknown where nothing is pooled.

    Example:
        >>> one = scores_of([[0.70, 0.74, 0.72, 0.73]] * 2, (0, 1))
        >>> two = scores_of([[0.60, 0.65, 0.61, 0.62]] * 2, (0, 1))
        >>> family = Family([[0, 1], [1, 2], [2, 3], [3, 4]], region=0.005)
        >>> common_fold_noise({"one": one, "two": two}, family)
        Prior(variance=nan, df=0.0)
    """
    whole = [one.values.mean(axis=0) for one in scores.values() if not _empty(one)]
    table = np.stack(whole) if family.folds is not None and len(whole) > 1 else np.empty((0, 0))
    complete = np.isfinite(table).all(axis=0) if len(table) else np.zeros(0, bool)
    if family.folds is None or not complete.any():
        return UNKNOWN
    return _borrowing(_by_fold(table[:, complete], family.folds.of_cases[complete]), family.folds.borrowed)


def _borrowing(means: Floats, borrowed: float | None) -> Prior:
    """What ``(methods, draws)`` say of the common variance, its degrees of freedom from a larger family if given."""
    estimate = prior(means)
    if borrowed is None:
        return estimate
    return Prior(estimate.variance, min(borrowed, float((len(means) - 1) * (means.shape[1] - 1))))


def _by_fold(values: Floats, folds: NDArray[Any]) -> Floats:
    """``(..., folds)``: the means over the cases of each fold, from ``(..., cases)``."""
    return np.stack([values[..., folds == fold].mean(axis=-1) for fold in dict.fromkeys(folds)], axis=-1)


def _units(values: Floats, runs: Sequence[Run], family: Family) -> Floats:
    """``(units, cases)``: runs in the order of their names, those of one search averaged."""
    units: dict[Hashable, list[int]] = {}
    for k in sorted(range(len(runs)), key=lambda k: str(runs[k])):
        units.setdefault(family.groups.get(runs[k], runs[k]), []).append(k)
    return np.stack([values[rows].mean(axis=0) for rows in units.values()])


def _compare(
    names: tuple[str, str],
    scores: Mapping[str, Scores],
    family: Family,
    shared: _Shared,
    member: NDArray[np.bool_],
) -> Comparison:
    one, two = (scores[name] for name in names)
    nothing = Comparison(*names, "undecided", "", NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, 0, None)
    failed = [_failed(name, scores[name]) for name in names if _empty(scores[name])]
    if failed:
        return nothing._replace(reason="; ".join(failed))
    known_cases = np.asarray(~(np.isnan(one.values).any(axis=0) | np.isnan(two.values).any(axis=0)))
    first, second = one.values[:, known_cases], two.values[:, known_cases]
    nothing = nothing._replace(n=int(known_cases.sum()))
    reason = _unfit(first, second) or _lost_folds(family.folds, known_cases)
    if reason:
        return nothing._replace(reason=reason)
    difference = _difference((one, first), (two, second), family, shared.runs)
    noise = subject_noise(difference.cases, member[:, known_cases])
    mean = float(difference.cases.mean())
    nothing = nothing._replace(difference=mean, subjects=noise.subjects, runs=difference.units)
    by_subject, by_run = float(noise.variance[0]), difference.variance
    by_fold, df_folds = 0.0, 0.0
    if family.folds is not None:
        of_folds = _by_fold(difference.cases, family.folds.of_cases[known_cases])
        by_fold, df_folds = _fold_noise(of_folds, shared.folds, family.folds.deals)
    reason = _no_spread(noise, TIED * max(float(np.abs(first).max()), float(np.abs(second).max())))
    if reason:
        return nothing._replace(reason=reason)
    parts = ((by_subject, noise.df), (by_run, difference.df), (by_fold, df_folds))
    total = by_subject + by_run + by_fold
    df = _joint_df(*parts)
    half = float(stdtrit(df, shared.level)) * float(np.sqrt(total))
    verdict, why = _verdict(mean, half, family)
    judged = nothing._replace(
        verdict=verdict, reason=why, low=mean - half, high=mean + half, df=float(df),
        se_subjects=float(np.sqrt(by_subject)), se_runs=float(np.sqrt(by_run)), se_folds=float(np.sqrt(by_fold)),
    )  # fmt: skip
    if verdict != "undecided":
        return judged
    target = abs(mean) if family.region is None else max(abs(mean), family.region - abs(mean))
    return judged._replace(
        needs=needs(
            target, shared.level,
            # Subjects that are added are tested in one fold and trained with in the others.
            subjects=(by_subject + by_fold, _joint_df(parts[0], parts[2]), noise.subjects, nothing.n),
            runs=(by_run, difference.df, difference.units) if by_run else None,
            unit=family.unit if family.groups else "seeds",
        )
    )  # fmt: skip


def _unfit(first: Floats, second: Floats) -> str:
    """Why the numbers of the cases that both methods have cannot be compared."""
    cases = first.shape[1]
    infinite = int((np.isinf(first).any(axis=0) | np.isinf(second).any(axis=0)).sum())
    if infinite:
        return f"infinite in {infinite} of {cases} cases"
    return f"{cases or 'no'} case{'' if cases == 1 else 's'} with a number" if cases < 2 else ""


def _lost_folds(folds: Folds | None, known: NDArray[np.bool_]) -> str:
    """Why a pooled difference is one of other folds: what a fold adds is told by all of them."""
    if folds is None:
        return ""
    every, left = (set(folds.of_cases[cases]) for cases in (slice(None), known))
    return f"no number in {len(every - left)} of {len(every)} folds" if every - left else ""


def _no_spread(noise: SubjectNoise, tied: float) -> str:
    """Why the cases do not tell how far their mean would move."""
    if noise.df == 0 and noise.subjects == 0:
        return "every test pair has the same subjects, so no subject can be left out to judge by"
    if noise.df == 0:
        return f"{noise.subjects} subject{'' if noise.subjects == 1 else 's'}: too few to judge by"
    return "the same difference in every case: no spread to judge by" if np.sqrt(noise.variance[0]) <= tied else ""


def _fold_noise(of_folds: Floats, known: Prior, deals: int) -> tuple[float, float]:
    """Variance of the mean over folds that comes from their training sets, and its degrees of freedom.

    The folds' training sets share subjects, so their means vary together, and no estimate of it is without bias (Bengio
    and Grandvalet 2004). Nadeau and Bengio's: the variance from fold to fold, times 1 / folds + test subjects /
    training subjects; more deals of the folds lower the first part alone (Bouckaert and Frank 2004). That ratio is not
    taken below `LEAST_RATIO`: of more folds it falls, while what their trainings share grows. What all folds share
    moves them alike, so no fold tells it.

    Args:
        of_folds: ``(folds,)``, the mean difference of each fold.
        known: variance from fold to fold that all pairs of methods share.
        deals: of the subjects to the folds.

    Reference:
        Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; Bengio and Grandvalet 2004, JMLR 5:1089-1105; Bouckaert and
        Frank 2004, doi:10.1007/978-3-540-24775-3_3.
    """
    folds = len(of_folds)
    of_deal = folds // deals
    if of_deal < 3:
        return 0.0, 0.0
    between, df = moderated(float(of_folds.var(ddof=1)), folds - 1, known)
    return (1 / folds + max(1 / (of_deal - 2), LEAST_RATIO)) * between, df


def _joint_df(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of variances (Satterthwaite)."""
    total = sum(part for part, _ in parts)
    return float(total**2 / sum(part**2 / free for part, free in parts if part))


def _empty(one: Scores) -> bool:
    """Whether a run has no number at all: a training that failed, not a gap in the data."""
    return bool(np.isnan(one.values).all(axis=1).any())


def _failed(name: str, one: Scores) -> str:
    lost = int(np.isnan(one.values).all(axis=1).sum())
    return f"{name} failed" + (f" in {lost} of {len(one.values)} runs" if len(one.values) > 1 else "")


def _difference(one: tuple[Scores, Floats], two: tuple[Scores, Floats], family: Family, known: Prior) -> _Difference:
    """Run by run where all runs are shared, which takes out what moves both alike; else the difference of means."""
    (a, first), (b, second) = one, two
    if set(a.runs) == set(b.runs):
        table = _units(first - second[[b.runs.index(run) for run in a.runs]], a.runs, family)
        if len(table) < 2 or not (a.drawn or b.drawn):
            return _Difference(table.mean(axis=0), len(table), 0.0, 0.0)
        own = float(table.mean(axis=1).var(ddof=1))
        variance, df = moderated(own, len(table) - 1, known)
        return _Difference(table.mean(axis=0), len(table), variance / len(table), df)
    tables = [_units(values, scores.runs, family) for scores, values in (one, two)]
    means = [table.mean(axis=1) for table, (scores, _) in zip(tables, (one, two), strict=True) if scores.drawn]
    parts = [(float(mean.var(ddof=1)) / len(mean), len(mean) - 1) for mean in means if len(mean) > 1]
    total = sum(part for part, _ in parts)
    df = total**2 / sum(part**2 / free for part, free in parts) if total else 0.0
    return _Difference(tables[0].mean(axis=0) - tables[1].mean(axis=0), max(map(len, tables)), total, df)


def _verdict(mean: float, half: float, family: Family) -> tuple[Verdict, str]:
    low, high = mean - half, mean + half
    if family.region is not None and -family.region < low and high < family.region:
        return "equal", ""
    if low > 0 or high < 0:
        return ("better" if (mean > 0) == (family.direction == "higher") else "worse"), ""
    if family.region is None:
        return "undecided", "the interval holds 0, and no region of equivalence was declared"
    return "undecided", "the interval holds 0 and reaches beyond the region of equivalence"

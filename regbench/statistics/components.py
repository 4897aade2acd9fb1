"""What a number's variance is made of: split, tuning, seed, subject and the rest, by a nested analysis of variance.

Splits hold searches, searches hold runs, and runs are crossed with cases. Every component is estimated by its moments;
an estimate below 0 is printed as 0 and marked. Intervals are those of a difference of two mean squares. Where folds
were dealt several times, each is a split with test subjects of its own: `regbench.statistics.dealt` has it.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, fdtri

from regbench.statistics.dealt import fold_squares

Floats = NDArray[np.float64]
Of = Literal["difference", "score"]
Unit = Literal["seeds", "searches", "splits"]
OF: tuple[Of, ...] = ("difference", "score")
TAIL = 0.025  # of each side of an interval
SUBJECT, REST, TOGETHER = "subject", "residual", " + "
UNITS = {"splits": "split", "searches": "tuning", "seeds": "seed"}  # what makes such units differ


class Design(NamedTuple):
    """Of each run the search that chose its lambda, and the draw of validation subjects that the search had."""

    searches: Mapping[Hashable, Hashable]
    splits: Mapping[Hashable, Hashable]

    @property
    def unit(self) -> Unit:
        """What was drawn independently: runs of one search share its lambda, searches of one split its subjects."""
        if len(set(self.splits.values())) > 1:
            return "splits"
        return "searches" if len(set(self.searches.values())) > 1 else "seeds"

    @property
    def units(self) -> Mapping[Hashable, Hashable]:
        """Of each run its unit; empty where each run is one of its own."""
        return {"splits": self.splits, "searches": self.searches, "seeds": {}}[self.unit]


class Component(NamedTuple):
    """One source's part of the variance of one number: that of one run on one case.

    Attributes:
        source: such as ``split``; ``split + tuning`` where the design cannot tell them apart.
        variance: in the metric's unit, squared; 0 where the estimate is below.
        low, high: 95 % interval of it.
        df: degrees of freedom of the mean square behind it.
        share: of the sum of all components.
        negative: whether the estimate is below 0.
    """

    source: str
    variance: float
    low: float
    high: float
    df: float
    share: float
    negative: bool


class _Level(NamedTuple):
    """Units of a design inside those of the level above: their mean square and its degrees of freedom."""

    source: str
    square: float
    df: float
    runs: float  # of each unit


def components(
    tables: Sequence[Floats],
    runs: Sequence[Hashable],
    design: Design,
    of: Of,
    *,
    seeds: bool = True,
    tested: Sequence[NDArray[Any]] | None = None,
) -> list[Component]:
    """The components of a score, or of the difference of two methods, as the mean over methods (or pairs of them).

    Args:
        tables: ``(methods, runs, cases)``, one for each fold; methods and cases without a number are left out.
        runs: what names each run.
        design: of the runs.
        of: `score`: of one method; `difference`: of two. What moves all methods of a run or case alike is in a score
            and in no difference.
        seeds: whether a seed changes the numbers.
        tested: ``(cases, k)`` of each table, who stands where in each case, where the folds were dealt several times:
            the folds are then splits, told apart from the subjects that several of them tested.

    Returns:
        Outer units first, then subject and residual. A difference has the degrees of freedom of all methods, as far as
        their noise is alike, a score those of one. Empty where nothing can be told.

    Reference:
        Searle, Casella and McCulloch 1992, doi:10.1002/9780470316856; intervals: Ting, Burdick, Graybill, Jeyaratnam
        and Lu 1990, doi:10.1080/00949659008811240.

    Example:
        >>> import numpy as np
        >>> table = np.random.default_rng(0).normal(size=(1, 4, 9))
        >>> runs = (0, 1, 2, 3)
        >>> design = Design({run: run for run in runs}, {run: 0 for run in runs})
        >>> [part.source for part in components([table], runs, design, "score")]
        ['tuning + seed', 'subject', 'residual']
    """
    names = [name for name in ("searches", "splits") if len(set(getattr(design, name).values())) > 1]
    grouped = {name: _numbered([getattr(design, name)[run] for run in runs]) for name in names}
    fewest = 2 if of == "difference" else 1
    whole = [table for table in map(_complete, tables) if table.shape[0] >= fewest and table.shape[2] > 1]
    if not whole:
        return []
    parts = [_levels(table, grouped, of, seeds=seeds) for table in whole]
    levels = [_mean([part[place] for part in parts]) for place in range(len(parts[0]))]
    cases, count = float(np.mean([table.shape[2] for table in whole])), whole[0].shape[1]
    *nested, subject, rest = levels
    outer = _Outer(nested[0], rest, cases * count) if nested else None
    source = TOGETHER.join(["split", *["tuning"] * ("searches" not in grouped), *["seed"] * (count == 1 and seeds)])
    splits = [] if tested is None else _of_splits(tables, tested, of, source, outer)
    if count == 1:
        return _shared([*splits, _alone(subject._replace(source=f"{SUBJECT}{TOGETHER}{REST}"))])
    below = [*nested[1:], rest]
    found = [_between(level, inner, cases * level.runs) for level, inner in zip(nested, below, strict=True)]
    return _shared([*splits, *found, _between(subject, rest, float(count)), _alone(rest)])


class _Outer(NamedTuple):
    """The outermost level inside a fold, what is below it, and how many numbers the mean of a fold has."""

    level: _Level
    inner: _Level
    numbers: float


def _of_splits(
    tables: Sequence[Floats], tested: Sequence[NDArray[Any]], of: Of, source: str, outer: _Outer | None
) -> list[Component]:
    """The component of folds that were dealt several times; none where it cannot be told from their subjects."""
    values = np.concatenate([table.mean(axis=1) for table in tables], axis=1)
    values = values[np.isfinite(values).any(axis=1)]
    known = np.isfinite(values).all(axis=0)
    if not known.any():
        return []
    values, subjects = values[:, known], np.concatenate(tested)[known]
    folds = np.repeat(np.arange(len(tables)), [table.shape[2] for table in tables])[known]
    methods = len(values)
    squares = fold_squares(values - values.mean(axis=0) if of == "difference" else values, folds, subjects)
    if squares is None:
        return []
    scale, others = (2 / (methods - 1), methods - 1) if of == "difference" else (1 / methods, 1)

    def level(sums: Floats, df: float) -> tuple[float, float]:
        free = df * (others * _evenness(sums, df) if of == "difference" else 1.0)
        return scale * float(sums.sum()) / df / squares.size, free

    between, rest = level(squares.between, squares.df), level(squares.rest, squares.df_rest)
    inside = [rest]
    if outer is not None:  # trainings of a fold move its mean too; the rest is counted already
        inside.append((max(outer.level.square - outer.inner.square, 0.0) / outer.numbers, outer.level.df))
    below = sum(part for part, _ in inside)
    df = below**2 / sum(part**2 / free for part, free in inside) if below else rest[1]
    low, high = (max(end, 0.0) for end in difference_interval(between, (below, df)))
    estimate = between[0] - below
    return [Component(source, max(estimate, 0.0), low, high, between[1], float("nan"), estimate < 0)]


def _complete(table: Floats) -> Floats:
    """Methods that have a number in each run, and the cases that all of these have."""
    values = np.asarray(table, dtype=np.float64)
    whole = values[np.asarray(np.isfinite(values).any(axis=2)).all(axis=1)]
    return whole[:, :, np.isfinite(whole).all(axis=(0, 1))] if len(whole) else whole


def _numbered(names: Sequence[Hashable]) -> NDArray[np.intp]:
    place = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], dtype=np.intp)


def _levels(table: Floats, grouped: Mapping[str, NDArray[np.intp]], of: Of, *, seeds: bool) -> list[_Level]:
    """The nested levels, then cases, then the rest; levels that the design does not part have one name."""
    methods, runs, cases = table.shape
    centred = table - table.mean(axis=(0 if of == "difference" else (1, 2)), keepdims=True)
    scale = 2 / (methods - 1) if of == "difference" else 1 / methods
    own = centred.mean(axis=(1, 2), keepdims=True)
    of_cases, of_runs = centred.mean(axis=1, keepdims=True), centred.mean(axis=2)

    def level(source: str, sums: Floats, df: float, size: float) -> _Level:
        """From each method's sum of squares."""
        free = df * ((methods - 1) * _evenness(sums, df) if of == "difference" else 1.0)
        return _Level(source, scale * float(sums.sum()) / df if df else float("nan"), free, size)

    found, above, outer, waiting = list[_Level](), own[:, 0], 1, list[str]()
    units = [name for name in ("splits", "searches") if name in grouped]
    for name, group in [*((name, grouped[name]) for name in units), ("seeds", np.arange(runs))]:
        count = int(group.max()) + 1
        waiting += [UNITS[name]] if name != "seeds" or seeds else []
        inner = [grouped[other].max() + 1 for other in units[units.index(name) + 1 :]] if name in units else []
        if runs == 1 or (name != "seeds" and count == (inner or [runs])[0]):
            continue  # its units are those of the next level
        means = np.stack([of_runs[:, group == k].mean(axis=1) for k in range(count)], axis=1)[:, group]
        if count > outer:
            sums = cases * ((means - above) ** 2).sum(axis=1)
            found.append(level(TOGETHER.join(waiting), sums, float(count - outer), runs / count))
            waiting = []
        above, outer = means, count
    of_case = runs * ((of_cases - own) ** 2).sum(axis=(1, 2))
    rest = ((centred - of_cases - of_runs[:, :, None] + own) ** 2).sum(axis=(1, 2))
    found.append(level(SUBJECT, of_case, float(cases - 1), 1.0))
    return [*found, level(REST, rest, float((runs - 1) * (cases - 1)), 1.0)]


def _evenness(sums: Floats, df: float) -> float:
    """How alike the methods' variances are, 1 where they are one (Satterthwaite), less what their own noise adds."""
    squares = float((sums**2).sum())
    return min(1.0, float(sums.sum()) ** 2 * (1 + 2 / df) / (len(sums) * squares)) if squares and df else 1.0


def _mean(levels: Sequence[_Level]) -> _Level:
    """Of the same level in several folds, whose trainings are their own."""
    square = float(np.mean([level.square for level in levels]))
    return levels[0]._replace(square=square, df=sum(level.df for level in levels))


def _alone(level: _Level) -> Component:
    """A component that is a mean square by itself."""
    low, high = (level.square * level.df / float(chdtri(level.df, tail)) for tail in (TAIL, 1 - TAIL))
    return Component(level.source, level.square, low, high, level.df, float("nan"), False)


def _between(level: _Level, inner: _Level, times: float) -> Component:
    """A component that is the difference of two mean squares, by the number of values that each unit has."""
    low, high = difference_interval((level.square, level.df), (inner.square, inner.df))
    estimate = (level.square - inner.square) / times
    ends = max(low / times, 0.0), max(high / times, 0.0)
    return Component(level.source, max(estimate, 0.0), *ends, level.df, float("nan"), estimate < 0)


def difference_interval(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
    """Ends of the 95 % interval of the expectation of ``one - two``, two mean squares with their degrees of freedom.

    Reference:
        Ting et al. 1990, doi:10.1080/00949659008811240 (modified large samples).
    """
    (first, n), (second, m) = one, two
    upper, lower = float(fdtri(n, m, 1 - TAIL)), float(fdtri(n, m, TAIL))
    g = [1 - df / float(chdtri(df, TAIL)) for df in (n, m)]
    h = [df / float(chdtri(df, 1 - TAIL)) - 1 for df in (n, m)]
    g12 = ((upper - 1) ** 2 - g[0] ** 2 * upper**2 - h[1] ** 2) / upper
    h12 = ((1 - lower) ** 2 - h[0] ** 2 * lower**2 - g[1] ** 2) / lower
    down = g[0] ** 2 * first**2 + h[1] ** 2 * second**2 + g12 * first * second
    up = h[0] ** 2 * first**2 + g[1] ** 2 * second**2 + h12 * first * second
    return first - second - float(np.sqrt(max(down, 0.0))), first - second + float(np.sqrt(max(up, 0.0)))


def _shared(found: Sequence[Component]) -> list[Component]:
    """With each one's share of the sum."""
    total = sum(one.variance for one in found)
    return [one._replace(share=one.variance / total if total else float("nan")) for one in found]

"""A score at a level of regularity, read off the curve that the trainings of one run at several lambdas make.

The regularity of a single pair is noisy and often 0, so no pair has a curve of its own: pairs are averaged first, then
the curve of the run is read at the level. What each pair adds to that number is kept, so that its mean over pairs is
the number, and its spread over subjects carries the noise of both axes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

Floats = NDArray[np.float64]
HALVINGS = 60  # of the range of log lambda: to the last digit
STEP = 1e-4  # of the range of a curve, by which a point is moved to see what hangs on it
TINY = 1e-150  # where all heights are 0
STEEPEST = 0.25  # of a chord: a curve is taken to be no flatter than this where it is read
MARGIN = 0.15  # of a range, at each end: test pairs reach not quite what validation pairs do
DIGITS = 2  # of a level that is chosen
READ = 33  # heights of which the mean height is made
FEWEST = 2  # points that make a curve


class Curve(NamedTuple):
    """What one run of a cell scores at each lambda, pair by pair; NaN where a pair or a whole training has no number.

    Attributes:
        lams: ``(points,)``, positive.
        regularity: ``(points, cases)``, not negative; the lower the more regular, and falling with lambda.
        scores: ``(points, cases)``, what is compared.
    """

    lams: Floats
    regularity: Floats
    scores: Floats


class _Knots(NamedTuple):
    """The curve of the means, and the deviations of the cases from them; lambda rises."""

    log_lams: Floats
    root: Floats  # of the mean regularity, never rising
    score: Floats
    of_root: Floats  # (points, cases), to first order
    of_score: Floats
    cases: NDArray[np.bool_]  # that have numbers at every point


def at_levels(curve: Curve, levels: ArrayLike) -> Floats:
    """The score of a run at levels of its mean regularity, as ``(levels, cases)`` whose mean over cases it is.

    Root of the mean regularity and mean score are monotone cubics over log lambda between the points: where the first
    is at the root of the level, the second is read. Where lambda rises and the mean regularity with it, that is noise:
    such neighbours share their mean (isotonic regression). Each case has the mean's value plus what the value moves,
    to first order, when that case counts more.

    Args:
        curve: of one run.
        levels: in the unit of the regularity.

    Returns:
        A row of NaN for a level that the curve does not reach, for nothing is extrapolated; NaN too for cases that lack
        a number at any point; infinite where a score is.

    Reference:
        Fritsch and Carlson 1980, doi:10.1137/0717021 (monotone cubics); Barlow and Brunk 1972,
        doi:10.1080/01621459.1972.10481216 (isotonic regression); Efron and Stein 1981, doi:10.1214/aos/1176345462.
    """
    wanted = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    values = np.full((len(wanted), curve.scores.shape[1]), np.nan)
    knots = _knots(curve)
    if knots is None:
        return values
    roots = np.sqrt(wanted)
    inside = (roots <= knots.root[0]) & (roots >= knots.root[-1]) & (knots.root[0] > knots.root[-1])
    if not np.isfinite(knots.score).all():
        endless = np.isinf(curve.scores).any(axis=0)
        values[inside] = np.where(knots.cases, np.where(endless, np.inf, 0.0), np.nan)
        return values
    places = _crossings(knots, roots[inside])
    values[np.ix_(inside, knots.cases)] = _read(knots, places)
    return values


def mean_height(curve: Curve, low: float, high: float) -> Floats:
    """The mean score of a run between two levels, ``(cases,)`` as `at_levels` has it: the area under its curve.

    Levels are evenly spaced on a scale of roots, as the curve is drawn; by its width, it is in the score's unit.

    Args:
        curve: of one run.
        low: the first level.
        high: the last.
    """
    roots = np.linspace(np.sqrt(low), np.sqrt(high), READ)
    squares = np.clip(roots**2, low, high)  # no rounding beyond the ends
    heights: Floats = at_levels(curve, squares).mean(axis=0)
    return heights


def reached(curve: Curve) -> tuple[float, float] | None:
    """The most and the least regular level of a run's curve; None where it has none."""
    knots = _knots(curve)
    return None if knots is None else (float(knots.root[-1] ** 2), float(knots.root[0] ** 2))


def levels_between(low: float, high: float, count: int) -> tuple[float, ...]:
    """So many levels inside a range, evenly spaced on a scale of roots, of two digits; fewer where these are the same.

    Args:
        low: the more regular end.
        high: the other.
        count: how many; one is in the middle.
    """
    first, last = np.sqrt(low), np.sqrt(high)
    shares = np.linspace(MARGIN, 1 - MARGIN, count) if count > 1 else np.array([0.5])
    levels = [float(f"{root**2:.{DIGITS}g}") for root in first + shares * (last - first)]
    return tuple(dict.fromkeys(level for level in levels if low <= level <= high and level > 0))


def _knots(curve: Curve) -> _Knots | None:
    """The means at each lambda where the training gave numbers; None of fewer than two."""
    whole = np.isfinite(curve.regularity).any(axis=1) & (~np.isnan(curve.scores)).any(axis=1)
    whole &= np.isfinite(curve.lams)
    lams, order = np.unique(curve.lams[whole], return_index=True)
    regularity, scores = curve.regularity[whole][order], curve.scores[whole][order]
    cases: NDArray[np.bool_] = np.asarray(np.isfinite(regularity).all(axis=0) & ~np.isnan(scores).any(axis=0))
    if len(lams) < FEWEST or not cases.any():
        return None
    regularity, scores = _falling(regularity[:, cases]), scores[:, cases]
    means, heights = regularity.mean(axis=1), scores.mean(axis=1)
    root = np.sqrt(means)
    # Where the mean is 0, every case is.
    of_root = (regularity - means[:, None]) / (2 * np.where(root > 0, root, 1.0))[:, None]
    with np.errstate(invalid="ignore"):  # of infinite scores, which are not read
        return _Knots(np.log(lams), root, heights, of_root, scores - heights[:, None], cases)


def _falling(regularity: Floats) -> Floats:
    """The rows with those averaged whose means rise: pool adjacent violators, each row of the same weight."""
    blocks: list[list[int]] = []
    means: list[float] = []
    for row, mean in enumerate(regularity.mean(axis=1)):
        blocks.append([row])
        means.append(float(mean))
        while len(means) > 1 and means[-1] > means[-2]:
            rows = blocks[-2] + blocks[-1]
            blocks[-2:], means[-2:] = [rows], [float(regularity[rows].mean())]
    pooled = [regularity[rows].mean(axis=0) for rows in blocks for _ in rows]
    return np.stack(pooled)


def _crossings(knots: _Knots, roots: Floats) -> Floats:
    """The least log lambda at which the curve of roots is at each of `roots` or below."""
    spline = PchipInterpolator(knots.log_lams, knots.root)
    low, high = (np.full(len(roots), end) for end in knots.log_lams[[0, -1]])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = spline(middle) > roots
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def _read(knots: _Knots, places: Floats) -> Floats:
    """``(places, cases)``: score of the means, plus what each case moves it by on either axis."""
    score, root = (PchipInterpolator(knots.log_lams, heights) for heights in (knots.score, knots.root))
    exchange = score.derivative()(places) / _slopes(knots, root.derivative()(places), places)
    # Sums by einsum: their order must not depend on the number of threads.
    by_score = np.einsum("kp,kn->pn", _effects(knots.log_lams, knots.score, places), knots.of_score)
    by_root = np.einsum("kp,kn->pn", _effects(knots.log_lams, knots.root, places), knots.of_root)
    read: Floats = score(places)[:, None] + by_score - exchange[:, None] * by_root
    return read


def _slopes(knots: _Knots, slopes: Floats, places: Floats) -> Floats:
    """Slopes of the curve of roots, all below 0: at an end of a flat part it has none, and exchanges nothing there."""
    left = np.clip(np.searchsorted(knots.log_lams, places, side="left") - 1, 0, len(knots.log_lams) - 2)
    chords = np.diff(knots.root)[left] / np.diff(knots.log_lams)[left]
    steepest: Floats = np.minimum(slopes, STEEPEST * chords)
    return np.where(steepest < 0, steepest, -np.inf)


def _effects(log_lams: Floats, heights: Floats, places: Floats) -> Floats:
    """``(points, places)``: what a curve moves at each place when the height of one point moves by 1."""
    step = STEP * max(float(np.ptp(heights)), STEP * float(np.abs(heights).max()), TINY)
    moved = []
    for point in range(len(heights)):
        shift = step * (np.arange(len(heights)) == point)
        up, down = (PchipInterpolator(log_lams, heights + sign * shift)(places) for sign in (1, -1))
        moved.append((up - down) / (2 * step))
    return np.stack(moved)

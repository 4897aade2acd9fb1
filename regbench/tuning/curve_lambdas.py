"""The lambdas of a run's curve: spread along the trade-off of accuracy and regularity, by the trials of its search."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import JsonValue

from regbench.study.goals import merits
from regbench.study.specs import SelectSpec
from regbench.tuning.smoothing import FEWEST, prior_size, smooth
from regbench.tuning.space import Point, shares
from regbench.tuning.trial_results import TrialResult, is_complete, metrics_of, point_of

AROUND = 10.0  # factor to both sides of a lambda that the config fixed: there are no trials to tell more
WORTHWHILE = 0.5  # of what the best lambda gains over the worst: where less is left, the curve ends
PLACES = 65  # of the range, at which the smoothed score is looked at


def further_lambdas(
    spec: SelectSpec, chosen: Mapping[str, JsonValue], results: Sequence[TrialResult], points: int
) -> list[float]:
    """The lambdas of a curve beside the chosen one, rising.

    They are even in log lambda between the ends of the trade-off: those of the searched range, but no farther than
    where the smoothed score of the trials falls below half of its gain (nobody uses what is worse and less regular). Of
    so many places the one nearest to the chosen lambda is left to it. Of a fixed lambda, the ends are a decade to each
    side.

    Args:
        spec: of the choice, with its range.
        chosen: the choice (`rounds.Selection`).
        results: of all trials of the search.
        points: of the curve, the chosen one among them.

    Returns:
        One lambda fewer than `points`, of six digits; none where the search chose none.
    """
    lam = chosen["lam"]
    if not isinstance(lam, float | int):
        return []
    if spec.value is not None or spec.range is None:
        low, high, ends = lam / AROUND, lam * AROUND, (0.0, 1.0)
    else:
        low, high = spec.range
        ends = _worthwhile(spec, Point.from_json(chosen), results)
    places = np.linspace(*ends, points)
    own = math.log(lam / low) / math.log(high / low)
    others = np.delete(places, int(np.argmin(np.abs(places - own))))
    return [min(max(float(f"{low * (high / low) ** place:.6g}"), low), high) for place in others]


def _worthwhile(spec: SelectSpec, chosen: Point, results: Sequence[TrialResult]) -> tuple[float, float]:
    """The part of lambda's range, from 0 to 1, that is worth a point; all of it where trials are too few to tell."""
    finished = [result for result in results if is_complete(result)]
    if len(finished) < FEWEST:
        return 0.0, 1.0
    metrics = metrics_of(spec.goal, finished)
    scores = merits(metrics, [result["scores"] for result in finished])
    own, *others = shares(spec, chosen)
    grid = np.linspace(0, 1, PLACES)
    curve = smooth(
        np.array([shares(spec, point_of(result)) for result in finished]), scores,
        [result.get("seed") for result in finished],
        at=np.array([[place, *others] for place in grid]), small=prior_size(metrics, scores),
    )  # fmt: skip
    least = curve.mean.max() - WORTHWHILE * float(np.ptp(curve.mean))
    inside = grid[curve.mean >= least]
    return min(float(inside[0]), own), max(float(inside[-1]), own)

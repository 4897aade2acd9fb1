"""Tuning that does not depend on how many workers ran it.

Trials go in rounds of a fixed size. A proposal is a pure function of the cell, the trial's number and the results of
all earlier rounds; trials of one round never see each other's results, so they may run side by side, in any order, or
one after the other with the same outcome.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from pydantic import JsonValue

from regbench.study.goals import merits
from regbench.study.specs import ProposeSpec, SearchSpec, SelectSpec
from regbench.tuning.pareto import front
from regbench.tuning.sampler import ask
from regbench.tuning.smoothing import FEWEST, Curve, prior_size, smooth
from regbench.tuning.space import Point, anchors, lattice, rounded, shares
from regbench.tuning.trial_results import (
    Proposal,
    TrialResult,
    is_complete,
    is_repeat,
    metrics_of,
    ndv_of,
    point_of,
    pruning_against,
    sign_of,
)

EDGE = 0.02  # of the log-range: a lambda nearer than this to an end of its range is "at the edge"
REPEATED = 100_003  # between the training seeds of a point and of its repeats: no other search has one of them
FLAT = 0.5  # of the log-range: lambdas that are not told apart over more of it were not identified


class ChosenTrial(TypedDict, total=False):
    """A trial, and what it scored; `values` where more than lambda is searched."""

    number: int
    lam: float
    values: dict[str, JsonValue]
    scores: dict[str, float]


class SmoothedTrial(TypedDict):
    """The curve at a tried point, in the unit of the score, with its SD."""

    number: int
    lam: float
    score: float
    sd: float


class Selection(TypedDict, total=False):
    """The choice of a cell's lambda; `select` says what each entry is."""

    method: str
    limited: bool
    range: list[float] | None
    trials: int
    values: dict[str, JsonValue]
    lam: float | None
    metrics: list[str]
    best: ChosenTrial | None
    best_limited: ChosenTrial | None
    best_trial: ChosenTrial | None
    edge: bool
    front: list[int]
    reason: str
    smoothed: list[SmoothedTrial]
    noise_sd: float | None
    alike: list[float] | None
    flat: bool
    found: bool  # whether the range is one that was found; left out where the config gave it


def propose(spec: ProposeSpec, number: int, earlier: Sequence[TrialResult]) -> list[Proposal]:
    """The points of one round.

    The first round is a log-spaced grid inside lambda's range (few anchors and a model afterwards lost least in few
    trials: docs/tuning.md); later rounds come from the study's sampler.

    Args:
        spec: of the search.
        number: of the round, from 0.
        earlier: results of all trials of all earlier rounds.

    Returns:
        A proposal for each slot; numbers have six significant digits. Empty where the budget is spent. With
        ``repeats``, the slots behind the first of each round but the earliest are the best points so far with another
        training ``seed``: a round that is filled up later keeps them in their places.
    """
    first = number * spec.round_size
    slots = affordable(spec, earlier, min(spec.round_size, spec.trials - first))
    repeats = _repeats(spec, number, earlier)[: max(slots - 1, 0)]  # a round has at least one new point
    tried = first - sum(map(is_repeat, earlier))  # new points of earlier rounds
    points: list[Point] = []
    for slot in range(slots - len(repeats)):
        points.append(_new_point(spec, (number, slot), earlier, points, tried + slot))
    prune = pruning_against(spec.pruner, spec.rungs, spec.objective, earlier) if spec.rungs else None
    trials = [(point, None) for point in points[:1]] + repeats + [(point, None) for point in points[1:]]
    return [Proposal(first + slot, point, seed, prune) for slot, (point, seed) in enumerate(trials)]


def _new_point(
    spec: ProposeSpec, at: tuple[int, int], earlier: Sequence[TrialResult], before: Sequence[Point], tried: int
) -> Point:
    """The point of a slot `at` (round, slot), behind `tried` new points of the search, `before` of its own round."""
    number, slot = at
    if spec.sampler == "grid":
        return rounded(spec, lattice(spec, tried))
    if number == 0:
        return rounded(spec, anchors(spec, spec.round_size)[slot])
    point = rounded(spec, ask(spec, number, slot, earlier, before))
    if point in [*map(point_of, earlier), *before]:
        # nsga2 crosses parents into what was tried already; a training would say the same again
        anywhere = spec.model_copy(update={"sampler": "random"})
        point = rounded(spec, ask(anywhere, number, slot, earlier, before))
    return point


def _repeats(spec: ProposeSpec, number: int, earlier: Sequence[TrialResult]) -> list[tuple[Point, int | None]]:
    """The best distinct points of earlier rounds, to be trained once more, each with a seed that it has not had."""
    count = spec.repeats if number else 0
    finished = [result for result in earlier if is_complete(result)]
    if not count or not finished:
        return []
    distinct: list[Point] = []
    for index in _ranked(finished, _smoothed(spec, finished)):
        point = point_of(finished[index])
        if point not in distinct:
            distinct.append(point)
    tried = [point_of(result) for result in earlier]
    return [(point, spec.training_seed + REPEATED * tried.count(point)) for point in distinct[:count]]


def _ranked(results: Sequence[TrialResult], scores: Sequence[float]) -> list[int]:
    """Best score first; of equal ones the larger lambda, then the earlier trial."""
    return sorted(range(len(results)), key=lambda k: (-scores[k], -results[k]["lam"], results[k]["number"]))


def _smoothed(spec: SearchSpec, results: Sequence[TrialResult]) -> list[float]:
    """How good each result is, on the curve where trials have noise and are enough to tell it."""
    curve = _curve(spec, results)
    return _merits(spec, results) if curve is None else [float(f"{mean:.6g}") for mean in curve.mean]


def _merits(spec: SearchSpec, results: Sequence[TrialResult]) -> list[float]:
    """How good each result is by the goal: higher is better; ranks are among these results."""
    return merits(metrics_of(spec.goal, results), [result["scores"] for result in results])


def _curve(spec: SearchSpec, results: Sequence[TrialResult]) -> Curve | None:
    """The curve behind trials; None where they have no noise, or are too few."""
    if not spec.noisy or len(results) < FEWEST:
        return None
    places = [shares(spec, point_of(result)) for result in results]
    merits = _merits(spec, results)
    small = prior_size(metrics_of(spec.goal, results), merits)
    return smooth(np.array(places), merits, [result.get("seed") for result in results], small=small)


def affordable(spec: ProposeSpec, earlier: Sequence[TrialResult], slots: int) -> int:
    """How many of a round's slots the budget of the cell pays: trials as they are, or steps, or seconds.

    A trial of unknown length is taken to cost a whole one (steps), or the mean of the earlier ones (seconds).
    """
    if spec.budget is None:
        return slots
    costs = [result["cost"] for result in earlier]
    left = spec.budget.amount - sum(costs)
    cost = spec.steps if spec.budget.unit == "steps" else (sum(costs) / len(costs) if costs else 0.0)
    return max(min(slots, int(left / cost)), 0) if cost else slots


def select(spec: SelectSpec, results: Sequence[TrialResult]) -> Selection:
    """Choose the lambda of a cell by the two rules that were fixed beforehand.

    The trial of the best score is a maximum over noisy draws. Where trainings have noise, the tried point that is best
    on the smoothed curve is taken (`regbench.tuning.smoothing`); where nothing is drawn, the best trial.

    Args:
        spec: of the choice.
        results: of all trials.

    Returns:
        ``lam`` by the study's rule; ``metrics`` of the rule; ``best`` and ``best_limited`` (the best with NDV at most
        the limit, null where no trial meets it); ``best_trial``, the best single score; ``edge`` if lam stands at an
        end of its range; ``front``, the Pareto front of score and NDV; ``smoothed``, the curve at each tried point with
        its SD; ``noise_sd``, of a trial around it; ``alike``, the lambdas within one standard error of the best;
        ``flat`` if these are more than half of the log-range: then the search does not say which lambda.
    """
    selection: Selection = {
        "method": spec.method,
        "limited": spec.selection.limited,
        "range": None if spec.range is None else list(spec.range),
        "trials": len(results),
        "lam": spec.value,
        "metrics": list(metrics_of(spec.selection, results)),
        "best": None,
        "best_limited": None,
        "best_trial": None,
        "edge": False,
        "front": [],
        "reason": "",
        "smoothed": [],
        "noise_sd": None,
        "alike": None,
        "flat": False,
    }
    if spec.found_by is not None:
        selection["found"] = True
    if spec.value is not None or spec.range is None:
        return selection
    finished = [result for result in results if is_complete(result)]
    curve = _curve(spec, finished)
    ranked = [finished[k] for k in _ranked(finished, _smoothed(spec, finished))]
    allowed = [result for result in ranked if _ndv(result, finished) <= spec.ndv_limit_percent]
    candidates = allowed if spec.selection.limited else ranked
    chosen = candidates[0] if candidates else None
    if spec.search:
        selection["values"] = {} if chosen is None else chosen["values"]
    merits = _merits(spec, finished)
    highest = max(zip(merits, finished, strict=True), key=lambda one: (one[0], one[1]["lam"]), default=None)
    selection |= {
        "lam": None if chosen is None else chosen["lam"],
        "best": _about(ranked[0]) if ranked else None,
        "best_limited": _about(allowed[0]) if allowed else None,
        "best_trial": None if highest is None else _about(highest[1]),
        "edge": chosen is not None and at_edge(chosen["lam"], *spec.range),
        "front": [finished[k]["number"] for k in front(merits, list(map(ndv_of, finished)))],
        "reason": "" if chosen is not None else _no_choice(spec, results, any_finished=bool(finished)),
    }
    return selection if curve is None else selection | _identified(spec, finished, curve)


def _no_choice(spec: SelectSpec, results: Sequence[TrialResult], *, any_finished: bool) -> str:
    """Why no trial can be chosen: those that finished are over the limit, or none finished."""
    if any_finished:
        return f"no trial kept NDV at or below {spec.ndv_limit_percent:g} %"
    return "; ".join(dict.fromkeys(result["reason"] for result in results if result["reason"])) or "no trial was run"


def _ndv(result: TrialResult, finished: Sequence[TrialResult]) -> float:
    """NDV of a point: the mean of its trials, or of two a lucky one would pass the limit."""
    same = [ndv_of(other) for other in finished if point_of(other) == point_of(result)]
    return math.fsum(same) / len(same)


def _about(result: TrialResult) -> ChosenTrial:
    trial: ChosenTrial = {"number": result["number"], "lam": result["lam"]}
    if "values" in result:
        trial["values"] = result["values"]
    trial["scores"] = dict(result["scores"])
    return trial


def _identified(spec: SelectSpec, finished: Sequence[TrialResult], curve: Curve) -> Selection:
    """What the curve says of the choice: its value at each trial, its noise, and which lambdas are as good."""
    short = [[float(f"{value:.6g}") for value in row] for row in zip(*curve[:3], strict=True)]
    top = max(mean for mean, _, _ in short)
    near = [result["lam"] for result, (mean, _, behind) in zip(finished, short, strict=True) if top - mean <= behind]
    assert spec.range is not None  # a fixed lambda has no curve
    low, high = spec.range
    sign = sign_of(metrics_of(spec.selection, finished))
    return {
        "smoothed": [
            {"number": result["number"], "lam": result["lam"], "score": sign * mean, "sd": sd}
            for result, (mean, sd, _) in zip(finished, short, strict=True)
        ],
        "noise_sd": float(f"{curve.noise:.6g}"),
        "alike": [min(near), max(near)],
        "flat": math.log(max(near) / min(near)) > FLAT * math.log(high / low),
    }


def at_edge(lam: float, low: float, high: float) -> bool:
    """Whether a weight stands at an end of the range that it was searched in."""
    position = math.log(lam / low) / math.log(high / low)
    return not EDGE < position < 1 - EDGE

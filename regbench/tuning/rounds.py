"""Tuning that does not depend on how many workers ran it.

Trials go in rounds of a fixed size. A proposal is a pure function of the cell, the trial's number and the results of
all earlier rounds; trials of one round never see each other's results, so they may run side by side, in any order, or
one after the other with the same outcome.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regbench.training.pruning import against
from regbench.tuning.pareto import front
from regbench.tuning.sampler import Point, anchors, as_result, ask, dimensions, lattice, place, repeated, scored, tidy
from regbench.tuning.smoothing import FEWEST, Curve, smooth

Result = Mapping[str, Any]
EDGE = 0.02  # of the log-range: a lambda nearer than this to an end of its range is "at the edge"
REPEATED = 100_003  # between the training seeds of a point and of its repeats: no other search has one of them
FLAT = 0.5  # of the log-range: lambdas that are not told apart over more of it were not identified


def propose(job: Mapping[str, Any], number: int, earlier: Sequence[Result]) -> list[dict[str, Any]]:
    """The points of one round.

    The first round is a log-spaced grid inside lambda's range (few anchors and a model afterwards lost least in few
    trials: docs/tuning.md); later rounds come from the study's sampler.

    Args:
        job: slice of the config (`plan.propose_job`).
        number: of the round, from 0.
        earlier: results of all trials of all earlier rounds.

    Returns:
        ``{"number": trial, "lam": value}`` for each slot, with ``values`` where more is searched and ``prune`` where
        trials may end early; numbers have six significant digits. Empty where the budget is spent. With ``repeats``,
        the slots behind the first of each round but the earliest are the best points so far with another training
        ``seed``: a round that is filled up later keeps them in their places.
    """
    first = number * job["round_size"]
    slots = affordable(job, earlier, min(job["round_size"], job["trials"] - first))
    again = _repeats(job, number, earlier)[: max(slots - 1, 0)]  # a round has at least one new point
    tried = first - sum(map(repeated, earlier))  # new points of earlier rounds
    points: list[Point] = []
    for slot in range(slots - len(again)):
        if job["sampler"] == "grid":
            point = lattice(job, tried + slot)
        elif number == 0:
            point = anchors(job, job["round_size"])[slot]
        else:
            point = ask(job, number, slot, earlier, points)
            if as_result(_tidied(job, point)) in [*map(_point_of, earlier), *map(as_result, points)]:
                # nsga2 crosses parents into what was tried already; a training would say the same again
                point = ask({**job, "sampler": "random"}, number, slot, earlier, points)
        points.append(_tidied(job, point))
    pruning = {"prune": against(job["pruner"], job["rungs"], earlier)} if job.get("rungs") else {}
    proposed = [*map(as_result, points[:1]), *again, *map(as_result, points[1:])]
    return [{"number": first + slot, **point, **pruning} for slot, point in enumerate(proposed)]


def _repeats(job: Mapping[str, Any], number: int, earlier: Sequence[Result]) -> list[dict[str, Any]]:
    """The best distinct points of earlier rounds, to be trained once more, each with a seed that it has not had."""
    count = job.get("repeats", 0) if number else 0
    finished = [result for result in earlier if result["status"] == "complete" and scored(result)]
    if not count or not finished:
        return []
    scores = _smoothed(job, finished)
    order = sorted(range(len(finished)), key=lambda k: (-scores[k], -finished[k]["lam"], finished[k]["number"]))
    distinct: list[dict[str, Any]] = []
    for k in order:
        point = _point_of(finished[k])
        if point not in distinct:
            distinct.append(point)
    had = [[_point_of(result) for result in earlier].count(point) for point in distinct]
    return [
        {**point, "seed": job["training_seed"] + REPEATED * times}
        for point, times in zip(distinct[:count], had[:count], strict=True)
    ]


def _smoothed(job: Mapping[str, Any], results: Sequence[Result]) -> list[float]:
    """Dice of each result, on the curve where trials have noise and are enough to tell it."""
    found = _curve(job, results)
    return [result["dice"] for result in results] if found is None else [float(f"{mean:.6g}") for mean in found.mean]


def _curve(job: Mapping[str, Any], results: Sequence[Result]) -> Curve | None:
    """The curve behind trials; None where they have no noise, or are too few."""
    if not job.get("noisy") or len(results) < FEWEST:
        return None
    ordered = [place(job, result) for result in results]
    return smooth(np.array(ordered), [result["dice"] for result in results], [r.get("seed") for r in results])


def _tidied(job: Mapping[str, Any], point: Point) -> Point:
    return {each["name"]: tidy(each, point[each["name"]]) for each in dimensions(job)}


def _point_of(result: Result) -> dict[str, Any]:
    return {name: result[name] for name in ("lam", "values") if name in result}


def affordable(job: Mapping[str, Any], earlier: Sequence[Result], slots: int) -> int:
    """How many of a round's slots the budget of the cell pays: trials as they are, or steps, or seconds.

    A trial of unknown length is taken to cost a whole one (steps), or the mean of the earlier ones (seconds).
    """
    budget = job.get("budget")
    if not budget:
        return slots
    costs = [result["cost"] for result in earlier]
    left = budget["amount"] - sum(costs)
    each = job["steps"] if budget["unit"] == "steps" else (sum(costs) / len(costs) if costs else 0.0)
    return max(min(slots, int(left / each)), 0) if each else slots


def select(job: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """Choose the lambda of a cell by the two rules that were fixed beforehand.

    The trial of best Dice is a maximum over noisy draws. Where trainings have noise, the tried point that is highest on
    the smoothed curve is taken (`regbench.tuning.smoothing`); where nothing is drawn, the best trial.

    Args:
        job: slice of the config (`plan.select_job`).
        results: of all trials.

    Returns:
        ``lam`` by the study's rule; ``by_dice`` and ``by_dice_ndv`` (best Dice with NDV at most the limit, null where
        no trial meets it); ``best_trial``, the highest single Dice; ``edge`` if lam stands at an end of its range;
        ``front``, the Pareto front of Dice and NDV; ``smoothed``, the curve at each tried point with its SD;
        ``noise_sd``, of a trial around it; ``alike``, the lambdas within one standard error of the best; ``flat`` if
        these are more than half of the log-range: then the search does not say which lambda.
    """
    base = {"method": job["method"], "rule": job["selection"], "range": job["range"], "trials": len(results)}
    if job["value"] is not None:
        nothing: dict[str, Any] = {"by_dice": None, "by_dice_ndv": None, "edge": False, "front": [], "reason": ""}
        return {**base, **nothing, **_told(job, [], None), "best_trial": None, "lam": job["value"]}
    finished = [result for result in results if result["status"] == "complete" and scored(result)]
    curve = _curve(job, finished)
    scores = _smoothed(job, finished)
    ranked = sorted(range(len(finished)), key=lambda k: (-scores[k], -finished[k]["lam"], finished[k]["number"]))
    allowed = [k for k in ranked if _ndv(finished[k], finished) <= job["ndv_limit_percent"]]
    by_dice, by_both = (_about(finished[found[0]]) if found else None for found in (ranked, allowed))
    chosen, reason = (by_dice if job["selection"] == "dice" else by_both), ""
    if chosen is None:
        reason = "; ".join(dict.fromkeys(result["reason"] for result in results if result["reason"])) or (
            f"no trial kept NDV at or below {job['ndv_limit_percent']:g} %"
        )
    lam = None if chosen is None else chosen["lam"]
    unbeaten = front([result["dice"] for result in finished], [result["ndv_percent"] for result in finished])
    edge = lam is not None and _at_edge(lam, *job["range"])
    if job.get("search"):
        base["values"] = {} if chosen is None else chosen["values"]
    highest = max(finished, key=lambda result: (result["dice"], result["lam"]), default=None)
    return {
        **base,
        "lam": lam,
        "by_dice": by_dice,
        "by_dice_ndv": by_both,
        "best_trial": None if highest is None else _about(highest),
        "edge": edge,
        "front": [finished[k]["number"] for k in unbeaten],
        "reason": reason,
        **_told(job, finished, curve),
    }


def _ndv(result: Result, finished: Sequence[Result]) -> float:
    """NDV of a point: the mean of its trials, or of two a lucky one would pass the limit."""
    same = [other["ndv_percent"] for other in finished if _point_of(other) == _point_of(result)]
    return math.fsum(same) / len(same)


def _about(result: Result) -> dict[str, Any]:
    return {key: result[key] for key in ("number", "lam", "values", "dice", "ndv_percent") if key in result}


def _told(job: Mapping[str, Any], finished: Sequence[Result], curve: Curve | None) -> dict[str, Any]:
    """What the curve says of the choice; nothing where trials have no noise, or are too few to tell it."""
    if curve is None:
        return {"smoothed": [], "noise_sd": None, "alike": None, "flat": False}
    short = [[float(f"{value:.6g}") for value in row] for row in zip(*curve[:3], strict=True)]
    top = max(mean for mean, _, _ in short)
    near = [result["lam"] for result, (mean, _, behind) in zip(finished, short, strict=True) if top - mean <= behind]
    low, high = job["range"]
    smoothed = [
        {"number": result["number"], "lam": result["lam"], "dice": mean, "sd": sd}
        for result, (mean, sd, _) in zip(finished, short, strict=True)
    ]
    return {
        "smoothed": smoothed,
        "noise_sd": float(f"{curve.noise:.6g}"),
        "alike": [min(near), max(near)],
        "flat": math.log(max(near) / min(near)) > FLAT * math.log(high / low),
    }


def _at_edge(lam: float, low: float, high: float) -> bool:
    position = math.log(lam / low) / math.log(high / low)
    return not EDGE < position < 1 - EDGE

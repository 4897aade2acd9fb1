"""Tuning that does not depend on how many workers ran it.

Trials go in rounds of a fixed size. A proposal is a pure function of the cell, the trial's number and the results of
all earlier rounds; trials of one round never see each other's results, so they may run side by side, in any order, or
one after the other with the same outcome.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regbench.prune import against
from regbench.search import Point, anchors, as_result, ask, dimensions, lattice, scored, tidy

Result = Mapping[str, Any]
EDGE = 0.02  # of the log-range: a lambda nearer than this to an end of its range is "at the edge"


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
        trials may end early; numbers have six significant digits. Empty where the budget is spent.
    """
    first = number * job["round_size"]
    slots = affordable(job, earlier, min(job["round_size"], job["trials"] - first))
    points: list[Point] = []
    for slot in range(slots):
        if job["sampler"] == "grid":
            point = lattice(job, first + slot)
        elif number == 0:
            point = anchors(job, job["round_size"])[slot]
        else:
            point = ask(job, number, slot, earlier, points)
            if as_result(_tidied(job, point)) in [*map(_point_of, earlier), *map(as_result, points)]:
                # nsga2 crosses parents into what was tried already; a training would say the same again
                point = ask({**job, "sampler": "random"}, number, slot, earlier, points)
        points.append(_tidied(job, point))
    pruning = {"prune": against(job["pruner"], job["rungs"], earlier)} if job.get("rungs") else {}
    return [{"number": first + slot, **as_result(point), **pruning} for slot, point in enumerate(points)]


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

    Returns:
        ``lam`` by the study's rule; ``by_dice`` and ``by_dice_ndv`` (best Dice with NDV at most the limit, null where
        no trial meets it); ``edge`` if lam stands at an end of its range; ``front``, the Pareto front of Dice and NDV.
    """
    base = {"method": job["method"], "rule": job["selection"], "range": job["range"], "trials": len(results)}
    if job["value"] is not None:
        nothing: dict[str, Any] = {"by_dice": None, "by_dice_ndv": None, "edge": False, "front": [], "reason": ""}
        return {**base, **nothing, "lam": job["value"]}
    finished = [result for result in results if result["status"] == "complete" and scored(result)]
    allowed = [result for result in finished if result["ndv_percent"] <= job["ndv_limit_percent"]]
    by_dice, by_both = _best(finished), _best(allowed)
    chosen, reason = (by_dice if job["selection"] == "dice" else by_both), ""
    if chosen is None:
        reason = "; ".join(dict.fromkeys(result["reason"] for result in results if result["reason"])) or (
            f"no trial kept NDV at or below {job['ndv_limit_percent']:g} %"
        )
    lam = None if chosen is None else chosen["lam"]
    front = [result["number"] for result in finished if not any(_dominates(other, result) for other in finished)]
    edge = lam is not None and _at_edge(lam, *job["range"])
    if job.get("search"):
        base["values"] = {} if chosen is None else chosen["values"]
    return {
        **base,
        "lam": lam,
        "by_dice": by_dice,
        "by_dice_ndv": by_both,
        "edge": edge,
        "front": front,
        "reason": reason,
    }


def _best(results: Sequence[Result]) -> dict[str, Any] | None:
    """Highest Dice; of equals the larger lambda, the smoother field."""
    if not results:
        return None
    best = max(results, key=lambda result: (result["dice"], result["lam"]))
    return {key: best[key] for key in ("number", "lam", "values", "dice", "ndv_percent") if key in best}


def _dominates(other: Result, result: Result) -> bool:
    at_least = other["dice"] >= result["dice"] and other["ndv_percent"] <= result["ndv_percent"]
    return bool(at_least and (other["dice"] > result["dice"] or other["ndv_percent"] < result["ndv_percent"]))


def _at_edge(lam: float, low: float, high: float) -> bool:
    position = math.log(lam / low) / math.log(high / low)
    return not EDGE < position < 1 - EDGE

"""Tuning that does not depend on how many workers ran it.

Trials go in rounds of a fixed size. A proposal is a pure function of the cell, the trial's number and the results of
all earlier rounds; trials of one round never see each other's results, so they may run side by side, in any order, or
one after the other with the same outcome.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Result = Mapping[str, Any]
EDGE = 0.02  # of the log-range: a lambda nearer than this to an end of its range is "at the edge"


def propose(job: Mapping[str, Any], number: int, earlier: Sequence[Result]) -> list[dict[str, Any]]:
    """The lambdas of one round.

    The first round is a log-spaced grid inside the range (four such anchors and a Gaussian process afterwards lost
    least in few trials); later rounds come from Optuna's sampler. Within a round, the slots before the present one
    count as finished with the mean of what is known (constant liar), or a sampler would propose one point many times.

    Args:
        job: slice of the config (`plan.propose_job`).
        number: of the round, from 0.
        earlier: results of all trials of all earlier rounds.

    Returns:
        ``{"number": trial, "lam": value}`` for each slot; values have six significant digits.
    """
    low, high = job["range"]
    first = number * job["round_size"]
    slots = min(job["round_size"], job["trials"] - first)
    if number == 0:
        lams = [low * (high / low) ** ((slot + 0.5) / slots) for slot in range(slots)]
    else:
        lams = []
        for slot in range(slots):
            lams.append(_ask(job, number, slot, earlier, lams))
    return [{"number": first + slot, "lam": rounded(lam, low, high)} for slot, lam in enumerate(lams)]


def rounded(lam: float, low: float, high: float) -> float:
    """Six significant digits, still inside the range: a value that a file and a paper can hold exactly."""
    return min(max(float(f"{lam:.6g}"), low), high)


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
    finished = [result for result in results if result["status"] == "complete"]
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
    return {
        **base,
        "lam": lam,
        "by_dice": by_dice,
        "by_dice_ndv": by_both,
        "edge": edge,
        "front": front,
        "reason": reason,
    }


def _ask(job: Mapping[str, Any], number: int, slot: int, earlier: Sequence[Result], before: Sequence[float]) -> float:
    import optuna  # noqa: PLC0415  0.3 s and, for the sampler, torch: the first round and the choice need neither

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int.from_bytes(hashlib.sha256(f"{job['seed']}/{job['cell']}/{number}/{slot}".encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        # Optuna marks the GP sampler experimental; the pins fix which one runs.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        samplers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
            "gp": lambda: optuna.samplers.GPSampler(seed=seed, n_startup_trials=0, deterministic_objective=True),
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=0),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        }
        study = optuna.create_study(direction="maximize", sampler=samplers[job["sampler"]]())
        low, high = job["range"]
        space: dict[str, Any] = {"lam": optuna.distributions.FloatDistribution(low, high, log=True)}
        known = [(r["lam"], r["dice"]) for r in sorted(earlier, key=lambda r: r["number"]) if r["status"] == "complete"]
        lie = float(np.mean([value for _, value in known])) if known else 0.0
        for lam, value in [*known, *((rounded(lam, *job["range"]), lie) for lam in before)]:
            study.add_trial(optuna.trial.create_trial(params={"lam": lam}, distributions=space, value=value))
        if not known and job["sampler"] != "random":
            study.sampler = optuna.samplers.RandomSampler(seed=seed)  # nothing to model: every earlier trial diverged
        return float(study.ask(space).params["lam"])


def _best(results: Sequence[Result]) -> dict[str, Any] | None:
    """Highest Dice; of equals the larger lambda, the smoother field."""
    if not results:
        return None
    best = max(results, key=lambda result: (result["dice"], result["lam"]))
    return {key: best[key] for key in ("number", "lam", "dice", "ndv_percent")}


def _dominates(other: Result, result: Result) -> bool:
    at_least = other["dice"] >= result["dice"] and other["ndv_percent"] <= result["ndv_percent"]
    return bool(at_least and (other["dice"] > result["dice"] or other["ndv_percent"] < result["ndv_percent"]))


def _at_edge(lam: float, low: float, high: float) -> bool:
    position = math.log(lam / low) / math.log(high / low)
    return not EDGE < position < 1 - EDGE

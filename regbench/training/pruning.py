"""Ending a trial early: by what finished rounds reached at the same step, so that it depends on no worker's speed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

KEPT = 2  # successive halving keeps one in two at each rung
LEVEL = 0.1  # of the one-sided test, Optuna's default


def against(rule: str, steps: Sequence[int], earlier: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a round's trials are held against: at each rung the Dice of earlier trials, and the best one's by pair.

    Args:
        rule: ``median``, ``halving`` or ``wilcoxon``.
        steps: of the rungs.
        earlier: results of earlier rounds.
    """
    reports = [
        (result["status"] == "complete", result["dice"], report)
        for result in sorted(earlier, key=lambda result: int(result["number"]))
        for report in result.get("reports", ())
    ]
    rungs = []
    for step in steps:
        here = [(done, final, report["dice"]) for done, final, report in reports if report["step"] == step]
        finished = [(final, pairs) for done, final, pairs in here if done]
        # The median is of trials that went to the end; halving counts all that came this far.
        counted = [pairs for done, _, pairs in here if done or rule == "halving"]
        best = max(finished, key=lambda item: item[0])[1] if finished else []
        rungs.append(
            {"step": step, "dice": [float(np.mean(pairs)) for pairs in counted], "best": best if _paired(rule) else []}
        )
    return {"rule": rule, "rungs": rungs}


def verdict(reference: Mapping[str, Any], step: int, pairs: Sequence[float]) -> str:
    """Why a trial with these Dice of pairs ends at this rung; empty if it goes on."""
    rung = next(rung for rung in reference["rungs"] if rung["step"] == step)
    mine = float(np.mean(pairs))
    if not rung["dice"] or not _worse(reference["rule"], rung, pairs):
        return ""
    return f"pruned at step {step} by {reference['rule']}: Dice {mine:.4f}"


def _paired(rule: str) -> bool:
    return rule == "wilcoxon"


def _worse(rule: str, rung: Mapping[str, Any], pairs: Sequence[float]) -> bool:
    mine = float(np.mean(pairs))
    if rule == "median":
        return mine < float(np.median(rung["dice"]))
    if rule == "halving":
        rivals = sorted([*rung["dice"], mine], reverse=True)
        return bool(mine < rivals[max(len(rivals) // KEPT, 1) - 1])
    difference = np.subtract(pairs, rung["best"])
    if not difference.any() or difference.mean() >= 0:
        return False
    from scipy.stats import wilcoxon  # noqa: PLC0415  the proposals need none of it

    return bool(wilcoxon(difference, alternative="less", zero_method="zsplit").pvalue < LEVEL)

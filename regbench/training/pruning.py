"""Ending a trial early: by what finished rounds reached at the same step, so that it depends on no worker's speed."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from regbench.study.config import Pruner
from regbench.study.specs import Spec

KEPT = 2  # successive halving keeps one in two at each rung
LEVEL = 0.1  # of the one-sided test, Optuna's default


class Rung(Spec):
    """What earlier trials reached at one step.

    Attributes:
        dice: mean Dice of each.
        best: Dice of each validation pair in the best of them; empty where the rule needs none.
    """

    step: int
    dice: tuple[float, ...]
    best: tuple[float, ...]


class RungReport(TypedDict):
    """Dice and NDV of each validation pair at a rung of a trial."""

    step: int
    dice: list[float]
    ndv_percent: list[float]


class PruneSpec(Spec):
    """What the trials of a round are held against."""

    rule: Pruner
    rungs: tuple[Rung, ...]


def verdict(reference: PruneSpec, step: int, pairs: Sequence[float]) -> str:
    """Why a trial with these Dice of pairs ends at this rung; empty if it goes on."""
    rung = next(rung for rung in reference.rungs if rung.step == step)
    if not rung.dice or not _worse(reference.rule, rung, pairs):
        return ""
    return f"pruned at step {step} by {reference.rule}: Dice {float(np.mean(pairs)):.4f}"


def _worse(rule: Pruner, rung: Rung, pairs: Sequence[float]) -> bool:
    mean = float(np.mean(pairs))
    if rule == "median":
        return mean < float(np.median(rung.dice))
    if rule == "halving":
        rivals = sorted([*rung.dice, mean], reverse=True)
        return bool(mean < rivals[max(len(rivals) // KEPT, 1) - 1])
    difference = np.subtract(pairs, rung.best)
    if not difference.any() or difference.mean() >= 0:
        return False
    from scipy.stats import wilcoxon  # noqa: PLC0415  the proposals need none of it

    return bool(wilcoxon(difference, alternative="less", zero_method="zsplit").pvalue < LEVEL)

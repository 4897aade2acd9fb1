"""Ending a trial early: by what finished rounds reached at the same step, so that it depends on no worker's speed."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from regbench.study.config import Pruner
from regbench.study.goals import is_higher_better, merits, words
from regbench.study.specs import Spec

KEPT = 2  # successive halving keeps one in two at each rung
LEVEL = 0.1  # of the one-sided test, Optuna's default


class Rung(Spec):
    """What earlier trials reached at one step.

    Attributes:
        reached: mean of each metric, of each trial.
        best: score of each validation pair in the best of them, None for a pair that has none; empty where the rule
            needs none.
    """

    step: int
    reached: tuple[dict[str, float], ...]
    best: tuple[float | None, ...]


class RungReport(TypedDict):
    """Scores of each validation pair at a rung of a trial, by metric."""

    step: int
    scores: dict[str, list[float]]


class PruneSpec(Spec):
    """What the trials of a round are held against, by one metric, or by ranks by several."""

    rule: Pruner
    metrics: tuple[str, ...]
    rungs: tuple[Rung, ...]


def verdict(reference: PruneSpec, step: int, scores: Mapping[str, Sequence[float]], means: Mapping[str, float]) -> str:
    """Why a trial ends at this rung; empty if it goes on.

    Args:
        reference: of its round.
        step: of the rung.
        scores: of each validation pair, by metric.
        means: of these.
    """
    rung = next(rung for rung in reference.rungs if rung.step == step)
    if not rung.reached:
        return ""
    *rivals, mine = merits(reference.metrics, [*rung.reached, means])
    if reference.rule == "wilcoxon":
        worse = _worse_by_pairs(reference.metrics[0], rung.best, scores[reference.metrics[0]])
    elif reference.rule == "median":
        worse = mine < float(np.median(rivals))
    else:
        ranked = sorted([*rivals, mine], reverse=True)
        worse = mine < ranked[max(len(ranked) // KEPT, 1) - 1]
    if not worse:
        return ""
    what = ", ".join(f"{words(metric)} {means[metric]:.4f}" for metric in reference.metrics)
    return f"pruned at step {step} by {reference.rule}: {what}"


def _worse_by_pairs(metric: str, best: Sequence[float | None], scores: Sequence[float]) -> bool:
    """Whether the pairs of a trial are worse than those of the best one, by Wilcoxon's test."""
    known = [(ours, theirs) for ours, theirs in zip(scores, best, strict=True) if theirs is not None]
    difference = np.subtract(*zip(*known, strict=True)) * (1 if is_higher_better(metric) else -1)
    difference = difference[~np.isnan(difference)]
    if not difference.any() or difference.mean() >= 0:
        return False
    from scipy.stats import wilcoxon  # noqa: PLC0415  the proposals need none of it

    return bool(wilcoxon(difference, alternative="less", zero_method="zsplit").pvalue < LEVEL)

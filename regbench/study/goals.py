"""What trials, validations and choices are scored by: one metric, or ranks by several; and which scores are better.

Imports nothing heavy: proposals and choices are made of it in every round.
"""

import math
from collections.abc import Mapping, Sequence

RANK = "rank"
LIMITED = "_ndv"  # behind a goal: NDV as a second one, or as a limit
FOLDING = "ndv_percent"
SIMILARITY = "similarity."  # before the id of a similarity that stands in for what no label and no landmark tells
DEFAULTS = ("dice", "tre_mm")  # where the config names no goal: the first that the data have
HIGHER = frozenset({"dice", "nsd"})  # of all others lower is better; a test compares them with the definitions
# What pairs must have for a metric; a test compares it with the definitions.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "labels": ("dice", "hd95_mm", "assd_mm", "nsd", "hd95_l2r"),
    "landmarks": ("tre_mm", "tre_median_mm", "tre70_mm", "rtre_percent", "tre_l2r_mm"),
    "truth": ("endpoint_error_mm", "endpoint_error_foreground_mm"),
}
WORDS = {
    "dice": "Dice",
    "ndv_percent": "NDV",
    "sdlogj": "SDlogJ",
    "hd95_mm": "HD95",
    "assd_mm": "ASSD",
    "nsd": "NSD",
    "tre_mm": "TRE",
}


def base(goal: str) -> str:
    """A goal without its second one: `dice` of `dice_ndv`."""
    return goal.removesuffix(LIMITED)


def is_limited(goal: str) -> bool:
    """Whether NDV is a second goal, or a limit."""
    return goal.endswith(LIMITED)


def is_higher_better(metric: str) -> bool:
    """Whether of two scores by a metric the higher is better."""
    return metric in HIGHER


def words(metric: str) -> str:
    """What people call a metric."""
    return WORDS.get(metric, metric)


def merits(metrics: Sequence[str], scores: Sequence[Mapping[str, float | None]]) -> list[float]:
    """How good each of some scores is among them: higher is better; one without a number is the worst.

    Args:
        metrics: one, whose score it is (less, where lower is better); of several, the geometric mean of the ranks by
            each, less, is it. Equal scores share their mean rank.
        scores: of each trial, training or validation, by metric.

    Reference:
        Hering et al. 2022, doi:10.1109/TMI.2022.3213983, who rank methods likewise.
    """
    if len(metrics) == 1:
        sign = 1 if is_higher_better(metrics[0]) else -1
        values = [score[metrics[0]] for score in scores]
        return [-math.inf if value is None or math.isnan(value) else sign * value for value in values]
    ranks = [_ranks(merits([metric], scores)) for metric in metrics]
    return [-math.exp(math.fsum(map(math.log, of_one)) / len(metrics)) for of_one in zip(*ranks, strict=True)]


def _ranks(merits_of_one: Sequence[float]) -> list[float]:
    """Rank of each, 1 for the highest; ties share the mean of theirs."""
    above = [sum(other > merit for other in merits_of_one) for merit in merits_of_one]
    alike = [sum(other == merit for other in merits_of_one) for merit in merits_of_one]
    return [count + (same + 1) / 2 for count, same in zip(above, alike, strict=True)]


def leading(declared: Sequence[str], known: Sequence[str]) -> str:
    """The metric that tables of a dataset are led by: that of its goal, or the first that its pairs have.

    Args:
        declared: metrics of the goal; none where the config names none.
        known: what the test pairs have: labels, landmarks, truth.
    """
    defaults = [metric for metric, what in zip(DEFAULTS, ("labels", "landmarks"), strict=True) if what in known]
    have = [metric for metric in declared if not lacking(metric, known)]
    return [*have, *defaults, FOLDING][0]


def default_goal(known: Sequence[str]) -> tuple[str, ...]:
    """The goal where the config names none: the first default that the data have; empty where they have none."""
    return tuple(name for name in DEFAULTS if not lacking(name, known))[:1]


def lacking(metric: str, known: Sequence[str]) -> str:
    """What a metric needs and pairs have not; empty if nothing."""
    for what, metrics in NEEDS.items():
        if metric in metrics and what not in known:
            return what if what != "truth" else "a true displacement"
    return ""

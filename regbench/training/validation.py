"""Dice and NDV of the validation pairs, and what a training does with them."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from torch import nn

from regbench.data.cache import Dataset
from regbench.metrics import dice, ndv_percent
from regbench.models.predict import registered
from regbench.spatial.displacement import warp_labels
from regbench.study.config import Training


class Scores(TypedDict):
    """Of each pair, in the order of the manifest."""

    dice: list[float]
    ndv_percent: list[float]


class Validation(TypedDict):
    """Means over the validation pairs after a step."""

    step: int
    dice: float
    ndv_percent: float


def validate(model: nn.Module, data: Dataset, split: str = "validation") -> Scores:
    """Dice (mean over labels) and NDV of each pair of a split, in the order of the manifest."""
    scores = Scores(dice=[], ndv_percent=[])
    for _, pair, displacement in registered(model, data, split):
        moved = warp_labels(pair.moving_labels, displacement)
        per_label = dice(pair.fixed_labels, moved, list(data.labels), moving=pair.moving_labels)
        scores["dice"].append(float(np.nanmean(list(per_label.values()))))
        scores["ndv_percent"].append(ndv_percent(displacement))
    return scores


def validation(step: int, scores: Scores) -> Validation:
    """The means over the pairs."""
    return {
        "step": step,
        "dice": float(np.mean(scores["dice"])),
        "ndv_percent": float(np.mean(scores["ndv_percent"])),
    }


def is_best(validations: Sequence[Validation]) -> bool:
    """Whether the latest validation has a higher Dice than all before it."""
    *before, latest = validations
    return latest["dice"] > max((entry["dice"] for entry in before), default=-1.0)


def out_of_patience(protocol: Training, validations: Sequence[Validation]) -> bool:
    """Whether so many validations after the best one brought no gain that the training ends."""
    best = max(validations, key=lambda entry: entry["dice"])["step"]
    since = sum(entry["step"] > best for entry in validations)
    return protocol.patience is not None and since >= protocol.patience

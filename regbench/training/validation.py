"""Scores of the validation pairs by the goals of a study, and what a training does with them."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regbench.data.cache import Dataset, Pair
from regbench.losses import SIMILARITIES
from regbench.metrics import (
    dice,
    endpoint_error_mm,
    folding_metrics,
    hd95_l2r,
    ndv_percent,
    surface_metrics,
    tre_l2r_mm,
    tre_metrics,
)
from regbench.models.predict import device_of, registered, registered_on_device
from regbench.spatial.displacement import warp, warp_labels
from regbench.study.components import bind
from regbench.study.config import TOLERANCE_MM, Training
from regbench.study.goals import DEFAULTS, FOLDING, NEEDS, SIMILARITY, default_goal, lacking, merits
from regbench.study.specs import NamedComponentSpec, TrainSpec
from regbench.system.device import apart
from regbench.system.errors import RegbenchError
from regbench.training.device_scores import measured, scores_from, wanted

Scores = dict[str, list[float]]  # of each pair, in the order of the manifest, by metric
Field = NDArray[np.float32]
Points = tuple[NDArray[np.float64], NDArray[np.float64]]


class Scoring(NamedTuple):
    """What validation pairs are scored by.

    Attributes:
        goal: the metric that validations are compared by; several are compared by ranks.
        metrics: all that are computed.
        similarities: those among the metrics.
        tolerance_mm: of the metric `nsd`.
    """

    goal: tuple[str, ...]
    metrics: tuple[str, ...]
    similarities: tuple[NamedComponentSpec, ...] = ()
    tolerance_mm: float = TOLERANCE_MM


class Validation(TypedDict):
    """Means over the validation pairs after a step, by metric."""

    step: int
    scores: dict[str, float]


def scoring(spec: TrainSpec, data: Dataset) -> Scoring:
    """What the validation pairs of a dataset are scored by.

    Raises:
        RegbenchError: if the config names no goal and the data have neither labels nor landmarks, or the data lack what
            a goal needs; names the key.
    """
    known = data.references("validation")
    goal, scored = (_metrics(goal.metrics, known, data.id) for goal in (spec.objective, spec.scored))
    every = dict.fromkeys([*goal, *scored, FOLDING])
    similarities = {part.id: part for part in (*spec.objective.similarities, *spec.scored.similarities)}
    return Scoring(goal, tuple(every), tuple(similarities.values()), spec.nsd_tolerance_mm)


def _metrics(declared: tuple[str, ...], known: tuple[str, ...], dataset: str) -> tuple[str, ...]:
    metrics = declared or default_goal(known)
    if fault := wrong_goal(metrics, known):
        raise RegbenchError(f"dataset `{dataset}`: {fault}")
    return metrics


def wrong_goal(metrics: Sequence[str], known: Sequence[str]) -> str:
    """Why a dataset cannot be tuned by some metrics; empty if it can.

    Args:
        metrics: of the goal; none where neither the config nor the data name one.
        known: what the validation pairs have: labels, landmarks, truth.
    """
    if not metrics:
        return (
            "tuning.objective must be given, because its validation pairs have neither labels nor landmarks. Write a "
            "similarity, such as `objective: similarity.lcc`, or add labels or landmarks."
        )
    for name in metrics:
        if what := lacking(name, known):
            others = [default for default in DEFAULTS if not lacking(default, known)] or ["similarity.lcc"]
            return (
                f"tuning.objective and tuning.selection must be measured on validation pairs, but `{name}` needs "
                f"{what}, which they have not. Write `objective: {others[0]}`, or add {what}."
            )
    return ""


def validate(model: nn.Module, data: Dataset, by: Scoring, split: str = "validation") -> Scores:
    """Scores of each pair of a split, in the order of the manifest; NaN where a pair has nothing to be scored by.

    A GPU scores what it can where the displacements are, and sends the numbers of all pairs together.
    """
    there = wanted(by.metrics, list(data.labels), by.similarities) if apart(device_of(model)) else None
    if there is not None and data.pairs(split):
        rows = [measured(pair, field, there) for _, pair, field in registered_on_device(model, data, split)]
        return scores_from(torch.stack(rows).cpu().numpy(), there)
    scores: Scores = {name: [] for name in by.metrics}
    for _, pair, displacement in registered(model, data, split):
        values = scores_of(pair, displacement, list(data.labels), by)
        for name in by.metrics:
            scores[name].append(values[name])
    return scores


def scores_of(pair: Pair, displacement: Field, labels: list[int], by: Scoring) -> dict[str, float]:
    """The score of a registered pair by each metric.

    A score over labels is their mean; a label that vanished has the diagonal of the image as its distance, for a search
    needs numbers.

    Args:
        pair: two images.
        displacement: ``(d, *S)`` in voxels.
        labels: that count.
        by: the metrics.
    """
    wanted, values = set(by.metrics), dict[str, float]()
    if wanted & set(NEEDS["labels"]):
        values |= _of_labels(pair, displacement, labels, by)
    if wanted & set(NEEDS["landmarks"]):
        values |= landmark_scores(pair, displacement)
    if wanted & set(NEEDS["truth"]):
        masks = {"endpoint_error_mm": None, "endpoint_error_foreground_mm": pair.foreground}
        values |= {
            name: endpoint_error_mm(displacement, pair.truth, pair.spacing_mm, mask=mask)
            for name, mask in masks.items()
            if pair.truth is not None
        }
    values[FOLDING] = ndv_percent(displacement)
    if wanted - set(values):
        values |= _similarities(pair, displacement, by.similarities)
    if wanted - set(values):
        values |= folding_metrics(displacement, pair.foreground)
    return values


def landmark_scores(pair: Pair, displacement: Field, mask: NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Every metric of landmarks; NaN where a pair has none that are used.

    Args:
        pair: two images.
        displacement: ``(d, *S)`` in voxels.
        mask: ``(*S)``, inside of which landmarks count; everywhere without it.
    """
    dims, ours, theirs = len(displacement), pair.fixed_landmarks, pair.moving_landmarks
    if ours is None or theirs is None or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        ours, theirs = np.zeros((0, dims)), np.zeros((0, dims))
    points = _inside((ours, theirs), mask)
    scores = tre_metrics(displacement, *points, pair.spacing_mm, diagonal_mm=pair.diagonal_mm)
    return scores | {"tre_l2r_mm": tre_l2r_mm(displacement, *points, pair.spacing_mm)}


def _inside(points: Points, mask: NDArray[np.bool_] | None) -> Points:
    """Landmarks whose fixed point is nearest to a voxel inside."""
    if mask is None:
        return points
    voxels = np.floor(points[0] + 0.5).astype(int)
    last = np.array(mask.shape) - 1
    there = mask[tuple(np.clip(voxels, 0, last).T)] & ((voxels >= 0) & (voxels <= last)).all(1)
    return points[0][there], points[1][there]


def _of_labels(pair: Pair, displacement: Field, labels: list[int], by: Scoring) -> dict[str, float]:
    moved = warp_labels(pair.moving_labels, displacement)
    per_label: dict[str, dict[int, float]] = {}
    if "dice" in by.metrics:
        per_label["dice"] = dice(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    if {"hd95_mm", "assd_mm", "nsd"} & set(by.metrics):
        per_label |= surface_metrics(
            pair.fixed_labels, moved, labels, pair.spacing_mm, tolerance_mm=by.tolerance_mm, moving=pair.moving_labels
        )
    if "hd95_l2r" in by.metrics:
        per_label["hd95_l2r"] = hd95_l2r(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    grid = np.subtract(pair.fixed.shape, 1)
    farthest = {
        "hd95_l2r": float(np.linalg.norm(grid)),
        "hd95_mm": float(np.linalg.norm(grid * pair.spacing_mm)),
        "assd_mm": float(np.linalg.norm(grid * pair.spacing_mm)),
    }
    return {name: _over_labels(list(values.values()), farthest.get(name, 0.0)) for name, values in per_label.items()}


def _over_labels(values: list[float], farthest: float) -> float:
    scores = np.array([farthest if np.isposinf(value) else value for value in values])
    return float(np.nanmean(scores)) if (~np.isnan(scores)).any() else float("nan")


def _similarities(pair: Pair, displacement: Field, parts: Sequence[NamedComponentSpec]) -> dict[str, float]:
    """Each similarity after the warp."""
    if not parts:
        return {}
    fixed, moving, field = (
        torch.from_numpy(np.array(values, np.float32))[None]
        for values in (pair.fixed[None], pair.moving[None], displacement)
    )
    moved = warp(moving, field)
    return {
        f"{SIMILARITY}{part.id}": float(bind(SIMILARITIES, part.name, part.parameters)(fixed, moved)) for part in parts
    }


def means(scores: Scores) -> dict[str, float]:
    """The mean of each metric over the pairs that can be scored by it; NaN where NDV of any pair is none."""
    known = {
        name: values if name == FOLDING else [value for value in values if not np.isnan(value)]
        for name, values in scores.items()
    }
    return {name: float(np.mean(values)) if values else float("nan") for name, values in known.items()}


def validation(step: int, scores: Scores) -> Validation:
    """The means over the pairs."""
    return {"step": step, "scores": means(scores)}


def is_best(validations: Sequence[Validation], goal: Sequence[str]) -> bool:
    """Whether the latest validation is better than all before it."""
    *before, latest = _merits(validations, goal)
    return latest > max(before, default=float("-inf"))


def out_of_patience(protocol: Training, validations: Sequence[Validation], goal: Sequence[str]) -> bool:
    """Whether so many validations after the best one brought no gain that the training ends."""
    merits = _merits(validations, goal)
    best = validations[merits.index(max(merits))]["step"]
    since = sum(entry["step"] > best for entry in validations)
    return protocol.patience is not None and since >= protocol.patience


def _merits(validations: Sequence[Validation], goal: Sequence[str]) -> list[float]:
    return merits(goal, [entry["scores"] for entry in validations])

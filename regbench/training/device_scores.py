"""Scores of validation pairs where the training computes: a validation copies a few numbers back, once, and no field.

For what a search usually looks at: Dice, folds and similarities. Surfaces, landmarks and true displacements are scored
on the CPU (`regbench.training.validation`), which on a CPU all is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.data.cache import Pair
from regbench.losses import SIMILARITIES
from regbench.metrics import mean_over_labels
from regbench.spatial.digital import digital_ratios
from regbench.spatial.displacement import warp, warp_labels
from regbench.study.components import bind
from regbench.study.goals import FOLDING, SIMILARITY
from regbench.study.specs import NamedComponentSpec
from regbench.system.device import sent

DICE = "dice"
NAN = float("nan")


class Wanted(NamedTuple):
    """What is measured of each pair, beside folds.

    Attributes:
        labels: of Dice; None where it is not asked for.
        similarities: after the warp.
    """

    labels: tuple[int, ...] | None
    similarities: tuple[NamedComponentSpec, ...]


def wanted(metrics: Sequence[str], labels: Sequence[int], similarities: Sequence[NamedComponentSpec]) -> Wanted | None:
    """What a device measures for some metrics; None where one of them is for the CPU."""
    if any(name not in (DICE, FOLDING) and not name.startswith(SIMILARITY) for name in metrics):
        return None
    return Wanted(tuple(labels) if DICE in metrics else None, tuple(similarities))


@torch.no_grad()
def measured(pair: Pair, displacement: Tensor, what: Wanted) -> Tensor:
    """Numbers of a registered pair, on the device of its displacement; nothing waits for them.

    Args:
        pair: two images.
        displacement: ``(d, *S)`` in voxels.
        what: is measured.

    Returns:
        ``(n,)`` float64: NDV in percent; of each label its voxels in the fixed, the moving and the moved map, and in
        fixed and moved map at the same place; the similarities.
    """
    numbers = [_ndv_percent(displacement[None])]
    if what.labels:
        fixed, moving = (_there(labels, np.int64, displacement) for labels in (pair.fixed_labels, pair.moving_labels))
        moved = warp_labels(moving, displacement)
        both = fixed.where(fixed == moved, torch.zeros_like(fixed))
        numbers += [(of == label).sum().double() for label in what.labels for of in (fixed, moving, moved, both)]
    if what.similarities:
        still, before = (_there(image, np.float32, displacement)[None, None] for image in (pair.fixed, pair.moving))
        after = warp(before, displacement[None])
        numbers += [bind(SIMILARITIES, one.name, one.parameters)(still, after).double() for one in what.similarities]
    return torch.stack(numbers)


def scores_from(rows: NDArray[np.float64], what: Wanted) -> dict[str, list[float]]:
    """The scores of each pair by metric, from ``(pairs, n)`` of what `measured` gave."""
    scores = {FOLDING: list(map(float, rows[:, 0]))}
    count = 4 * len(what.labels or ())
    if what.labels is not None:
        scores[DICE] = [_dice(row.reshape(-1, 4)) for row in rows[:, 1 : 1 + count]]
    for place, part in enumerate(what.similarities, start=1 + count):
        scores[f"{SIMILARITY}{part.id}"] = list(map(float, rows[:, place]))
    return scores


def _there(values: NDArray[np.generic], kind: type[np.generic], like: Tensor) -> Tensor:
    """An array on the device of a tensor."""
    return sent(torch.from_numpy(values.astype(kind)), like.device)


def _ndv_percent(field: Tensor) -> Tensor:
    """The metric `ndv_percent` of ``(1, d, *S)``: NaN where it is not finite."""
    turned = sum(share * (-ratio).clamp(min=0).sum() for ratio, share in digital_ratios(field.double()))
    percent = torch.as_tensor(turned) * (100 / float(np.prod([side - 2 for side in field.shape[2:]])))
    return percent.masked_fill(~field.isfinite().all(), NAN)


def _dice(counts: NDArray[np.float64]) -> float:
    """Mean over labels of ``(labels, 4)``; those that are in the fixed or the moving map nowhere are left out."""
    return mean_over_labels(
        {
            label: 2 * both / (fixed + moved) if fixed and moving else NAN
            for label, (fixed, moving, moved, both) in enumerate(counts.tolist())
        }
    )

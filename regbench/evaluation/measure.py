"""Every metric of one registered pair."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from regbench.data.cache import Dataset, Pair
from regbench.metrics import (
    TOLERANCE_MM,
    displacement_mm,
    endpoint_error_mm,
    folding_metrics,
    label_metrics,
    mean_over_labels,
)
from regbench.spatial.displacement import warp, warp_labels
from regbench.system.errors import RegbenchError
from regbench.training.validation import landmark_scores

Field = NDArray[np.float32]
Within = Literal["none", "fixed"]  # the mask of an evaluation
SMALL = 4  # voxels an axis of the pair that shows which metrics there are


@dataclass(frozen=True)
class Registered:
    """A pair with its displacement ``(d, *S)`` in voxels."""

    fixed: str
    moving: str
    pair: Pair
    displacement: Field

    @cached_property
    def moved(self) -> NDArray[np.float32]:
        """The moving image ``(*S)``, warped once: what is compared with the fixed one, and what the figures show."""
        moving, field = (
            torch.from_numpy(np.array(values, np.float32))[None]
            for values in (self.pair.moving[None], self.displacement)
        )
        return np.asarray(warp(moving, field)[0, 0].numpy())

    @cached_property
    def moved_labels(self) -> NDArray[np.integer]:
        """The moving labels ``(*S)``, warped by nearest neighbour."""
        return warp_labels(self.pair.moving_labels, self.displacement)


class Measured(NamedTuple):
    """What the pairs of a dataset are measured by.

    Attributes:
        labels: of which each pair has the overlap and surfaces; none where no pair has labels.
        landmarks: whether some pair has any.
        tolerance_mm: of the metric `nsd`.
        within: ``fixed``: what is measured of the displacement, and by landmarks, is measured inside the fixed mask.
    """

    labels: list[int]
    landmarks: bool
    tolerance_mm: float = TOLERANCE_MM
    within: Within = "none"

    @classmethod
    def of(cls, data: Dataset, tolerance_mm: float = TOLERANCE_MM, within: Within = "none") -> "Measured":
        """As the test pairs of a dataset can be measured."""
        known = data.references("test")
        return cls(list(data.labels) if "labels" in known else [], "landmarks" in known, tolerance_mm, within)


def measure(registered: Registered, by: Measured) -> dict[str, float]:
    """All metrics of one registered pair, means over its labels and those of each label."""
    pair, displacement, mask = registered.pair, registered.displacement, inside(registered.pair, by.within)
    per_label: dict[str, dict[int, float]] = {}
    if by.labels:
        per_label = label_metrics(
            pair.fixed_labels, registered.moved_labels, by.labels, pair.spacing_mm,
            tolerance_mm=by.tolerance_mm, moving=pair.moving_labels,
        )  # fmt: skip
    metrics: dict[str, float] = {}
    if per_label:
        counted = [label for label, value in per_label["dice"].items() if not np.isnan(value)]
        vanished = [label for label in counted if np.isposinf(per_label["hd95_mm"][label])]
        metrics["dice"] = mean_over_labels(per_label["dice"])
        metrics["labels_counted"] = float(len(counted))
        metrics["labels_vanished"] = float(len(vanished))
    metrics["displacement_mm"] = displacement_mm(displacement, pair.spacing_mm, mask=mask)
    metrics |= folding_metrics(displacement, pair.foreground, mask)
    metrics |= {name: mean_over_labels(values) for name, values in per_label.items() if name != "dice"}
    if by.landmarks:
        metrics |= landmark_scores(pair, displacement, mask)
    if pair.truth is not None:
        metrics["endpoint_error_mm"] = endpoint_error_mm(displacement, pair.truth, pair.spacing_mm, mask=mask)
        metrics["endpoint_error_foreground_mm"] = endpoint_error_mm(
            displacement, pair.truth, pair.spacing_mm, mask=pair.foreground if mask is None else pair.foreground & mask
        )
    return metrics | {f"{name}_{label}": value for name, values in per_label.items() for label, value in values.items()}


def inside(pair: Pair, within: Within) -> NDArray[np.bool_] | None:
    """The voxels that an evaluation looks at; None for all.

    Raises:
        RegbenchError: if the fixed image has no mask that should count.
    """
    if within == "none":
        return None
    if pair.fixed_mask is None:
        raise RegbenchError("`evaluation.mask: fixed` must have a mask of every fixed image, but one has none.")
    return pair.fixed_mask > 0


def metric_names(data: Dataset) -> list[str]:
    """The metrics that the test pairs of a dataset have, in the order of `measure`; a pair of few voxels tells them."""
    names = data.pairs("test")[0]
    pair = data.pair(*names)
    dims = pair.fixed.ndim
    shape = (SMALL,) * dims
    image, labels, field = np.zeros(shape, np.float32), np.zeros(shape, np.int32), np.zeros((dims, *shape), np.float32)
    small = replace(
        pair, fixed=image, moving=image, fixed_labels=labels, moving_labels=labels,
        truth=None if pair.truth is None else field, fixed_landmarks=None, moving_landmarks=None,
    )  # fmt: skip
    return list(measure(Registered(*names, small, field), Measured.of(data)))

"""Every metric of one registered pair."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from regbench.data.cache import Dataset, Pair
from regbench.metrics import (
    dice,
    displacement_mm,
    endpoint_error_mm,
    folding_metrics,
    hd95_l2r,
    mean_over_labels,
    surface_metrics,
    tre_l2r_mm,
    tre_mm,
)
from regbench.spatial.displacement import warp, warp_labels
from regbench.system.errors import RegbenchError

Field = NDArray[np.float32]
Points = tuple[NDArray[np.float64], NDArray[np.float64]]
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


def measure(registered: Registered, labels: list[int], within: Within = "none") -> dict[str, float]:
    """All metrics of one registered pair, means over `labels` and those of each label.

    Args:
        registered: the pair.
        labels: that count.
        within: ``fixed``: what is measured of the displacement, and by landmarks, is measured inside the fixed mask.
    """
    pair, displacement, moved = registered.pair, registered.displacement, registered.moved_labels
    foreground, mask = pair.foreground, inside(pair, within)
    per_label = dice(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    counted = [label for label, value in per_label.items() if not np.isnan(value)]
    metrics = {
        "dice": mean_over_labels(per_label),
        "labels_counted": float(len(counted)),
        "labels_vanished": float(len(set(counted) - set(np.unique(moved)))),
        "displacement_mm": displacement_mm(displacement, pair.spacing_mm, mask=mask),
        **folding_metrics(displacement, foreground, mask),
    }
    surfaces = surface_metrics(pair.fixed_labels, moved, labels, pair.spacing_mm, moving=pair.moving_labels)
    surfaces["hd95_l2r"] = hd95_l2r(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    metrics |= {name: mean_over_labels(values) for name, values in surfaces.items()}
    if pair.fixed_landmarks is not None and pair.moving_landmarks is not None:
        points = (pair.fixed_landmarks, pair.moving_landmarks)
        if not all(np.isfinite(rows).all() for rows in points):  # as `prepare` marks landmarks that are not used
            points = (points[0][:0], points[1][:0])
        points = _inside(points, mask)
        metrics["tre_mm"] = tre_mm(displacement, *points, pair.spacing_mm)
        metrics["tre_l2r_mm"] = tre_l2r_mm(displacement, *points, pair.spacing_mm)
    if pair.truth is not None:
        metrics["endpoint_error_mm"] = endpoint_error_mm(displacement, pair.truth, pair.spacing_mm, mask=mask)
        metrics["endpoint_error_foreground_mm"] = endpoint_error_mm(
            displacement, pair.truth, pair.spacing_mm, mask=foreground if mask is None else foreground & mask
        )
    by_label = {"dice": per_label, **surfaces}
    return metrics | {f"{name}_{label}": value for name, values in by_label.items() for label, value in values.items()}


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


def _inside(points: Points, mask: NDArray[np.bool_] | None) -> Points:
    """Landmarks whose fixed point is nearest to a voxel inside."""
    if mask is None:
        return points
    voxels = np.floor(points[0] + 0.5).astype(int)
    last = np.array(mask.shape) - 1
    there = mask[tuple(np.clip(voxels, 0, last).T)] & ((voxels >= 0) & (voxels <= last)).all(1)
    return points[0][there], points[1][there]


def metric_names(data: Dataset) -> list[str]:
    """The metrics that the test pairs of a dataset have, in the order of `measure`; a pair of few voxels tells them."""
    names = data.pairs("test")[0]
    pair = data.pair(*names)
    dims = pair.fixed.ndim
    shape = (SMALL,) * dims
    image, labels, field = np.zeros(shape, np.float32), np.zeros(shape, np.int32), np.zeros((dims, *shape), np.float32)
    points = None if pair.fixed_landmarks is None or pair.moving_landmarks is None else np.zeros((1, dims))
    small = replace(
        pair, fixed=image, moving=image, fixed_labels=labels, moving_labels=labels,
        truth=None if pair.truth is None else field, fixed_landmarks=points, moving_landmarks=points,
    )  # fmt: skip
    return list(measure(Registered(*names, small, field), list(data.labels)))

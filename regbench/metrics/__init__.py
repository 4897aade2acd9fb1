"""How good a registration is: each metric with its unit, direction and definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from regbench.metrics.folding import fold_central_percent, nd_points_percent, ndv_percent
from regbench.metrics.landmarks import endpoint_error_mm
from regbench.metrics.overlap import dice

__all__ = ["METRICS", "Metric", "dice", "endpoint_error_mm", "fold_central_percent", "nd_points_percent", "ndv_percent"]


@dataclass(frozen=True)
class Metric:
    """What a reader must know to compare a number with another paper's."""

    name: str
    unit: str
    direction: Literal["higher", "lower"]
    digits: int
    definition: str


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("dice", "1", "higher", 3, "mean Dice overlap of the labels"),
        Metric(
            "fold_central_percent",
            "%",
            "lower",
            3,
            "voxels of the whole box with a central-difference determinant <= 0",
        ),
        Metric("fold_foreground_percent", "%", "lower", 3, "the same among the voxels of the fixed foreground"),
        Metric("ndv_percent", "%", "lower", 4, "non-diffeomorphic volume (digital measure of Liu et al. 2024)"),
        Metric("endpoint_error_mm", "mm", "lower", 3, "mean distance to the true displacement over the whole box"),
        Metric("endpoint_error_foreground_mm", "mm", "lower", 3, "the same over the fixed foreground"),
        Metric("inference_seconds", "s", "lower", 4, "time of one registration, batch 1"),
        Metric("peak_memory_mib", "MiB", "lower", 1, "peak memory of one registration above what was held before"),
    )
}

"""What a reader must know of each number: its unit, which way is better, how it is defined, who defined it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LIU = "Liu et al. 2024, doi:10.1007/s11263-024-02047-1"
LEARN2REG = "Hering et al. 2022, doi:10.1109/TMI.2022.3213983"


@dataclass(frozen=True)
class Metric:
    """What a reader must know to compare a number with another paper's."""

    name: str
    unit: str
    direction: Literal["higher", "lower"]
    digits: int
    definition: str
    reference: str = ""


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("dice", "1", "higher", 3, "mean Dice overlap of the labels", "Dice 1945, doi:10.2307/1932409"),
        Metric("dice30", "1", "higher", 3, "30th percentile over cases of their mean Dice", LEARN2REG),
        Metric(
            "hd95_mm",
            "mm",
            "lower",
            2,
            "mean over labels of the larger directed 95th percentile of distances between surface voxels",
            "Huttenlocher et al. 1993, doi:10.1109/34.232073",
        ),
        Metric(
            "assd_mm",
            "mm",
            "lower",
            2,
            "mean over labels of the distance between surface voxels, both directions pooled",
            "Heimann et al. 2009, doi:10.1109/TMI.2009.2013851",
        ),
        Metric(
            "nsd",
            "1",
            "higher",
            3,
            "mean over labels of the share of surface voxels that lie within the tolerance of the other surface",
            "Nikolov et al. 2021, doi:10.2196/26151; Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z",
        ),
        Metric(
            "hd95_l2r",
            "voxel",
            "lower",
            2,
            "the 95 % Hausdorff distance of Learn2Reg: surface elements weighted by area, spacing ignored",
            LEARN2REG,
        ),
        Metric(
            "fold_central_percent",
            "%",
            "lower",
            3,
            "voxels of the whole box with a central-difference determinant <= 0",
            "Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538",
        ),
        Metric("fold_foreground_percent", "%", "lower", 3, "the same among the voxels of the fixed foreground"),
        Metric(
            "fold_forward_percent", "%", "lower", 3, "voxels 0..N-2 with a forward-difference determinant <= 0", LIU
        ),
        Metric(
            "fold_backward_percent", "%", "lower", 3, "voxels 1..N-1 with a backward-difference determinant <= 0", LIU
        ),
        Metric("ndv_percent", "%", "lower", 4, "non-diffeomorphic volume (digital measure of Liu et al. 2024)", LIU),
        Metric(
            "nd_points_percent",
            "%",
            "lower",
            3,
            "voxels 1..N-2 that are no digital diffeomorphism (any of 4 or 10 determinants <= 0)",
            LIU,
        ),
        Metric(
            "sdlogj",
            "1",
            "lower",
            3,
            "SD over voxels of log(max(determinant, 1e-9)), central differences, ddof 0",
            "Leow et al. 2007, doi:10.1109/TMI.2007.892646",
        ),
        Metric(
            "sdlogj_l2r",
            "1",
            "lower",
            4,
            "Learn2Reg's SDlogJ: of log(clip(determinant + 3, 1e-9, 1e9)), two outer voxels cropped, ddof 0",
            LEARN2REG,
        ),
        Metric("tre_mm", "mm", "lower", 2, "mean distance of the landmarks, displacement sampled linearly"),
        Metric("tre_median_mm", "mm", "lower", 2, "median distance of the landmarks of a pair"),
        Metric("tre70_mm", "mm", "lower", 2, "70th percentile of the distances of the landmarks of a pair", LEARN2REG),
        Metric(
            "rtre_percent",
            "%",
            "lower",
            3,
            "mean distance of the landmarks over the diagonal of the fixed image",
            "Borovec et al. 2020, doi:10.1109/TMI.2020.2986331",
        ),
        Metric(
            "tre_l2r_mm",
            "mm",
            "lower",
            2,
            "Learn2Reg's mean distance of the landmarks: displacement sampled by cubic splines, zero outside",
            LEARN2REG,
        ),
        Metric("endpoint_error_mm", "mm", "lower", 3, "mean distance to the true displacement over the whole box"),
        Metric("endpoint_error_foreground_mm", "mm", "lower", 3, "the same over the fixed foreground"),
        Metric(
            "inverse_consistency_mm",
            "mm",
            "lower",
            3,
            "mean distance from a voxel to where both directions, one after the other, take it",
            "Christensen and Johnson 2001, doi:10.1109/42.932742",
        ),
        Metric("displacement_mm", "mm", "lower", 3, "mean length of the displacement over the whole box"),
        Metric(
            "self_displacement_mm",
            "mm",
            "lower",
            3,
            "mean length of the displacement that a trained method finds between the fixed image and itself",
            "Duan et al. 2023, doi:10.48550/arXiv.2307.09696",
        ),
        Metric("similarity_before", "1", "lower", 4, "the training similarity of fixed and unwarped moving image"),
        Metric("similarity_after", "1", "lower", 4, "the training similarity of fixed and moved image"),
        Metric("inference_seconds", "s", "lower", 4, "time of one registration, batch 1"),
        Metric(
            "pipeline_seconds",
            "s",
            "lower",
            3,
            "time from the prepared images on disk to the written NIfTI displacement, batch 1",
        ),
        Metric("peak_memory_mib", "MiB", "lower", 1, "peak memory of one registration above what was held before"),
        Metric("parameters", "1", "lower", 0, "trainable parameters of the network"),
        Metric("training_seconds", "s", "lower", 0, "wall time of the training run"),
    )
}
# What differs between two repetitions of one study, and what stands beside it in the rows.
TIMED = ("inference_seconds", "pipeline_seconds", "peak_memory_mib", "training_seconds", "parameters")


# A similarity of the grid, or a registered one, as a metric: `similarity.<id>`, lower is better.
SIMILARITY = "similarity."


def metric_of(name: str) -> Metric:
    """What a reader must know of a metric, or of a similarity by which a study is scored (`similarity.<id>`).

    Raises:
        KeyError: if it is neither.

    Example:
        >>> metric_of("hd95_mm").direction
        'lower'
    """
    if name.startswith(SIMILARITY):
        words = f"similarity {name.removeprefix(SIMILARITY)} of fixed and moved image"
        return Metric(name, "1", "lower", 4, words)
    return METRICS[name]


def printed(value: float, metric: str) -> str:
    """A number in a sentence or picture: with the metric's digits; of a length below them with three figures.

    Example:
        >>> printed(0.70349, "dice")
        '0.703'
    """
    known = metric_of(metric)
    text = f"{value:.{known.digits}f}"
    return f"{value:.3g}" if known.unit == "mm" and 0 < abs(value) < 5 * 10.0**-known.digits else text


# One number for many cases, or of another quantity in every cell: no two methods are compared by it.
_INCOMPARABLE = ("dice30", "similarity_before", "similarity_after", *TIMED)
COMPARABLE = tuple(name for name in METRICS if name not in _INCOMPARABLE)
# What no lambda is chosen by: no amount is right, or it needs more than the validation pairs.
_NO_GOAL = ("displacement_mm", "self_displacement_mm", "inverse_consistency_mm")
GOALS = tuple(name for name in COMPARABLE if name not in _NO_GOAL)
_BOUNDED = {"1": 1.0, "%": 100.0}
_BEYOND_A_HUNDRED = ("ndv_percent", "rtre_percent")  # volume that folds several times, landmarks far outside


def widest_difference(metric: str) -> float:
    """The most that two methods can differ by; infinite where nothing bounds it, or the metric is none of ours.

    Example:
        >>> widest_difference("dice"), widest_difference("hd95_mm")
        (1.0, inf)
    """
    unbounded = metric not in METRICS or metric in _BEYOND_A_HUNDRED
    if unbounded or (METRICS[metric].direction == "lower" and METRICS[metric].unit == "1"):
        return float("inf")
    return _BOUNDED.get(METRICS[metric].unit, float("inf"))

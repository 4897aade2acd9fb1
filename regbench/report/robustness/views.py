"""The conventions of the field: by each, what the score of a pair is that a study's verdicts are drawn from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.evaluation.conventions import LINEAR
from regbench.metrics import mean_over_labels
from regbench.report.pooling import case_of
from regbench.statistics.medians import about_median

Floats = NDArray[np.float64]
OF_LABELS = ("dice", "hd95_mm", "assd_mm", "nsd", "hd95_l2r")
HALVES = 4  # labels that are enough to tell large structures from small ones
LEFT_OUT, SAME = "one label left out", "the same numbers in every row"
OWN, LINEARLY, VANISHED, LARGE, SMALL, MEDIAN, POOLED_SD = (
    "the study's own",
    "labels warped linearly",
    "vanished labels left out",
    "large structures",
    "small structures",
    "median over cases",
    "± as SD over structures and cases",
)
# Metrics of one property, the usual one first; by which of them a paper tells it is a convention.
SCHEMES: tuple[Mapping[str, str], ...] = (
    {
        "hd95_mm": "larger of the directed percentiles",
        "hd95_pooled_mm": "both directions pooled",
        "hd95_l2r": "Learn2Reg's, in voxels",
    },
    {"assd_mm": "both directions pooled", "assd_means_mm": "mean of the directed means"},
    {
        "ndv_percent": "NDV",
        "nd_points_percent": "digital, points",
        "fold_central_percent": "central differences, whole box",
        "fold_foreground_percent": "central differences, foreground",
        "fold_forward_percent": "forward differences",
        "fold_backward_percent": "backward differences",
    },
    {"sdlogj": "clipped at 1e-9", "sdlogj_l2r": "Learn2Reg's, det + 3"},
    {
        "tre_mm": "mean of the landmarks",
        "tre_median_mm": "median of the landmarks",
        "tre70_mm": "70th percentile of the landmarks",
        "tre_l2r_mm": "Learn2Reg's, by cubic splines",
    },
    {"endpoint_error_mm": "whole box", "endpoint_error_foreground_mm": "foreground"},
)
# Of each label in the rows; the others are means already.
BY_LABEL = ("hd95_pooled_mm", "assd_means_mm")


class View(NamedTuple):
    """A convention of one metric.

    Attributes:
        words: what people call it.
        scores: from rows to the score of each row.
        region: name of the metric whose region of equivalence holds for it: the study's own where it is of the same
            size and unit.
        group: of conventions of which one line stands for all; else empty.
    """

    words: str
    scores: Callable[[pd.DataFrame], Floats]
    region: str
    group: str = ""


def views(rows: pd.DataFrame, metric: str, labels: Mapping[str, str], sizes: Mapping[str, float]) -> Iterator[View]:
    """The conventions of a metric other than the study's own.

    Args:
        rows: of a dataset, with the columns of `regbench.evaluation.conventions`.
        metric: the study's own.
        labels: value to name.
        sizes: voxels of each label; none where structures are not told apart by size.
    """
    family = next((scheme for scheme in SCHEMES if metric in scheme), {})
    for name, words in family.items():
        column = f"{name}_{next(iter(labels), '')}" if name in BY_LABEL else name
        if name != metric and column in rows and rows[column].notna().any():
            own = metric if name in BY_LABEL or name.startswith("tre") else name
            read = over_labels(name, list(labels)) if name in BY_LABEL else _column(name)
            yield View(words, read, own)
    if metric in OF_LABELS and labels:
        if f"{LINEAR}{metric}_{next(iter(labels))}" in rows:
            yield View(LINEARLY, over_labels(f"{LINEAR}{metric}", list(labels)), metric)
        yield View(VANISHED, over_labels(metric, list(labels), vanished=False), metric)
        yield from _subsets(metric, labels, sizes)
    yield View(MEDIAN, _medians(metric), metric)


def _subsets(metric: str, labels: Mapping[str, str], sizes: Mapping[str, float]) -> Iterator[View]:
    if not sizes or len(labels) < 2:
        return
    for label, name in labels.items():
        others = [other for other in labels if other != label]
        yield View(f"without {name}", over_labels(metric, others), metric, LEFT_OUT)
    if len(labels) >= HALVES:
        ordered = sorted(labels, key=lambda label: (-sizes[label], int(label)))
        half = (len(ordered) + 1) // 2
        for words, chosen in ((LARGE, ordered[:half]), (SMALL, ordered[half:])):
            yield View(words, over_labels(metric, [label for label in labels if label in chosen]), metric)


def over_labels(name: str, labels: Sequence[str], *, vanished: bool = True) -> Callable[[pd.DataFrame], Floats]:
    """The mean over labels, as the study takes it.

    Args:
        name: of the metric, in the columns of the labels.
        labels: whose mean it is.
        vanished: whether labels that a warp made vanish count; they have an infinite distance.
    """

    def scores(rows: pd.DataFrame) -> Floats:
        table = rows[[f"{name}_{label}" for label in labels]].to_numpy(dtype=np.float64)
        if not vanished:
            distances = rows[[f"hd95_mm_{label}" for label in labels]].to_numpy(dtype=np.float64)
            table = np.where(np.isinf(distances), np.nan, table)
        return np.array([mean_over_labels(dict(enumerate(line))) for line in table])

    return scores


def _column(name: str) -> Callable[[pd.DataFrame], Floats]:
    return lambda rows: rows[name].to_numpy(dtype=np.float64)


def _medians(metric: str) -> Callable[[pd.DataFrame], Floats]:
    """Numbers whose mean over the cases is their median, run by run; of the cases in which no method lacks a number.

    A run that has no number at all lacks none: it failed.
    """

    def scores(rows: pd.DataFrame) -> Floats:
        keys = [rows[name] for name in ("method", "seed", *case_of(rows))]
        wide = rows[metric].set_axis(pd.MultiIndex.from_arrays(keys)).unstack(list(range(2, len(keys))))
        table = wide.to_numpy(dtype=np.float64, copy=True)
        unknown = np.isnan(table)
        table[:, unknown[~unknown.all(axis=1)].any(axis=0)] = np.nan
        numbers = np.array([about_median(line) for line in table])
        runs = wide.index.get_indexer(pd.MultiIndex.from_arrays(keys[:2]))
        cases = wide.columns.get_indexer(pd.MultiIndex.from_arrays(keys[2:]))
        return np.asarray(numbers[runs, cases], dtype=np.float64)

    return scores

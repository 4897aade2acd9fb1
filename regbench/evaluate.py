"""Every test pair of a run becomes one row of metrics; NaN and a reason where it failed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from regbench.data.cache import Dataset, Pair
from regbench.files import replacing
from regbench.inference import register, registered
from regbench.metrics import (
    dice,
    endpoint_error_mm,
    folding_metrics,
    mean_over_labels,
    surface_metrics,
)
from regbench.panels import chosen, slices, write_panels
from regbench.plan import PANELS
from regbench.spatial import warp_labels
from regbench.train import load_run


def evaluate(job: Mapping[str, Any], data: Dataset, folder: Path | None, out: Path) -> None:
    """Evaluate a run on all test pairs: one parquet row each, and beside it slices of three pairs for the figures.

    Args:
        job: slice of the config (`plan.evaluate_job`).
        data: prepared dataset.
        folder: of the run; None for `identity`, whose displacement is zero.
        out: parquet file.
    """
    record, model = load_run(folder) if folder else ({"lam": None, "status": "complete", "reason": ""}, None)
    rows: list[dict[str, Any]] = []
    for (fixed, moving), pair, displacement in _registered(model, data):
        row: dict[str, Any] = {"dataset": data.id, "method": job["method"], "seed": job["seed"], "lam": record["lam"]}
        row |= {"fixed": fixed, "moving": moving, "status": record["status"], "reason": record["reason"]}
        if record["status"] != "complete":
            row |= dict.fromkeys(measure(pair, _zero(pair), list(data.labels)), np.nan)
        else:
            row |= measure(pair, displacement, list(data.labels))
        rows.append(row)
    frame = pd.DataFrame(rows)
    found = {}
    for place, number in chosen(frame["dice"].to_numpy(dtype=np.float64)).items():
        about = rows[number]
        pair = data.pair(about["fixed"], about["moving"])
        displacement = register(model, pair.fixed, pair.moving) if model else _zero(pair)
        found[place] = (about, slices(data, about["fixed"], about["moving"], displacement))
    write_panels(out.with_name(PANELS), found)
    frame["lam"] = frame["lam"].astype(float)
    with replacing(out) as temporary:
        frame.to_parquet(temporary, index=False)


def _registered(model: nn.Module | None, data: Dataset) -> Iterator[tuple[tuple[str, str], Pair, Any]]:
    if model is not None:
        yield from registered(model, data, "test")
        return
    for names in data.pairs("test"):
        pair = data.pair(*names)
        yield names, pair, _zero(pair)


def measure(pair: Pair, displacement: Any, labels: list[int]) -> dict[str, float]:
    """All metrics of one pair and its displacement ``(d, *S)`` in voxels."""
    foreground = pair.foreground
    moved = warp_labels(pair.moving_labels, displacement)
    per_label = dice(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    counted = [label for label, value in per_label.items() if not np.isnan(value)]
    found = {
        "dice": mean_over_labels(per_label),
        "labels_counted": float(len(counted)),
        "labels_vanished": float(len(set(counted) - set(np.unique(moved)))),
        **folding_metrics(displacement, foreground),
    }
    surfaces = surface_metrics(pair.fixed_labels, moved, labels, pair.spacing_mm, moving=pair.moving_labels)
    found |= {name: mean_over_labels(values) for name, values in surfaces.items()}
    if pair.truth is not None:
        found["endpoint_error_mm"] = endpoint_error_mm(displacement, pair.truth, pair.spacing_mm)
        found["endpoint_error_foreground_mm"] = endpoint_error_mm(
            displacement, pair.truth, pair.spacing_mm, mask=foreground
        )
    every = {"dice": per_label, **surfaces}
    return found | {f"{name}_{label}": value for name, values in every.items() for label, value in values.items()}


def _zero(pair: Pair) -> Any:
    return np.zeros((pair.fixed.ndim, *pair.fixed.shape), np.float32)

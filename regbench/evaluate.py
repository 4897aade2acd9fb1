"""Every test pair of a run becomes one row of metrics; NaN and a reason where it failed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regbench.data.cache import Dataset, Pair
from regbench.files import replacing
from regbench.inference import register
from regbench.metrics import dice, endpoint_error_mm, folding_metrics, mean_over_labels
from regbench.spatial import warp_labels
from regbench.train import load_run


def evaluate(job: Mapping[str, Any], data: Dataset, folder: Path | None, out: Path) -> None:
    """Evaluate a run on all test pairs and write one parquet row each.

    Args:
        job: slice of the config (`plan.evaluate_job`).
        data: prepared dataset.
        folder: of the run; None for `identity`, whose displacement is zero.
        out: parquet file.
    """
    record, model = load_run(folder) if folder else ({"lam": None, "status": "complete", "reason": ""}, None)
    rows = []
    for fixed, moving in data.pairs("test"):
        pair = data.pair(fixed, moving)
        row: dict[str, Any] = {"dataset": data.id, "method": job["method"], "seed": job["seed"], "lam": record["lam"]}
        row |= {"fixed": fixed, "moving": moving, "status": record["status"], "reason": record["reason"]}
        if record["status"] != "complete":
            row |= dict.fromkeys(measure(pair, _zero(pair), list(data.labels)), np.nan)
        else:
            displacement = register(model, pair.fixed, pair.moving) if model else _zero(pair)
            row |= measure(pair, displacement, list(data.labels))
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame["lam"] = frame["lam"].astype(float)
    with replacing(out) as temporary:
        frame.to_parquet(temporary, index=False)


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
    if pair.truth is not None:
        found["endpoint_error_mm"] = endpoint_error_mm(displacement, pair.truth, pair.spacing_mm)
        found["endpoint_error_foreground_mm"] = endpoint_error_mm(
            displacement, pair.truth, pair.spacing_mm, mask=foreground
        )
    return found | {f"dice_{label}": value for label, value in per_label.items()}


def _zero(pair: Pair) -> Any:
    return np.zeros((pair.fixed.ndim, *pair.fixed.shape), np.float32)

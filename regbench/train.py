"""A final training: one run (dataset, method, lambda, seed) in a folder of its own."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from regbench import device as devices
from regbench import provenance
from regbench.data.cache import Dataset
from regbench.errors import RegbenchError
from regbench.files import file_sha256, read_json, replacing, write_json
from regbench.fit import build_model, fit, validate

LOG = logging.getLogger(__name__)
CHECKPOINT, HISTORY, RUN = "checkpoint.pt", "history.parquet", "run.json"


def train(
    job: Mapping[str, Any], lam: float | None, data: Dataset, folder: Path, *, reason: str = "", bar: bool = False
) -> None:
    """Train and write `checkpoint.pt`, `history.parquet` and, last, `run.json`.

    Args:
        job: slice of the config (`plan.train_job`).
        lam: weight of the regularizer; None if tuning found none, and then the run is a failed one with `reason`.
        data: prepared dataset.
        folder: of the run.
        reason: why there is no lambda.
        bar: show a progress bar.
    """
    device = devices.choose(job["training"]["device"])
    record: dict[str, Any] = {
        "method": job["method"],
        "seed": job["seed"],
        "lam": lam,
        "job": dict(job),
        "data_sha256": data.checksum,
        "environment": provenance.environment(devices.describe(device)),
        "status": "failed",
        "reason": f"no lambda: {reason}" if lam is None else "",
        "validation": {},
    }
    history: dict[str, list[float]] = {"loss": [], "similarity": [], "regularizer": []}
    weights: dict[str, Any] = {}
    if lam is not None:
        found = fit(job, lam, data, bar=bar)
        scores = validate(found.model, data)
        history, weights = found.history, found.model.state_dict()
        record |= {"status": found.status, "reason": found.reason}
        record["parameters"] = sum(parameter.numel() for parameter in found.model.parameters())
        record["validation"] = {name: float(np.mean(values)) for name, values in scores.items()}
    if record["reason"]:
        LOG.warning("%s, seed %d: %s", job["method"], job["seed"], record["reason"])
    # Through a file object: torch.save writes the name of a path into the file, and equal weights must be equal bytes.
    with replacing(folder / CHECKPOINT) as temporary, temporary.open("wb") as file:
        torch.save({"model": job["model"], "dims": len(data.shape), "weights": weights}, file)
    with replacing(folder / HISTORY) as temporary:
        frame = pd.DataFrame(history)
        frame.insert(0, "step", np.arange(1, len(frame) + 1))
        frame.to_parquet(temporary, index=False)
    write_json(folder / RUN, {**record, "checkpoint_sha256": file_sha256(folder / CHECKPOINT)})


def load_run(folder: Path) -> tuple[dict[str, Any], nn.Module | None]:
    """The record and the model of a run; no model where the run failed before it had one.

    Raises:
        RegbenchError: if a file is missing, altered or no checkpoint of ours.
    """
    record = read_json(folder / RUN)
    path = folder / CHECKPOINT
    if not path.is_file() or file_sha256(path) != record.get("checkpoint_sha256"):
        raise RegbenchError(
            f"`{path}` must be the checkpoint that `{folder / RUN}` records. Delete the folder, run again."
        )
    stored = torch.load(path, map_location="cpu", weights_only=True)
    if not stored["weights"]:
        return record, None
    model = build_model(stored["model"], stored["dims"])
    model.load_state_dict(stored["weights"])
    return record, model.to(devices.choose(record["job"]["training"]["device"]))

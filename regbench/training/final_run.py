"""A final training: one run (dataset, method, lambda, seed) in a folder of its own."""

import json
import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from regbench.data.cache import Dataset
from regbench.losses.objective import objective
from regbench.models.predict import build_model, validate
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.errors import RegbenchError
from regbench.system.files import (
    CHECKPOINT,
    HISTORY,
    LIVE,
    RUN,
    canonical_json,
    file_sha256,
    read_json,
    replacing,
    write_json,
)
from regbench.system.job_usage import clocked
from regbench.training.convergence import second_half
from regbench.training.fit import SAVE_EVERY, fit
from regbench.training.training_log import run_log

LOG = logging.getLogger(__name__)
FORMAT = "regbench checkpoint 2"


def train(
    job: Mapping[str, Any],
    lam: float | None,
    data: Dataset,
    folder: Path,
    *,
    reason: str = "",
    state: Path | None = None,
    save_every: float = SAVE_EVERY,
    bar: bool = False,
) -> None:
    """Train and write `checkpoint.pt`, `history.parquet` and, last, `run.json`.

    Meanwhile `live.jsonl` grows; at the end `history.parquet` has it among its attributes (`kept.run_log`).

    Args:
        job: slice of the config (`plan.train_job`).
        lam: weight of the regularizer; None if tuning found none, and then the run is a failed one with `reason`.
        data: prepared dataset.
        folder: of the run.
        reason: why there is no lambda.
        state: file that a killed training goes on from; None to keep none.
        save_every: seconds between two writes of it.
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
    weights: dict[str, Any] | None = None
    if lam is not None:
        with clocked("train"):
            found = fit(job, lam, data, state=state, save_every=save_every, live=folder / LIVE, bar=bar)
            scores = validate(found.model, data)
        history, weights = found.history, found.model.state_dict()
        record |= {"status": found.status, "reason": found.reason}
        record["parameters"] = sum(parameter.numel() for parameter in found.model.parameters())
        record["seconds"] = found.seconds
        record["validations"] = found.validations
        record["second_half"] = second_half(found.history["similarity"])
        record["validation"] = {name: float(np.mean(values)) for name, values in scores.items()}
    if record["reason"]:
        LOG.warning("%s, seed %d: %s", job["method"], job["seed"], record["reason"])
    # Through a file object: torch.save writes the name of a path into the file, and equal weights must be equal bytes.
    with replacing(folder / CHECKPOINT) as temporary, temporary.open("wb") as file:
        method = {kind: job[kind] for kind in ("model", "similarity", "regularizer")}
        stored = {"format": FORMAT, **method, "lam": lam, "dims": len(data.shape), "preparation": data.preparation}
        torch.save({**stored, "weights": weights}, file)
    with replacing(folder / HISTORY) as temporary:
        frame = pd.DataFrame(history)
        frame.insert(0, "step", np.arange(1, len(frame) + 1))
        frame.attrs = {LIVE: run_log(folder)}
        frame.to_parquet(temporary, index=False)
    write_json(folder / RUN, {**record, "checkpoint_sha256": file_sha256(folder / CHECKPOINT)})
    (folder / LIVE).unlink(missing_ok=True)


def trained(job: Mapping[str, Any], lam: float | None, data: Dataset, folder: Path) -> bool:
    """Whether `folder` holds this very training, whole."""
    if not all((folder / name).is_file() for name in (CHECKPOINT, HISTORY, RUN)):
        return False
    record = read_json(folder / RUN)
    return (
        record["job"] == json.loads(canonical_json(dict(job)))
        and (record["lam"], record["data_sha256"]) == (lam, data.checksum)
        and record["checkpoint_sha256"] == file_sha256(folder / CHECKPOINT)
    )


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
    model = load_checkpoint(path)
    return record, None if model is None else model.to(devices.choose(record["job"]["training"]["device"]))


def load_checkpoint(path: Path) -> nn.Module | None:
    """The model in a checkpoint, on the CPU; None if its run failed before it had one.

    Raises:
        RegbenchError: if the file is no whole checkpoint of ours.
    """
    stored = read_checkpoint(path)
    if stored["weights"] is None:
        return None
    terms = objective(stored["similarity"], stored["regularizer"], stored["lam"])
    model = build_model(stored["model"], stored["dims"], terms)
    model.load_state_dict(stored["weights"])
    return model


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds: the method, lambda, dims, preparation of the images, weights.

    Raises:
        RegbenchError: if the file is no whole checkpoint of ours.
    """
    if not zipfile.is_zipfile(path):  # torch takes other bytes for an old format, and fails in as many ways
        raise RegbenchError(f"`{path}` must be a checkpoint of regbench, but is missing, cut off or something else.")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        what = str(error).partition("\n")[0]
        raise RegbenchError(f"`{path}` must be a checkpoint of regbench, but cannot be read: {what}.") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise RegbenchError(
            f"`{path}` must be a checkpoint of this regbench (`{FORMAT}`). Train again, or give another."
        )
    return stored

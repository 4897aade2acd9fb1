"""A final training: one run (dataset, method, lambda, seed) in a folder of its own."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.data.cache import Dataset
from regbench.study.specs import TrainSpec
from regbench.system import device as devices
from regbench.system import provenance
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
from regbench.training.checkpoint import RunRecord, write_checkpoint
from regbench.training.convergence import second_half
from regbench.training.fit import SAVE_EVERY, Fit, fit
from regbench.training.training_log import run_log
from regbench.training.validation import validate

LOG = logging.getLogger(__name__)


def train(
    spec: TrainSpec,
    data: Dataset,
    folder: Path,
    *,
    reason: str = "",
    state_path: Path | None = None,
    save_every: float = SAVE_EVERY,
    bar: bool = False,
) -> None:
    """Train and write `checkpoint.pt`, `history.parquet` and, last, `run.json`.

    Meanwhile `live.jsonl` grows; at the end `history.parquet` has it among its attributes (`training_log.run_log`).

    Args:
        spec: of the training; without a lambda (tuning found none) the run is a failed one with `reason`.
        data: prepared dataset.
        folder: of the run.
        reason: why there is no lambda.
        state_path: file that a killed training goes on from; None to keep none.
        save_every: seconds between two writes of it.
        bar: show a progress bar.
    """
    device = devices.choose(spec.training.device)
    record: RunRecord = {
        "method": spec.method,
        "seed": spec.seed,
        "lam": spec.lam,
        "job": spec.to_json(),
        "data_sha256": data.checksum,
        "environment": provenance.environment(devices.describe(device)),
        "status": "failed",
        "reason": f"no lambda: {reason}" if spec.lam is None else "",
        "validation": {},
    }
    training: Fit | None = None
    if spec.lam is not None:
        with clocked("train"):
            training = fit(spec, data, state_path=state_path, save_every=save_every, log_path=folder / LIVE, bar=bar)
            scores = validate(training.model, data)
        record |= {
            "status": training.status,
            "reason": training.reason,
            "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
            "seconds": training.seconds,
            "validations": training.validations,
            "second_half": second_half(training.history["similarity"]),
            "validation": {name: float(np.mean(scores[name])) for name in ("dice", "ndv_percent")},
        }
    if record["reason"]:
        LOG.warning("%s, seed %d: %s", spec.method, spec.seed, record["reason"])
    write_checkpoint(folder / CHECKPOINT, spec, data, None if training is None else training.model.state_dict())
    with replacing(folder / HISTORY) as temporary:
        frame = pd.DataFrame(training.history if training else {"loss": [], "similarity": [], "regularizer": []})
        frame.insert(0, "step", np.arange(1, len(frame) + 1))
        frame.attrs = {LIVE: run_log(folder)}
        frame.to_parquet(temporary, index=False)
    write_json(folder / RUN, {**record, "checkpoint_sha256": file_sha256(folder / CHECKPOINT)})
    (folder / LIVE).unlink(missing_ok=True)


def is_complete(spec: TrainSpec, data: Dataset, folder: Path) -> bool:
    """Whether `folder` holds this very training, whole."""
    if not all((folder / name).is_file() for name in (CHECKPOINT, HISTORY, RUN)):
        return False
    record = read_json(folder / RUN)
    return (
        record["job"] == json.loads(canonical_json(spec.to_json()))
        and (record["lam"], record["data_sha256"]) == (spec.lam, data.checksum)
        and record["checkpoint_sha256"] == file_sha256(folder / CHECKPOINT)
    )

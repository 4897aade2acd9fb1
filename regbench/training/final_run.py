"""A final training: one run (dataset, method, lambda, seed) in a folder of its own."""

import json
import logging
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.data.cache import Dataset
from regbench.study.goals import words
from regbench.study.specs import TrainSpec
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.files import (
    CHECKPOINT,
    HISTORY,
    LIVE,
    RUN,
    canonical_json,
    clear_half_written,
    file_sha256,
    read_sealed,
    write_sealed,
)
from regbench.system.job_usage import clocked
from regbench.system.ownership import owning
from regbench.system.parquet import write_table
from regbench.training.checkpoint import RunRecord, write_checkpoint
from regbench.training.convergence import second_half
from regbench.training.fit import SAVE_EVERY, Fit, fit
from regbench.training.training_log import run_log
from regbench.training.validation import means, scoring, validate

LOG = logging.getLogger(__name__)


def train(
    spec: TrainSpec,
    data: Dataset,
    folder: Path,
    *,
    reason: str = "",
    state_path: Path | None = None,
    unless_whole: bool = False,
    save_every: float = SAVE_EVERY,
    bar: bool = False,
) -> None:
    """Train and write `checkpoint.pt`, `history.parquet` and, last, `run.json`; by one process at a time.

    Meanwhile `live.jsonl` grows; at the end `history.parquet` has it among its attributes (`training_log.run_log`).
    Nothing is trained a second time where another process has just done it.

    Args:
        spec: of the training; without a lambda (tuning found none) the run is a failed one with `reason`.
        data: prepared dataset.
        folder: of the run.
        reason: why there is no lambda.
        state_path: file that a killed training goes on from, with its owner's file beside it; None to keep none.
        unless_whole: train nothing where `folder` has this very run.
        save_every: seconds between two writes of the state.
        bar: show a progress bar.
    """
    what = f"training of {spec.method}, seed {spec.seed},"
    owner = nullcontext(False) if state_path is None else owning(state_path.with_suffix(".owner"), what)
    with owner as waited:
        clear_half_written(folder)
        if not ((waited or unless_whole) and is_complete(spec, data, folder)):
            _train(spec, data, folder, reason=reason, state_path=state_path, save_every=save_every, bar=bar)
        if state_path is not None:
            state_path.unlink(missing_ok=True)


def _train(
    spec: TrainSpec, data: Dataset, folder: Path, *, reason: str, state_path: Path | None, save_every: float, bar: bool
) -> None:
    """See `train`."""
    if spec.lam is None:
        _write(_record(spec, data, reason=f"no lambda: {reason}"), spec, data, folder)
        return
    record = _record(spec, data)
    with clocked("train"):
        training = fit(spec, data, state_path=state_path, save_every=save_every, log_path=folder / LIVE, bar=bar)
        # Where nothing is trained and no lambda is searched, a study may have test pairs alone.
        scores = validate(training.model, data, scoring(spec, data)) if data.pairs("validation") else {}
    record |= {
        "status": training.status,
        "reason": training.reason,
        "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "seconds": training.seconds,
        # What the declared budget counts, where it is not the steps.
        **({"forward_passes": spec.passes * len(training.history["loss"])} if spec.passes > 1 else {}),
        "validations": training.validations,
        "second_half": second_half(training.history["similarity"]),
        "validation": means(scores),
    }
    _write(record, spec, data, folder, training)


def _record(spec: TrainSpec, data: Dataset, *, reason: str = "") -> RunRecord:
    """The record of a run that has not trained."""
    return {
        "method": spec.method,
        "seed": spec.seed,
        "lam": spec.lam,
        "job": spec.to_json(),
        "data_sha256": data.checksum,
        "environment": provenance.environment(devices.describe(devices.choose(spec.training.device))),
        "status": "failed",
        "reason": reason,
        "validation": {},
    }


def _write(record: RunRecord, spec: TrainSpec, data: Dataset, folder: Path, training: Fit | None = None) -> None:
    """Write the files of a run; the record last, for it says that the others are whole."""
    if record["reason"]:
        LOG.warning("%s, seed %d: %s", spec.method, spec.seed, record["reason"])
    write_checkpoint(folder / CHECKPOINT, spec, data, None if training is None else training.model.state_dict())
    frame = pd.DataFrame(training.history if training else {name: [] for name in spec.term_names})
    frame.insert(0, "step", np.arange(1, len(frame) + 1))
    frame.attrs = {LIVE: run_log(folder)}
    write_table(folder / HISTORY, frame)
    write_sealed(folder / RUN, {**record, "checkpoint_sha256": file_sha256(folder / CHECKPOINT)})
    (folder / LIVE).unlink(missing_ok=True)


def outcome(folder: Path) -> str:
    """What a run came to, in a line: its validation scores, or why it has none."""
    record: RunRecord = read_sealed(folder / RUN)
    lam = "" if record["lam"] is None else f", lambda {record['lam']:.4g}"
    run = f"{record['method']}, seed {record['seed']}{lam}"
    if record["status"] != "complete":
        return f"{run}: {record['status']}: {record['reason']}"
    scores = ", ".join(
        f"{words(name)} {'none' if score is None else f'{score:.4f}'}" for name, score in record["validation"].items()
    )
    return f"{run}: {f'validation {scores}' if scores else 'complete'} ({folder})"


def is_complete(spec: TrainSpec, data: Dataset, folder: Path) -> bool:
    """Whether `folder` holds this very training, whole."""
    if not all((folder / name).is_file() for name in (CHECKPOINT, HISTORY, RUN)):
        return False
    record = read_sealed(folder / RUN)
    return (
        record["job"] == json.loads(canonical_json(spec.to_json()))
        and (record["lam"], record["data_sha256"]) == (spec.lam, data.checksum)
        and record["checkpoint_sha256"] == file_sha256(folder / CHECKPOINT)
    )

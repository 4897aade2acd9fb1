"""Checkpoints: written whole with the method that made them, read back, and refused if they are anything else."""

import pickle
import zipfile
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import nn

from regbench.data.cache import Dataset
from regbench.losses.objective import objective
from regbench.models.predict import build_model
from regbench.study.specs import ComponentSpec, TrainSpec
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.errors import RegbenchError
from regbench.system.files import CHECKPOINT, RUN, file_sha256, read_json, replacing
from regbench.training.state import Weights
from regbench.training.validation import Validation

FORMAT = "regbench checkpoint 2"


def write_checkpoint(path: Path, spec: TrainSpec, data: Dataset, weights: Weights | None) -> None:
    """Write the method, lambda, dims, preparation of the images, and weights (None if there are none).

    Equal weights give equal bytes.
    """
    stored = {
        "format": FORMAT,
        **{kind: getattr(spec, kind).to_json() for kind in ("model", "similarity", "regularizer")},
        "lam": spec.lam,
        "dims": len(data.shape),
        "preparation": data.preparation,
        "weights": weights,
    }
    # Through a file object: torch.save writes the name of a path into the file.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(stored, file)


class RunRecord(TypedDict):
    """The record of a final training (`run.json`); what follows `validation` is of one that trained."""

    method: str
    seed: int
    lam: float | None
    job: Any  # its `TrainSpec` as JSON, of any version
    data_sha256: str
    environment: provenance.Environment
    status: str  # complete, diverged, failed
    reason: str
    validation: dict[str, float]  # means over the validation pairs
    parameters: NotRequired[int]
    seconds: NotRequired[float]
    validations: NotRequired[list[Validation]]
    second_half: NotRequired[dict[str, float] | None]
    checkpoint_sha256: NotRequired[str]  # once the checkpoint lies beside it


def load_run(folder: Path) -> tuple[RunRecord, nn.Module | None]:
    """The record and the model of a run; no model where the run failed before it had one.

    Raises:
        RegbenchError: if a file is missing, altered or no checkpoint of ours.
    """
    record: RunRecord = read_json(folder / RUN)
    path = folder / CHECKPOINT
    if not path.is_file() or file_sha256(path) != record.get("checkpoint_sha256"):
        raise RegbenchError(
            f"`{path}` must be the checkpoint that `{folder / RUN}` records. Delete the folder, run again."
        )
    model = load_checkpoint(path)
    if model is not None:
        model.to(devices.choose(record["job"]["training"]["device"]))
    return record, model


def load_checkpoint(path: Path) -> nn.Module | None:
    """The model in a checkpoint, on the CPU; None if its run failed before it had one.

    Raises:
        RegbenchError: if the file is no whole checkpoint of ours.
    """
    stored = read_checkpoint(path)
    if stored["weights"] is None:
        return None
    try:
        parts = {kind: ComponentSpec.from_json(stored[kind]) for kind in ("model", "similarity", "regularizer")}
    except RegbenchError as error:
        raise RegbenchError(f"`{path}`: {error}") from None
    terms = objective(parts["similarity"], parts["regularizer"], stored["lam"])
    model = build_model(parts["model"], stored["dims"], terms)
    model.load_state_dict(stored["weights"])
    return model


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The entries of a checkpoint: the method, lambda, dims, preparation of the images, weights.

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

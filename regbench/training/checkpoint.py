"""Checkpoints: written whole with the method that made them, read back, and refused if they are anything else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, Self, TypedDict

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from regbench.data.cache import Dataset
from regbench.data.preprocessing.preparation import Preparation, StoredScaling
from regbench.losses.objective import MaskRule, Objective, objective
from regbench.models.predict import build_model
from regbench.study.config import Directions, MaskUse
from regbench.study.specs import ComponentSpec, TermSpec, TrainSpec
from regbench.study.terms import SUPERVISED
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.errors import RegbenchError
from regbench.system.files import CHECKPOINT, RUN, file_sha256, read_sealed, replacing
from regbench.training.archive import read_archive
from regbench.training.state import Weights
from regbench.training.validation import Validation

FORMAT = "regbench checkpoint 2"


class Checkpoint(BaseModel):
    """The entries of a checkpoint: the method, lambda, dims, preparation of the images, weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    format: Literal["regbench checkpoint 2"]
    model: ComponentSpec
    similarity: ComponentSpec
    regularizer: ComponentSpec
    lam: float | None = Field(gt=0, allow_inf_nan=False)
    dims: Literal[2, 3]
    preparation: Preparation
    weights: dict[str, Tensor] | None  # None where the run failed before it had any
    mask: MaskUse = "none"
    mask_regularizer: bool = False
    terms: tuple[TermSpec, ...] = ()
    directions: Directions = "one"

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        spacing, preparation = self.preparation.spacing_mm, self.preparation
        if spacing is not None and len(spacing) != self.dims:
            raise ValueError(f"preparation.spacing_mm must have {self.dims} numbers, but has {len(spacing)}")
        one = StoredScaling(preparation.intensity, preparation.percentiles, preparation.window)
        for scaling in (one, *preparation.by_modality.values()):
            if mistake := scaling.mistake():
                raise ValueError(f"preparation.{mistake}")
        return self


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
        **({"terms": [term.to_json() for term in spec.terms]} if spec.terms else {}),
        **spec.training.model_dump(include={"mask", "mask_regularizer", "directions"}, exclude_defaults=True),
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
    validation: Mapping[str, float | None]  # means over the validation pairs; in the file null where one is no number
    parameters: NotRequired[int]
    seconds: NotRequired[float]
    forward_passes: NotRequired[int]  # where a step has more than one
    validations: NotRequired[list[Validation]]
    second_half: NotRequired[dict[str, float] | None]
    checkpoint_sha256: NotRequired[str]  # once the checkpoint lies beside it


def load_run(folder: Path) -> tuple[RunRecord, nn.Module | None]:
    """The record and the model of a run; no model where the run failed before it had one.

    Raises:
        RegbenchError: if a file is missing, altered or no checkpoint of ours.
    """
    record: RunRecord = read_sealed(folder / RUN)
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
        RegbenchError: if the file is no whole checkpoint of ours, or names a function that is not allowed.
    """
    return model_of(read_checkpoint(path), path)


def objective_of(stored: Checkpoint) -> Objective:
    """The objective that the model of a checkpoint was trained with, as far as a pair alone tells it: by no labels.

    Raises:
        RegbenchError: if the checkpoint has no lambda.
    """
    if stored.lam is None:
        raise RegbenchError("a checkpoint must have a lambda, but its search found none. Give another.")
    rule = MaskRule(stored.mask, stored.mask_regularizer)
    terms = [term for term in stored.terms if term.name not in SUPERVISED]
    return objective(stored.similarity, stored.regularizer, stored.lam, rule, terms=terms, directions=stored.directions)


def model_of(stored: Checkpoint, path: Path) -> nn.Module | None:
    """The model of a checkpoint that was read.

    Args:
        stored: its entries.
        path: of the file, for messages.

    Raises:
        RegbenchError: if weights are not those of the model, or a component is not allowed or takes other parameters.
    """
    if stored.weights is None or stored.lam is None:
        return None
    try:
        terms = objective_of(stored)
        with torch.device("meta"):  # without memory: a file may name a model of any size
            empty = build_model(stored.model, stored.dims, terms)
        _check_sizes(stored.weights, {name: values.shape for name, values in empty.state_dict().items()})
        model = build_model(stored.model, stored.dims, terms)
        model.load_state_dict(stored.weights)
    except (RegbenchError, TypeError, ValueError, RuntimeError) as error:
        raise RegbenchError(f"`{path}`: {error}") from error
    return model


def _check_sizes(weights: Weights, sizes: Mapping[str, torch.Size]) -> None:
    """Compare weights with the model that they are for.

    Raises:
        RegbenchError: if any is missing, of another model or of another shape; names one.
    """
    for name in sorted(weights.keys() | sizes.keys()):
        given = tuple(weights[name].shape) if name in weights else "nothing"
        wanted = tuple(sizes[name]) if name in sizes else "nothing"
        if given != wanted:
            raise RegbenchError(f"weight `{name}` must be {wanted}, as its model says, but is {given}.")


def read_checkpoint(path: Path) -> Checkpoint:
    """The entries of a checkpoint, each of its type; nothing that it names is imported.

    Raises:
        RegbenchError: if the file is no whole checkpoint of ours.
    """
    try:
        stored = read_archive(path)
    except ValueError as error:
        raise RegbenchError(f"`{path}` must be a checkpoint of regbench, but cannot be read: {error}.") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise RegbenchError(
            f"`{path}` must be a checkpoint of this regbench (`{FORMAT}`). Train again, or give another."
        )
    try:
        return Checkpoint.model_validate(stored)
    except ValidationError as error:
        wrong = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise RegbenchError(
            f"`{path}` must be a checkpoint of this regbench, but of its entries: {'; '.join(wrong[:5])}."
        ) from None

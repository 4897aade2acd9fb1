"""One training: the loop that trials and final runs share, from the first weights to the last, interrupted or not."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from regbench.data.cache import Dataset
from regbench.losses.objective import MaskRule, Objective, objective
from regbench.models.predict import build_model, has_weights
from regbench.study.specs import TrainSpec
from regbench.study.terms import TERMS
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.errors import InterruptedTrainingError
from regbench.system.files import digest
from regbench.training.pruning import PruneSpec, RungReport
from regbench.training.resume import StateFile, stoppable
from regbench.training.state import Status
from regbench.training.trainer import Trainer
from regbench.training.training_log import POINTS, LogHeader, LogWriter, training_digest
from regbench.training.validation import Validation

LOG = logging.getLogger(__name__)
SAVE_EVERY = 300.0  # seconds between two states on disk
LOOK_EVERY = 25  # steps between two looks at the loss; a diverged run ends at the next


@dataclass
class Fit:
    """A trained model and how it got there."""

    model: nn.Module
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TERMS})
    validations: list[Validation] = field(default_factory=list)
    reports: list[RungReport] = field(default_factory=list)
    status: Status = "complete"
    reason: str = ""
    seconds: float = 0.0  # at work, also before it was interrupted


def fit(
    spec: TrainSpec,
    data: Dataset,
    *,
    prune: PruneSpec | None = None,
    state_path: Path | None = None,
    save_every: float = SAVE_EVERY,
    log_path: Path | None = None,
    points: int = POINTS,
    bar: bool = False,
) -> Fit:
    """Train one model on random ordered pairs of the training subjects.

    The same seed gives the same weights at the start and the same pairs in the same order whatever the loss, so the
    methods of a study differ in nothing but the loss. On CPU the result is the same to the bit, also where it was
    killed in between and went on from its state.

    Args:
        spec: of the training, with its lambda.
        data: prepared dataset.
        prune: what the training is held against at its rungs; None to let it run to its end.
        state_path: file that a killed training goes on from. It stays at the end: whoever writes the result deletes it
            then, so that what is killed in between goes on too. None to keep none.
        save_every: seconds between two writes of it.
        log_path: file that shows the training while it runs (`regbench.training.training_log`); None to keep none.
        points: of its curve at most.
        bar: show a progress bar.

    Returns:
        The model; status ``pruned`` if it was ended early, or
        ``diverged`` with the last finite weights and the reason if the loss became NaN or infinite.
        A model without weights (`instance`) comes back as it is: its work is done pair by pair.

    Raises:
        RegbenchError: if the spec has no lambda.
        InterruptedTrainingError: if SIGTERM came; the state is on disk.
    """
    torch.manual_seed(spec.seed)
    protocol, steps = spec.training, spec.training.steps
    device = devices.choose(protocol.device)
    objective_of = objective_at(spec)
    model = build_model(spec.model, len(data.shape), objective_of).to(device)
    header = _header(spec, data, device)
    if not has_weights(model):
        return _without_training(model, log_path, header)

    trainer = Trainer(spec, data, model, objective_of, prune=prune)
    key = digest([spec.to_json(), data.checksum, device.type, prune.to_json() if prune else None])
    file = StateFile(state_path, key, save_every)
    if trainer.resume_from(file):
        LOG.info("goes on from step %d of %d, kept in %s", trainer.state.step, steps, state_path)
    trainer.log_to(log_path, header, points=points)

    state, validate_every = trainer.state, protocol.validate_every
    began = time.monotonic() - state.seconds
    progress = tqdm(total=steps, initial=state.step, disable=not bar, desc=spec.method, unit="step")
    with stoppable() as stop, progress:
        while state.status == "running" and state.step < steps:
            batch = trainer.batch()
            state.record(trainer.step(batch))
            progress.update()
            last = state.step == steps
            if last or state.step % LOOK_EVERY == 0:
                progress.set_postfix(loss=f"{trainer.watch(LOOK_EVERY):.4f}")
            if validate_every and (last or state.step % validate_every == 0):
                trainer.validate()
            if state.step in trainer.rungs:
                trainer.judge()
            if file.due(stop.asked):
                state.seconds = time.monotonic() - began
                file.save(trainer.stored())
            if stop.asked and state.status == "running" and not last:
                trainer.write_log()
                raise InterruptedTrainingError(
                    f"stopped at step {state.step} of {steps}, state {file}. Run the command again."
                )
    if state.best and state.status != "diverged":
        model.load_state_dict(state.best)
    status: Status = "complete" if state.status == "running" else state.status
    seconds = time.monotonic() - began
    return Fit(model, state.history(spec.term_names), state.validations, state.reports, status, state.reason, seconds)


def objective_at(spec: TrainSpec) -> Objective:
    """The objective of a training at its lambda and weights."""
    protocol = spec.training
    rule = MaskRule(protocol.mask, protocol.mask_regularizer)
    return objective(
        spec.similarity, spec.regularizer, spec.weight, rule, terms=spec.further, directions=protocol.directions
    )


def _without_training(model: nn.Module, log_path: Path | None, header: LogHeader) -> Fit:
    """A model that optimises each pair by itself: no curve, but its log says when it began and by which code."""
    if log_path is not None:
        LogWriter(log_path, header)
    return Fit(model)


def _header(spec: TrainSpec, data: Dataset, device: torch.device) -> LogHeader:
    """The first line of a training's log."""
    return {
        "training": training_digest(spec.to_json(), data.checksum),
        "lam": spec.lam,
        "seed": spec.seed,
        "steps": spec.training.steps,
        "terms": list(spec.term_names),
        "data_sha256": data.checksum,
        "environment": provenance.environment(devices.describe(device)),
    }

"""One training: what trials and final runs share, from the first weights to the last, killed in between or not."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from regbench.data.cache import Dataset
from regbench.losses.objective import objective
from regbench.models.predict import build_model, trained
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.errors import InterruptedTrainingError
from regbench.system.files import digest
from regbench.training import resume
from regbench.training.trainer import TERMS, Training
from regbench.training.training_log import POINTS, Live, identity

LOG = logging.getLogger(__name__)
SAVE_EVERY = 300.0  # seconds between two states on disk


@dataclass
class Fit:
    """A trained model and how it got there."""

    model: nn.Module
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TERMS})
    validations: list[dict[str, float]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    status: str = "complete"
    reason: str = ""
    seconds: float = 0.0  # at work, also before it was interrupted


def fit(
    job: Mapping[str, Any],
    lam: float,
    data: Dataset,
    *,
    prune: Mapping[str, Any] | None = None,
    state: Path | None = None,
    save_every: float = SAVE_EVERY,
    live: Path | None = None,
    points: int = POINTS,
    bar: bool = False,
) -> Fit:
    """Train one model on random ordered pairs of the training subjects.

    The same seed gives the same weights at the start and the same pairs in the same order whatever the loss, so the
    methods of a study differ in nothing but the loss. On CPU the result is the same to the bit, also where it was
    killed in between and went on from its state.

    Args:
        job: slice of the config (`plan.train_job`).
        lam: weight of the regularizer.
        data: prepared dataset.
        prune: what the training is held against on its way (`prune.against`); None to let it run to its end.
        state: file that a killed training goes on from; deleted when done. None to keep none.
        save_every: seconds between two writes of it.
        live: file that whoever looks on reads (`regbench.training.training_log`); None to keep none.
        points: of its curve at most.
        bar: show a progress bar.

    Returns:
        The model; status ``pruned`` if it was ended early, or
        ``diverged`` with the last finite weights and the reason if the loss became NaN or infinite.
        A model without weights (`instance`) comes back as it is: its work is done pair by pair.

    Raises:
        InterruptedTrainingError: if SIGTERM came; the state is on disk.
    """
    torch.manual_seed(job["seed"])
    device = devices.choose(job["training"]["device"])
    terms = objective(job["similarity"], job["regularizer"], lam)
    model = build_model(job["model"], len(data.shape), terms).to(device)
    header = {
        "training": identity(job, lam, data.checksum),
        "lam": lam,
        "seed": job["seed"],
        "steps": job["training"]["steps"],
        "terms": list(TERMS),
        "data_sha256": data.checksum,
        "environment": provenance.environment(devices.describe(device)),
    }
    if not trained(model):
        if live is not None:
            Live(live, header)  # no curve, but when it began and by which code
        return Fit(model)
    training = Training(job, lam, data, model, terms, prune=prune)
    key = digest(
        {"job": dict(job), "lam": lam, "data": data.checksum, "device": device.type}
        | ({"prune": dict(prune)} if prune else {})
    )
    if state is not None and (stored := resume.load(state, key)) is not None:
        training.load(stored)
        LOG.info("goes on from step %d of %d, kept in %s", training.step, training.steps, state)
    if live is not None:
        training.live = Live(live, header, step=training.step, points=points)
        if training.recorded:
            training.live.add(training.step, torch.stack(training.recorded).double().tolist())
    saved = time.monotonic()
    started = saved - training.seconds
    progress = tqdm(total=training.steps, initial=training.step, disable=not bar, desc=job["method"], unit="step")
    with resume.stoppable() as stop, progress:
        while not training.done:
            training.advance(progress)
            if state is not None and (stop.asked or time.monotonic() - saved > save_every):
                training.seconds = time.monotonic() - started
                resume.save(state, key, training.state())
                saved = time.monotonic()
            if stop.asked and not training.done:
                if training.live is not None:
                    training.live.write()
                where = f"kept in `{state}`" if state else "not kept"
                raise InterruptedTrainingError(
                    f"stopped at step {training.step} of {training.steps}, state {where}. Run the command again."
                )
    if state is not None:
        state.unlink(missing_ok=True)
    training.finish()
    status = "diverged" if training.reason else "pruned" if training.pruned else "complete"
    reason, seconds = training.reason or training.pruned, time.monotonic() - started
    return Fit(model, training.history(), training.validations, training.reports, status, reason, seconds)

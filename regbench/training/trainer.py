"""What the loop of a training calls: a batch, a forward pass, a step down, and the looks at how it goes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from regbench.data.cache import Dataset
from regbench.losses.objective import Objective, Terms
from regbench.models.adam import Adam
from regbench.models.predict import device_of
from regbench.study.specs import TrainSpec
from regbench.system.device import compiled
from regbench.training.augment import augment
from regbench.training.batches import Batch, Batches, needs_of
from regbench.training.precision import Precision
from regbench.training.pruning import PruneSpec, verdict
from regbench.training.resume import StateFile
from regbench.training.schedule import SCHEDULES
from regbench.training.state import StoredState, TrainingState, divergence, has_finite_weights, weights_of
from regbench.training.step_graph import CudaGraphs, StepGraph, graphs
from regbench.training.training_log import MIB, LogHeader, LogWriter
from regbench.training.validation import is_best, means, out_of_patience, scoring, validate, validation


class Trainer:
    """The parts of one training, around a state that can be saved and taken up again."""

    def __init__(
        self,
        spec: TrainSpec,
        data: Dataset,
        model: nn.Module,
        objective: Objective,
        *,
        prune: PruneSpec | None = None,
    ) -> None:
        """Start at step 0.

        Args:
            spec: of the training, with its lambda.
            data: prepared dataset.
            model: with weights, on the device that it is trained on.
            objective: of its pairs.
            prune: what the training is held against at its rungs.
        """
        protocol, device = spec.training, device_of(model)
        self.spec, self.data, self.model, self.objective, self.device = spec, data, model, objective, device
        self.network = compiled(model, device) if protocol.compile else model
        self.batches = Batches(data, protocol, spec.seed, device, known=needs_of(spec.further))
        self.optimiser = Adam(model.parameters(), weight_decay=protocol.weight_decay)
        self.rate = SCHEDULES[protocol.schedule]
        self.precision = Precision(protocol.precision, device)
        self.scoring = scoring(spec, data)
        self.prune, self.rungs = prune, {rung.step for rung in prune.rungs} if prune else set[int]()
        self.state = TrainingState(good=weights_of(model))
        self.log: LogWriter | None = None
        self.graph = StepGraph(self.descend, CudaGraphs(), self.optimiser.parameters) if graphs(spec, device) else None

    def batch(self) -> Batch:
        """The batch of the step that comes, augmented."""
        random = np.random.default_rng([self.spec.seed, self.state.step, 1])
        return augment(self.batches[self.state.step], self.spec.training.augmentation, random)

    def forward(self, batch: Batch) -> Terms:
        """The objective of a batch, of which the network registers both directions where the objective needs them."""
        with self.precision.autocast():
            output = self.network(batch.fixed, batch.moving)
            backward = self.network(batch.moving, batch.fixed) if self.objective.two_way else None
        return self.objective(batch.fixed, batch.moving, output, batch.masks, backward=backward, known=batch.known)

    def step(self, batch: Batch) -> Tensor:
        """One step down, replayed from a graph where there is one.

        Returns:
            The loss and its terms before it, ``(n,)`` on the device.
        """
        protocol = self.spec.training
        share = self.rate(self.state.step, protocol.steps, protocol.warmup)
        self.optimiser.rate.fill_(protocol.learning_rate * share)
        return self.descend(batch) if self.graph is None else self.graph(batch)

    def descend(self, batch: Batch) -> Tensor:
        """Forward pass, backward pass and optimiser at the rate that it holds; no step where gradients overflowed."""
        terms = self.forward(batch)
        if self.precision.backward(terms.loss, self.optimiser.parameters):
            self.optimiser.descend()
        return torch.stack([term.detach().float() for term in terms.values()])

    def watch(self, since: int) -> float:
        """Look at the last steps: log them, and end the training with the last good weights where it diverged.

        Args:
            since: how many steps.

        Returns:
            Their mean loss.
        """
        state, steps = self.state, self.spec.training.steps
        latest = torch.stack(state.terms[-since:]).cpu()
        if self.log is not None:
            self.log.add(state.step, latest.double().tolist())
            if self.log.due() or state.step == steps:
                self.write_log()
        reason = divergence(state, self.model, latest, self.spec)
        if reason:
            self.model.load_state_dict(state.good)
            state.end("diverged", reason)
        else:
            state.good = weights_of(self.model)
        return float(latest[:, 0].mean())

    def validate(self) -> None:
        """Score the validation pairs; keep the best weights and stop early where the protocol says so."""
        state, protocol = self.state, self.spec.training
        if state.status == "diverged" or not has_finite_weights(self.model):
            return
        state.validations.append(validation(state.step, validate(self.model, self.data, self.scoring)))
        if protocol.keep == "best" and is_best(state.validations, self.scoring.goal):
            state.best = weights_of(self.model)
        if out_of_patience(protocol, state.validations, self.scoring.goal):
            state.end("complete")

    def judge(self) -> None:
        """At a rung of a trial: end it where earlier trials were better."""
        state = self.state
        if self.prune is None or state.status == "diverged" or not has_finite_weights(self.model):
            return
        scores = validate(self.model, self.data, self.scoring)
        state.reports.append({"step": state.step, "scores": scores})
        if reason := verdict(self.prune, state.step, scores, means(scores)):
            state.end("pruned", reason)

    def log_to(self, path: Path | None, header: LogHeader, *, points: int) -> None:
        """Show the training in a log from now on, what it has done so far included; a path of None shows it nowhere.

        Args:
            path: of the log.
            header: its first line.
            points: of its curve at most.
        """
        if path is None:
            return
        self.log = LogWriter(path, header, step=self.state.step, points=points)
        if self.state.terms:
            self.log.add(self.state.step, torch.stack(self.state.terms).double().tolist())

    def write_log(self) -> None:
        """Append what the log has not written yet."""
        if self.log is not None:
            self.log.write(torch.cuda.memory_reserved(self.device) / MIB if self.device.type == "cuda" else None)

    def stored(self) -> StoredState:
        """All that the rest of the training depends on, for `torch.save`."""
        return self.state.to_dict(self.model, self.optimiser, self.precision)

    def resume_from(self, file: StateFile) -> bool:
        """Take up what `stored` gave, if it lies in the file; whether it did."""
        stored = file.load()
        if stored is not None:
            self.state = TrainingState.from_dict(stored, self.model, self.optimiser, self.precision)
        return stored is not None

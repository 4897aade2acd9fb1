"""The state of one training and the step that advances it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regbench.data.cache import Dataset
from regbench.losses.objective import Terms, supervision
from regbench.models.adam import Adam
from regbench.models.predict import device_of, validate
from regbench.system.device import compiled
from regbench.training.augment import augment
from regbench.training.batches import Batch, Batches
from regbench.training.precision import Precision
from regbench.training.pruning import verdict
from regbench.training.schedule import SCHEDULES
from regbench.training.training_log import MIB, Live

CHECK_EVERY = 25  # steps between two looks at the loss; a diverged run ends at the next
TERMS = ("loss", "similarity", "regularizer")


class Training:
    """Everything that changes from step to step, so that it can be saved and taken up again."""

    def __init__(
        self,
        job: Mapping[str, Any],
        lam: float,
        data: Dataset,
        model: nn.Module,
        terms: Callable[..., Terms],
        *,
        prune: Mapping[str, Any] | None = None,
    ) -> None:
        self.prune = prune
        self.rungs = {rung["step"] for rung in prune["rungs"]} if prune else set[int]()
        self.reports, self.pruned = list[dict[str, Any]](), ""
        self.protocol, self.seed, self.lam, self.data = job["training"], job["seed"], lam, data
        self.model, self.terms, self.steps = model, terms, self.protocol["steps"]
        self.device = device_of(model)
        self.network = compiled(model, self.device) if self.protocol["compile"] else model
        self.optimiser = Adam(model.parameters(), weight_decay=self.protocol["weight_decay"])
        self.rate = SCHEDULES[self.protocol["schedule"]]
        self.precision = Precision(self.protocol["precision"], self.device)
        self.batches = Batches(data, self.protocol, self.seed, self.device)
        self.step, self.recorded, self.seconds = 0, list[Tensor](), 0.0
        self.good, self.best = _weights(model), dict[str, Tensor]()
        self.validations, self.reason, self.stopped = list[dict[str, float]](), "", False
        self.live: Live | None = None

    @property
    def done(self) -> bool:
        """Nothing is left to do: all steps, early stop, or divergence."""
        return self.stopped or bool(self.reason or self.pruned) or self.step >= self.steps

    def advance(self, progress: Any) -> None:
        """One step, and what is due after it."""
        found = self._descend(self._batch())
        # Kept on the device: reading a number each step would make a GPU wait.
        self.recorded.append(torch.stack([term.detach().float() for term in found]))
        self.step += 1
        progress.update()
        if self.step % CHECK_EVERY == 0 or self.step == self.steps:
            latest = torch.stack(self.recorded[-CHECK_EVERY:]).cpu()
            progress.set_postfix(loss=f"{latest[:, 0].mean():.4f}")
            self._tell(latest)
            if not latest.isfinite().all() or not _finite(self.model):
                self.model.load_state_dict(self.good)
                self.reason = _reason(self.recorded, self.steps, self.lam)
                return
            self.good = _weights(self.model)
        every = self.protocol["validate_every"]
        if every and (self.step % every == 0 or self.step == self.steps) and _finite(self.model):
            self._validate()
        if self.prune and self.step in self.rungs and _finite(self.model):
            scores = validate(self.model, self.data)
            self.reports.append({"step": self.step, **scores})
            self.pruned = verdict(self.prune, self.step, scores["dice"])

    def _tell(self, latest: Tensor) -> None:
        if self.live is None:
            return
        self.live.add(self.step, latest.double().tolist())
        if self.live.due() or self.step == self.steps:
            self.live.write(torch.cuda.memory_reserved(self.device) / MIB if self.device.type == "cuda" else None)

    def _batch(self) -> Batch:
        batch, wanted = self.batches[self.step], self.protocol["augmentation"]
        if not any(wanted.values()):
            return batch
        return augment(batch, wanted, np.random.default_rng([self.seed, self.step, 1]))

    def _descend(self, batch: Batch) -> Terms:
        with self.precision.autocast():
            output = self.network(batch.fixed, batch.moving)
        found = self.terms(batch.fixed, batch.moving, output)
        if batch.fixed_labels is not None and batch.moving_labels is not None:
            overlap = supervision(output, batch.fixed_labels, batch.moving_labels)
            found = found._replace(loss=found.loss + self.protocol["dice_weight"] * overlap)
        if self.precision.backward(found.loss, self.optimiser.parameters):
            share = self.rate(self.step, self.steps, self.protocol["warmup"])
            self.optimiser.step(self.protocol["learning_rate"] * share)
        return found

    def _validate(self) -> None:
        scores = {name: float(np.mean(values)) for name, values in validate(self.model, self.data).items()}
        before = max((entry["dice"] for entry in self.validations), default=-1.0)
        self.validations.append({"step": self.step, **scores})
        if scores["dice"] > before and self.protocol["keep"] == "best":
            self.best = _weights(self.model)
        top = max(self.validations, key=lambda entry: entry["dice"])["step"]
        since = sum(entry["step"] > top for entry in self.validations)
        self.stopped = self.protocol["patience"] is not None and since >= self.protocol["patience"]

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        return {
            "step": self.step,
            "weights": self.model.state_dict(),
            "good": self.good,
            "best": self.best,
            "optimiser": self.optimiser.state(),
            "scale": [self.precision.scale, self.precision.good],
            "recorded": torch.stack(self.recorded),
            "validations": self.validations,
            "reports": self.reports,
            "pruned": self.pruned,
            "stopped": self.stopped,
            "reason": self.reason,
            "seconds": self.seconds,
            # Our models draw nothing while they train; a user's dropout does.
            "random": torch.get_rng_state(),
            "random_device": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a `state`."""
        self.model.load_state_dict(state["weights"])
        self.optimiser.load(state["optimiser"])
        self.good, self.best = ({k: v.to(self.device) for k, v in state[name].items()} for name in ("good", "best"))
        self.step, self.validations = state["step"], state["validations"]
        self.stopped, self.reason, self.seconds = state["stopped"], state["reason"], state["seconds"]
        self.reports, self.pruned = state["reports"], state["pruned"]
        self.precision.scale, self.precision.good = state["scale"]
        self.recorded = list(state["recorded"].to(self.device))
        torch.set_rng_state(state["random"])
        if state["random_device"] is not None:
            torch.cuda.set_rng_state(state["random_device"], self.device)

    def history(self) -> dict[str, list[float]]:
        """Each term at each step before the first that is not finite."""
        values = torch.stack(self.recorded).cpu().double()
        values = values[: int(values.isfinite().all(1).cummin(0).values.sum())]
        return {name: values[:, k].tolist() for k, name in enumerate(TERMS)}

    def finish(self) -> None:
        """Leave in the model the weights that the protocol keeps."""
        if self.best and not self.reason:
            self.model.load_state_dict(self.best)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _finite(model: nn.Module) -> bool:
    return all(bool(value.isfinite().all()) for value in model.parameters())


def _reason(recorded: list[Tensor], steps: int, lam: float) -> str:
    """What a diverged run says: the first step whose loss is not finite, its terms, and lambda."""
    values = torch.stack(recorded).cpu()
    bad = (~values.isfinite().all(1)).nonzero()
    first = int(bad[0]) if len(bad) else len(recorded) - 1
    terms = ", ".join(f"{name} {float(value):g}" for name, value in zip(TERMS, values[first], strict=True))
    what = "loss" if len(bad) else "weights"
    return f"{what} not finite at step {first + 1} of {steps}: {terms}, lambda {lam:g}; last good weights kept"

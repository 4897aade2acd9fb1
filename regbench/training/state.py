"""All that changes from step to step of a training, so that a killed one goes on, and the guard against divergence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn

from regbench.models.adam import Adam
from regbench.study.specs import TrainSpec
from regbench.training.precision import Precision
from regbench.training.pruning import RungReport
from regbench.training.validation import Validation

Status = Literal["running", "complete", "diverged", "pruned"]
Weights = dict[str, Tensor]


class StoredState(TypedDict):
    """A training as it is saved: a `TrainingState`, the weights of its model, and all else that is drawn or grows.

    Attributes:
        optimiser: see `regbench.models.adam.Adam.state`.
        scale: of the loss in half precision, and the steps since it last changed.
        random, random_device: states of the generators of random numbers, on the CPU and on the GPU if there is one.
    """

    step: int
    validations: list[Validation]
    reports: list[RungReport]
    status: Status
    reason: str
    seconds: float
    good: Weights
    best: Weights
    terms: Tensor
    weights: Weights
    optimiser: dict[str, list[Tensor]]
    scale: tuple[float, int]
    random: Tensor
    random_device: Tensor | None


@dataclass
class TrainingState:
    """How far a training has come, beside the weights of its model and the moments of its optimiser.

    Attributes:
        step: steps done.
        terms: ``(n,)`` a step, the loss and its terms, on the device: reading a number each step would make a GPU wait.
        good: the last weights that were finite together with the loss.
        best: the weights of the best validation, where the protocol keeps them.
        status: ``complete`` once early stopping ended it.
        reason: why it diverged or was pruned.
        seconds: at work, also before it was interrupted.
    """

    good: Weights
    best: Weights = field(default_factory=dict)
    step: int = 0
    terms: list[Tensor] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    reports: list[RungReport] = field(default_factory=list)
    status: Status = "running"
    reason: str = ""
    seconds: float = 0.0

    def record(self, terms: Tensor) -> None:
        """Count a step and keep its terms ``(n,)``."""
        self.terms.append(terms)
        self.step += 1

    def end(self, status: Status, reason: str = "") -> None:
        """Let no further step follow."""
        self.status, self.reason = status, reason

    def history(self, names: Sequence[str]) -> dict[str, list[float]]:
        """Each term, by its name, at each step before the first that is not finite."""
        values = torch.stack(self.terms).cpu().double()
        values = values[: int(values.isfinite().all(1).cummin(0).values.sum())]
        return {name: values[:, k].tolist() for k, name in enumerate(names)}

    def to_dict(self, model: nn.Module, optimiser: Adam, precision: Precision) -> StoredState:
        """All that the rest of the training depends on, for `torch.save`."""
        device = precision.device
        return {
            "step": self.step,
            "validations": self.validations,
            "reports": self.reports,
            "status": self.status,
            "reason": self.reason,
            "seconds": self.seconds,
            "good": self.good,
            "best": self.best,
            "terms": torch.stack(self.terms),
            "weights": model.state_dict(),
            "optimiser": optimiser.state(),
            "scale": (precision.scale, precision.good),
            # Our models draw nothing while they train; a user's dropout does.
            "random": torch.get_rng_state(),
            "random_device": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    @classmethod
    def from_dict(cls, stored: StoredState, model: nn.Module, optimiser: Adam, precision: Precision) -> "TrainingState":
        """The state that `to_dict` gave; the model, its optimiser and the random numbers are put back too."""
        device = precision.device
        model.load_state_dict(stored["weights"])
        optimiser.load(stored["optimiser"])
        precision.scale, precision.good = stored["scale"]
        torch.set_rng_state(stored["random"])
        if stored["random_device"] is not None:
            torch.cuda.set_rng_state(stored["random_device"], device)
        return cls(
            good={name: value.to(device) for name, value in stored["good"].items()},
            best={name: value.to(device) for name, value in stored["best"].items()},
            step=stored["step"],
            terms=list(stored["terms"].to(device)),
            validations=stored["validations"],
            reports=stored["reports"],
            status=stored["status"],
            reason=stored["reason"],
            seconds=stored["seconds"],
        )


def weights_of(model: nn.Module) -> Weights:
    """A copy of a model's weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def has_finite_weights(model: nn.Module) -> bool:
    """Whether no parameter is NaN or infinite."""
    return all(bool(value.isfinite().all()) for value in model.parameters())


def divergence(state: TrainingState, model: nn.Module, latest: Tensor, spec: TrainSpec) -> str:
    """Why a training diverged, with its first bad step; empty where the latest terms and the weights are finite.

    Args:
        state: of the training.
        model: its model.
        latest: ``(steps, n)``, the terms since the last look, on the CPU.
        spec: of the training.
    """
    if latest.isfinite().all() and has_finite_weights(model):
        return ""
    values = torch.stack(state.terms).cpu()
    bad = (~values.isfinite().all(1)).nonzero()
    first = int(bad[0]) if len(bad) else state.step - 1
    terms = ", ".join(f"{name} {float(value):g}" for name, value in zip(spec.term_names, values[first], strict=True))
    what = "loss" if len(bad) else "weights"
    where = f"{what} not finite at step {first + 1} of {spec.training.steps}: {terms}, lambda {spec.weight:g}"
    return f"{where}; last good weights kept"

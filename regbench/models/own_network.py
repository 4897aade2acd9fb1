"""Whether a user's own network gives what a training needs, on small samples: type, shape, finiteness, gradient."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from regbench.models.own_samples import Seen, mistakes, notes, raised, refused
from regbench.models.predict import build_model
from regbench.spatial.registration import parts
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError

# What a network raises that an image does not fit: the shape of the data is tried once it is known.
OF_SHAPES = (ValueError, RuntimeError, AssertionError, IndexError)


def network_mistakes(name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a network of the user's own (`own_samples.mistakes`)."""
    return mistakes(name, given, _on_sample)


def network_notes(name: str, given: Mapping[str, Any]) -> list[str]:
    """A line where a network takes no sample."""
    return notes(name, given, _on_sample, "its numbers and gradients were")


def _on_sample(name: str, given: Mapping[str, Any], shape: tuple[int, ...]) -> Seen:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(ComponentSpec(name=name, parameters=dict(given)), len(shape))
            output = parts(model(torch.rand(1, 1, *shape), torch.rand(1, 1, *shape)))
            return Seen(_fault(model, output.displacement, shape) or _lacking_gradient(model, output.penalised))
    except (TypeError, RegbenchError) as error:
        return Seen(" ".join(str(error).split()))
    except OF_SHAPES as error:
        return refused(error)
    except Exception as error:  # noqa: BLE001  whatever a user's own code does
        return raised(error, shape)


def _fault(model: nn.Module, displacement: Tensor, shape: tuple[int, ...]) -> str:
    wanted = (1, len(shape), *shape)
    if tuple(displacement.shape) != wanted:
        return f"must give a displacement {wanted} for images {(1, 1, *shape)}, but gave {tuple(displacement.shape)}"
    if not displacement.is_floating_point():
        return f"must give a displacement in floating point, but gave {displacement.dtype}"
    if not bool(displacement.isfinite().all()):
        return "must give a finite displacement, but gave NaN or inf for images in [0, 1]"
    if not any(weights.requires_grad for weights in model.parameters()):
        return "must have weights to train, but has none"
    return ""


def _lacking_gradient(model: nn.Module, penalised: Tensor) -> str:
    """Of a sum in which each component counts otherwise, so that nothing cancels."""
    if not penalised.requires_grad:
        return "must give a displacement with a gradient, but its output is detached from its weights"
    (penalised * torch.rand_like(penalised)).sum().backward()  # type: ignore[no-untyped-call]  # of torch
    gradients = [weights.grad for weights in model.parameters() if weights.grad is not None]
    if not gradients:
        return "must have weights that its displacement depends on, but no gradient reaches any"
    if not all(bool(gradient.isfinite().all()) for gradient in gradients):
        return "must have finite gradients, but one has NaN or inf for images in [0, 1]"
    return ""

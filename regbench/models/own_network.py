"""Whether a user's own network gives what a training needs, on small samples: type, shape, finiteness, gradient."""

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regbench.models.predict import build_model
from regbench.spatial.registration import parts
from regbench.study.components import imported
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError

SAMPLES = ((64, 64), (32, 32, 32))  # voxels of an image; a network may serve one of the two dimensions
# What a network raises that an image does not fit: the shape of the data is tried once it is known.
OF_SHAPES = (ValueError, RuntimeError, AssertionError, IndexError)


class _Seen(NamedTuple):
    """What a network does with a sample; both are empty where nothing is wrong.

    Attributes:
        fault: what it gives that no training can take, or what it raises that no image is to blame for.
        refusal: what it raises, where another image might do.
    """

    fault: str = ""
    refusal: str = ""


def network_mistakes(name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a network of the user's own, as `components.mistakes` lists mistakes; nothing is said of ours.

    It is right if it serves images of 2 or of 3 dimensions.
    """
    tried = _tried(name, given)
    faults = [] if _Seen() in tried else [seen.fault for seen in tried if seen.fault]
    return [("", f"`{name}`: {faults[0]}")] if faults else []


def network_notes(name: str, given: Mapping[str, Any]) -> list[str]:
    """A line where a network takes neither sample, so that nothing is known of what it gives."""
    tried = _tried(name, given)
    if not tried or not all(seen.refusal for seen in tried):
        return []
    refusals = "; ".join(f"{_size(shape)}: {seen.refusal}" for shape, seen in zip(SAMPLES, tried, strict=True))
    return [f"`{name}` takes no small sample, so its numbers and gradients were not looked at ({refusals})"]


def _tried(name: str, given: Mapping[str, Any]) -> tuple[_Seen, ...]:
    if ":" not in name:
        return ()
    return _on_samples(imported(name), name, json.dumps(given, default=str))


@functools.cache
def _on_samples(_: object, name: str, parameters: str) -> tuple[_Seen, ...]:
    """Once for each function and set of parameters: a search asks for many."""
    component = ComponentSpec(name=name, parameters=json.loads(parameters))
    seen: list[_Seen] = []
    for shape in SAMPLES:
        if _Seen() not in seen:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                seen.append(_on_sample(component, shape))
    return tuple(seen)


def _on_sample(component: ComponentSpec, shape: tuple[int, ...]) -> _Seen:
    try:
        model = build_model(component, len(shape))
        output = parts(model(torch.rand(1, 1, *shape), torch.rand(1, 1, *shape)))
        return _Seen(_fault(model, output.displacement, shape) or _lacking_gradient(model, output.penalised))
    except (TypeError, RegbenchError) as error:
        return _Seen(" ".join(str(error).split()))
    except OF_SHAPES as error:
        return _Seen(refusal=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    except Exception as error:  # noqa: BLE001  whatever a user's own code does
        return _Seen(f"raised {type(error).__name__} for images of {_size(shape)} voxels: {error}")


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


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

"""Building a model and registering pairs with it."""

import inspect
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regbench.components import bind, find
from regbench.data.cache import Dataset
from regbench.metrics import dice, ndv_percent
from regbench.models import AFFINE_MODELS, MODELS
from regbench.models.output import parts
from regbench.objective import Terms
from regbench.spatial import warp_labels

ALL_MODELS = {**MODELS, **AFFINE_MODELS}


def build_model(component: Mapping[str, Any], dims: int, terms: Callable[..., Terms] | None = None) -> nn.Module:
    """The model of a method for images of `dims` dimensions; one that optimises the objective itself is given it."""
    function = find(ALL_MODELS, component["name"])
    given = {"objective": terms} if "objective" in inspect.signature(function).parameters else {}
    model = bind(ALL_MODELS, component["name"], component["parameters"])(dims, **given)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model `{component['name']}` must return a torch.nn.Module, but got {type(model).__name__}")
    return model


def validate(model: nn.Module, data: Dataset, split: str = "validation") -> dict[str, list[float]]:
    """Dice (mean over labels) and NDV of each pair of a split, in the order of the manifest."""
    scores: dict[str, list[float]] = {"dice": [], "ndv_percent": []}
    for fixed, moving in data.pairs(split):
        pair = data.pair(fixed, moving)
        displacement = register(model, pair.fixed, pair.moving)
        moved = warp_labels(pair.moving_labels, displacement)
        per_label = dice(pair.fixed_labels, moved, list(data.labels), moving=pair.moving_labels)
        scores["dice"].append(float(np.nanmean(list(per_label.values()))))
        scores["ndv_percent"].append(ndv_percent(displacement))
    return scores


@torch.no_grad()
def register(model: nn.Module, fixed: Any, moving: Any) -> Any:
    """Displacement ``(d, *S)`` float32, voxels, of one pair of ``(*S)`` arrays."""
    device = device_of(model)
    images = [torch.from_numpy(np.array(image, dtype=np.float32))[None, None].to(device) for image in (fixed, moving)]
    model.eval()
    displacement: Tensor = parts(model(*images)).displacement[0].float().cpu()
    model.train()
    return displacement.numpy()


def device_of(model: nn.Module) -> torch.device:
    """Where a model computes; a model without weights has a buffer that says so."""
    return next(chain(model.parameters(), model.buffers())).device

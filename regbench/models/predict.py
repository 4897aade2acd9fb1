"""Building a model and registering pairs with it."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regbench.data.cache import Dataset, Pair
from regbench.losses.masks import Masks, needed
from regbench.losses.objective import Terms
from regbench.metrics import displacement_mm
from regbench.models import AFFINE_MODELS, MODELS
from regbench.models.instance import Optimisation
from regbench.spatial.registration import parts
from regbench.study.components import bind, find
from regbench.study.config import MaskUse
from regbench.study.specs import ComponentSpec
from regbench.system import device as devices

TOGETHER = 2**17  # voxels of the pairs that are optimised side by side
SELF_PAIRS, FEW = 8, 2  # how many images meet themselves: of a network a pass each, else an optimisation
ALL_MODELS = {**MODELS, **AFFINE_MODELS}


def build_model(component: ComponentSpec, dims: int, terms: Callable[..., Terms] | None = None) -> nn.Module:
    """The model of a method for images of `dims` dimensions; one that optimises the objective itself is given it."""
    function = find(ALL_MODELS, component.name)
    given = {"objective": terms} if "objective" in inspect.signature(function).parameters else {}
    model = bind(ALL_MODELS, component.name, component.parameters)(dims, **given)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model `{component.name}` must return a torch.nn.Module, but got {type(model).__name__}")
    return model


def registered(
    model: nn.Module, data: Dataset, split: str
) -> Iterator[tuple[tuple[str, str], Pair, NDArray[np.float32]]]:
    """The names, the pair and its displacement, for each pair of a split in the order of the manifest."""
    for names, pair, displacement in registered_on_device(model, data, split):
        yield names, pair, displacement.cpu().numpy()


def registered_on_device(
    model: nn.Module, data: Dataset, split: str
) -> Iterator[tuple[tuple[str, str], Pair, torch.Tensor]]:
    """As `registered`, with displacements ``(d, *S)`` float32 that stay where the model computes.

    A network takes one pair at a time. Where each pair is optimised, several go side by side. On a CPU small ones do:
    what a step costs there is mostly the calling of torch. On a GPU as many do as its memory holds, by what the first
    one needed, and always a power of two: the mean over the batch is then undone without rounding (`optimised`), so
    that each pair has the bits that it has alone, wherever torch computes each voxel alike.
    """
    every, first, device = data.pairs(split), 0, device_of(model)
    optimised = not has_weights(model)
    budget = devices.budget(device) if optimised else None
    small = max(TOGETHER // int(np.prod(data.shape)), 1)
    room = small if optimised and budget is None else 1
    while first < len(every):
        left = len(every) - first
        names = every[first : first + (room if budget is None else _power_of_two(min(room, left)))]
        first += len(names)
        pairs = [data.pair(*pair_names) for pair_names in names]
        images = (np.stack([pair.fixed for pair in pairs]), np.stack([pair.moving for pair in pairs]))
        masks = masks_of([(pair.fixed_mask, pair.moving_mask) for pair in pairs], mask_use(model))
        work = partial(_displacements, model, *images, masks)
        if budget is not None and first == 1:
            displacements, peak = devices.with_peak(work, device)
            room = max(budget // max(peak, 1), 1)
        else:
            displacements = work()
        yield from zip(names, pairs, displacements, strict=True)
        del displacements  # the next ones need its room


def _power_of_two(number: int) -> int:
    """The largest that is not above a number, 1 or more."""
    return 1 << (number.bit_length() - 1)


def register(model: nn.Module, fixed: Any, moving: Any, masks: tuple[Any, Any] = (None, None)) -> NDArray[np.float32]:
    """Displacement ``(d, *S)`` float32, voxels, of one pair of ``(*S)`` arrays.

    Args:
        model: that registers.
        fixed: array.
        moving: array.
        masks: of the fixed and the moving array, for a model that optimises the pair by masks; others see none.
    """
    images = (np.asarray(fixed)[None], np.asarray(moving)[None])
    displacements = _displacements(model, *images, masks_of([masks], mask_use(model)))
    displacement: NDArray[np.float32] = displacements[0].cpu().numpy()
    return displacement


def mask_use(model: nn.Module) -> MaskUse:
    """Which masks a registration needs: a network saw them in its training alone."""
    return model.mask_use if isinstance(model, Optimisation) else "none"


def masks_of(pairs: Sequence[tuple[Any, Any]], use: MaskUse) -> Masks:
    """The masks that count of some pairs of ``(*S)`` arrays, as float32 ``(B, 1, *S)``; None where they do not.

    Raises:
        RegbenchError: if one that counts is missing.
    """
    both = [
        None if any(mask is None for mask in masks) else torch.from_numpy(np.stack(masks).astype(np.float32))[:, None]
        for masks in zip(*pairs, strict=True)
    ]
    return needed(Masks(*both), use)


def self_displacements(model: nn.Module, data: Dataset, *, masked: bool = False) -> dict[str, float]:
    """Mean length in mm of the displacement that a model finds between a test image and itself, by its subject.

    Args:
        model: that registers.
        data: prepared dataset.
        masked: the mean is over the inside of the subject's mask.
    """
    count = FEW if optimises(model) else SELF_PAIRS
    fixed = list(dict.fromkeys(name for name, _ in data.pairs("test")))[:count]
    lengths = {}
    for name in fixed:
        image, mask = data.images((name,))[0], data.mask(name)
        field = register(model, image, image, (mask, mask))
        lengths[name] = displacement_mm(field, data.spacing_mm, mask=mask if masked else None)
    return lengths


@torch.no_grad()
def _displacements(model: nn.Module, fixed: NDArray[Any], moving: NDArray[Any], masks: Masks) -> torch.Tensor:
    """``(B, d, *S)`` float32 of images ``(B, *S)``, where the model computes."""
    device = device_of(model)
    images = [devices.sent(torch.from_numpy(np.array(image, np.float32))[:, None], device) for image in (fixed, moving)]
    given = {} if masks == Masks() else {"masks": Masks(*(None if mask is None else mask.to(device) for mask in masks))}
    model.eval()
    displacements: torch.Tensor = parts(model(*images, **given)).displacement.float()
    model.train()
    return displacements


def has_weights(model: nn.Module) -> bool:
    """Whether a model has weights to train; `instance` has none."""
    return next(model.parameters(), None) is not None


def optimises(model: nn.Module) -> bool:
    """Whether each pair is optimised, which takes long: by a model without weights, or after a network."""
    return isinstance(model, Optimisation) or not has_weights(model)


def device_of(model: nn.Module) -> torch.device:
    """Where a model computes; a model without weights has a buffer that says so."""
    return next(chain(model.parameters(), model.buffers())).device

"""One training: the loop that trials and final runs share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from regbench import device as devices
from regbench.adam import Adam
from regbench.components import bind
from regbench.data.cache import Dataset
from regbench.metrics import dice, ndv_percent
from regbench.models import MODELS
from regbench.objective import objective
from regbench.spatial import warp_labels

CHECK_EVERY = 25  # steps between two looks at the loss; a diverged run ends at the next
TERMS = ("loss", "similarity", "regularizer")


@dataclass
class Fit:
    """A trained model and how it got there."""

    model: nn.Module
    history: dict[str, list[float]] = field(default_factory=dict)
    status: str = "complete"
    reason: str = ""


def build_model(component: Mapping[str, Any], dims: int) -> nn.Module:
    """The network of a method for images of `dims` dimensions."""
    model = bind(MODELS, component["name"], component["parameters"])(dims)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model `{component['name']}` must return a torch.nn.Module, but got {type(model).__name__}")
    return model


def fit(job: Mapping[str, Any], lam: float, data: Dataset, *, bar: bool = False) -> Fit:
    """Train one model on random ordered pairs of the training subjects.

    The same seed gives the same weights at the start and the same pairs in the same order whatever the loss, so the
    methods of a study differ in nothing but the loss. On CPU the result is the same to the bit.

    Args:
        job: slice of the config (`plan.train_job`).
        lam: weight of the regularizer.
        data: prepared dataset.
        bar: show a progress bar.

    Returns:
        The model; status ``diverged`` with the last finite weights and the reason if the loss became NaN or infinite.
    """
    protocol, seed = job["training"], job["seed"]
    device = devices.choose(protocol["device"])
    torch.manual_seed(seed)
    model = build_model(job["model"], len(data.shape)).to(device)
    terms = objective(job["similarity"], job["regularizer"], lam)
    optimiser = Adam(model.parameters())
    steps = protocol["steps"]
    images = torch.from_numpy(data.images(data.split("train"))).unsqueeze(1).to(device)
    draws = _pairs(len(images), steps, protocol["batch"], seed, _prescribed(data))

    recorded: list[Tensor] = []
    good = _weights(model)
    result = Fit(model)
    progress = tqdm(range(steps), disable=not bar, desc=job["method"], unit="step", dynamic_ncols=True)
    for step in progress:
        fixed, moving = images[draws[step, 0]], images[draws[step, 1]]
        found = terms(fixed, moving, model(fixed, moving))
        found.loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        optimiser.step(protocol["learning_rate"] * _one_cycle(step, steps, protocol["warmup"]))
        # Kept on the device: reading a number each step would make a GPU wait.
        recorded.append(torch.stack([term.detach().float() for term in found]))
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            latest = torch.stack(recorded[-CHECK_EVERY:]).cpu()
            progress.set_postfix(loss=f"{latest[:, 0].mean():.4f}")
            if not latest.isfinite().all() or not _finite(model):
                model.load_state_dict(good)
                result.status, result.reason = "diverged", _reason(recorded, steps, lam)
                break
            good = _weights(model)
    values = torch.stack(recorded).cpu().double()
    values = values[: int(values.isfinite().all(1).cummin(0).values.sum())]
    result.history = {name: values[:, k].tolist() for k, name in enumerate(TERMS)}
    return result


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
    device = next(model.parameters()).device
    images = [torch.from_numpy(np.array(image, dtype=np.float32))[None, None].to(device) for image in (fixed, moving)]
    model.eval()
    displacement: Tensor = model(*images)[0].float().cpu()
    model.train()
    return displacement.numpy()


def _one_cycle(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then half a cosine to nearly zero (Smith and Topin 2019, doi:10.1117/12.2520589)."""
    rise = max(round(warmup * steps), 1)
    if step < rise:
        return (step + 1) / rise
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(steps - rise, 1))))


def _pairs(subjects: int, steps: int, batch: int, seed: int, prescribed: Sequence[tuple[int, int]] = ()) -> Tensor:
    """Subject indices ``(steps, 2, batch)``: of the prescribed pairs, else of any two; none is paired with itself."""
    generator = np.random.default_rng([seed, subjects])
    if prescribed:
        chosen = np.array(prescribed)[generator.integers(0, len(prescribed), (steps, batch))]
        return torch.from_numpy(chosen.transpose(0, 2, 1).copy())
    fixed = generator.integers(0, subjects, (steps, batch))
    moving = (fixed + generator.integers(1, max(subjects, 2), (steps, batch))) % subjects
    return torch.from_numpy(np.stack([fixed, moving], 1))


def _prescribed(data: Dataset) -> list[tuple[int, int]]:
    """The training pairs that the data's authors prescribe, as indices of training subjects; none for most data."""
    place = {name: number for number, name in enumerate(data.split("train"))}
    return [(place[fixed], place[moving]) for fixed, moving in data.pairs("train")]


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

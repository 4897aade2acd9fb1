"""The range of lambda that a cell is searched in, where the config gives none: found before the first round.

No network is trained: a few validation pairs are registered by `instance` at one lambda a decade. So one range holds
for all models of a study, and every cell pays the same.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypedDict

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from regbench.data.cache import Dataset
from regbench.losses.objective import MaskRule, bound_term, objective
from regbench.models.predict import TOGETHER, build_model
from regbench.study.goals import FOLDING, default_goal, is_higher_better
from regbench.study.specs import ComponentSpec, RangeSpec
from regbench.study.terms import TWO_WAY
from regbench.system import device as devices
from regbench.system.errors import RegbenchError
from regbench.training.validation import Scoring, means, validate, wrong_goal

FARTHEST = 4  # decades beyond an end, one by one, while the best lambda lies there
MARGIN = 0.25  # of what the best lambda gains over no registration: where so much is lost, the range ends
ALIKE = 0.03  # of that gain: of lambdas that are so near to the best one the largest is taken for it
WIDEST = 2  # decades from the best lambda to an end, before the range is widened
BELOW, ABOVE = 100.0, 3.0  # factors by which it is widened: a network, smooth by itself, needs less lambda (measured)
STEPS = (20, 20, 15)  # of `instance`, coarse to fine
SHRINK = (4, 2, 1)
FEWEST_VOXELS = 16  # of the shortest side of shrunk images: a loss's window must fit
WAVES = 2  # of the probe, along each axis


class LambdaRange(TypedDict):
    """The file of a range.

    Attributes:
        range: lowest and highest lambda, of one digit.
        metric: what registrations are scored by.
        best: the tried lambda of the best score.
        lam: the tried lambdas, rising.
        scores: mean over the pairs at each; None where it is no number.
        unregistered: mean score without registration.
        pairs: (fixed, moving) that were registered.
        shrink: factor by which images were shrunk.
        at_end: the best lambda is the last that was tried.
        data_sha256: of the prepared data.
    """

    range: tuple[float, float]
    metric: str
    best: float
    lam: list[float]
    scores: list[float | None]
    unregistered: float
    pairs: list[list[str]]
    shrink: int
    at_end: bool
    data_sha256: str


def find_range(
    spec: RangeSpec, data: Dataset, device: str, score: Callable[[float, Callable[[], float]], float]
) -> LambdaRange:
    """Register a few pairs at each lambda, and see between which lambdas the registration is worth its while.

    Args:
        spec: of the search.
        data: prepared dataset.
        device: as `training.device`.
        score: ``(lambda, compute)``: what was computed before, or the result of `compute`, which it keeps.

    Raises:
        RegbenchError: if no registration gives a number; asks for `lambdas`.
    """
    few = data.with_pairs("validation", few_pairs(data.pairs("validation"), spec.pairs))
    shrink = shrinking(data.shape)
    unit = unit_at(spec.regularizer, data.shape, shrink)

    by = _scoring(spec, few)
    sign = 1.0 if is_higher_better(by.goal[0]) else -1.0

    def model_at(lam: float) -> torch.nn.Module:
        return _instance(spec, len(data.shape), lam / unit, shrink).to(devices.choose(device))

    def merit(exponent: int) -> float:
        lam = 10.0**exponent
        return sign * score(lam, lambda: _score(model_at(lam), few, by))

    curve = curve_of(merit, spec.decades)
    known = {exponent: value for exponent, value in curve.items() if math.isfinite(value)}
    cell = f"{spec.similarity.name} x {spec.regularizer.name}"
    if not known:
        raise RegbenchError(
            f"`lambdas` must give a range for {cell} on `{data.id}`: none can be found, as no registration of its "
            "validation pairs by `instance` has a score. Give a `range`, or a fixed `value`."
        )
    unregistered = sign * means(validate(_Nothing(), few, by))[by.goal[0]]
    best = best_of(known)
    return {
        "range": range_of(known, unregistered),
        "metric": by.goal[0],
        "best": 10.0**best,
        "lam": [10.0**exponent for exponent in curve],
        "scores": [float(f"{sign * value:.6g}") if math.isfinite(value) else None for value in curve.values()],
        "unregistered": float(f"{sign * unregistered:.6g}"),
        "pairs": [list(pair) for pair in few.pairs("validation")],
        "shrink": shrink,
        "at_end": best in (min(curve), max(curve)),
        "data_sha256": data.checksum,
    }


def curve_of(merit: Callable[[int], float], decades: tuple[int, int]) -> dict[int, float]:
    """How good each power of ten is of `decades`, and beyond them while the highest is at an end; rising."""
    low, high = decades
    curve = {exponent: merit(exponent) for exponent in range(low, high + 1)}
    for end, step in ((low, -1), (high, 1)):
        for further in range(1, FARTHEST + 1):
            known = {exponent: value for exponent, value in curve.items() if math.isfinite(value)}
            if not known or best_of(known) != end + (further - 1) * step:
                break
            curve[end + further * step] = merit(end + further * step)
    return dict(sorted(curve.items()))


def best_of(curve: dict[int, float]) -> int:
    """The exponent of the highest merit; of equal ones the larger lambda."""
    return max(curve, key=lambda exponent: (curve[exponent], exponent))


def range_of(curve: dict[int, float], unregistered: float) -> tuple[float, float]:
    """The lambdas around the best one that keep most of its gain, widened, and rounded outwards to one digit.

    Args:
        curve: merit (higher is better) by the exponent of lambda; numbers all.
        unregistered: that without registration; where no lambda gains on it, the widest range is taken.
    """
    highest = best_of(curve)
    gain = curve[highest] - unregistered
    best = max(lam for lam in curve if curve[lam] >= curve[highest] - ALIKE * max(gain, 0.0))
    enough = curve[highest] - MARGIN * gain if gain > 0 else -math.inf
    low = best - _reach([(best - k, curve[k]) for k in sorted(curve, reverse=True) if k <= best], enough)
    high = best + _reach([(k - best, curve[k]) for k in sorted(curve) if k >= best], enough)
    return _one_digit(10.0**low / BELOW, up=False), _one_digit(10.0**high * ABOVE, up=True)


def _reach(side: Sequence[tuple[int, float]], enough: float) -> float:
    """Decades from the best lambda to where the merit falls below `enough`, linearly between; at most `WIDEST`.

    Args:
        side: (decades from the best lambda, merit), from the best one on.
        enough: merit.
    """
    for (near, above), (far, below) in pairwise(side):
        if below < enough:
            return min(near + (far - near) * (above - enough) / (above - below), WIDEST)
    return WIDEST


def _one_digit(value: float, *, up: bool) -> float:
    exponent = math.floor(math.log10(value))
    digit = value / 10.0**exponent
    return float(f"{math.ceil(digit - 1e-9) if up else math.floor(digit + 1e-9)}e{exponent}")


def few_pairs(pairs: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """Some of the pairs, spread evenly over their list: not all have the same fixed image."""
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs[place] for place in places]


def shrinking(shape: Sequence[int]) -> int:
    """The power of two by which images are shrunk, so that `TOGETHER` voxels are left; 1 for small ones."""
    shrink = 1
    while math.prod(shape) > TOGETHER * shrink ** len(shape) and min(shape) // (2 * shrink) >= FEWEST_VOXELS:
        shrink *= 2
    return shrink


def unit_at(regularizer: ComponentSpec, shape: Sequence[int], shrink: int) -> float:
    """How many times larger the regularizer of a displacement is on the shrunk grid than on the whole one.

    A regularizer is of voxels of its own grid: of one that squares second derivatives, lambda means another weight at
    another resolution. Measured on one smooth displacement, written down on both grids.
    """
    if shrink == 1:
        return 1.0
    penalise = bound_term(regularizer)
    count = 2 if regularizer.name in TWO_WAY else 1  # displacements that it judges
    coarse = [size // shrink for size in shape]
    of_coarse, of_whole = (float(penalise(*[_probe(grid)] * count)) for grid in (coarse, shape))
    return of_coarse / of_whole if of_whole > 0 and of_coarse > 0 else 1.0


def _probe(grid: Sequence[int]) -> Tensor:
    """``(1, d, *S)``: waves of 2 % of each side, in voxels of the grid, a phase to each component."""
    places = torch.meshgrid(*[(torch.arange(size) + 0.5) / size for size in grid], indexing="ij")
    waves = [
        0.02 * size * sum(torch.sin(2 * math.pi * WAVES * place + axis) for place in places)
        for axis, size in enumerate(grid)
    ]
    return torch.stack([torch.as_tensor(wave) for wave in waves])[None]


def _scoring(spec: RangeSpec, data: Dataset) -> Scoring:
    """What registrations are scored by: the goal of the search, of several metrics the first.

    Raises:
        RegbenchError: if the data lack what it needs.
    """
    known = data.references("validation")
    goal = spec.metrics or default_goal(known)
    if fault := wrong_goal(goal, known):
        raise RegbenchError(f"dataset `{data.id}`: {fault}")
    return Scoring(goal[:1], (*goal[:1], FOLDING), (), spec.nsd_tolerance_mm)


def _instance(spec: RangeSpec, dims: int, lam: float, shrink: int) -> torch.nn.Module:
    """The model that optimises each pair, on shrunk images."""
    parameters: dict[str, JsonValue] = {
        "steps": list(STEPS),
        "shrink": [shrink * level for level in SHRINK],
        "diffeomorphic": False,
    }
    component = ComponentSpec(name="instance", parameters=parameters)
    rule = MaskRule(spec.mask, spec.mask_regularizer)
    return build_model(component, dims, objective(spec.similarity, spec.regularizer, lam, rule))


def _score(model: torch.nn.Module, data: Dataset, by: Scoring) -> float:
    """Mean score of the validation pairs; NaN where it is no number."""
    return means(validate(model, data, by))[by.goal[0]]


class _Nothing(torch.nn.Module):
    """No registration."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.empty(0), persistent=False)  # so that it says where it computes

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        return fixed.new_zeros((len(fixed), fixed.ndim - 2, *fixed.shape[2:]))

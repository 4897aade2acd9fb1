"""Gradients: against finite differences, against float64 on easy and hard data, and in half precision."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import product
from math import inf, isnan, nan
from typing import NamedTuple

import torch
from torch import Tensor

from regbench.losses.audit import samples
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.calls import Outcome, outcome
from regbench.losses.audit.findings import RAW, Finding, Verdict

RIGHT, ROUGH = 1e-3, 0.1  # errors of a gradient, relative by norm: right to there; beyond the second it is wrong
HALF = (torch.float16, torch.bfloat16)


class Errors(NamedTuple):
    """Of one call against float64: of the gradient by norm, and of the value as a part of what it can differ by."""

    gradient: float
    value: float

    @property
    def text(self) -> str:
        """What is wrong."""
        gradient = "gradient not a number" if isnan(self.gradient) else f"gradient wrong by {self.gradient:.1g}"
        if isnan(self.value):
            return f"{gradient}, value not a number"
        return gradient + (f", value by {self.value:.1g} of its range" if self.value > ROUGH else "")

    @property
    def worst(self) -> float:
        """The larger one; infinite where a number is none."""
        return inf if isnan(worst := _largest(self.gradient, self.value)) else worst


def finite_differences(bench: Bench) -> Iterator[Finding]:
    """Whether the gradient is the slope of the value, along random directions, in float64; in float32 if it must be."""
    worst, coarse = 0.0, False
    for dims in bench.dims:
        inputs = bench.sample(dims)
        called, call = bench.itself_in_double(inputs), bench.itself_in_double
        if not called.differentiable:
            called, call = _in_single(bench, inputs), partial(_in_single, bench)
        rough = called.dtype != torch.float64
        coarse = coarse or rough
        step = 1e-2 if rough else 1e-6
        for seed in range(2):
            towards = _direction(inputs[-1], seed)
            ends = [call([*inputs[:-1], inputs[-1] + s * step * towards]) for s in (1, -1)]
            slope = (ends[0].value - ends[1].value) / (2 * step)
            error = abs(slope - float((called.slope * towards).sum())) / float(called.slope.norm() or 1)
            worst = _largest(worst, error)
    limits = (3e-2, 0.2) if coarse else (RIGHT, 0.05)
    words = {
        "pass": "is the slope of the value",
        "note": "is the slope of the value but for a part that counts as constant",
        "fail": "is not the slope of the value: a training descends elsewhere",
    }
    verdict = _verdict(worst, limits)
    yield Finding("finite differences", verdict, f"the gradient {words[verdict]} ({worst:.1g})", (("error", worst),))


def order_one(bench: Bench) -> Iterator[Finding]:
    """float32 against float64 on images of order one, or on displacements."""
    if bench.audited.kind == "similarity":
        yield from _compared(bench, "precision", samples.ORDER_ONE)
    else:
        yield from _compared_fields(bench)


def unscaled(bench: Bench) -> Iterator[Finding]:
    """float32 against float64 on raw intensities."""
    yield from _compared(bench, RAW, samples.UNSCALED)


def constants(bench: Bench) -> Iterator[Finding]:
    """Images without any contrast: a finite value, and no gradient out of rounding."""
    errors: dict[str, float] = {}
    broken: dict[str, str] = {}
    for dims in bench.dims:
        typical = bench.call(samples.single(bench.sample(dims)))
        for name, change in samples.CONSTANT.items():
            images = samples.single(change(samples.pair(bench.shapes[dims])))
            called, exact = bench.call(images), bench.exact(images)
            if called.error or not _finite(called):
                gradient = "not finite" if called.differentiable else "missing"
                broken.setdefault(name, called.error or f"the value is {called.value:.3g}, the gradient {gradient}")
            elif called.differentiable and exact.differentiable and typical.differentiable:
                error = float((called.slope - exact.slope).norm() / typical.slope.norm())
                errors[name] = max(error, errors.get(name, 0.0))
    numbers = tuple(errors.items())
    if broken:
        words = "; ".join(f"{name}: {fault}" for name, fault in broken.items())
        yield Finding("constant images", "fail", words, numbers)
        return
    worst = max(errors.values(), default=0.0)
    if worst > ROUGH:
        name = max(errors, key=lambda key: errors[key])
        words = f"{name}: rounding makes a gradient {worst:.1g} times as large as that of ordinary images"
        yield Finding("constant images", "fail", words, numbers)
    elif worst > RIGHT:
        words = f"rounding makes a gradient {worst:.1g} times as large as that of ordinary images"
        yield Finding("constant images", "note", words, numbers)
    else:
        yield Finding("constant images", "pass", "a finite value, and no gradient out of rounding", numbers)


def half(bench: Bench) -> Iterator[Finding]:
    """Tensors of 16 bits, and autocast; a study gives its losses float32, outside of autocast."""
    errors: dict[str, float] = {}
    refused: dict[str, str] = {}
    for dims in bench.dims[:1]:
        for dtype in HALF:
            name = str(dtype).removeprefix("torch.")
            rounded = [tensor.to(dtype) for tensor in bench.sample(dims)]
            exact = bench.call([tensor.float() for tensor in rounded])
            _note_half(f"{name} tensors", bench.call(rounded), exact, errors, refused)
            if bench.audited.kind == "similarity":
                bright = samples.single([255 * image for image in bench.sample(dims)])
                called = outcome(bench.loss(bright[0].shape), bright, torch.autocast("cpu", dtype=dtype))
                _note_half(f"0..255 under {name} autocast", called, bench.exact(bright), errors, refused)
    wrong = [f"{name}: wrong by {error:.1g}" for name, error in errors.items() if error > ROUGH]
    words = [*wrong, *(f"{name}: {error}" for name, error in refused.items())]
    if words:
        yield Finding("half precision", "note", "; ".join(words) + " (a study gives float32)", tuple(errors.items()))
    else:
        yield Finding(
            "half precision",
            "pass",
            f"16 bits are off by {max(errors.values(), default=0.0):.1g}",
            tuple(errors.items()),
        )


def _note_half(name: str, called: Outcome, exact: Outcome, errors: dict[str, float], refused: dict[str, str]) -> None:
    if called.error:
        refused[name] = called.error
    elif called.differentiable and exact.differentiable:
        error = _relative(called.slope, exact.slope)
        if isnan(error):
            refused[name] = "NaN"
        else:
            errors[name] = error


def _compared(bench: Bench, topic: str, cases: dict[str, samples.Case]) -> Iterator[Finding]:
    def inputs(dims: int, name: str) -> list[Tensor]:
        return samples.single(cases[name](samples.pair(bench.shapes[dims])))

    def error(images: Sequence[Tensor], called: Outcome, exact: Outcome) -> float:
        same = [images[0], images[0]]
        ends = exact.value, bench.exact(same).value
        width = max(abs(ends[1] - ends[0]), 1e-3 * max(map(abs, ends))) or 1.0
        return _largest(abs(called.value - exact.value), _self_error(bench, same)) / width

    return _against_exact(bench, topic, cases, inputs, error)


def _in_single(bench: Bench, inputs: Sequence[Tensor]) -> Outcome:
    return bench.call(samples.single(inputs))


def _largest(*errors: float) -> float:
    """NaN where one is: `max` would leave it out, or take it for the largest, by their order."""
    return nan if any(map(isnan, errors)) else max(errors)


def _self_error(bench: Bench, same: Sequence[Tensor]) -> float:
    """Of the value of an image with itself, which cancellation throws far out of its range."""
    return abs(bench.call(same).value - bench.exact(same).value)


def _compared_fields(bench: Bench) -> Iterator[Finding]:
    cases: dict[str, Callable[[Tensor], Tensor]] = {
        "a displacement": lambda u: u,
        "the same + 100 voxels": lambda u: u + 100,
        "a thousandth of it": lambda u: 1e-3 * u,
    }
    if bench.audited.kind == "consistency":  # which a large translation carries out of the image
        del cases["the same + 100 voxels"]
    if bench.of_matrices:
        cases = {"a matrix": lambda matrix: matrix, "translations x 100": _far}

    def inputs(dims: int, name: str) -> list[Tensor]:
        return samples.single([cases[name](tensor) for tensor in bench.sample(dims)])

    def error(_: Sequence[Tensor], called: Outcome, exact: Outcome) -> float:
        return abs(called.value - exact.value) / (abs(exact.value) or 1.0)

    return _against_exact(bench, "precision", cases, inputs, error)


def _against_exact(
    bench: Bench,
    topic: str,
    names: Collection[str],
    inputs: Callable[[int, str], list[Tensor]],
    error: Callable[[Sequence[Tensor], Outcome, Outcome], float],
) -> Iterator[Finding]:
    """Values and gradients in float32 against those in float64.

    Args:
        bench: of the loss.
        topic: of the finding.
        names: of the cases.
        inputs: of a dimension and a case.
        error: of a value, from the inputs, the call in float32 and the exact one.
    """
    errors: dict[str, Errors] = {}
    words: list[str] = []
    for dims, name in product(bench.dims, names):
        given = inputs(dims, name)
        called, exact = bench.call(given), bench.exact(given)
        if called.error or not called.differentiable:
            words.append(f"{name}: {called.error or 'no gradient'}")
        elif not exact.differentiable:
            words.append(f"{name}: no reference, for in float64 it {exact.error or 'has no gradient'}")
        else:
            one = Errors(_relative(called.slope, exact.slope), error(given, called, exact))
            errors[name] = max(one, errors.get(name, one), key=lambda either: either.worst)
    yield _precision(topic, errors, words)


def _far(matrix: Tensor) -> Tensor:
    return torch.cat([matrix[..., :-1], 100 * matrix[..., -1:]], -1)


def _precision(topic: str, errors: dict[str, Errors], words: list[str]) -> Finding:
    numbers = tuple((f"{name}: {key}", getattr(one, key)) for name, one in errors.items() for key in one._fields)
    wrong = [f"{name}: {one.text}" for name, one in errors.items() if not one.worst <= ROUGH]
    rough = [f"{name}: off by {one.worst:.1g}" for name, one in errors.items() if RIGHT < one.worst <= ROUGH]
    unknown = [line for line in words if "no reference" in line]
    broken = [line for line in words if line not in unknown]
    if wrong or broken:
        return Finding(topic, "fail", "; ".join(dict.fromkeys([*broken, *wrong, *unknown])), numbers)
    if rough or unknown:
        return Finding(topic, "note", "; ".join(dict.fromkeys([*rough, *unknown])), numbers)
    worst = max((one.worst for one in errors.values()), default=0.0)
    return Finding(topic, "pass", f"{', '.join(errors)}: float32 is float64 to {worst:.1g}", numbers)


def _verdict(error: float, limits: tuple[float, float]) -> Verdict:
    if error <= limits[0]:
        return "pass"
    return "note" if error <= limits[1] else "fail"


def _relative(one: Tensor, exact: Tensor) -> float:
    """Error by norm; of a gradient that should be 0, its norm."""
    return float((one - exact).norm() / (exact.norm() or 1))


def _finite(called: Outcome) -> bool:
    if not torch.tensor(called.value).isfinite():
        return False
    return all(gradient is None or bool(gradient.isfinite().all()) for gradient in called.gradients)


def _direction(tensor: Tensor, seed: int) -> Tensor:
    """Random, but 0 at the extremes: a range of the image's own counts as constant in histograms."""
    towards = torch.randn(tensor.shape, generator=samples.random(seed), dtype=torch.double)
    inner = (tensor > tensor.min()) & (tensor < tensor.max())
    return torch.where(inner, towards, 0)

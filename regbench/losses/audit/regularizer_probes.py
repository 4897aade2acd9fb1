"""What a regularizer of displacements sees: rest, translations, axes, directions, size, the grid."""

from collections.abc import Iterator
from math import isfinite, log2

import torch
from torch import Tensor

from regbench.losses.audit import samples
from regbench.losses.audit.audited import keywords
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.findings import Finding
from regbench.losses.audit.samples import Shape

SIZES = (2.0, 12.0)  # of ripples in voxels: the second folds, for those who see nothing but folds


def rest(bench: Bench) -> Iterator[Finding]:
    """No displacement costs nothing, and has a finite gradient: a training starts there."""
    for dims in bench.dims:
        still = torch.zeros_like(bench.sample(dims)[0]).float()
        called = bench.call(bench.judged(still))
        typical = _typical(bench, dims)
        if called.error:
            yield Finding("at rest", "fail", f"of no displacement it {called.error}")
            return
        if called.gradients[-1] is not None and not called.slope.isfinite().all():
            yield Finding(
                "at rest", "fail", f"the gradient at no displacement is not finite in {dims}D: there a training starts"
            )
            return
        if not torch.tensor(called.value).isfinite() or called.value > typical:
            words = f"no displacement costs {called.value:.4g}, more than a rough one ({typical:.4g})"
            yield Finding("at rest", "fail", words)
            return
        if abs(called.value) > 1e-6 * abs(typical):
            yield Finding(
                "at rest", "note", f"no displacement costs {called.value:.4g}: a constant that changes nothing"
            )
            return
    yield Finding("at rest", "pass", "no displacement costs 0, with a finite gradient")


def translation(bench: Bench) -> Iterator[Finding]:
    """What a translation along each axis costs, and an affine map."""
    for dims in bench.dims:
        shape = bench.shapes[dims]
        rests = _cost(bench, torch.zeros_like(bench.sample(dims)[0]))
        costs = [_cost(bench, samples.translation(shape, k)) - rests for k in range(dims)]
        numbers = tuple((f"{dims}D, along axis {k}", cost) for k, cost in enumerate(costs))
        scale = max(map(abs, costs))
        together = _cost(bench, torch.stack([samples.translation(shape, k) for k in range(dims)]).sum(0)) - rests
        numbers = (*numbers, (f"{dims}D, along all axes", together))
        topic = f"translation in {dims}D"
        if not all(map(isfinite, (*costs, together))):
            yield Finding(topic, "fail", "what a translation costs is not finite", numbers)
            continue
        shown = ", ".join(f"{cost:.4g}" for cost in costs)
        if scale <= 1e-6 * _typical(bench, dims):
            affine = _cost(bench, _affine(shape)) - rests
            none = abs(affine) <= 1e-6 * _typical(bench, dims)
            words = f"costs nothing; an affine map {'neither' if none else f'costs {affine:.4g}'}"
            yield Finding(topic, "pass", words, (*numbers, ("affine map", affine)))
        elif abs(together) < min(map(abs, costs)) / 2 or max(costs) - min(costs) > 1e-4 * scale:
            words = f"of 3 voxels costs {shown} along axes 0 to {dims - 1}, and {together:.4g} along all at once"
            yield Finding(topic, "fail", f"{words}: components (axis 1) are compared with each other", numbers)
        else:
            words = f"of 3 voxels costs {shown} along each axis: it pulls towards no motion at all"
            yield Finding(topic, "note", words, numbers)


def axes(bench: Bench) -> Iterator[Finding]:
    """What a displacement costs that varies along one axis, and whether all axes cost the same in a cube."""
    for dims in bench.dims:
        shape = (max(bench.shapes[dims]),) * dims
        together, separate = _costs_of_ripples(bench, shape)
        scale = max(map(abs, (*together, *separate.values()))) or 1.0
        blind = [axis for axis, cost in enumerate(together) if abs(cost) <= 1e-6 * scale]
        mute = [k for k in range(dims) if all(abs(separate[k, axis]) <= 1e-6 * scale for axis in range(dims))]
        numbers = (
            *((f"{dims}D, all components along axis {axis}", cost) for axis, cost in enumerate(together)),
            *((f"{dims}D, component {k} along axis {axis}", cost) for (k, axis), cost in separate.items()),
        )
        topic, shown = f"axes in {dims}D", ", ".join(f"{cost:.4g}" for cost in together)
        if not isfinite(sum((*together, *separate.values()))):
            words = f"what a displacement of {' x '.join(map(str, shape))} voxels costs is not finite"
            yield Finding(topic, "fail", words, numbers)
        elif blind:
            words = f"axis {_listed(blind)} is not seen: what varies along axes 0 to {dims - 1} costs {shown}"
            yield Finding(topic, "fail", words, numbers)
        elif mute:
            yield Finding(topic, "fail", f"component {_listed(mute)} of the displacement is not seen", numbers)
        elif max(together) - min(together) > 1e-3 * scale:
            words = f"not alike in a cube: what varies along axes 0 to {dims - 1} costs {shown}"
            yield Finding(topic, "note", words, numbers)
        else:
            yield Finding(
                topic, "pass", f"all are seen, and alike: what varies along one costs {together[0]:.4g}", numbers
            )


def checkerboard(bench: Bench) -> Iterator[Finding]:
    """What it costs if voxels move against their neighbours, which central differences see at the border at most."""
    for dims in bench.dims:
        shape, size = bench.shapes[dims], SIZES[-1]
        places = samples.coordinates(shape)
        bump = torch.stack([torch.sin(torch.pi * (p + 0.5) / n) for p, n in zip(places, shape, strict=True)]).prod(0)
        board = (size * bump * (2 * (torch.stack(places).sum(0) % 2) - 1)).expand(1, dims, *shape).clone()
        wave = bump * torch.stack([samples.ripple(shape, k, 0, size) for k in range(dims)]).sum(0)
        rests = _cost(bench, torch.zeros_like(board))
        cost, other = _cost(bench, board) - rests, _cost(bench, wave) - rests
        numbers = ((f"{dims}D, checkerboard", cost), (f"{dims}D, wave of 7 voxels", other))
        if not cost > other:
            words = f"costs {cost:.4g} in {dims}D, less than a wave ({other:.4g}): it escapes central differences"
            yield Finding("checkerboard", "note", words, numbers)
            return
    yield Finding("checkerboard", "pass", "costs more than a wave", numbers)


def growth(bench: Bench) -> Iterator[Finding]:
    """Sign, and by which power the value grows with the displacement."""
    dims = bench.dims[0]
    shape = bench.shapes[dims]
    u = samples.field(shape, 5)
    rests = _cost(bench, torch.zeros_like(u))
    one, two, four = (_cost(bench, size * u) - rests for size in (1, 2, 4))
    plain = samples.field(shape, 5, rough=0.0)
    smooth = _cost(bench, plain * (u.norm() / plain.norm())) - rests
    numbers = (("u", one), ("2 u", two), ("4 u", four), ("smooth u", smooth))
    lowest = min(one, two, four, smooth)
    if lowest < -1e-6 * max(map(abs, (one, two, four))):
        yield Finding("sign", "fail", f"a displacement costs {lowest:.4g} less than none: it rewards motion", numbers)
        return
    if smooth > 1.05 * one:
        words = f"a smooth displacement costs more ({smooth:.4g}) than a rough one of its size ({one:.4g})"
        yield Finding("sign", "note", words, numbers)
    else:
        yield Finding("sign", "pass", f"a rough displacement costs {one:.4g}, a smooth one {smooth:.4g}", numbers)
    if min(one, two, four) > 0:
        powers = log2(two / one), log2(four / two)
        even = abs(powers[0] - powers[1]) < 0.01
        words = f"with the power {powers[0]:.3g} of the displacement" if even else "with no power of the displacement"
        yield Finding("growth", "pass", words, (("power", powers[0]), ("power of 4 u", powers[1])))


def resolution(bench: Bench) -> Iterator[Finding]:
    """One motion at half of the spacing and at a quarter: by which power of the spacing the value changes."""
    for dims in bench.dims:
        shape = (16, 18, 20)[:dims] if dims == 2 else (12, 13, 14)
        size = 1.0
        values = _refined(bench, dims, shape, size)
        if not min(values) > 0:  # as of what sees folds alone
            values = _refined(bench, dims, shape, 6.0)
        numbers = tuple((f"spacing / {2**k}", value) for k, value in enumerate(values))
        topic = f"resolution in {dims}D"
        if not isfinite(sum(values)):
            yield Finding(
                topic, "note", f"not measured: it takes no displacement of {' x '.join(map(str, shape))} voxels"
            )
            continue
        if not min(values) > 0:
            yield Finding(topic, "note", "nothing to say: a smooth motion costs nothing", numbers)
            continue
        power = log2(values[-2] / values[-1])
        if abs(power) < 0.1:
            yield Finding(topic, "pass", "one motion costs the same on a finer grid", numbers)
        else:
            times = values[-1] / values[-2]
            words = f"at half the spacing one motion costs {times:.3g} times as much (spacing^{power:+.2g})"
            more = (
                "; with its parameter `spacing` it need not"
                if "spacing" in keywords(bench.audited.function)
                else ": lambda must be adapted"
            )
            yield Finding(topic, "note", words + more, (*numbers, ("power", power)))


def _refined(bench: Bench, dims: int, shape: Shape, size: float) -> list[float]:
    rests = _cost(bench, torch.zeros((1, dims, *shape)))
    return [_cost(bench, samples.wave(shape, refined, size)) - rests for refined in range(3)]


def _costs_of_ripples(bench: Bench, shape: Shape) -> tuple[list[float], dict[tuple[int, int], float]]:
    """The cost of a ripple along each axis, of all components alike; and of each component by itself."""
    dims, together, separate = len(shape), [0.0], {}
    rests = _cost(bench, torch.zeros((1, dims, *shape)))
    for size in SIZES:
        ripples = {(k, axis): samples.ripple(shape, k, axis, size) for k in range(dims) for axis in range(dims)}
        separate = {place: _cost(bench, u) - rests for place, u in ripples.items()}
        joined = [torch.stack([ripples[k, axis] for k in range(dims)]).sum(0) for axis in range(dims)]
        together = [_cost(bench, u) - rests for u in joined]
        if any(together):
            break
    return together, separate


def _cost(bench: Bench, u: Tensor) -> float:
    return bench.value(*bench.judged(u))


def _typical(bench: Bench, dims: int) -> float:
    """What an ordinary displacement costs; a large one, for those who see nothing but folds."""
    return max(_cost(bench, samples.field(bench.shapes[dims], 5, size=size)) for size in SIZES)


def _affine(shape: Shape) -> Tensor:
    """A displacement that stretches, shears and turns."""
    places = samples.coordinates(shape)
    return torch.stack([0.1 * place + 0.05 * places[k - 1] for k, place in enumerate(places)])[None]


def _listed(words: list[int]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, words[:-1])), *map(str, words[-1:])]))

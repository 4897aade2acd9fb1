"""What a similarity of two images sees: sign, axes, invariances, symmetry, its window, the grid."""

import itertools
from collections.abc import Iterator
from math import isfinite

import torch
import torch.nn.functional as F

from regbench.losses.audit import samples
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.calls import outcome
from regbench.losses.audit.findings import Finding
from regbench.losses.audit.samples import Shape, single

SAME = 1e-3  # as a part of the difference between identical and unrelated images
SHIFTS = (0, 1, 2, 4)


def sign_and_range(bench: Bench) -> Iterator[Finding]:
    """Identical images have the least value, unrelated ones a larger one."""
    for dims in bench.dims[:1]:
        shape = bench.shapes[dims]
        fixed, similar = samples.pair(shape)
        pairs = {
            "identical": fixed,
            "similar": similar,
            "unrelated": samples.texture(shape, 50),
            "inverted": 1 - fixed,
        }
        values = {name: bench.value(fixed, moved) for name, moved in pairs.items()}
        numbers = tuple(values.items())
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        if not all(map(isfinite, values.values())):
            yield Finding("sign", "fail", f"not finite: {shown}", numbers)
            return
        width = values["unrelated"] - values["identical"]
        if not width > 1e-6 * max(map(abs, values.values())):
            what = "identical images cost more than unrelated ones: it trains mismatch, unless it is negated"
            what = what if width < 0 else "identical images cost no less than unrelated ones"
            yield Finding("sign", "fail", f"{what} ({shown}); lower must be better", numbers)
            return
        if not values["identical"] < values["similar"] < values["unrelated"]:
            yield Finding("sign", "note", f"not in order: {shown}", numbers)
            return
        match = values["inverted"] < values["similar"]
        words = f"an inverted image counts as a {'match' if match else 'mismatch'}"
        yield Finding("sign", "pass", f"{shown}: {words}", numbers)


def identical(bench: Bench) -> Iterator[Finding]:
    """The gradient for an image with itself, where a registration of an image with itself starts."""
    for dims in bench.dims:
        fixed = bench.sample(dims)[0].float()
        called = bench.call([fixed, fixed])
        if called.error or (called.differentiable and not called.slope.isfinite().all()):
            words = called.error or "the gradient is not finite"
            yield Finding("identical images", "fail", f"of an image with itself in {dims}D: {words}")
            return
    yield Finding("identical images", "pass", "an image with itself has a finite gradient")


def axes(bench: Bench) -> Iterator[Finding]:
    """A shift along each axis costs, the more the longer; a profile along one axis alone is seen."""
    for dims in bench.dims:
        curves = {axis: _curve(bench, dims, axis, along=False) for axis in range(dims)}
        profiles = {axis: _curve(bench, dims, axis, along=True) for axis in range(dims)}
        scale = max(abs(curve[-1] - curve[0]) for curve in curves.values()) or 1.0
        blind = [axis for axis in curves if not _seen(curves[axis], scale)]
        flat = [axis for axis in profiles if not _seen(profiles[axis], scale) and axis not in blind]
        uphill = [axis for axis, curve in curves.items() if curve[1] <= curve[0] and axis not in blind]
        numbers = tuple(
            (f"{dims}D axis {axis}, shift {shift}", value)
            for axis, curve in curves.items()
            for shift, value in zip(SHIFTS, curve, strict=True)
        )
        topic = f"axes in {dims}D"
        if not all(map(isfinite, itertools.chain(*curves.values(), *profiles.values()))):
            yield Finding(topic, "fail", "the value of a texture and its shifted self is not finite", numbers)
        elif blind:
            yield Finding(
                topic, "fail", f"axis {_listed(blind)} is not seen: a shift along it changes nothing", numbers
            )
        elif uphill:
            words = f"a shift of one voxel along axis {_listed(uphill)} costs less than none: it descends away"
            yield Finding(topic, "fail", words, numbers)
        elif flat:
            words = f"what varies along axis {_listed(flat)} alone is not seen, only what varies along others too"
            yield Finding(topic, "note", words, numbers)
        else:
            first = ", ".join(f"{value:.3g}" for value in curves[0])
            yield Finding(
                topic, "pass", f"a shift along each one costs (0, 1, 2, 4 voxels along axis 0: {first})", numbers
            )


def invariance(bench: Bench) -> Iterator[Finding]:
    """Changes of intensity, and a translation of both images, that leave the value as it was."""
    dims = bench.dims[0]
    shape = bench.shapes[dims]
    fixed, moved = samples.pair(shape)
    plain, width = bench.value(fixed, moved), _width(bench, dims)
    changed = {
        "an offset of one image": (fixed, moved + 0.5),
        "a scale of one image": (fixed, 0.5 * moved),
        "a scale of both images": (0.5 * fixed, 0.5 * moved),
        "low contrast (x 0.01) of both": (0.01 * fixed, 0.01 * moved),
        "a gamma of one image": (fixed, moved**3),
    }
    shares = {name: abs(bench.value(*images) - plain) / width for name, images in changed.items()}
    shares["a translation of both images"] = _translated(bench, dims)
    numbers = tuple(shares.items())
    same = [name for name, share in shares.items() if share <= SAME]
    other = [f"{name} ({share:.2g})" for name, share in shares.items() if share > SAME]
    words = f"unchanged by {_listed(same) or 'nothing'}" + (f"; changed by {_listed(other)}" if other else "")
    lost = shares["a scale of both images"] <= SAME < shares["low contrast (x 0.01) of both"]
    if lost:
        words += ". It has a constant of absolute size: at low contrast it sees less"
    yield Finding("invariance", "note" if lost else "pass", words, numbers)


def symmetry(bench: Bench) -> Iterator[Finding]:
    """Whether the two images may change places."""
    dims = bench.dims[0]
    fixed, moved = samples.pair(bench.shapes[dims])
    one, two = bench.value(fixed, moved), bench.value(moved, fixed)
    numbers = (("f(a, b)", one), ("f(b, a)", two))
    if abs(one - two) <= 1e-5 * _width(bench, dims):
        yield Finding("symmetry", "pass", "f(a, b) = f(b, a)", numbers)
    else:
        yield Finding("symmetry", "note", f"f(a, b) = {one:.5g}, f(b, a) = {two:.5g}: fixed and moved differ", numbers)


def window(bench: Bench) -> Iterator[Finding]:
    """How far it looks, and what it does where an image is smaller."""
    dims = bench.dims[0]
    shape = bench.shapes[dims]
    sides = _reach(bench, dims)
    if max(sides) == 1:
        yield Finding("window", "pass", "none: voxel by voxel", (("side", 1.0),))
        return
    wide = [size for size, whole in zip(sides, shape, strict=True) if 2 * size - 1 >= whole]
    if wide:
        yield Finding("window", "pass", "the whole image", (("side", float(max(shape))),))
        return
    side = max(sides)
    small = tuple([max(side - 2, 1)] * dims)
    called = outcome(bench.audited.make(), single(samples.pair(small)))
    numbers = (("side", float(side)),)
    size = " x ".join(map(str, small))
    if called.error:
        yield Finding("window", "pass", f"{side} voxels; an image of {size}: {called.error}", numbers)
    else:
        words = f"{side} voxels; an image of {size} is smaller, and gives {called.value:.4g} without a word"
        yield Finding("window", "note", words, numbers)


def border(bench: Bench) -> Iterator[Finding]:
    """Whether two images without any content cost the same on any size: where zeros pad them, their edges correlate."""
    dims = bench.dims[0]
    shape = bench.shapes[dims]
    large = tuple(2 * size for size in shape)
    values = [
        bench.itself_in_double([torch.full((1, 1, *size), level) for level in (0.7, 0.3)]).value
        for size in (shape, large)
    ]
    numbers = (("constant images", values[0]), ("twice the size", values[1]))
    if max(_reach(bench, dims)) > 1 and abs(values[1] - values[0]) > 0.01 * _width(bench, dims):
        sizes = [" x ".join(map(str, size)) for size in (shape, large)]
        words = f"two constant images cost {values[0]:.3g} on {sizes[0]} voxels, {values[1]:.3g} on {sizes[1]}"
        yield Finding("border", "note", f"{words}: the border counts as content, as where zeros pad an image", numbers)
    else:
        yield Finding("border", "pass", "does not count as content", numbers)


def resolution(bench: Bench) -> Iterator[Finding]:
    """One scene at a spacing, and at half of it."""
    dims = bench.dims[0]
    shape = tuple(size // 2 * 2 for size in bench.shapes[dims])
    coarse, fine = (bench.value(*samples.wave_pair(shape, refined)) for refined in (0, 1))
    width = _width(bench, dims)
    numbers = (("coarse", coarse), ("half the spacing", fine))
    if not isfinite(coarse + fine):
        yield Finding("resolution", "note", f"not measured: one scene has {coarse:.4g}, and {fine:.4g} on a finer grid")
    elif not abs(fine - coarse) <= 0.02 * width:
        words = f"one scene has {coarse:.4g}, and {fine:.4g} at half the spacing: another number on another grid"
        yield Finding("resolution", "note", words, numbers)
    else:
        yield Finding("resolution", "pass", f"one scene has {coarse:.4g}, and {fine:.4g} at half the spacing", numbers)


def _curve(bench: Bench, dims: int, axis: int, *, along: bool) -> list[float]:
    shape = bench.shapes[dims]
    fixed = samples.shifted(shape, axis, 0, along=along)
    moved = [samples.shifted(shape, axis, voxels, along=along) for voxels in SHIFTS]
    return [bench.value(fixed, image) for image in moved]


def _seen(curve: list[float], scale: float) -> bool:
    return max(abs(value - curve[0]) for value in curve[1:]) > 1e-4 * scale


def _width(bench: Bench, dims: int) -> float:
    """What identical and unrelated images differ by."""
    shape = bench.shapes[dims]
    fixed, other = samples.texture(shape, 0), samples.texture(shape, 50)
    values = [bench.value(fixed, moved) for moved in (fixed, other)]
    return abs(values[1] - values[0]) or 1.0


def _translated(bench: Bench, dims: int) -> float:
    """How much the value changes if both images move together, before an even ground that surrounds them."""
    shape = bench.shapes[dims]
    inner = tuple(max(size // 3, 4) for size in shape)
    values = []
    for shift in (0, 3):
        images = []
        for image in samples.pair(inner, seed=7):
            pads = [pad for size, side in zip(shape, inner, strict=True) for pad in _pads(size, side, shift)]
            ground = F.pad(image - 0.1, pads[::-1]) + 0.1
            images.append(ground)
        values.append(bench.value(*images))
    return abs(values[1] - values[0]) / _width(bench, dims)


def _pads(size: int, side: int, shift: int) -> tuple[int, int]:
    """Voxels behind and before, as `torch.nn.functional.pad` reads them from the last axis."""
    before = size // 3 + shift
    return size - side - before, before


def _reach(bench: Bench, dims: int) -> list[int]:
    """Side of the window along each axis: gradients change within one window's reach of a voxel that changes."""
    fixed, moved = bench.sample(dims)
    shape = bench.shapes[dims]
    other = moved.clone()
    other.view(-1)[_middle(shape)] += 0.3
    before, after = (bench.itself_in_double([fixed, image]) for image in (moved, other))
    if not before.differentiable or not after.differentiable:
        return list(shape)
    change = (after.slope - before.slope).abs()[0, 0]
    places = (change > 1e-5 * change.max()).nonzero()
    if not len(places):
        return [1] * dims
    return [int(extent) // 2 + 1 for extent in places.amax(0) - places.amin(0)]


def _middle(shape: Shape) -> int:
    """Index of the middle voxel in the flat image."""
    place = 0
    for size in shape:
        place = place * size + size // 2
    return place


def _listed(words: list[str] | list[int]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, words[:-1])), *map(str, words[-1:])]))


def reach(bench: Bench) -> int:
    """The largest side of its window, in voxels."""
    return max(_reach(bench, bench.dims[0]))

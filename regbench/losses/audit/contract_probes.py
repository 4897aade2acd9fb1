"""What any loss owes a training: a scalar, dimensions, a gradient, arguments left alone, the same answer twice."""

from collections.abc import Iterator

import torch

from regbench.losses.audit.audited import DATA, keywords
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.calls import outcome, value_of
from regbench.losses.audit.findings import Finding
from regbench.losses.audit.samples import SHAPES, single


def form(bench: Bench) -> Iterator[Finding]:
    """Whether a config may name it as it is."""
    if bench.audited.adapter:
        names = "no class and no method" if isinstance(bench.audited.function, type) else "data by position alone (`/`)"
        yield Finding("form", "note", f"a config names it by an adapter of three lines: it takes {names}")
    else:
        masks = "" if _takes_mask(bench) else "; it takes no `mask`: not with training.mask"
        yield Finding("form", "pass", f"a config names it as it is{masks}")


def runs(bench: Bench) -> Iterator[Finding]:
    """Dimensions, shapes, and a scalar."""
    if not bench.dims:
        yield Finding("runs", "fail", f"in neither 2D nor 3D: {next(iter(bench.errors.values()))}")
        return
    pairs = zip(*(bench.sample(bench.dims[0], seed) for seed in range(2)), strict=True)
    of_two = bench.call(single([torch.cat(tensors) for tensors in pairs]))
    if bench.shape_of_value:
        words = f"returns a tensor of shape {bench.shape_of_value}, and a training takes scalars"
        if of_two.error:
            yield Finding("scalar", "fail", f"{words}; of a batch of two it {of_two.error}")
        elif bench.adapter:
            yield Finding("scalar", "note", f"{words}; its adapter makes it one")
        else:
            yield Finding("scalar", "fail", f"{words}: end it with `.squeeze()`")
    lacking = [dims for dims in (2, 3) if dims not in bench.shapes]
    if lacking:
        words = f"in {bench.dims[0]}D alone; in {lacking[0]}D it {bench.errors[lacking[0]]}"
        yield Finding("runs", "note", words)
    else:
        yield Finding("runs", "pass", "in 2D and 3D")
    for dims in bench.dims:
        if bench.shapes[dims] != SHAPES[dims][0]:
            sizes = [_size(shape) for shape in (SHAPES[dims][0], bench.shapes[dims])]
            words = f"not on {sizes[0]}, where it {bench.errors[dims]}; audited on {sizes[1]}"
            yield Finding("sizes", "note", words)
    if bench.audited.kind == "similarity":
        yield from _channels(bench)


def differentiable(bench: Bench) -> Iterator[Finding]:
    """Whether a gradient reaches the moved image or the displacement, and is finite."""
    for dims in bench.dims:
        called = bench.call(single(bench.sample(dims)))
        data = DATA[bench.audited.kind]
        what = f"`{data[-1]}`"
        if not torch.tensor(called.value).isfinite():
            yield Finding("value", "fail", f"{called.value} on ordinary data in {dims}D")
            return
        if called.gradients[-1] is None:
            other = called.gradients[0] is not None
            why = f"it depends on `{data[0]}` alone" if other else "the value is detached"
            yield Finding("gradient", "fail", f"none reaches {what}: {why}")
            return
        if not called.slope.isfinite().all():
            yield Finding("gradient", "fail", f"to {what} it is not finite on ordinary data in {dims}D")
            return
        if called.slope.abs().max() == 0:
            yield Finding("gradient", "fail", f"to {what} it is 0 everywhere on ordinary data in {dims}D")
            return
        if called.gradients[0] is None:
            yield Finding("gradient", "note", f"reaches {what} alone, not `{data[0]}`")
            return
    yield Finding("gradient", "pass", "reaches its arguments, and is finite")


def leaves_arguments_alone(bench: Bench) -> Iterator[Finding]:
    """Whether the arguments are what they were."""
    for dims in bench.dims:
        inputs = single(bench.sample(dims))
        copies = [tensor.clone() for tensor in inputs]
        value_of(bench.loss(inputs[0].shape), *inputs)
        changed = [k for k, (one, two) in enumerate(zip(inputs, copies, strict=True)) if not torch.equal(one, two)]
        if changed:
            yield Finding("arguments", "fail", f"changes `{DATA[bench.audited.kind][changed[0]]}` in place")
            return
    yield Finding("arguments", "pass", "left as they were")


def repeatable(bench: Bench) -> Iterator[Finding]:
    """Whether two calls give the same, with the same random numbers and without."""
    dims = bench.dims[0]
    inputs = single(bench.sample(dims))
    one, two = (bench.call(inputs) for _ in range(2))
    same = one.value == two.value and (not one.differentiable or torch.equal(one.slope, two.slope))
    values = [bench.value(*(tensor.clone() for tensor in inputs), seed=seed) for seed in (1, 2)]
    if not same:
        words = f"two calls with one seed give {one.value:.9g} and {two.value:.9g}: a study could not be repeated"
        yield Finding("repeatable", "fail", words)
    elif values[0] != values[1]:
        yield Finding("repeatable", "note", "draws random numbers (torch's): the same for one seed")
    else:
        yield Finding("repeatable", "pass", "the same bits in two calls")


def batch(bench: Bench) -> Iterator[Finding]:
    """Whether the value of a batch is the mean of its samples."""
    dims, count = bench.dims[0], 3
    sets = [bench.sample(dims, seed) for seed in range(count)]
    separate = [bench.value(*inputs) for inputs in sets]
    joined = bench.call(single([torch.cat(tensors) for tensors in zip(*sets, strict=True)]))
    if joined.error:
        yield Finding("batch", "fail", f"a batch of {count} {joined.error}")
        return
    mean = sum(separate) / count
    scale = max(abs(value) for value in (*separate, joined.value)) or 1.0
    numbers = (("batch", joined.value), ("mean of its samples", mean))
    if abs(joined.value - mean) <= 1e-5 * scale:
        yield Finding("batch", "pass", "its value is the mean of its samples", numbers)
    elif abs(joined.value - count * mean) <= 1e-5 * scale:
        words = "its value is the sum of its samples: lambda means another thing with another batch size"
        yield Finding("batch", "note", words, numbers)
    else:
        words = f"its value is {joined.value:.5g}, the mean of its samples {mean:.5g}: a batch counts as one image"
        yield Finding("batch", "note", words, numbers)


def _takes_mask(bench: Bench) -> bool:
    return bench.of_matrices or "mask" in keywords(bench.audited.function)


def _channels(bench: Bench) -> Iterator[Finding]:
    dims = bench.dims[0]
    sets = [bench.sample(dims, seed) for seed in range(2)]
    called = outcome(bench.audited.make(), single([torch.cat(images, 1) for images in zip(*sets, strict=True)]))
    if called.error:
        yield Finding("channels", "note", f"one alone, as a study's images have; of two it {called.error}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

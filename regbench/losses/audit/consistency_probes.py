"""What a term of the displacements of both directions sees: inverses, and their order."""

from collections.abc import Iterator

from torch import Tensor

from regbench.losses.audit import samples
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.findings import Finding


def inverses(bench: Bench) -> Iterator[Finding]:
    """Translations there and back cost nothing; two that do not meet cost something, or are not seen."""
    for dims in bench.dims:
        shape = bench.shapes[dims]
        rough = _cost(bench, *bench.sample(dims))
        pairs = [samples.translation(shape, axis) for axis in range(dims)]
        there_and_back = max(_cost(bench, u, -u) for u in pairs)
        there_and_there = min(_cost(bench, u, u) for u in pairs)
        numbers = ((f"{dims}D, there and back", there_and_back), (f"{dims}D, there and there", there_and_there))
        topic = f"inverses in {dims}D"
        if not there_and_back <= 1e-6 * rough:
            words = f"a translation of 3 voxels there and back costs {there_and_back:.4g}, and should cost nothing"
            yield Finding(topic, "fail", words, numbers)
        elif there_and_there <= 1e-6 * rough:
            words = "there and back costs nothing, but neither do translations that do not meet"
            yield Finding(topic, "note", words, numbers)
        else:
            words = f"a translation of 3 voxels there and back costs nothing, twice the same {there_and_there:.4g}"
            yield Finding(topic, "pass", words, numbers)


def order(bench: Bench) -> Iterator[Finding]:
    """Whether the two directions may change places."""
    dims = bench.dims[0]
    u, v = bench.sample(dims)
    one, two = _cost(bench, u, v), _cost(bench, v, u)
    numbers = (("f(u, v)", one), ("f(v, u)", two))
    if abs(one - two) <= 1e-5 * max(abs(one), abs(two)):
        yield Finding("symmetry", "pass", "f(u, v) = f(v, u)", numbers)
    else:
        words = f"f(u, v) = {one:.5g}, f(v, u) = {two:.5g}: one direction is measured"
        yield Finding("symmetry", "note", words, numbers)


def _cost(bench: Bench, u: Tensor, v: Tensor) -> float:
    return bench.value(u, v)

"""What a regularizer of affine maps sees: the identity, and every entry of a matrix."""

from collections.abc import Iterator

import torch

from regbench.losses.audit import samples
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.findings import Finding


def identity(bench: Bench) -> Iterator[Finding]:
    """The identity costs nothing, and has a finite gradient."""
    for dims in bench.dims:
        called = bench.call([samples.identity(dims).float()])
        far, near = (bench.value(samples.matrix(dims, 1, size)) for size in (0.5, 0.05))
        if not (called.value <= near <= far):
            words = f"the identity costs {called.value:.4g}, maps near it {near:.4g}, maps far from it {far:.4g}"
            yield Finding("at rest", "fail", words)
            return
        if called.gradients[-1] is not None and not called.slope.isfinite().all():
            yield Finding("at rest", "fail", "the gradient at the identity is not finite: there a training starts")
            return
    yield Finding("at rest", "pass", "the identity costs least, with a finite gradient")


def entries(bench: Bench) -> Iterator[Finding]:
    """Every entry of a matrix is seen, and all alike."""
    for dims in bench.dims:
        rests = bench.value(samples.identity(dims))
        costs = {}
        for row in range(dims):
            for column in range(dims + 1):
                changed = samples.identity(dims).float()
                changed[0, row, column] += 0.25
                costs[row, column] = bench.value(changed) - rests
        blind = [place for place, cost in costs.items() if not cost > 0]
        numbers = tuple((f"{dims}D, row {row}, column {column}", cost) for (row, column), cost in costs.items())
        topic = f"entries in {dims}D"
        if blind:
            row, column = blind[0]
            words = f"the entry in row {row}, column {column} is not seen ({len(blind)} of {len(costs)} are not)"
            yield Finding(topic, "fail", words, numbers)
        elif max(costs.values()) - min(costs.values()) > 1e-3 * max(costs.values()):
            yield Finding(topic, "note", "all are seen, but not alike", numbers)
        else:
            words = "all are seen, and alike: a translation in its unit counts as the linear part does"
            yield Finding(topic, "pass", words, numbers)


def turned(bench: Bench) -> Iterator[Finding]:
    """Both ways from the identity cost the same."""
    dims = bench.dims[0]
    change = samples.matrix(dims, 2) - samples.identity(dims)
    ends = [bench.value(samples.identity(dims) + sign * change) for sign in (1, -1)]
    numbers = (("plus", ends[0]), ("minus", ends[1]))
    if torch.isclose(torch.tensor(ends[0]), torch.tensor(ends[1]), rtol=1e-4):
        yield Finding("symmetry", "pass", "a change and its opposite cost the same", numbers)
    else:
        yield Finding("symmetry", "note", f"a change costs {ends[0]:.4g}, its opposite {ends[1]:.4g}", numbers)

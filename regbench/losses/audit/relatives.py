"""The nearest of our losses, and the relation between both: a factor, an offset, or a root."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regbench.losses.audit import samples
from regbench.losses.audit.audited import OURS
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.calls import in_double
from regbench.losses.audit.findings import Kind, RelationRow
from regbench.losses.audit.samples import Shape

EXACT, CLOSE = 1e-4, 0.05  # what is left of the values' spread, as a part of it
SHAPES: dict[int, tuple[Shape, ...]] = {2: ((27, 24), (32, 35)), 3: ((14, 12, 13), (16, 15, 17))}
ROUGH = (0.02, 0.6, 0.15, 1.0)  # shares of noise
Values = NDArray[np.float64]
# Forms of ours beside their defaults; a window that was measured is tried too.
VARIANTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "lcc": (
        {"border": "zero"},
        {"signed": True},
        {"border": "zero", "signed": True},
        {"border": "zero", "denominator": "clamp"},
    ),
    "mi": ({"bins": 23, "intensity_range": (0, 1), "smooth": 1e-7},),
    "bending": ({"stencil": "central"},),
}


_KNOWN: dict[tuple[Kind, Shape, str], Values] = {}


class Candidate(NamedTuple):
    """A loss of ours with parameters."""

    name: str
    parameters: Mapping[str, Any]
    loss: Callable[..., Tensor]

    @property
    def text(self) -> str:
        """As it is called."""
        shown = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{self.name}({shown})" if shown else self.name


class Relation(NamedTuple):
    """``value = offset + factor * candidate``, or its square is.

    Attributes:
        candidate: the loss of ours.
        factor: times its value.
        offset: beside it.
        squared: whether the square of the value is meant.
        left: what is left of the values' spread, as a part of it.
        grown: the factor on a larger grid, by this one's.
    """

    candidate: Candidate
    factor: float
    offset: float
    squared: bool
    left: float
    grown: float


def relations(bench: Bench, window: int | None) -> dict[int, Relation]:
    """The nearest relation in each dimension; and the exact ones become what the bench compares with.

    Args:
        bench: with the function.
        window: side of the window that was measured; None for what has none.
    """
    nearest = {}
    for dims in bench.dims:
        theirs = [_theirs(bench, dims, shape) for shape in SHAPES[dims]]
        known = _candidates(bench, window)
        options = list(filter(None, (_relation(bench.audited.kind, dims, one, theirs) for one in known)))
        if options:
            nearest[dims] = min(options, key=lambda relation: relation.left)
            if nearest[dims].left <= EXACT and not nearest[dims].squared and nearest[dims].grown == 1:
                bench.relatives[dims] = partial(_by_relation, nearest[dims])
    return nearest


def sentence(nearest: Mapping[int, Relation]) -> str:
    """The relation in words, of each dimension where they differ."""
    texts = {dims: _text(relation, dims) for dims, relation in nearest.items()}
    if not texts:
        return ""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"in {dims}D {text}" for dims, text in texts.items())


def rows(nearest: Mapping[int, Relation]) -> tuple[RelationRow, ...]:
    """The relations, for programs."""
    return tuple(
        RelationRow(
            dims,
            relation.candidate.name,
            dict(relation.candidate.parameters),
            relation.factor,
            relation.offset,
            relation.squared,
            relation.left,
        )
        for dims, relation in nearest.items()
    )


def _text(relation: Relation, dims: int) -> str:
    value, name = ("its square" if relation.squared else "it"), relation.candidate.text
    if relation.left > CLOSE:
        return f"like none of ours; the nearest is {name} ({relation.left:.0%} of its spread is left)"
    factor = "" if abs(relation.factor - 1) < 1e-4 else f"{_number(relation.factor)} x "
    offset = f"{_number(relation.offset)} {'+' if relation.factor > 0 else '-'} " if relation.offset else ""
    if offset and relation.factor < 0:
        factor = "" if abs(relation.factor + 1) < 1e-4 else f"{_number(-relation.factor)} x "
    sign = "=" if relation.left <= EXACT else "is nearly"
    grown = _growth(relation.grown, dims) if relation.left <= EXACT and relation.grown != 1 else ""
    return f"{value} {sign} {offset}{factor}{name}{grown}"


def _growth(grown: float, dims: int) -> str:
    first, second = (np.prod(shape) for shape in SHAPES[dims])
    if abs(grown / (second / first) - 1) < 0.1:
        return f" on {' x '.join(map(str, SHAPES[dims][0]))} voxels: a sum, whose factor grows with the voxels"
    return f" on {' x '.join(map(str, SHAPES[dims][0]))} voxels; the factor changes with the size"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _candidates(bench: Bench, window: int | None) -> Iterator[Candidate]:
    for name, loss in OURS[bench.audited.kind].items():
        needed = [p for p in inspect.signature(loss).parameters.values() if p.kind is p.KEYWORD_ONLY]
        if any(p.default is p.empty for p in needed):
            continue
        for parameters in _forms(name, window):
            same = loss is bench.audited.function and parameters == bench.audited.parameters
            if not same:
                yield Candidate(name, parameters, partial(loss, **parameters))


def _forms(name: str, window: int | None) -> Iterator[Mapping[str, Any]]:
    for form in ({}, *VARIANTS.get(name, ())):
        yield form
        if name == "lcc" and window is not None and window % 2 and window not in (1, 9):
            yield {"window": window, **form}


def _relation(kind: Kind, dims: int, candidate: Candidate, theirs: Sequence[Values]) -> Relation | None:
    ours = [_ours(kind, dims, shape, candidate) for shape in SHAPES[dims]]
    if not all(np.isfinite(values).all() for values in (*ours, *theirs)):
        return None
    options = [_fitted(kind, candidate, ours, theirs, squared) for squared in (False, True)]
    return min(options, key=lambda relation: relation.left > EXACT)  # the square where it alone is exact


def _fitted(
    kind: Kind, candidate: Candidate, ours: Sequence[Values], theirs: Sequence[Values], squared: bool
) -> Relation:
    first, second = (values ** (2 if squared else 1) for values in theirs)
    free = kind == "similarity"
    offset, factor = _line(ours[0], first, free=free)
    spread = np.std(first) if free else np.sqrt(np.mean(first**2))
    left = float(np.sqrt(np.mean((first - offset - factor * ours[0]) ** 2)) / (spread or 1))
    grown = _line(ours[1], second, free=free)[1] / factor if factor else 1.0
    offset = 0.0 if abs(offset) < 1e-4 * max(abs(factor), 1e-12) else offset
    return Relation(candidate, factor, offset, squared, left, 1.0 if abs(grown - 1) < 1e-3 else grown)


def _line(ours: Values, theirs: Values, *, free: bool) -> tuple[float, float]:
    """Offset and factor of the best line; through the origin unless `free`."""
    if not free:
        return 0.0, float((ours @ theirs) / (ours @ ours or 1))
    centred = ours - ours.mean()
    factor = float((centred @ theirs) / (centred @ centred or 1))
    return float(theirs.mean() - factor * ours.mean()), factor


def _theirs(bench: Bench, dims: int, shape: Shape) -> Values:
    """Values of the function on many data: in float64, or in float32 if it takes no other; NaN where it fails."""
    values = []
    for inputs in _many(bench.audited.kind, dims, shape):
        called = bench.itself_in_double(inputs)
        values.append((bench.call(samples.single(inputs)) if called.error else called).value)
    return np.array(values)


def _ours(kind: Kind, dims: int, shape: Shape, candidate: Candidate) -> Values:
    """Values of a candidate, which an audit of several functions computes once."""
    key = kind, shape, candidate.text
    if key not in _KNOWN:
        values = [in_double(candidate.loss, inputs).value for inputs in _many(kind, dims, shape)]
        _KNOWN[key] = np.array(values)
    return _KNOWN[key]


def _many(kind: Kind, dims: int, shape: Shape) -> Iterator[Sequence[Tensor]]:
    """Smooth and rough ones, near and far."""
    fields = [samples.field(shape, seed, rough=ROUGH[seed % 4], cells=3 + seed // 2) for seed in range(16)]
    for seed in range(8):
        if kind == "affine_regularizer":
            yield [samples.matrix(dims, seed, 0.1 * (seed + 1))]
        elif kind == "similarity":
            yield _images(shape, seed)
        else:
            yield fields[seed::8] if kind == "consistency" else fields[seed : seed + 1]


def _images(shape: Shape, seed: int) -> list[Tensor]:
    """From nearly identical to unrelated; every other pair with an uneven gain, one inverted."""
    fixed, other, gain = (samples.texture(shape, 3 * seed + k, rough=ROUGH[(seed + k) % 4]) for k in range(3))
    share = (0.05, 0.9, 0.3, 0.6, 1.0, 0.15, 0.45, 0.75)[seed]
    moved = (1 - share) * fixed + share * other
    moved = moved if seed % 2 else moved * (0.5 + 0.5 * gain)
    return [fixed, 1 - moved if seed == 5 else moved]


def _by_relation(relation: Relation, *inputs: Tensor) -> Tensor:
    return relation.offset + relation.factor * relation.candidate.loss(*inputs)

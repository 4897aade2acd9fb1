"""The space that a cell is searched in: lambda, and a value for each further dimension that the study declares."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import JsonValue

from regbench.study.specs import DimensionSpec, SearchSpec, TermSpec, TrainSpec
from regbench.study.terms import WEIGHT

LAMBDA = "lam"
SpecT = TypeVar("SpecT", bound=TrainSpec)


@dataclass(frozen=True)
class Point:
    """One place in the space: lambda, and the value of each further dimension, such as ``similarity.window``."""

    lam: float
    values: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of(cls, coordinates: Mapping[str, JsonValue]) -> "Point":
        """From the value of each dimension, lambda among them."""
        lam = coordinates[LAMBDA]
        assert isinstance(lam, float | int)  # a number by `DimensionSpec`
        return cls(float(lam), {name: value for name, value in coordinates.items() if name != LAMBDA})

    @classmethod
    def from_json(cls, entry: Mapping[str, JsonValue]) -> "Point":
        """From a proposal, a result or a choice: ``{"lam": ..., "values": {...}}``, without values where none are."""
        values = entry.get("values")
        return cls.of({LAMBDA: entry[LAMBDA], **(values if isinstance(values, dict) else {})})

    def to_json(self) -> dict[str, JsonValue]:
        """The entry that `from_json` reads."""
        return {LAMBDA: self.lam} | ({"values": dict(self.values)} if self.values else {})

    def coordinates(self) -> dict[str, JsonValue]:
        """The value of each dimension, lambda first."""
        return {LAMBDA: self.lam, **self.values}

    def apply(self, spec: SpecT) -> SpecT:
        """The training at this point: its lambda, and each value in the term, component or protocol that it names."""
        changed = spec.model_copy(update={LAMBDA: self.lam, "terms": self._weighted(spec.terms)})
        for name, value in self.values.items():
            kind, _, key = name.partition(".")
            if name.startswith(WEIGHT):
                continue
            part = getattr(changed, kind)
            update = {key: value} if kind == "training" else {"parameters": {**part.parameters, key: value}}
            changed = changed.model_copy(update={kind: part.model_copy(update=update)})
        return changed

    def _weighted(self, terms: Sequence[TermSpec]) -> tuple[TermSpec, ...]:
        """The terms with the weights that are searched."""
        weights = {name.removeprefix(WEIGHT): value for name, value in self.values.items() if name.startswith(WEIGHT)}
        return tuple(
            term.model_copy(update={"weight": weights[term.id]}) if term.id in weights else term for term in terms
        )


def at_choice(spec: SpecT, choice: Mapping[str, JsonValue]) -> SpecT:
    """The training at the point that a search chose (`rounds.Selection`); without lambda where it chose none."""
    return spec if choice[LAMBDA] is None else Point.from_json(choice).apply(spec)


def dimensions(spec: SearchSpec) -> list[DimensionSpec]:
    """Lambda first, then what else is searched."""
    return [DimensionSpec(name=LAMBDA, range=spec.range, scale="log"), *spec.search]


def anchors(spec: SearchSpec, count: int) -> list[Point]:
    """The first round: lambda on a log grid inside its range, the other dimensions spread evenly over theirs.

    The middle comes first: a round that has not all its slots, or not yet, covers the range too.
    """
    lam, *others = dimensions(spec)
    spread = dict.fromkeys(int(halton(index, 2) * count) for index in range(1, 4 * count))
    return [
        Point.of(
            {LAMBDA: value_at(lam, (slot + 0.5) / count)}
            | {
                other.name: value_at(other, halton(slot + 1, base))
                for other, base in zip(others, primes(), strict=False)
            }
        )
        for slot in spread
    ]


def lattice(spec: SearchSpec, number: int) -> Point:
    """Point `number` of a grid that grows: each new point halves the widest gap (Halton's sequence)."""
    pairs = zip(dimensions(spec), primes(), strict=False)
    return Point.of({dimension.name: value_at(dimension, halton(number + 1, base)) for dimension, base in pairs})


def primes() -> Iterator[int]:
    """2, 3, 5 and so on: a base for each dimension, however many are searched."""
    return (number for number in itertools.count(2) if all(number % low for low in range(2, math.isqrt(number) + 1)))


def halton(index: int, base: int) -> float:
    """Element `index` (from 1) of the van der Corput sequence; in (0, 1).

    Reference:
        Halton 1960, doi:10.1007/BF01386213.
    """
    share, scale = 0.0, 1.0
    while index:
        scale /= base
        index, digit = divmod(index, base)
        share += digit * scale
    return share


def value_at(dimension: DimensionSpec, share: float) -> JsonValue:
    """The value at a share in [0, 1) of a dimension."""
    if dimension.choices is not None:
        return dimension.choices[int(share * len(dimension.choices))]
    low, high = ends(dimension)
    if dimension.type == "int":
        if dimension.scale == "log":
            return min(int(low * ((high + 1) / low) ** share), int(high))
        step = dimension.step or 1
        return int(low) + step * int(share * ((int(high) - int(low)) // step + 1))
    return low * (high / low) ** share if dimension.scale == "log" else low + share * (high - low)


def shares(spec: SearchSpec, point: Point) -> list[float]:
    """Where a point lies in the searched space, each dimension from 0 to 1, lambda first."""
    values = point.coordinates()
    return [_share(dimension, values[dimension.name]) for dimension in dimensions(spec)]


def _share(dimension: DimensionSpec, value: JsonValue) -> float:
    if dimension.choices is not None:
        return dimension.choices.index(value) / (len(dimension.choices) - 1)
    assert isinstance(value, float | int)  # by `DimensionSpec`
    low, high = ends(dimension)
    log = dimension.scale == "log"
    return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)


def ends(dimension: DimensionSpec) -> tuple[float, float]:
    """The lowest and the highest number of a dimension that is no choice."""
    assert dimension.range is not None  # by the config's check of dimensions
    return dimension.range


def rounded(spec: SearchSpec, point: Point) -> Point:
    """Six significant digits, still inside the range: values that a file and a paper can hold exactly."""
    values = point.coordinates()
    return Point.of({dimension.name: _rounded(dimension, values[dimension.name]) for dimension in dimensions(spec)})


def _rounded(dimension: DimensionSpec, value: JsonValue) -> JsonValue:
    if dimension.type != "float" or not isinstance(value, float | int):
        return value
    low, high = ends(dimension)
    return min(max(float(f"{value:.6g}"), low), high)

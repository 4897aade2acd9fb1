"""How a new image becomes what a trained model sees."""

from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from regbench.data.preprocessing.colour import Colour
from regbench.data.preprocessing.intensity import Kind


def _listed(value: object) -> object:
    """Only lists are lists of numbers: pydantic takes whatever can be walked through, a tensor too."""
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of numbers, but is {type(value).__name__}")
    return value


Listed = BeforeValidator(_listed)
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percentile = Annotated[float, Field(ge=0, le=100)]
Value = Annotated[float, Field(allow_inf_nan=False)]


class Preparation(NamedTuple):
    """What a study did to its images; a checkpoint holds it.

    Attributes:
        spacing_mm: of the model's grid, axis by axis; the fixed image's own if None.
        orientation: ``RAS``: the grid's axes run right, front and top; ``keep``: as the fixed array's.
        colour: see `regbench.data.preprocessing.colour.grey`.
        intensity, percentiles, window: see `regbench.data.preprocessing.intensity.normalise`.
    """

    spacing_mm: Annotated[tuple[Length, ...] | None, Listed] = None
    orientation: Literal["RAS", "keep"] = "RAS"
    intensity: Kind = "percentile"
    percentiles: Annotated[tuple[Percentile, Percentile], Listed] = (0.5, 99.5)
    window: Annotated[tuple[Value, Value] | None, Listed] = None
    colour: Colour = "none"

"""How a new image becomes what a trained model sees."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from regbench.data.preprocessing.intensity import Kind

Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percentile = Annotated[float, Field(ge=0, le=100)]
Value = Annotated[float, Field(allow_inf_nan=False)]


class Preparation(NamedTuple):
    """What a study did to its images; a checkpoint holds it.

    Attributes:
        spacing_mm: of the model's grid, axis by axis; the fixed image's own if None.
        orientation: ``RAS``: the grid's axes run right, front and top; ``keep``: as the fixed array's.
        intensity, percentiles, window: see `regbench.data.preprocessing.intensity.normalise`.
    """

    spacing_mm: tuple[Length, ...] | None = None
    orientation: Literal["RAS", "keep"] = "RAS"
    intensity: Kind = "percentile"
    percentiles: tuple[Percentile, Percentile] = (0.5, 99.5)
    window: tuple[Value, Value] | None = None

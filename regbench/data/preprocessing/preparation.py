"""How a new image becomes what a trained model sees."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from regbench.data.preprocessing.colour import Colour
from regbench.data.preprocessing.intensity import Kind
from regbench.data.preprocessing.scaling import ENDS
from regbench.system.errors import UsageError, did_you_mean


def _listed(value: object) -> object:
    """Only lists are lists of numbers: pydantic takes whatever can be walked through, a tensor too."""
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of numbers, but is {type(value).__name__}")
    return value


Listed = BeforeValidator(_listed)
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percentile = Annotated[float, Field(ge=0, le=100)]
Value = Annotated[float, Field(allow_inf_nan=False)]


class StoredScaling(NamedTuple):
    """A `regbench.data.preprocessing.scaling.Scaling` as a file may hold it."""

    kind: Kind
    percentiles: Annotated[tuple[Percentile, Percentile], Listed] = ENDS
    window: Annotated[tuple[Value, Value] | None, Listed] = None

    def mistake(self) -> str:
        """What is wrong with it; empty if nothing."""
        percentiles, window = self.percentiles, self.window
        if percentiles[0] >= percentiles[1] or (window is not None and window[0] >= window[1]):
            return "percentiles and preparation.window must rise"
        if self.kind == "window" and window is None:
            return "window must have two numbers, as its intensity is `window`"
        return ""


class Preparation(NamedTuple):
    """What a study did to its images; a checkpoint holds it.

    Attributes:
        spacing_mm: of the model's grid, axis by axis; the fixed image's own if None.
        orientation: ``RAS``: the grid's axes run right, front and top; ``keep``: as the fixed array's.
        colour: see `regbench.data.preprocessing.colour.grey`.
        intensity, percentiles, window: see `regbench.data.preprocessing.intensity.normalise`.
        by_modality: the rule of each modality, instead of those three.
        modalities: of the fixed and of the moving image, where every pair of the study has the same two.
    """

    spacing_mm: Annotated[tuple[Length, ...] | None, Listed] = None
    orientation: Literal["RAS", "keep"] = "RAS"
    intensity: Kind = "percentile"
    percentiles: Annotated[tuple[Percentile, Percentile], Listed] = ENDS
    window: Annotated[tuple[Value, Value] | None, Listed] = None
    by_modality: Mapping[str, StoredScaling] = {}
    modalities: tuple[str, str] | None = None
    colour: Colour = "none"

    def scalings(self) -> tuple[StoredScaling, StoredScaling]:
        """Those of the fixed and of the moving image.

        Raises:
            UsageError: if the modality of an image is not known, or none of the study's; says what to give.
        """
        if not self.by_modality:
            if self.modalities is not None:
                raise UsageError("the model has one intensity rule for all images; leave the modalities out")
            one = StoredScaling(self.intensity, self.percentiles, self.window)
            return one, one
        known = ", ".join(self.by_modality)
        if self.modalities is None:
            raise UsageError(
                f"the model has an intensity rule for each modality ({known}), so those of both images must be known, "
                "but are not. Give `--fixed-modality` and `--moving-modality`."
            )
        for name in self.modalities:
            if name not in self.by_modality:
                raise UsageError(
                    f"modality `{name}` is none of the model's; {did_you_mean(name, list(self.by_modality))}"
                )
        fixed, moving = self.modalities
        return self.by_modality[fixed], self.by_modality[moving]

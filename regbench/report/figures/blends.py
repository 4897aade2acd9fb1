"""Two images in one: overlay and checkerboard, in colours that colour-blind readers tell apart."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ORANGE, BLUE = (1.0, 0.6, 0.0), (0.0, 0.4, 1.0)  # together white: where both images agree, the overlay is grey
FIELDS = 8  # of a checkerboard along the longer axis


def scaled(image: Array, low: float, high: float) -> Array:
    """An image with `low` at 0 and `high` at 1; what lies beyond is 0 or 1."""
    return np.asarray(np.clip((image - low) / max(high - low, 1e-12), 0, 1))


def overlay(fixed: Array, moved: Array) -> Array:
    """``(*S, 3)``: the fixed image in orange and the other in blue, both ``(*S)`` from 0 to 1."""
    colours = fixed[..., None] * np.array(ORANGE) + moved[..., None] * np.array(BLUE)
    return np.asarray(np.clip(colours, 0, 1))  # the sum of the colours is 1 but for rounding


def field_side(shape: tuple[int, ...]) -> int:
    """Voxels along a field of a checkerboard."""
    return max(round(max(shape) / FIELDS), 1)


def checkerboard(fixed: Array, moved: Array) -> Array:
    """``(*S)``: fields of the one and of the other image in turn, the first of the fixed one."""
    side = field_side(fixed.shape)
    return np.where((np.indices(fixed.shape) // side).sum(0) % 2 == 0, fixed, moved)

"""What every metric asks of its input: a numpy view of arrays and tensors, shapes that agree, integer labels."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]


def array(value: Any) -> Array:
    """The numpy array behind an array or a tensor on any device; never written to."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def displacement_array(displacement: Any, *, voxels: int) -> Array:
    """A displacement ``(d, *S)``, d = 2 or 3, with at least `voxels` voxels along each axis.

    Raises:
        ValueError: if it has another form.
    """
    field = array(displacement)
    if field.ndim not in (3, 4) or len(field) != field.ndim - 1:
        raise ValueError(
            f"a displacement must be (d, *S) with d = 2 or 3 components first, but got {field.shape}. "
            "Move the component axis to the front and drop the batch axis."
        )
    if min(field.shape[1:]) < voxels:
        raise ValueError(f"this metric needs at least {voxels} voxels along each axis, but got {field.shape[1:]}")
    return field


def mask_array(mask: Any, shape: Sequence[int]) -> NDArray[np.bool_] | None:
    """A mask ``(*S)`` as booleans; None stays None.

    Raises:
        ValueError: if its shape is another.
    """
    if mask is None:
        return None
    if array(mask).shape != tuple(shape):
        raise ValueError(f"mask must have the shape of the grid {tuple(shape)}, but got {array(mask).shape}")
    return array(mask).astype(bool)


def label_maps(fixed: Any, moved: Any, labels: Iterable[int]) -> tuple[Array, Array, list[int]]:
    """Two label maps of one shape, and the labels to compare.

    Raises:
        ValueError: if the shapes differ, a map is not of integers, or 0 (background) is among the labels.
    """
    maps = array(fixed), array(moved)
    if maps[0].shape != maps[1].shape:
        raise ValueError(f"fixed and moved must have one shape, but got {maps[0].shape} and {maps[1].shape}")
    for found in maps:
        if found.dtype.kind not in "iub":
            raise ValueError(f"a label map must hold integers, but got {found.dtype}. Round and convert it first.")
    wanted = [int(label) for label in labels]
    if 0 in wanted:
        raise ValueError("labels must not contain 0: background is no structure. Leave it out.")
    return maps[0], maps[1], wanted


def spacing_mm(spacing: Sequence[float], dims: int) -> Floats:
    """Millimetres per voxel along each axis.

    Raises:
        ValueError: if there is not one positive number an axis.
    """
    found = np.asarray(array(spacing), dtype=np.float64)
    if found.shape != (dims,) or not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(f"spacing must be {dims} positive numbers (mm a voxel), one an axis, but got {found.tolist()}")
    return found

"""What every metric asks of its input: a numpy view of arrays and tensors, shapes that agree, integer labels."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]


def array(value: Any) -> Array:
    """The numpy array behind an array or a tensor on any device; never written to."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    # numpy has no bfloat16, which is what autocast gives; float32 holds each of its numbers.
    return np.asarray((tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy())


def displacement_array(displacement: Any, *, voxels: int) -> Array:
    """A displacement ``(d, *S)``, d = 2 or 3, with at least `voxels` voxels along each axis; float32 or float64.

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
    if field.dtype.kind not in "fiub":
        raise ValueError(f"a displacement must hold real numbers, but got {field.dtype}. Convert it first.")
    if field.dtype.kind == "f":
        # scipy samples no float16; more than float64 nobody needs.
        return field.astype(
            np.float32 if field.dtype.itemsize < 4 else np.float64 if field.dtype.itemsize > 8 else field.dtype,
            copy=False,
        )
    return field.astype(np.float64)  # an unsigned integer has no minus


def compiled(field: Array) -> bool:
    """Whether the compiled loops take a displacement: volumes in single precision, where Numba serves."""
    return field.ndim == 4 and field.dtype == np.float32 and loops_serve()


def loops_serve() -> bool:
    """Whether Numba compiles here; see `regbench.system.numba_loops`."""
    from regbench.system import numba_loops  # noqa: PLC0415 - starts torch and Numba

    return numba_loops.available()


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
        ValueError: if the shapes differ or hold no voxel, a map is not of integers, or the labels are not whole numbers
            other than 0 (background).
    """
    maps = integers(fixed), integers(moved)
    if maps[0].shape != maps[1].shape:
        raise ValueError(f"fixed and moved must have one shape, but got {maps[0].shape} and {maps[1].shape}")
    if not maps[0].size:
        raise ValueError(f"label maps must have voxels, but got {maps[0].shape}")
    given = list(labels)
    wanted = [int(label) for label in given]
    if wanted != given:
        raise ValueError(f"labels must be whole numbers, but got {given}")
    if 0 in wanted:
        raise ValueError("labels must not contain 0: background is no structure. Leave it out.")
    return maps[0], maps[1], wanted


def integers(labels: Any) -> Array:
    """A label map as it is; one of booleans has the labels 0 and 1.

    Raises:
        ValueError: if it does not hold integers.
    """
    values = array(labels)
    if values.dtype.kind not in "iub":
        raise ValueError(f"a label map must hold integers, but got {values.dtype}. Round and convert it first.")
    # Indexing by booleans would choose instead of look up.
    return values.view(np.uint8) if values.dtype.kind == "b" else values


def spacing_mm(spacing: Sequence[float], dims: int) -> Floats:
    """Millimetres per voxel along each axis.

    Raises:
        ValueError: if there is not one positive number an axis.
    """
    sides = np.asarray(array(spacing), dtype=np.float64)
    if sides.shape != (dims,) or not (np.isfinite(sides) & (sides > 0)).all():
        raise ValueError(f"spacing must be {dims} positive numbers (mm a voxel), one an axis, but got {sides.tolist()}")
    return sides

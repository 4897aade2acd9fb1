"""How many voxels the grid of a dataset has along each axis, from headers alone: too few and too many are refused."""

from collections.abc import Sequence
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Entry, Header
from regbench.system.errors import RegbenchError
from regbench.system.memory import affordable

LEAST = 2  # voxels along an axis: of one alone there is nothing to register
BYTES = 4  # of a voxel of an image
Ways = Sequence[tuple[int, int]]  # of a subject: (native axis, direction) of each axis of the grid


def grid_size(
    entries: Sequence[Entry], headers: Sequence[Header], axes: Sequence[Ways], spacing: tuple[float, ...],
    *, shape: tuple[int, ...] | None, step: int, resampled: bool,
) -> tuple[int, ...]:  # fmt: skip
    """The shape of the grid: `shape`, or the least that holds every subject.

    Args:
        entries: the subjects.
        headers: of their images.
        axes: of each subject.
        spacing: of the grid, in mm.
        shape: what the config asks for, if anything.
        step: the least shape is rounded up to a multiple of it.
        resampled: whether the config asks for `spacing`.

    Raises:
        RegbenchError: naming the key (and the subject) of which an axis has too few voxels, or an image too many.
    """
    needed = _extents(headers, axes, spacing)
    if resampled and (needed < LEAST - 1e-3).any():
        worst = int(np.argmin(needed.min(1)))
        raise RegbenchError(
            f"preprocessing.spacing_mm must leave {LEAST} voxels along every axis, but at {list(spacing)} mm "
            f"`{entries[worst].id}`, {headers[worst].shape} voxels of {headers[worst].spacing_mm} mm, has "
            f"{_times(needed[worst])}. Give a smaller spacing."
        )
    if shape is not None:
        if len(shape) != len(spacing) or min(shape) < LEAST:
            raise RegbenchError(
                f"preprocessing.shape must be {len(spacing)} numbers of at least {LEAST}, but got {list(shape)}."
            )
        _check_memory(shape, "preprocessing.shape")
        return shape
    most = needed.max(0)
    _check_memory(most, "preprocessing.spacing_mm" if resampled else "the box around all images")
    least = tuple(step * -int(-(side - 1e-3) // step) for side in most)
    _check_memory(least, "preprocessing.multiple_of")
    return least


def _extents(headers: Sequence[Header], axes: Sequence[Ways], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """``(n, d)``: how many voxels of the grid each subject's array is wide; infinite beyond what a float holds."""
    with np.errstate(over="ignore"):
        return np.array(
            [
                [
                    header.shape[axis] * (np.float64(header.spacing_mm[axis]) / side)
                    for (axis, _), side in zip(ways, spacing, strict=True)
                ]
                for header, ways in zip(headers, axes, strict=True)
            ]
        )


def _check_memory(sides: Sequence[float] | NDArray[np.float64], what: str) -> None:
    """Raise RegbenchError if an image of these sides is more than a machine holds; `what` makes it so large."""
    size = prod(map(float, sides)) * BYTES if np.isfinite(sides).all() else inf
    if size > affordable():
        raise RegbenchError(
            f"{what} must give images that this machine holds, at most {affordable():.3g} bytes each, but of "
            f"{_times(sides)} voxels an image has {size:.3g} bytes. Give a larger `spacing_mm`, a smaller `shape` or "
            "`multiple_of`, or use a larger machine."
        )


def _times(sides: Sequence[float] | NDArray[np.float64]) -> str:
    return " x ".join(f"{float(side):.4g}" if side < 1e4 else f"{float(side):.6g}" for side in sides)

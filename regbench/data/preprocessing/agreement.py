"""What the headers of all subjects must say alike before they can come to one grid."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regbench.data.native import Entry, Header
from regbench.system.errors import RegbenchError


def common_dims(dims: Mapping[str, int]) -> int:
    """2 or 3, as every subject has, by its id.

    Raises:
        RegbenchError: naming two subjects that differ.
    """
    first, expected = next(iter(dims.items()))
    for name, count in dims.items():
        if count != expected:
            raise RegbenchError(
                f"all subjects must be 2D or all 3D, but `{first}` is {expected}D and `{name}` {count}D."
            )
    return expected


def check_placed(entries: tuple[Entry, ...], headers: list[Header]) -> None:
    """Raise RegbenchError if the headers of some subjects say how they lie and those of others do not, or otherwise."""
    planes = {header.plane: entry.id for entry, header in zip(entries, headers, strict=True)}
    if len(planes) > 1 and len(headers[0].shape) == 2:
        (one, first), (other, second), *_ = planes.items()
        run = [" and ".join(("right", "front", "top")[axis] for axis in axes) for axes in (one, other)]
        raise RegbenchError(
            f"all slices must lie in one plane, but by their headers `{first}` runs {run[0]} and `{second}` {run[1]}. "
            "Leave some out, or give `orientation: keep` where the headers mean nothing."
        )
    by_answer = {header.placed: entry.id for entry, header in zip(entries, headers, strict=True)}
    if len(by_answer) == 2:
        raise RegbenchError(
            f"all subjects or none must say in their headers how their axes run, but `{by_answer[True]}` does and "
            f"`{by_answer[False]}` does not (NIfTI: qform and sform codes are 0; pictures never do). Set the code, "
            "or give `orientation: keep` or `stored_as` where all are stored alike."
        )


def common_spacing(
    wanted: float | tuple[float, ...] | None, dims: int, entries: tuple[Entry, ...], headers: list[Header], axes: Any
) -> tuple[float, ...]:
    """Side lengths in mm of the voxels of the grid: those that are wanted, else those that all subjects have.

    Args:
        wanted: ``preprocessing.spacing_mm``; one number stands for all axes.
        dims: of the images.
        entries: the subjects.
        headers: of their images.
        axes: for each subject, the (native axis, direction) of each axis of the grid.

    Raises:
        RegbenchError: if `wanted` does not fit, or subjects differ and nothing is wanted.
    """
    if wanted is not None:
        spacing = tuple(map(float, wanted)) if isinstance(wanted, tuple) else (float(wanted),) * dims
        if len(spacing) != dims or not all(0 < side < np.inf for side in spacing):
            raise RegbenchError(f"preprocessing.spacing_mm must be {dims} numbers above 0, but got {list(spacing)}.")
        return spacing
    own = [tuple(header.spacing_mm[axis] for axis, _ in ways) for header, ways in zip(headers, axes, strict=True)]
    differ = np.flatnonzero(~np.isclose(own, own[0], rtol=1e-3, atol=0).all(1))
    if len(differ):
        other = differ[0]
        raise RegbenchError(
            f"subjects must have one spacing, but `{entries[0].id}` has {own[0]} mm and `{entries[other].id}` "
            f"{own[other]} mm. Set preprocessing.spacing_mm to resample all of them."
        )
    return own[0]

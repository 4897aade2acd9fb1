"""The lambda of a paper in another convention of the same regularizer.

A weight means nothing without the numbers that it multiplies: displacements in voxels, in mm or in [-1, 1], differences
per voxel or per mm, on the image's grid or on one of half its resolution, means or sums, and factors before them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal, get_args

from regbench.system.errors import did_you_mean, one_of

Unit = Literal["voxels", "mm", "normalised"]
Reduction = Literal["mean", "sum"]

# Of each regularizer: the power of its differences, their order, and how ours takes the axes (bending: pairs of them).
FORMS: dict[str, tuple[int, int, Reduction]] = {
    "grad_l1": (1, 1, "mean"),
    "grad_l2": (2, 1, "mean"),
    "bending": (2, 2, "sum"),
    "displacement_l1": (1, 0, "mean"),
    "displacement_l2": (2, 0, "mean"),
}


@dataclass(frozen=True)
class Convention:
    """How a regularizer is computed; by default as ours without `spacing`.

    Attributes:
        displacement: unit: voxels of the grid that it is on, mm, or ``normalised``, half of an image's extent, so that
            its first and last voxel lie at -1 and 1 (torch's ``grid_sample`` with ``align_corners=True``).
        differences: what a difference between neighbours is divided by, once for each order: nothing (``voxels``), or
            their distance in mm or in the normalised unit.
        grid: voxels of the image from one voxel of the displacement's grid to the next: 2 for half resolution.
        axes: mean or sum over the axes that differences run along (of bending: over the d^2 pairs). None for ours: a
            sum for bending, else a mean.
        components: mean or sum over the components of the displacement.
        voxels: mean or sum over the voxels of the displacement's grid.
        multiplier: of the whole: ``loss_mult`` of VoxelMorph, a factor 1/2.
    """

    displacement: Unit = "voxels"
    differences: Unit = "voxels"
    grid: float = 1
    axes: Reduction | None = None
    components: Reduction = "mean"
    voxels: Reduction = "mean"
    multiplier: float = 1

    def __post_init__(self) -> None:
        """Refuse a word that no convention knows.

        Raises:
            ValueError: with the words that it may be.
        """
        for name in ("displacement", "differences"):
            one_of(name, getattr(self, name), *get_args(Unit))
        for name in ("components", "voxels", *(["axes"] if self.axes else [])):
            one_of(name, getattr(self, name), *get_args(Reduction))


OURS = Convention()
OURS_IN_MM = Convention("mm", "mm")


def convert_lambda(
    value: float,
    regularizer: str,
    given: Convention,
    wanted: Convention = OURS,
    *,
    shape: Sequence[int],
    spacing: Sequence[float] | None = None,
) -> float:
    """The lambda that weighs a regularizer in one convention as another lambda weighs it in another.

    The similarity is the same in both: a lambda is relative to it too, and to its own mean or sum. Exact for motions
    that every grid resolves, where components and axes have one unit: a cube of cubic voxels. Elsewhere the factor of
    a component along an axis is its own, and the mean over them is taken, as of a motion that is alike in all.

    Args:
        value: lambda of the paper.
        regularizer: ``grad_l1``, ``grad_l2``, ``bending``, ``displacement_l1`` or ``displacement_l2``.
        given: convention of the paper.
        wanted: convention of the result; ours without `spacing` by default, `OURS_IN_MM` with it.
        shape: of the image in voxels.
        spacing: of the image in mm along each axis; only millimetres need it.

    Raises:
        ValueError: for another regularizer, or a shape, spacing or convention that cannot be.

    Reference:
        Dalca et al. 2019, doi:10.1016/j.media.2019.07.006 (half resolution); the rest follows from the units.

    Example:
        >>> halves = Convention(grid=2)  # a flow at half resolution, in its own voxels
        >>> convert_lambda(1.0, "bending", halves, shape=(64, 64))
        4.0
    """
    if regularizer not in FORMS:
        raise ValueError(f"regularizer must have one form in all papers; {did_you_mean(regularizer, FORMS)}")
    steps = _steps(shape, spacing, (given, wanted))
    one, two = (_size(regularizer, convention, shape, steps) for convention in (given, wanted))
    return value * one / two


def _steps(shape: Sequence[int], spacing: Sequence[float] | None, conventions: Sequence[Convention]) -> Sequence[float]:
    if min(shape, default=0) < 2:
        raise ValueError(f"shape must have two voxels along each axis, but got {tuple(shape)}.")
    if any(not convention.grid > 0 or not convention.multiplier > 0 for convention in conventions):
        raise ValueError(f"grid and multiplier must be positive, but got {list(conventions)}.")
    if spacing is None:
        if any("mm" in (convention.displacement, convention.differences) for convention in conventions):
            raise ValueError("spacing must be given where a convention is in mm.")
        return [1.0] * len(shape)
    if len(spacing) != len(shape) or not min(spacing) > 0:
        raise ValueError(f"spacing must be {len(shape)} positive numbers in mm, but got {tuple(spacing)}.")
    return spacing


def _size(regularizer: str, convention: Convention, shape: Sequence[int], steps: Sequence[float]) -> float:
    """How large a convention makes the same motion, beside a mean over everything in voxels of the image."""
    power, order, own = FORMS[regularizer]
    grid, dims = convention.grid, len(shape)
    of_units: dict[Unit, list[float]] = {  # voxels of the image in one unit, along each axis
        "voxels": [grid] * dims,
        "mm": [1 / step for step in steps],
        "normalised": [(n - 1) / 2 for n in shape],
    }
    units = [1 / size for size in of_units[convention.displacement]]
    slopes = of_units[convention.differences]  # neighbours lie `grid` voxels apart
    parts = [
        (unit * prod(slopes[axis] for axis in axes)) ** power
        for unit in units
        for axes in product(range(dims), repeat=order)
    ]
    size = convention.multiplier * sum(parts) / len(parts)
    if (convention.axes or own) == "sum":
        size *= dims**order
    if convention.components == "sum":
        size *= dims
    return size * prod(n / grid for n in shape) if convention.voxels == "sum" else size

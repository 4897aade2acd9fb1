"""The panels of a registered pair that people know: images, overlays, checkerboard, deformed grid with its folds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from numpy.typing import NDArray

from regbench.report.figures.blends import checkerboard, overlay
from regbench.report.figures.figure_style import COLOURS

PANELS = ("fixed", "moving", "moved", "overlay before", "overlay after", "checkerboard", "grid and folds")
FOLDED = "#ff00ff"
LINES = 24  # of the deformed grid along the longer axis
LEGEND = (
    "Overlay: fixed orange, moving or moved blue, grey where they agree. "
    "Grid: lines p + u(p) of the pull field over the moving image; magenta: determinant <= 0."
)
Array = NDArray[Any]


class Plane(NamedTuple):
    """A plane of a pair, ``(right, up)``.

    Attributes:
        fixed, moving, moved: the images, from 0 to 1.
        lines: ``(2, right, up)``: where ``p + u(p)`` lies in the plane, in voxels.
        folds: where the displacement folds.
        every: voxels between two lines of the grid.
        aspect: size of a voxel upwards by that to the right.
    """

    fixed: Array
    moving: Array
    moved: Array
    lines: Array
    folds: Array
    every: int
    aspect: float


def lines_every(shape: tuple[int, ...]) -> int:
    """Voxels between two lines of the deformed grid."""
    return max(round(max(shape) / LINES), 2)


def draw_panels(axes: Sequence[Axes], plane: Plane) -> None:
    """Draw `PANELS` of a plane, one an axis."""
    fixed, moving, moved = plane.fixed, plane.moving, plane.moved
    images = (fixed, moving, moved, overlay(fixed, moving), overlay(fixed, moved), checkerboard(fixed, moved), moving)
    for axis, image in zip(axes, images, strict=True):
        axis.imshow(
            image.swapaxes(0, 1), cmap="gray", vmin=0, vmax=1, origin="lower", aspect=plane.aspect,
            interpolation="nearest",
        )  # fmt: skip
        bare(axis)
    _grid(axes[-1], plane)


def bare(axis: Axes) -> None:
    """No ticks and no frame: a picture."""
    axis.set(xticks=[], yticks=[])
    axis.spines[["left", "bottom"]].set_visible(False)


def _grid(axis: Axes, plane: Plane) -> None:
    """Lines ``p + u(p)`` and, where the field folds, points; the limits stay those of the image."""
    x, y = plane.lines
    for k in range(0, x.shape[0], plane.every):
        axis.plot(x[k], y[k], color=COLOURS[7], linewidth=0.4)
    for k in range(0, x.shape[1], plane.every):
        axis.plot(x[:, k], y[:, k], color=COLOURS[7], linewidth=0.4)
    axis.scatter(x[plane.folds], y[plane.folds], s=1.2, color=FOLDED, linewidths=0, zorder=3)
    axis.set(xlim=(-0.5, x.shape[0] - 0.5), ylim=(-0.5, x.shape[1] - 0.5))

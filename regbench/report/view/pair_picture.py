"""A pair as one picture for a paper: overlay, checkerboard, the deformed grid and folds over the anatomy."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from regbench.report.figures.blends import checkerboard, overlay, scaled
from regbench.report.figures.figure_style import COLOURS, drawing, save
from regbench.report.figures.pair_figures import FOLDED
from regbench.report.view.shown_pair import ShownPair, View, lines_every
from regbench.system.escaping import pictured

COLUMNS = ("fixed", "moving", "moved", "overlay before", "overlay after", "checkerboard", "grid and folds")
SIDE = 1.5  # inches of the largest panel
LETTER: dict[str, Any] = {"color": "white", "fontsize": 6, "fontweight": "bold"}
Array = NDArray[Any]


def write_picture(shown: ShownPair, stem: Path) -> None:
    """Write ``stem.{svg,png,csv}``, the same bytes each time: a row a plane; the CSV says what was measured."""
    sides = [(_side(shown, view.right), _side(shown, view.up)) for view in shown.views]
    longest = max(max(pair) for pair in sides)
    width = SIDE * max(right for right, _ in sides) / longest * len(COLUMNS) + 0.5
    heights = [SIDE * up / longest for _, up in sides]
    with drawing(width, sum(heights) + 0.2 * len(sides) + 0.7) as figure:
        axes = figure.subplots(len(sides), len(COLUMNS), squeeze=False, height_ratios=heights)
        figure.suptitle("\n".join(pictured(text, 150) for text in (shown.title, shown.names)), fontsize=7)
        for axis, title in zip(axes[0], COLUMNS, strict=True):
            axis.set_title(title, fontsize=7)
        for line, view in zip(axes, shown.views, strict=True):
            line[0].set_ylabel(view.name, fontsize=6)
            _row(line, shown, view)
        figure.supxlabel(_legend(shown), fontsize=5.5)
        facts = {"run": shown.title, "fixed": shown.registered.fixed, "moving": shown.registered.moving} | shown.facts
        save(figure, pd.DataFrame([facts]), stem)


def _legend(shown: ShownPair) -> str:
    return (
        f"Bar: {shown.bar_mm:g} mm. Overlay: fixed orange, moving or moved blue, grey where they agree. "
        "Grid: lines p + u(p) of the pull field over the moving image; magenta: determinant <= 0."
    )


def _side(shown: ShownPair, axis: int) -> float:
    """In mm."""
    return shown.shape[axis] * shown.spacing_mm[axis]


def _row(axes: Any, shown: ShownPair, view: View) -> None:
    slices = shown.slices(view)
    ranges = shown.ranges
    fixed = scaled(slices.fixed, *ranges["fixed"])
    moving, moved = (scaled(image, *ranges["moving"]) for image in (slices.moving, slices.moved))
    images = (fixed, moving, moved, overlay(fixed, moving), overlay(fixed, moved), checkerboard(fixed, moved), moving)
    aspect = shown.spacing_mm[view.up] / shown.spacing_mm[view.right]
    for axis, image in zip(axes, images, strict=True):
        axis.imshow(
            image.swapaxes(0, 1), cmap="gray", vmin=0, vmax=1, origin="lower", aspect=aspect, interpolation="nearest"
        )
        axis.set(xticks=[], yticks=[])
        axis.spines[["left", "bottom"]].set_visible(False)
    _grid(axes[-1], slices.lines, slices.folds, lines_every(shown.shape))
    _letters(axes[0], shown, view)
    end, long = 0.97 * shown.shape[view.right], shown.bar_mm / shown.spacing_mm[view.right]
    low = 0.03 * shown.shape[view.up]
    axes[0].plot([end - long, end], [low, low], color="white", linewidth=1.6, solid_capstyle="butt")


def _letters(axis: Axes, shown: ShownPair, view: View) -> None:
    if shown.ends is None:
        return
    (left, right), (low, high) = shown.ends[view.right], shown.ends[view.up]
    for x, y, letter, across, along in (
        (0.02, 0.5, left, "left", "center"),
        (0.98, 0.5, right, "right", "center"),
        (0.5, 0.02, low, "center", "bottom"),
        (0.5, 0.98, high, "center", "top"),
    ):
        axis.text(x, y, letter, transform=axis.transAxes, ha=across, va=along, **LETTER)


def _grid(axis: Axes, lines: Array, folds: Array, every: int) -> None:
    """Lines ``p + u(p)`` and, where the field folds, points; the limits stay those of the image."""
    x, y = lines
    for k in range(0, x.shape[0], every):
        axis.plot(x[k], y[k], color=COLOURS[7], linewidth=0.4)
    for k in range(0, x.shape[1], every):
        axis.plot(x[:, k], y[:, k], color=COLOURS[7], linewidth=0.4)
    axis.scatter(x[folds], y[folds], s=1.2, color=FOLDED, linewidths=0, zorder=3)
    axis.set(xlim=(-0.5, x.shape[0] - 0.5), ylim=(-0.5, x.shape[1] - 0.5))

"""A pair as one picture for a paper: overlay, checkerboard, the deformed grid and folds over the anatomy."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from regbench.report.figures.blends import scaled
from regbench.report.figures.figure_style import drawing, save
from regbench.report.figures.pair_panels import LEGEND, PANELS, Plane, draw_panels, lines_every
from regbench.report.view.shown_pair import ShownPair, View
from regbench.system.escaping import pictured

SIDE = 1.5  # inches of the largest panel
LETTER: dict[str, Any] = {"color": "white", "fontsize": 6, "fontweight": "bold"}


def write_picture(shown: ShownPair, stem: Path) -> None:
    """Write ``stem.{svg,png,csv}``, the same bytes each time: a row a plane; the CSV says what was measured."""
    sides = [(_side(shown, view.right), _side(shown, view.up)) for view in shown.views]
    longest = max(max(pair) for pair in sides)
    width = SIDE * max(right for right, _ in sides) / longest * len(PANELS) + 0.5
    heights = [SIDE * up / longest for _, up in sides]
    with drawing(width, sum(heights) + 0.2 * len(sides) + 0.7) as figure:
        axes = figure.subplots(len(sides), len(PANELS), squeeze=False, height_ratios=heights)
        figure.suptitle("\n".join(pictured(text, 150) for text in (shown.title, shown.names)), fontsize=7)
        for axis, title in zip(axes[0], PANELS, strict=True):
            axis.set_title(title, fontsize=7)
        for line, view in zip(axes, shown.views, strict=True):
            line[0].set_ylabel(view.name, fontsize=6)
            _row(line, shown, view)
        figure.supxlabel(f"Bar: {shown.bar_mm:g} mm. {LEGEND}", fontsize=5.5)
        facts = {"run": shown.title, "fixed": shown.registered.fixed, "moving": shown.registered.moving} | shown.facts
        save(figure, pd.DataFrame([facts]), stem)


def _side(shown: ShownPair, axis: int) -> float:
    """In mm."""
    return shown.shape[axis] * shown.spacing_mm[axis]


def _row(axes: Any, shown: ShownPair, view: View) -> None:
    slices = shown.slices(view)
    ranges = shown.ranges
    fixed = scaled(slices.fixed, *ranges["fixed"])
    moving, moved = (scaled(image, *ranges["moving"]) for image in (slices.moving, slices.moved))
    aspect = shown.spacing_mm[view.up] / shown.spacing_mm[view.right]
    draw_panels(axes, Plane(fixed, moving, moved, slices.lines, slices.folds, lines_every(shown.shape), aspect))
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

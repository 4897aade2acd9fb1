"""Pictures of test pairs for the figures and the page of a report, and their small pictures for MLflow."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from numpy.typing import NDArray
from PIL import Image

from regbench.evaluation.slices import PLACES
from regbench.report.figures.blends import scaled
from regbench.report.figures.figure_style import drawing, save
from regbench.report.figures.pair_panels import FOLDED, LEGEND, PANELS, Plane, bare, draw_panels, lines_every
from regbench.system.files import replacing

COLUMNS = (*PANELS, "determinant")
ACROSS = 4  # panels of a pair in a row of the page: legible where it is 1280 pixels wide
SIDE, DPI = 1.9, 120  # the longer side of a panel there, in inches, and dots of an inch
# Folds fall below the lowest shown value and get a colour that the map does not have.
DETERMINANT = colormaps["RdBu"].with_extremes(under=FOLDED)
HEIGHT = 110  # pixels of a thumbnail: MLflow shows so much of a description without being asked
Slices = Mapping[str, NDArray[Any]]  # arrays of one or of several pairs, by what they show


def panels_figure(stored: Mapping[str, Slices], spacing: Mapping[str, tuple[float, ...]], folder: Path) -> None:
    """Best, median and worst pair of one run of each dataset.

    Args:
        stored: ``dataset / method`` to the panels of one run.
        spacing: likewise to the size of a voxel in mm.
        folder: receives ``panels.{svg,png,csv}``.
    """
    rows = _pairs(stored)
    about = []
    for name, place in rows:
        fixed, moving, score = (str(part) for part in stored[name][f"{place}_about"])
        about.append({"run": name, "place": place, "fixed": fixed, "moving": moving, "score": score})
    frame = pd.DataFrame(about, columns=["run", "place", "fixed", "moving", "score"])
    with drawing(1.35 * len(COLUMNS) + 0.6, 1.5 * max(len(rows), 1) + 0.6) as figure:
        axes = figure.subplots(max(len(rows), 1), len(COLUMNS), squeeze=False)
        for axis, title in zip(axes[0], COLUMNS, strict=True):
            axis.set_title(title, fontsize=7)
        for axis in axes.ravel():
            bare(axis)
        for line, (name, place), words in zip(axes, rows, about, strict=False):
            parts = _of_pair(stored[name], place)
            line[0].set_ylabel(f"{place}, {words['score']}\n{name}", fontsize=5)
            _row(line, parts, spacing[name][1] / spacing[name][0])
        figure.supxlabel(LEGEND, fontsize=6)
        save(figure, frame, folder / "panels")


def pair_strips(stored: Mapping[str, Slices], spacing: Mapping[str, tuple[float, ...]]) -> list[tuple[str, bytes]]:
    """Caption and PNG of each pair, for a page that shows one after the other.

    Args:
        stored: ``dataset / method`` to the panels of one run.
        spacing: likewise to the size of a voxel in mm.
    """
    strips = []
    for name, place in _pairs(stored):
        parts = _of_pair(stored[name], place)
        fixed, moving, score = (str(part) for part in parts["about"])
        image = _strip(parts, spacing[name][1] / spacing[name][0])
        strips.append((f"{name}: {place} pair, fixed {fixed}, moving {moving}, {score}.", image))
    return strips


def _strip(parts: Slices, aspect: float) -> bytes:
    """PNG of the panels of a pair, four a row."""
    right, up = parts["fixed"].shape[0], parts["fixed"].shape[1] * aspect
    across, along = (SIDE * side / max(right, up) for side in (right, up))
    rows = len(COLUMNS) // ACROSS
    image = BytesIO()
    with drawing(across * ACROSS + 0.1, (along + 0.25) * rows) as figure:
        axes = figure.subplots(rows, ACROSS).ravel()
        for axis, title in zip(axes, COLUMNS, strict=True):
            axis.set_title(title, fontsize=7)
        _row(axes, parts, aspect)
        figure.savefig(image, dpi=DPI, metadata={"Software": None}, format="png", pil_kwargs={"optimize": True})
    return image.getvalue()


def _pairs(stored: Mapping[str, Slices]) -> list[tuple[str, str]]:
    """``dataset / method`` and place of each pair."""
    return [(name, place) for name, slices in stored.items() for place in PLACES if f"{place}_about" in slices]


def _of_pair(slices: Slices, place: str) -> Slices:
    """The arrays of the best, median or worst pair."""
    return {name.removeprefix(f"{place}_"): values for name, values in slices.items() if name.startswith(f"{place}_")}


def thumbnail(parts: Slices, aspect: float) -> Image.Image:
    """Fixed image, moved image, their difference and the determinant of a pair, side by side.

    Args:
        parts: slices of the pair.
        aspect: size of a voxel along the second axis by that along the first.
    """
    high = max(float(parts["fixed"].max()), 1e-6)
    low = float(parts["fixed"].min())
    grey = Normalize(low, high if high > low else low + 1, clip=True)
    drawn = [colormaps["gray"](grey(parts[name])) for name in ("fixed", "moved")]
    drawn.append(colormaps["RdBu_r"](Normalize(-0.6 * high, 0.6 * high)(parts["moved"] - parts["fixed"])))
    drawn.append(DETERMINANT(TwoSlopeNorm(1, 0, 2)(_folds(parts["determinant"]))))
    width, height = parts["fixed"].shape
    size = (max(round(HEIGHT * width / (height * aspect)), 1), HEIGHT)
    strip = Image.new("RGB", (len(drawn) * (size[0] + 2) - 2, HEIGHT), "white")
    for number, colours in enumerate(drawn):
        # The array's first axis goes to the right, its second upwards.
        pixels = (np.asarray(colours)[..., :3].transpose(1, 0, 2)[::-1] * 255).round().astype(np.uint8)
        strip.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (number * (size[0] + 2), 0))
    return strip


def write_thumbnail(stored: Slices, spacing: Sequence[float], path: Path) -> None:
    """Write the median pair's `thumbnail` as PNG; delete the file where no pair was registered."""
    if "median_about" not in stored:
        path.unlink(missing_ok=True)
        return
    parts = _of_pair(stored, "median")
    with replacing(path) as temporary:
        thumbnail(parts, spacing[1] / spacing[0]).save(temporary, format="png", optimize=True)


def _folds(determinant: NDArray[Any]) -> NDArray[Any]:
    """The determinant, with folds below the lowest value of the colour scale."""
    return np.where(determinant <= 0, -1.0, determinant)


def _row(axes: Sequence[Axes], parts: Slices, aspect: float) -> None:
    """The panels of a pair, from its fixed image to its determinant."""
    ranges = {name: (float(parts[name].min()), float(parts[name].max())) for name in ("fixed", "moving")}
    fixed = scaled(parts["fixed"], *ranges["fixed"])
    moving, moved = (scaled(parts[name], *ranges["moving"]) for name in ("moving", "moved"))
    lines = parts["displacement"] + np.indices(fixed.shape)
    plane = Plane(fixed, moving, moved, lines, parts["determinant"] <= 0, lines_every(fixed.shape), aspect)
    draw_panels(axes[:-1], plane)
    determinant = _folds(parts["determinant"]).T
    axes[-1].imshow(
        determinant, cmap=DETERMINANT, norm=TwoSlopeNorm(1, 0, 2), origin="lower", aspect=aspect,
        interpolation="nearest",
    )  # fmt: skip
    bare(axes[-1])

"""Panels of single pairs: what was fixed, moving and moved, the deformed grid, and where it folds."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize, TwoSlopeNorm
from PIL import Image

from regbench.evaluation.slices import PLACES
from regbench.report.study_figures import drawing, save
from regbench.system.files import replacing

COLUMNS = ("fixed", "moving", "moved", "difference before", "difference after", "deformed grid", "determinant")
FOLDED = "#ff00ff"
# Folds fall below the lowest shown value and get a colour that the map does not have.
DETERMINANT = colormaps["RdBu"].with_extremes(under=FOLDED)
HEIGHT = 110  # pixels of a thumbnail: what MLflow shows of a description unasked
LINES = 4  # voxels between two lines of the grid


def load_panels(path: Path) -> dict[str, Any]:
    """Arrays of a run's panels; empty where no pair was registered."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def panels_figure(
    stored: Mapping[str, Mapping[str, Any]], spacing: Mapping[str, tuple[float, ...]], folder: Path
) -> None:
    """Best, median and worst pair of one run of each dataset.

    Args:
        stored: ``dataset / method`` to the panels of one run.
        spacing: likewise to the size of a voxel in mm.
        folder: receives ``panels.{svg,png,csv}``.
    """
    rows = [(name, place) for name, parts in stored.items() for place in PLACES if f"{place}_about" in parts]
    about = []
    for name, place in rows:
        fixed, moving, dice = (str(part) for part in stored[name][f"{place}_about"])
        about.append({"run": name, "place": place, "fixed": fixed, "moving": moving, "dice": dice})
    frame = pd.DataFrame(about, columns=["run", "place", "fixed", "moving", "dice"])
    with drawing(1.35 * len(COLUMNS) + 0.6, 1.5 * max(len(rows), 1) + 0.4) as figure:
        axes = figure.subplots(max(len(rows), 1), len(COLUMNS), squeeze=False)
        for axis, title in zip(axes[0], COLUMNS, strict=True):
            axis.set_title(title, fontsize=7)
        for axis in axes.ravel():
            axis.set(xticks=[], yticks=[])
            axis.spines[["left", "bottom"]].set_visible(False)
        for line, (name, place), words in zip(axes, rows, about, strict=False):
            parts = {
                key.removeprefix(f"{place}_"): values for key, values in stored[name].items() if key.startswith(place)
            }
            line[0].set_ylabel(f"{place}, Dice {words['dice']}\n{name}", fontsize=5)
            _row(line, parts, spacing[name][1] / spacing[name][0])
        save(figure, frame, folder / "panels")


def pair_strips(
    stored: Mapping[str, Mapping[str, Any]], spacing: Mapping[str, tuple[float, ...]]
) -> list[tuple[str, bytes]]:
    """One PNG a pair, with its caption: for a page that shows one after the other. Arguments as for `panels_figure`."""
    found = []
    for name, place in [
        (name, place) for name, parts in stored.items() for place in PLACES if f"{place}_about" in parts
    ]:
        parts = {key.removeprefix(f"{place}_"): values for key, values in stored[name].items() if key.startswith(place)}
        fixed, moving, dice = (str(part) for part in parts["about"])
        with drawing(1.35 * len(COLUMNS) + 0.2, 1.75) as figure:
            axes = figure.subplots(1, len(COLUMNS))
            for axis, title in zip(axes, COLUMNS, strict=True):
                axis.set_title(title, fontsize=7)
                axis.set(xticks=[], yticks=[])
                axis.spines[["left", "bottom"]].set_visible(False)
            _row(axes, parts, spacing[name][1] / spacing[name][0])
            image = BytesIO()
            figure.savefig(image, dpi=150, metadata={"Software": None}, format="png")
        found.append((f"{name}: {place} pair, fixed {fixed}, moving {moving}, Dice {dice}.", image.getvalue()))
    return found


def thumbnail(parts: Mapping[str, Any], aspect: float) -> Image.Image:
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
    found = Image.new("RGB", (len(drawn) * (size[0] + 2) - 2, HEIGHT), "white")
    for number, colours in enumerate(drawn):
        # The array's first axis goes to the right, its second upwards.
        pixels = (np.asarray(colours)[..., :3].transpose(1, 0, 2)[::-1] * 255).round().astype(np.uint8)
        found.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (number * (size[0] + 2), 0))
    return found


def write_thumbnail(stored: Mapping[str, Any], spacing: Sequence[float], path: Path) -> None:
    """Write the median pair's `thumbnail` as PNG; delete the file where no pair was registered."""
    if "median_about" not in stored:
        path.unlink(missing_ok=True)
        return
    parts = {name.removeprefix("median_"): values for name, values in stored.items() if name.startswith("median_")}
    with replacing(path) as temporary:
        thumbnail(parts, spacing[1] / spacing[0]).save(temporary, format="png", optimize=True)


def _folds(determinant: Any) -> Any:
    """The determinant, with folds below the lowest value of the colour scale."""
    return np.where(determinant <= 0, -1.0, determinant)


def _row(axes: Any, parts: Mapping[str, Any], aspect: float) -> None:
    images = {name: parts[name].T for name in ("fixed", "moving", "moved")}
    low, high = float(images["fixed"].min()), max(float(images["fixed"].max()), 1e-6)
    style = {"origin": "lower", "aspect": aspect, "interpolation": "nearest"}
    for axis, name in zip(axes[:3], images, strict=True):
        axis.imshow(images[name], cmap="gray", vmin=low, vmax=high, **style)
    for axis, name in zip(axes[3:5], ("moving", "moved"), strict=True):
        axis.imshow(images[name] - images["fixed"], cmap="RdBu_r", vmin=-0.6 * high, vmax=0.6 * high, **style)
    _grid(axes[5], parts["displacement"], aspect)
    axes[6].imshow(_folds(parts["determinant"]).T, cmap=DETERMINANT, norm=TwoSlopeNorm(1, 0, 2), **style)


def _grid(axis: Any, displacement: Any, aspect: float) -> None:
    """Lines ``p + u(p)``: where the fixed image's grid takes its values from in the moving one."""
    shape = displacement.shape[1:]
    x, y = displacement + np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
    for k in range(0, shape[0], LINES):
        axis.plot(x[k], y[k], color="black", linewidth=0.35)
    for k in range(0, shape[1], LINES):
        axis.plot(x[:, k], y[:, k], color="black", linewidth=0.35)
    axis.set(xlim=(0, shape[0] - 1), ylim=(0, shape[1] - 1), aspect=aspect)

"""A pair as one HTML file with sliders: works offline, from a mail attachment."""

import base64
import gzip
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import colormaps
from numpy.typing import NDArray

from regbench.report.figures.blends import BLUE, ORANGE, field_side
from regbench.report.figures.figure_style import COLOURS
from regbench.report.figures.pair_panels import FOLDED, lines_every
from regbench.report.view.shown_pair import ShownPair
from regbench.system.files import write_text

Array = NDArray[Any]
STEPS = 32767  # of a stored component from 0 to the largest
MOST = 2.0  # of the determinant, where its colours end
NOTES = (
    "The displacement u is in voxels of the fixed grid and pulls: moved(p) = moving(p + u(p)), linear between voxels.",
    "The grid is drawn where the pull field maps it: lines p + u(p), in the moving image; in 3D, what lies in the "
    "plane of u.",
    "A voxel folds where the determinant of p + u(p) by central differences is <= 0: magenta.",
    "Labels are pulled by the nearest voxel.",
)


def write_pair_page(shown: ShownPair, path: Path, *, about: list[str]) -> None:
    """Write the page whole or not at all; the same bytes each time.

    Args:
        shown: the pair.
        path: of the HTML file.
        about: sentences more for the notes, such as whether it is what was evaluated.
    """
    environment = Environment(
        loader=PackageLoader("regbench.report.view", "."), autoescape=True, undefined=StrictUndefined
    )
    pair, field = shown.registered.pair, shown.registered.displacement
    step = max(float(np.abs(field).max()), 1e-6) / STEPS
    labels = np.unique(np.concatenate([np.unique(pair.fixed_labels), np.unique(pair.moving_labels)]))
    number = np.uint8 if len(labels) < 256 else np.uint16
    arrays = {
        "fixed": _bytes(pair.fixed, *shown.ranges["fixed"]),
        "moving": _bytes(pair.moving, *shown.ranges["moving"]),
        "displacement": np.rint(field / step).astype("<i2"),
        "determinant": _determinants(shown.determinant),
    }
    if len(labels) > 1:
        for name, values in (("fixed-labels", pair.fixed_labels), ("moving-labels", pair.moving_labels)):
            arrays[name] = np.searchsorted(labels, values).astype(number)
    side = field_side(shown.shape)
    facts = {
        "shape": list(shown.shape),
        "spacing": list(shown.spacing_mm),
        "ends": shown.ends,
        "views": [view._asdict() for view in shown.views],
        "centre": list(shown.centre),
        "step": step,
        "ranges": shown.ranges,
        "labels": len(labels) > 1,
        "wide_labels": number is np.uint16,
        "bar_mm": shown.bar_mm,
        "colours": {"orange": ORANGE, "blue": BLUE, "folds": FOLDED, "fixed": COLOURS[5], "moved": COLOURS[4]},
        "maps": {"difference": _colours("RdBu_r"), "determinant": _colours("RdBu")},
        "most": MOST,
    }
    page = environment.get_template("pair_page.html.j2").render(
        shown=shown,
        facts=facts,
        arrays={name: _packed(values) for name, values in arrays.items()},
        notes=[*NOTES, f"In this file vectors are rounded to {step:.1g} voxel, intensities to 256 steps.", *about],
        sizes={"checker": side, "grid": lines_every(shown.shape), "longest": max(shown.shape)},
        axes="xyz"[: len(shown.shape)],
        folds=bool((shown.determinant <= 0).any()),
    )
    write_text(path, page)


def _bytes(image: Array, low: float, high: float) -> Array:
    return np.rint((image - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def _determinants(determinant: Array) -> Array:
    """0 where it folds, else 1 to 255 for 0 to `MOST`."""
    return np.where(determinant <= 0, 0, 1 + np.rint(np.clip(determinant / MOST, 0, 1) * 254)).astype(np.uint8)


def _colours(name: str) -> list[list[int]]:
    """256 colours of a map, 0 to 255 each."""
    colours: list[list[int]] = np.rint(colormaps[name](np.arange(256))[:, :3] * 255).astype(int).tolist()
    return colours


def _packed(values: Array) -> str:
    return base64.b64encode(gzip.compress(np.ascontiguousarray(values).tobytes(), compresslevel=9, mtime=0)).decode()

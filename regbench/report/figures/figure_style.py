"""The style of all figures, and their files: SVG and PNG with the CSV behind each, the same bytes each time."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from regbench.system.escaping import csv_table
from regbench.system.files import replacing, write_text
from regbench.system.plain_figures import plain_style

# Okabe and Ito: distinct for colour-blind readers and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "regbench",
    "svg.fonttype": "none",
}
OF_IDENTITY, OF_METHOD = "#cccccc", "#9ecae1"  # boxes


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure in the style of the study.

    Args:
        width: in inches.
        height: likewise.
    """
    with plain_style(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of a name in a script that the font lacks: an SVG has its text
        yield Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, frame: pd.DataFrame, stem: Path) -> None:
    """`stem`.svg, .png and .csv; no date and no version inside, so that equal data are equal bytes."""
    for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
        with replacing(stem.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, dpi=200, metadata=metadata, format=suffix[1:])
        figure.set_layout_engine("none")  # computed once, and a quarter of the work: the PNG is laid out as the SVG
    write_text(stem.with_suffix(".csv"), csv_table(frame))


def series_colour(k: int) -> str:
    """The colour of the k-th series of a plot."""
    return COLOURS[k % len(COLOURS)]


def series_marker(k: int) -> str:
    """The marker of the k-th series of a plot."""
    return MARKERS[k % len(MARKERS)]

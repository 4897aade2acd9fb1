"""The grid as a picture: score and folding of each cell, and how it stands against the best of its model."""

import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle

from regbench.report.figures.figure_style import drawing, save
from regbench.report.figures.grid_words import (
    caption,
    described,
    grid_frame,
    meanings,
    named,
    number_text,
    percent_text,
    rising,
)
from regbench.report.summary_file import Summary
from regbench.system.escaping import latex
from regbench.system.files import replacing, write_text

MARKS = {"best": "★", "equal": "=", "undecided": "?", "not compared": "·"}
COLUMN, WIDTH = 88 / 25.4, 178 / 25.4  # a column and the text of a paper, in inches
CELL = (0.37, 0.3)  # least width and height of a cell in inches
MARGIN = 0.42  # names of the similarities
SPAN = 0.02  # of the score, from which the ends of the colours lie so far apart: noise does not look like a result
FOLDS = 1.0  # per cent: likewise
TITLE, LABELS, LINE = 0.38, 0.47, 0.12  # heights of titles, of names of regularizers and of a line of the legend


def verdict_grid(summary: Summary, folder: Path) -> pd.DataFrame:
    """Write ``verdict_grid`` as SVG, PNG, PDF and CSV, and as TEX the figure environment with its caption.

    Args:
        summary: of the analysis; without verdicts, cells have no marks.
        folder: of the figures.

    Returns:
        What the CSV has.
    """
    frame = grid_frame(summary)
    panels = _panels(frame)
    most = max(map(_width, panels), default=COLUMN)
    across = 2 if len(panels) > 1 and most <= COLUMN else 1
    width = max(across * most, WIDTH) if len(panels) > 1 else most
    legend = _legend(summary, frame, width)
    rows = [panels[start : start + across] for start in range(0, len(panels), across)]
    heights = [max(map(_height, row)) for row in rows] or [TITLE]  # a study without a grid has an empty picture
    stem = folder / "verdict_grid"
    with drawing(width, sum(heights) + LINE * (legend.count("\n") + 1.5)) as figure:
        parts = figure.subfigures(len(heights), across, squeeze=False, height_ratios=heights)
        for line, row in zip(parts, rows, strict=False):
            for part, cells in zip(line, row, strict=False):
                _panel(part, cells, several=frame["dataset"].nunique() > 1)
        figure.supxlabel(legend, fontsize=6)
        save(figure, frame, stem)
        _pdf(figure, stem.with_suffix(".pdf"))
    write_text(stem.with_suffix(".tex"), _latex(summary, frame, wide=width > COLUMN))
    return frame


def single_panels(frame: pd.DataFrame) -> list[tuple[str, bytes]]:
    """One SVG a model and dataset, with what it shows in words: a page puts them beside or below each other.

    Args:
        frame: of `grid_frame`.
    """
    images = []
    for cells in _panels(frame):
        svg = BytesIO()
        with drawing(_width(cells), _height(cells)) as figure:
            _panel(figure, cells, several=frame["dataset"].nunique() > 1)
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        images.append((described(cells), svg.getvalue()))
    return images


def _panels(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [cells for _, cells in frame.groupby(["dataset", "model"], sort=False)]


def _width(cells: pd.DataFrame) -> float:
    """Width of a panel in inches; a paper's column, or more where its cells would be too narrow for their numbers."""
    return max(COLUMN, MARGIN + 2 * cells["regularizer"].nunique() * CELL[0])


def _height(cells: pd.DataFrame) -> float:
    return TITLE + LABELS + CELL[1] * max(cells["similarity"].nunique(), 1)


def _panel(part: FigureBase, cells: pd.DataFrame, *, several: bool) -> None:
    """Two heat maps of one model and dataset."""
    dataset, model, metric = (cells[name].iloc[0] for name in ("dataset", "model", "metric"))
    part.suptitle(f"{dataset}, {model}" if several else str(model), fontsize=8)
    folding = next(filter(None, cells["folding_metric"]), "")
    left, right = part.subplots(1, 2, sharey=True)
    scores = cells["mean"].dropna()
    low, high = (scores.min(), scores.max()) if len(scores) else (0.0, 1.0)
    spread = max(SPAN - (high - low), 0) / 2 if metric == "dice" else 0
    norm = Normalize(low - spread, high + spread)
    texts = [number_text(value, metric) for value in cells["mean"]]
    _map(left, cells, "mean", texts, (norm, _colours("Blues", rising=rising(metric))))
    left.set_title(f"{named(metric)} {'↑' if rising(metric) else '↓'}", fontsize=7)
    norm = PowerNorm(0.5, 0, max(cells["folding"].max(), FOLDS) if cells["folding"].notna().any() else FOLDS)
    texts = [percent_text(value) for value in cells["folding"]]
    _map(right, cells.assign(verdict=""), "folding", texts, (norm, _colours("Oranges", rising=True)))
    right.set_title(f"{named(folding)} ↓" if folding else "no folding measured", fontsize=7)


def _map(axis: Axes, cells: pd.DataFrame, column: str, texts: list[str], style: tuple[Normalize, Colormap]) -> None:
    """One heat map; a cell without a number is hatched."""
    rows, columns = (list(dict.fromkeys(cells[kind])) for kind in ("similarity", "regularizer"))
    norm, colours = style
    for x, y in ((x, y) for y in range(len(rows)) for x in range(len(columns))):
        axis.add_patch(Rectangle((x, y), 1, 1, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0))
    for text, (_, cell) in zip(texts, cells.iterrows(), strict=True):
        x, y = columns.index(cell["regularizer"]), rows.index(cell["similarity"])
        if not text:
            continue
        colour = colours(norm(cell[column]))
        axis.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
        earned = cell["verdict"] == "better than all"
        mark = MARKS.get("best" if earned else cell["verdict"], "")
        axis.text(
            x + 0.5, y + 0.53, f"{text}\N{THIN SPACE}{mark}" if mark else text, fontsize=6.5, ha="center", va="center",
            color=_readable(colour), weight="bold" if earned else "normal",
        )  # fmt: skip
    axis.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.tick_params(length=0, labelsize=6.5, pad=2)
    axis.spines[["left", "bottom"]].set_visible(False)


def _colours(name: str, *, rising: bool) -> Colormap:
    """A sequential map, dark for large values; without its darkest part, in which no eye tells shades apart."""
    shades = colormaps[name](np.linspace(0.02, 0.85, 64))
    return LinearSegmentedColormap.from_list(name, shades if rising else shades[::-1])


def _readable(colour: tuple[float, ...]) -> str:
    """Black or white, whichever has more contrast (WCAG): at least 4.58."""
    red, green, blue, *_ = colour
    primaries = to_rgb((red, green, blue))
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in primaries]
    luminance = float(np.dot(parts, (0.2126, 0.7152, 0.0722)))
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def _legend(summary: Summary, frame: pd.DataFrame, width: float) -> str:
    """What the marks mean that the picture has; lines break only between them."""
    parts = [f"{sign} {words}".strip().replace(" ", "\0") for sign, words in meanings(summary, frame)]
    return textwrap.fill("   ".join(parts), int(width * 23)).replace("\0", " ")


def _latex(summary: Summary, frame: pd.DataFrame, *, wide: bool) -> str:
    """A figure environment; one over both columns where the picture is as wide as the text."""
    kind, size = ("figure*", r"\textwidth") if wide else ("figure", r"\columnwidth")
    words = latex(caption(summary, frame))
    label = f"fig:{summary['study']}-verdict_grid"
    return (
        f"% needs \\usepackage{{graphicx}}; verdict_grid.pdf stands beside this file\n"
        f"\\begin{{{kind}}}[t]\n\\centering\n"
        f"\\includegraphics[width={size}]{{verdict_grid.pdf}}\n\\caption{{{words}}}\n\\label{{{label}}}\n\\end{{{kind}}}\n"
    )


def _pdf(figure: Figure, path: Path) -> None:
    """For LaTeX: fonts as TrueType, and no date and no version inside."""
    with replacing(path) as temporary:
        nothing = {"CreationDate": None, "Creator": None, "Producer": None}
        figure.savefig(temporary, format="pdf", metadata=nothing)

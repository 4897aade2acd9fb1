"""The figure of the trade-off: score over regularity, a curve a cell, with its band."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from regbench.report.comparison_entries import CellCurve, TradeOffEntry
from regbench.report.figures.figure_style import drawing, save, series_colour, series_marker
from regbench.report.summary_file import Summary, foremost, leading
from regbench.report.tables.column_titles import metric_title
from regbench.report.tables.main_caption import units
from regbench.study.goals import words

COLUMNS = ["dataset", "model", "similarity", "regularizer", "kind", "seed", "lam", "regularity", "score", "low", "high"]


def trade_off_figure(summary: Summary, folder: Path) -> None:
    """The curves of the leading metric, a panel a model and similarity; the axis of regularity is one of roots."""
    told = foremost(summary)
    entries = [
        entry
        for entry in summary.get("trade_offs", [])
        if entry["dataset"] in told and entry["metric"] == leading(summary, entry["dataset"])
    ] or summary.get("trade_offs", [])[:1]
    parts = {entry["method"]: (str(entry["similarity"]), str(entry["regularizer"])) for entry in summary["methods"]}
    panels = [
        (entry, similarity)
        for entry in entries
        for similarity in dict.fromkeys(parts[cell["method"]][0] for cell in entry["cells"])
    ]
    rows = [
        {"dataset": entry["dataset"], "model": entry["model"], "similarity": parts[cell["method"]][0]}
        | {"regularizer": parts[cell["method"]][1], **row}
        for entry in entries
        for cell in entry["cells"]
        for row in _rows(cell)
    ]
    with drawing(2.6 * max(len(panels), 1) + 1.2, 2.8) as figure:
        axes = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
        first: dict[tuple[str, str], Axes] = {}
        for axis, (entry, similarity) in zip(axes, panels, strict=False):
            leader = first.setdefault((entry["dataset"], entry["model"]), axis)
            _draw(axis, entry, {name: part[1] for name, part in parts.items() if part[0] == similarity})
            several = len({one["dataset"] for one in entries}) > 1
            axis.set_title(", ".join([*([entry["dataset"]] if several else []), entry["model"], similarity]))
            if leader is not axis:
                axis.sharex(leader)
                axis.sharey(leader)
                axis.tick_params(labelleft=False)
            else:
                axis.set_ylabel(f"test {metric_title(entry['metric'])}")
        for leader in first.values():
            leader.set_xlim(left=0)
        handles, names = axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside right upper", frameon=False)
        save(figure, pd.DataFrame(rows, columns=COLUMNS), folder / "curve")


def _rows(cell: CellCurve) -> Iterator[dict[str, object]]:
    """What is drawn of a cell."""
    for point in cell["points"]:
        kind = "chosen" if point["chosen"] else "point"
        yield {"kind": kind, **{name: point[name] for name in ("seed", "lam", "regularity", "score")}}
    for regularity, score, low, high in cell["band"]:
        yield {"kind": "curve", "regularity": regularity, "score": score, "low": low, "high": high}


def _draw(axis: Axes, entry: TradeOffEntry, regularizers: dict[str, str]) -> None:
    """The cells of one similarity.

    Args:
        axis: of the panel.
        entry: with the cells.
        regularizers: the regularizer of each method of this similarity.
    """
    names = list(dict.fromkeys(regularizers.values()))
    axis.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    for level in entry["levels"]:
        axis.axvline(level, color="0.6", linestyle=":", linewidth=0.8, zorder=0)
    for cell in entry["cells"]:
        if cell["method"] not in regularizers:
            continue
        regularizer = regularizers[cell["method"]]
        k = names.index(regularizer)
        colour = series_colour(k)
        band = np.array(cell["band"], dtype=np.float64).reshape(-1, 4)
        axis.plot(band[:, 0], band[:, 1], color=colour, linewidth=1.2, label=regularizer)
        axis.fill_between(band[:, 0], band[:, 2], band[:, 3], color=colour, alpha=0.2, linewidth=0)
        for chosen, size, fill in ((False, 2.5, "full"), (True, 6.0, "none")):
            places = [
                (point["regularity"], point["score"])
                for point in cell["points"]
                if point["chosen"] is chosen and None not in (point["regularity"], point["score"])
            ]
            shown = np.array(places, dtype=np.float64).reshape(-1, 2)
            marker = "o" if chosen else series_marker(k)
            axis.plot(
                shown[:, 0], shown[:, 1], linestyle="", marker=marker, markersize=size, fillstyle=fill, color=colour,
                alpha=0.7,
            )  # fmt: skip
    unit = units(entry["regularity"]).strip()
    axis.set_xlabel(f"{words(entry['regularity'])}{f' ({unit})' if unit else ''}")
    _show_what_matters(axis, entry)


def _show_what_matters(axis: Axes, entry: TradeOffEntry) -> None:
    """End the axis of regularity somewhat behind the last level: far behind it, no cell is used."""
    known = [point["regularity"] for cell in entry["cells"] for point in cell["points"] if point["chosen"]]
    reach = [value for value in (*known, *entry["levels"]) if value is not None]
    if reach and max(reach) > 0:
        axis.set_xlim(0, 2 * max(reach))

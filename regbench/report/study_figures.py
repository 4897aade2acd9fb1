"""Figures as SVG and PNG with the CSV behind each; the same bytes each time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from regbench.system.files import replacing, write_text

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


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, frame: pd.DataFrame, stem: Path) -> None:
    """`stem`.svg, .png and .csv; no date and no version inside, so that equal data are equal bytes."""
    for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
        with replacing(stem.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, dpi=200, metadata=metadata, format=suffix[1:])
        figure.set_layout_engine("none")  # found once, and a quarter of the work: the PNG is laid out as the SVG
    write_text(stem.with_suffix(".csv"), frame.to_csv(index=False, lineterminator="\n"))


def lambda_figure(summary: Mapping[str, Any], folder: Path) -> None:
    """Validation Dice and NDV of every trial against lambda; the chosen lambda is ringed."""
    rows = [
        {key: entry[key] for key in ("dataset", "method", "model", "similarity", "regularizer")}
        | {"replicate": replicate}
        | {key: trial[key] for key in ("number", "lam", "dice", "ndv_percent")}
        | {"chosen": trial["lam"] == lam}
        for entry in summary["methods"]
        for replicate, lam in enumerate(entry.get("lams", [entry["lam"]]))
        for trial in entry["trials"]
        if trial.get("replicate", 0) == replicate
    ]
    frame = pd.DataFrame(
        rows,
        columns=[
            "dataset",
            "method",
            "model",
            "similarity",
            "regularizer",
            "replicate",
            "number",
            "lam",
            "dice",
            "ndv_percent",
            "chosen",
        ],
    )
    groups = list(frame.groupby(["dataset", "model", "similarity"], sort=False)) or [((("", "no trials", "")), frame)]
    with drawing(2.4 * len(groups) + 1.2, 3.8) as figure:
        axes = figure.subplots(2, len(groups), sharex="col", squeeze=False)
        first: dict[Any, int] = {}
        for column, ((dataset, model, similarity), mine) in enumerate(groups):
            # One scale for a model: a network's few steps move Dice less than an optimisation does.
            leader = first.setdefault((dataset, model), column)
            for row in range(2) if leader != column else ():
                axes[row, column].sharey(axes[row, leader])
                axes[row, column].tick_params(labelleft=False)
            for k, (regularizer, cell) in enumerate(mine.groupby("regularizer", sort=False)):
                for replicate, search in cell.groupby("replicate"):
                    ordered = search.sort_values("lam")
                    _draw_search(axes[:, column], ordered, k, "" if replicate else str(regularizer))
            axes[0, column].set(title=f"{model}, {similarity}" if model else similarity, xscale="log")
            axes[1, column].set(xlabel="λ", xscale="log")
        axes[0, 0].set_ylabel("validation Dice")
        axes[1, 0].set_ylabel("validation NDV (%)")
        handles, names = axes[0, 0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside right upper", frameon=False)
        save(figure, frame, folder / "lambda")


def _draw_search(axes: Any, trials: pd.DataFrame, k: int, label: str) -> None:
    """One search in the two panels of its similarity."""
    chosen = trials[trials["chosen"]]
    for axis, metric in zip(axes, ("dice", "ndv_percent"), strict=True):
        style = {"color": COLOURS[k % 8], "marker": MARKERS[k % 8], "markersize": 3.5, "linewidth": 1}
        axis.plot(trials["lam"], trials[metric], label=label or "_", **style)
        axis.plot(chosen["lam"], chosen[metric], "o", markersize=9, fillstyle="none", color=COLOURS[k % 8])


def dice_figure(rows: pd.DataFrame, folder: Path) -> None:
    """Box plot of the test Dice of each pair (averaged over seeds and labels), one box a method."""
    keys = ["dataset", "method", "fixed", "moving"]
    frame = rows.groupby(keys, sort=False)["dice"].mean().reset_index()
    names = list(dict.fromkeys(frame["dataset"] + " / " + frame["method"]))
    groups = [
        frame.loc[frame["dataset"] + " / " + frame["method"] == name, "dice"].dropna().to_numpy() for name in names
    ]
    labels = [name.partition(" / ")[2] if frame["dataset"].nunique() == 1 else name for name in names]
    with drawing(6.0, 0.24 * len(names) + 0.9) as figure:
        axis = figure.subplots()
        boxes = axis.boxplot(groups, orientation="horizontal", tick_labels=labels, widths=0.6, patch_artist=True)
        for name, box in zip(names, boxes["boxes"], strict=True):
            box.set_facecolor("#cccccc" if name.endswith(" / identity") else "#9ecae1")
        for median in boxes["medians"]:
            median.set_color("black")
        axis.invert_yaxis()
        axis.set_xlabel("Dice of a test pair (mean over labels and seeds)")
        save(figure, frame, folder / "dice")

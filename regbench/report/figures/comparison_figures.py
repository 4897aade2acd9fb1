"""Figures of the test scores: each method, each structure, and time against the score."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from regbench.report.figures.figure_style import (
    OF_IDENTITY,
    OF_METHOD,
    drawing,
    save,
    series_colour,
    series_marker,
)
from regbench.report.summary_file import Manifest, MethodEntry, Summary, foremost, leading, number
from regbench.report.tables.column_titles import metric_title
from regbench.study.goals import NEEDS
from regbench.system.escaping import pictured

SHOWN_STRUCTURES = 44  # fill the height of a page; of more, the figure shows the first, and the CSV has all


class StructurePanel(NamedTuple):
    """The boxes of a dataset."""

    dataset: str
    methods: list[str]
    names: dict[str, str]  # of the labels that are shown
    scores: pd.DataFrame  # one row a method, pair and label


def scores_figure(summary: Summary, rows: pd.DataFrame, folder: Path) -> None:
    """Box plot of the test score of each pair (averaged over seeds and labels), one box a method; a panel a metric."""
    keys = ["dataset", "method", "fixed", "moving"]
    metrics = _leading_metrics(summary)
    frame = rows.groupby(keys, sort=False)[metrics].mean(skipna=False).reset_index()
    panels = [
        (metric, frame[frame["dataset"].isin(of)].dropna(subset=[metric])) for metric, of in _led(summary).items()
    ]
    names = {metric: list(dict.fromkeys(part["dataset"] + " / " + part["method"])) for metric, part in panels}
    heights = [max(len(of), 1) for of in names.values()]
    with drawing(6.0, 0.24 * sum(heights) + 0.9 * len(panels)) as figure:
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (metric, part) in zip(axes, panels, strict=True):
            _score_boxes(axis, part, names[metric], metric)
        save(figure, frame, folder / "scores")


def _led(summary: Summary) -> dict[str, list[str]]:
    """The datasets of each leading metric."""
    datasets: dict[str, list[str]] = {}
    for dataset in foremost(summary):
        datasets.setdefault(leading(summary, dataset), []).append(dataset)
    return datasets


def _leading_metrics(summary: Summary) -> list[str]:
    return list(_led(summary))


def _score_boxes(axis: Axes, part: pd.DataFrame, names: Sequence[str], metric: str) -> None:
    groups = [part.loc[part["dataset"] + " / " + part["method"] == name, metric].to_numpy() for name in names]
    groups = [values[np.isfinite(values)] for values in groups]
    labels = [name.partition(" / ")[2] if part["dataset"].nunique() == 1 else name for name in names]
    if not names:
        return
    boxes = axis.boxplot(groups, orientation="horizontal", tick_labels=labels, widths=0.6, patch_artist=True)
    for name, box in zip(names, boxes["boxes"], strict=True):
        box.set_facecolor(OF_IDENTITY if name.endswith(" / identity") else OF_METHOD)
    for median in boxes["medians"]:
        median.set_color("black")
    axis.invert_yaxis()
    over = "labels and seeds" if metric in NEEDS["labels"] else "seeds"
    axis.set_xlabel(f"{metric_title(metric)} of a test pair (mean over {over})")


def structures_figure(summary: Summary, rows: pd.DataFrame, folder: Path) -> None:
    """Box plot of the Dice of each structure: no registration against the best method of each dataset."""
    best = {entry["dataset"]: entry["method"] for entry in reversed(summary["methods"]) if entry["rank"] == 1}
    panels = [
        _structure_panel(dataset, summary["datasets"][dataset], rows[rows["dataset"] == dataset], best.get(dataset))
        for dataset in foremost(summary)
    ]
    frame = pd.concat([panel.scores for panel in panels], ignore_index=True)
    most = max(len(panel.names) for panel in panels)
    with drawing(6.4, (0.2 * most + 1.1) * len(panels)) as figure:
        axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            if not panel.names:
                axis.set(title=f"{panel.dataset}: no labels", xticks=[], yticks=[])
                continue
            _boxes(axis, panel.scores, panel.methods, list(panel.names))
            axis.set_yticks(range(len(panel.names)), list(map(pictured, panel.names.values())), fontsize=6)
            axis.invert_yaxis()
            axis.set(xlabel="Dice of a test pair (mean over seeds)", title=_title(panel))
            axis.legend(frameon=False, fontsize=7, loc="lower left")
        save(figure, frame, folder / "structures")


def _title(panel: StructurePanel) -> str:
    """The dataset, and how many of its labels are shown where not all are."""
    count = panel.scores["label"].nunique()
    left_out = f": {len(panel.names)} of {count} labels, the CSV has all" if count > len(panel.names) else ""
    return f"{panel.dataset}{left_out}"


def _structure_panel(dataset: str, manifest: Manifest, rows: pd.DataFrame, best: str | None) -> StructurePanel:
    """The Dice of each structure under no registration and under the best method, seeds averaged.

    Args:
        dataset: its id.
        manifest: of the dataset.
        rows: of the dataset.
        best: the first method of rank 1; None where no cell has a result.
    """
    methods = [name for name in ("identity", best) if name]
    rows = rows[rows["method"].isin(methods)]
    labelled = "labels" in manifest["references"]["test"]
    labels = [label for label in sorted(manifest["labels"], key=int) if labelled and f"dice_{label}" in rows]
    of_cases = rows.groupby(["method", "fixed", "moving"], sort=False)[[f"dice_{label}" for label in labels]]
    by_case = of_cases.mean(skipna=False)
    scores = by_case.reset_index().melt(["method", "fixed", "moving"], var_name="label", value_name="dice")
    scores["label"] = scores["label"].str.removeprefix("dice_")
    scores.insert(0, "dataset", dataset)
    scores.insert(5, "name", scores["label"].map(dict(manifest["labels"])).astype(object))
    names = {label: manifest["labels"][label] for label in labels[:SHOWN_STRUCTURES]}
    return StructurePanel(dataset, methods, names, scores)


def _boxes(axis: Axes, scores: pd.DataFrame, methods: Sequence[str], labels: Sequence[str]) -> None:
    for k, method in enumerate(methods):
        of_method = scores[scores["method"] == method]
        groups = [of_method.loc[of_method["label"] == label, "dice"].dropna().to_numpy() for label in labels]
        boxes = axis.boxplot(
            groups, orientation="horizontal", positions=np.arange(len(labels)) + 0.36 * (k - (len(methods) - 1) / 2),
            widths=0.3, patch_artist=True, flierprops={"markersize": 2}, manage_ticks=False,
        )  # fmt: skip
        for box in boxes["boxes"]:
            box.set_facecolor(OF_IDENTITY if method == "identity" else OF_METHOD)
        for median in boxes["medians"]:
            median.set_color("black")
        if boxes["boxes"]:
            boxes["boxes"][0].set_label(method)


def speed_figure(summary: Summary, rows: pd.DataFrame, folder: Path) -> None:
    """Mean test score against the median time of a registration; differs between repetitions, as times do."""
    led = {dataset: leading(summary, dataset) for dataset in summary["goals"]}
    means = {(e["dataset"], e["method"]): _mean(e, led[e["dataset"]]) for e in summary["methods"]}
    timed = rows.dropna(subset=["inference_seconds"]).groupby(["dataset", "method"], sort=False)
    frame = timed["inference_seconds"].median().mul(1000).round(3).rename("inference_ms").reset_index()
    frame["device"] = [", ".join(sorted(set(timings["device"]))) for _, timings in timed]
    pairs = list(zip(frame["dataset"], frame["method"], strict=True))
    # What was trained goes by its model and similarity; a baseline has neither and stands for itself.
    series = {
        (e["dataset"], e["method"]): f"{e['model']}.{e['similarity']}" if e["similarity"] else e["method"]
        for e in summary["methods"]
    }
    frame["series"] = [series[pair] for pair in pairs]
    for metric in dict.fromkeys(led.values()):
        frame[metric] = [round(means[pair], 4) if led[pair[0]] == metric else np.nan for pair in pairs]
    metrics = list(dict.fromkeys(led.values()))
    with drawing(4.2 * len(metrics), 3.0) as figure:
        axes = figure.subplots(1, len(metrics), squeeze=False)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            known = frame[frame["dataset"].map(led) == metric]
            _draw_speed(axis, known, metric)
            axis.set(
                xlabel=f"time of a registration (ms, median); {_devices(rows)}", ylabel=f"test {metric_title(metric)}"
            )
        save(figure, frame, folder / "runtime_scores")


def _draw_speed(axis: Axes, frame: pd.DataFrame, metric: str) -> None:
    for k, (name, methods) in enumerate(frame.groupby("series", sort=False)):
        axis.plot(
            methods["inference_ms"], methods[metric], linestyle="", markersize=4, label=name,
            color=series_colour(k), marker=series_marker(k),
        )  # fmt: skip
    if len(frame):
        low, high = frame["inference_ms"].min(), frame["inference_ms"].max()
        axis.set_xscale("log" if high > 10 * low else "linear")
        axis.legend(frameon=False, fontsize=6)


def _mean(entry: MethodEntry, metric: str) -> float:
    spread = entry["metrics"].get(metric)
    return number(spread["mean"] if spread else None)


def _devices(rows: pd.DataFrame) -> str:
    """The device that was timed; words where there are several or none."""
    devices = [str(device) for device in sorted(set(rows.dropna(subset=["inference_seconds"])["device"]))]
    return devices[0] if len(devices) == 1 else "devices differ, see CSV" if devices else "nothing timed"

"""The figure of the final trainings."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from regbench.report.figures.figure_style import drawing, save, series_colour


def curves_figure(histories: Mapping[tuple[str, str, int], pd.DataFrame], folder: Path) -> None:
    """Similarity and regularizer over the steps of the final trainings, a running mean; one panel a similarity."""
    parts = []
    for (dataset, method, seed), history in histories.items():
        if history.empty:
            continue
        smooth = history.set_index("step")[["similarity", "regularizer"]].rolling(max(len(history) // 20, 1)).mean()
        points = smooth.iloc[:: max(len(history) // 100, 1)].dropna().reset_index()
        points.insert(0, "seed", seed)
        points.insert(0, "method", method)
        points.insert(0, "dataset", dataset)
        parts.append(points)
    columns = ["dataset", "method", "seed", "step", "similarity", "regularizer"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    cells = frame["method"].map(lambda name: str(name).rpartition(".")[0])
    groups = list(frame.groupby([frame["dataset"], cells], sort=False))
    with drawing(2.6 * max(len(groups), 1) + 0.6, 2.6) as figure:
        axes = figure.subplots(1, max(len(groups), 1), squeeze=False)[0]
        for axis, ((_, name), panel) in zip(axes, groups, strict=False):
            _draw(axis, panel)
            axis.set(title=name, xlabel="step")
            axis.legend(frameon=False, fontsize=6)
        axes[0].set_ylabel("training similarity (lower is better)")
        save(figure, frame, folder / "training")


def _draw(axis: Axes, panel: pd.DataFrame) -> None:
    """The curves of a similarity; one entry of the legend for each regularizer."""
    for k, (method, runs) in enumerate(panel.groupby("method", sort=False)):
        for number, (_, run) in enumerate(runs.groupby("seed", sort=False)):
            label = str(method).rpartition(".")[2] if number == 0 else None
            axis.plot(run["step"], run["similarity"], color=series_colour(k), linewidth=0.8, label=label)

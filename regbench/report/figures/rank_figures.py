"""Figures of the ranks by the leading metric: what the tests tell apart, and how stable the ranks are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from regbench.report.comparison_entries import PairedTests, Ranks, Stability
from regbench.report.figures.figure_style import COLOURS, drawing, save, series_colour
from regbench.report.summary_file import Summary, foremost, leading, led_by


def difference_figure(summary: Summary, folder: Path) -> None:
    """Mean ranks by the leading metric; bars join methods closer than Nemenyi's critical difference."""
    panels = {name: tests["ranks"] for name, tests in _by_leading(summary) if "mean_ranks" in tests["ranks"]}
    frame = pd.DataFrame(
        [
            {"dataset": dataset, "method": method, "mean_rank": rank, "after_tests": ranks["after_tests"][method]}
            for dataset, ranks in panels.items()
            for method, rank in ranks["mean_ranks"].items()
        ],
        columns=["dataset", "method", "mean_rank", "after_tests"],
    )
    most = max((len(ranks["mean_ranks"]) for ranks in panels.values()), default=1)
    with drawing(6.4, (0.2 * most + 1.1) * max(len(panels), 1)) as figure:
        axes = figure.subplots(max(len(panels), 1), 1, squeeze=False)[:, 0]
        for axis, (dataset, ranks) in zip(axes, panels.items(), strict=False):
            _draw_ranks(axis, ranks)
            axis.invert_yaxis()
            axis.set_title(
                f"{dataset}: critical difference {ranks['critical_difference']:.2f}, Friedman p "
                f"{ranks['friedman_p']:.2g}, {ranks['cases']} pairs", fontsize=8,
            )  # fmt: skip
            axis.set_xlabel(f"mean rank by {led_by(summary)} (1 is best); bars join what is not told apart")
        save(figure, frame, folder / "critical_difference")


def stability_figure(summary: Summary, folder: Path) -> None:
    """How often each method holds each rank when subjects are drawn again; area is the share."""
    panels = {name: tests["stability"] for name, tests in _by_leading(summary) if tests["stability"]}
    frame = pd.DataFrame(
        [
            {"dataset": dataset, "method": method, "rank": rank, "share": round(share, 4)}
            for dataset, stability in panels.items()
            for method, shares in stability["frequency"].items()
            for rank, share in enumerate(shares, 1)
        ],
        columns=["dataset", "method", "rank", "share"],
    )
    most = max((len(stability["frequency"]) for stability in panels.values()), default=1)
    with drawing(0.32 * most + 2.6, (0.24 * most + 1.0) * max(len(panels), 1)) as figure:
        axes = figure.subplots(max(len(panels), 1), 1, squeeze=False)[:, 0]
        for axis, (dataset, stability) in zip(axes, panels.items(), strict=False):
            _draw_frequencies(axis, stability)
            axis.set(xlabel=f"rank by mean {led_by(summary)}")
            tau = stability["kendall_tau"]
            agreement = "undefined: all tie"
            if tau["median"] is not None:
                agreement = f"{tau['median']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}]"
            axis.set_title(f"{dataset}: Kendall's tau with the full ranking {agreement}", fontsize=8)
            axis.invert_yaxis()
        save(figure, frame, folder / "rank_stability")


def _by_leading(summary: Summary) -> Iterator[tuple[str, PairedTests]]:
    """The tests by the leading metric of each dataset and model."""
    for dataset in foremost(summary):
        for model, metrics in summary["comparisons"].get(dataset, {}).items():
            if leading(summary, dataset) in metrics:
                yield f"{dataset}, {model}", metrics[leading(summary, dataset)]


def _draw_ranks(axis: Axes, ranks: Ranks) -> None:
    ordered = sorted(ranks["mean_ranks"].items(), key=lambda item: item[1])
    places = {method: number for number, (method, _) in enumerate(ordered)}
    axis.plot([rank for _, rank in ordered], range(len(ordered)), "o", color="black", markersize=4)
    axis.set_yticks(range(len(ordered)), [method for method, _ in ordered])
    for k, clique in enumerate(ranks["cliques"]):
        # One vertical bar a clique, right of the points, from its best to its worst method.
        rows = [places[method] for method in clique]
        x = max(rank for _, rank in ordered) + 0.3 + 0.25 * k
        axis.plot([x, x], [min(rows) - 0.2, max(rows) + 0.2], color=series_colour(k), linewidth=2.5)


def _draw_frequencies(axis: Axes, stability: Stability) -> None:
    frequency = stability["frequency"]
    ordered = sorted(frequency, key=lambda name: float(np.dot(frequency[name], np.arange(len(frequency)))))
    for row, method in enumerate(ordered):
        shares = np.array(frequency[method])
        axis.scatter(np.arange(1, len(shares) + 1), np.full(len(shares), row), s=140 * shares, color=COLOURS[0])
    axis.set_yticks(range(len(ordered)), ordered)
    axis.set_xticks(range(1, len(ordered) + 1))

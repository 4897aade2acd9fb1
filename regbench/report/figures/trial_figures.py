"""Figures of the tuning: every trial against lambda, and every trial with the Pareto fronts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from regbench.report.figures.figure_style import drawing, save, series_colour, series_marker
from regbench.report.summary_file import LABELS, MethodEntry, Summary, TrialEntry
from regbench.report.tables.column_titles import metric_title
from regbench.study.goals import FOLDING, is_higher_better
from regbench.tuning.pareto import front_points, hypervolume


def lambda_figure(summary: Summary, folder: Path) -> None:
    """Validation score and NDV of every trial against lambda; the chosen lambda is ringed."""
    rows = [
        _row(entry, trial) | {"replicate": replicate, "chosen": trial["lam"] == lam}
        for entry in summary["methods"]
        for replicate, lam in enumerate(entry.get("lams", [entry["lam"]]))
        for trial in entry["trials"]
        if trial.get("replicate", 0) == replicate
    ]
    frame = pd.DataFrame(rows, columns=[*LABELS, "replicate", "number", "lam", *_metrics(summary), "chosen"])
    groups = list(frame.groupby(["dataset", "model", "similarity"], sort=False)) or [((("", "no trials", "")), frame)]
    with drawing(2.4 * len(groups) + 1.2, 3.8) as figure:
        axes = figure.subplots(2, len(groups), sharex="col", squeeze=False)
        first: dict[tuple[str, str], int] = {}
        several = len({_shown(summary, name) for name in summary["goals"]}) > 1
        for column, ((dataset, model, similarity), trials) in enumerate(groups):
            # One scale for a model: a network's few steps move Dice less than an optimisation does.
            leader = first.setdefault((str(dataset), str(model)), column)
            for row in range(2) if leader != column else ():
                axes[row, column].sharey(axes[row, leader])
                axes[row, column].tick_params(labelleft=False)
            _draw_searches(list(axes[:, column]), trials, _shown(summary, str(dataset)))
            axes[0, column].set(title=f"{model}, {similarity}" if model else similarity, xscale="log")
            axes[1, column].set(xlabel="λ", xscale="log")
            if leader == column and (column == 0 or several):
                axes[0, column].set_ylabel(f"validation {_title(summary, str(dataset))}")
        axes[1, 0].set_ylabel("validation NDV (%)")
        handles, names = axes[0, 0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside right upper", frameon=False)
        save(figure, frame, folder / "lambda")


def pareto_figure(summary: Summary, folder: Path) -> None:
    """Validation score against NDV of every trial, with each similarity's front and its hypervolume."""
    rows = [
        _row(entry, trial) for entry in summary["methods"] for trial in entry["trials"] if trial["status"] == "complete"
    ]
    frame = pd.DataFrame(rows, columns=[*LABELS, "number", "lam", *_metrics(summary)])
    groups = list(frame.groupby(["dataset", "model"], sort=False))
    with drawing(3.4 * max(len(groups), 1) + 1.4, 3.0) as figure:
        axes = figure.subplots(1, max(len(groups), 1), squeeze=False)[0]
        for axis, ((dataset, model), cells) in zip(axes, groups, strict=False):
            metric = _shown(summary, str(dataset))
            sign = 1 if is_higher_better(metric) else -1
            merits = cells.assign(merit=sign * cells[metric])
            worst = float(merits["merit"].min()), max(float(cells[FOLDING].max()), 1e-9)
            for k, (similarity, trials) in enumerate(merits.groupby("similarity", sort=False)):
                _draw_front(axis, trials, worst, (k, str(similarity), sign))
            axis.set_ylabel(f"validation {_title(summary, str(dataset))}")
            axis.set(title=f"{dataset}, {model}", xlabel="validation NDV (%)")
            axis.set_xscale("symlog", linthresh=0.01)
            axis.legend(frameon=False, fontsize=7, loc="lower right")
        save(figure, frame, folder / "pareto")


def _row(entry: MethodEntry, trial: TrialEntry) -> dict[str, object]:
    """A trial with the cell that it belongs to."""
    cell: dict[str, object] = {label: entry[label] for label in LABELS}
    return cell | {"number": trial["number"], "lam": trial["lam"], **trial["scores"]}


def _metrics(summary: Summary) -> list[str]:
    """What trials are scored by, NDV last."""
    goals = (metric for goal in summary["goals"].values() for metric in (*goal["objective"], *goal["selection"]))
    return [*(name for name in dict.fromkeys(goals) if name != FOLDING), FOLDING]


def _shown(summary: Summary, dataset: str) -> str:
    """The metric of a dataset's trials that is drawn: what lambda is chosen by, of several the first."""
    return summary["goals"][dataset]["selection"][0] if dataset in summary["goals"] else FOLDING


def _title(summary: Summary, dataset: str) -> str:
    return metric_title(_shown(summary, dataset)) if dataset in summary["goals"] else "score"


def _draw_searches(axes: Sequence[Axes], trials: pd.DataFrame, shown: str) -> None:
    """All searches of a similarity in its two panels, score and NDV; one entry of the legend for each regularizer."""
    for k, (regularizer, cell) in enumerate(trials.groupby("regularizer", sort=False)):
        colour, marker = series_colour(k), series_marker(k)
        for replicate, search in cell.groupby("replicate"):
            label = "_" if replicate else str(regularizer) or "_"
            ordered = search.sort_values("lam")
            chosen = ordered[ordered["chosen"]]
            for axis, metric in zip(axes, (shown, FOLDING), strict=True):
                axis.plot(
                    ordered["lam"], ordered[metric], label=label, color=colour, marker=marker, markersize=3.5,
                    linewidth=1,
                )  # fmt: skip
                axis.plot(chosen["lam"], chosen[metric], "o", markersize=9, fillstyle="none", color=colour)


def _draw_front(axis: Axes, trials: pd.DataFrame, worst: tuple[float, float], series: tuple[int, str, int]) -> None:
    """The trials of a similarity and its front, which reaches as far right as the worst trial of all.

    Args:
        axis: of the model and dataset.
        trials: of the similarity, with their merit: the score, less where lower is better.
        worst: lowest merit and highest NDV of the trials of the panel.
        series: number of the similarity, its name, and the sign that makes a score of a merit.
    """
    k, similarity, sign = series
    colour, merit, ndv = series_colour(k), trials["merit"].to_numpy(), trials[FOLDING].to_numpy()
    points = front_points(merit, ndv)
    axis.plot(ndv, sign * merit, linestyle="", markersize=3, alpha=0.5, color=colour, marker=series_marker(k))
    label = f"{similarity} (hypervolume {hypervolume(points, *worst):.3g})"
    # A front goes on to the right: a field that folds more is no worse by this rule.
    line = np.vstack([points, [points[-1, 0], worst[1]]])
    axis.step(line[:, 1], sign * line[:, 0], where="post", color=colour, linewidth=1.2, label=label)

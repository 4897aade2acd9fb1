"""Figures of the comparison: Pareto fronts, critical differences, stability of ranks, structures, time against Dice."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regbench.report.study_figures import COLOURS, MARKERS, drawing, save

SHOWN_STRUCTURES = 44  # fill the height of a page; of more, the figure shows the first, and the CSV has all


def pareto_figure(summary: Mapping[str, Any], folder: Path) -> None:
    """Validation Dice against NDV of every trial, with each similarity's front and its hypervolume."""
    rows = [
        {key: entry[key] for key in ("dataset", "method", "model", "similarity", "regularizer")}
        | {key: trial[key] for key in ("number", "lam", "dice", "ndv_percent")}
        for entry in summary["methods"]
        for trial in entry["trials"]
        if trial["status"] == "complete"
    ]
    columns = ["dataset", "method", "model", "similarity", "regularizer", "number", "lam", "dice", "ndv_percent"]
    frame = pd.DataFrame(rows, columns=columns)
    groups = list(frame.groupby(["dataset", "model"], sort=False))
    with drawing(3.4 * max(len(groups), 1) + 1.4, 3.0) as figure:
        axes = figure.subplots(1, max(len(groups), 1), squeeze=False)[0]
        for axis, ((dataset, model), cells) in zip(axes, groups, strict=False):
            worst = float(cells["dice"].min()), max(float(cells["ndv_percent"].max()), 1e-9)
            for k, (similarity, mine) in enumerate(cells.groupby("similarity", sort=False)):
                front = pareto_front(mine["dice"].to_numpy(), mine["ndv_percent"].to_numpy())
                area = hypervolume(front, *worst)
                style = {"color": COLOURS[k % 8], "marker": MARKERS[k % 8]}
                axis.plot(mine["ndv_percent"], mine["dice"], linestyle="", markersize=3, alpha=0.5, **style)
                label = f"{similarity} (hypervolume {area:.3g})"
                # A front goes on to the right: a field that folds more is no worse by this rule.
                drawn = np.vstack([front, [front[-1, 0], worst[1]]])
                axis.step(drawn[:, 1], drawn[:, 0], where="post", color=COLOURS[k % 8], linewidth=1.2, label=label)
            axis.set(title=f"{dataset}, {model}", xlabel="validation NDV (%)")
            axis.set_xscale("symlog", linthresh=0.01)
            axis.legend(frameon=False, fontsize=7, loc="lower right")
        axes[0].set_ylabel("validation Dice")
        save(figure, frame, folder / "pareto")


def pareto_front(dice: Any, ndv: Any) -> Any:
    """Rows (Dice, NDV) that no other row beats in both, by rising NDV."""
    order = np.lexsort((-dice, ndv))
    kept, best = [], -np.inf
    for index in order:
        if dice[index] > best:
            best = dice[index]
            kept.append((dice[index], ndv[index]))
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def hypervolume(front: Any, dice: float, ndv: float) -> float:
    """Area that a front dominates, up to a reference point (lowest Dice, highest NDV of the shown trials)."""
    area, edges = 0.0, [*front[1:, 1], ndv]
    for (height, left), right in zip(front, edges, strict=True):
        area += max(height - dice, 0) * max(right - left, 0)
    return area


def difference_figure(summary: Mapping[str, Any], folder: Path) -> None:
    """Mean ranks by Dice; bars join methods closer than Nemenyi's critical difference."""
    found = {name: entry["ranks"] for name, entry in _of_dice(summary) if "mean_ranks" in entry["ranks"]}
    frame = pd.DataFrame(
        [
            {"dataset": dataset, "method": method, "mean_rank": rank, "after_tests": ranks["after_tests"][method]}
            for dataset, ranks in found.items()
            for method, rank in ranks["mean_ranks"].items()
        ],
        columns=["dataset", "method", "mean_rank", "after_tests"],
    )
    most = max((len(ranks["mean_ranks"]) for ranks in found.values()), default=1)
    with drawing(6.4, (0.2 * most + 1.1) * max(len(found), 1)) as figure:
        axes = figure.subplots(max(len(found), 1), 1, squeeze=False)[:, 0]
        for axis, (dataset, ranks) in zip(axes, found.items(), strict=False):
            ordered = sorted(ranks["mean_ranks"].items(), key=lambda item: item[1])
            places = {method: number for number, (method, _) in enumerate(ordered)}
            axis.plot([rank for _, rank in ordered], range(len(ordered)), "o", color="black", markersize=4)
            axis.set_yticks(range(len(ordered)), [method for method, _ in ordered])
            for k, clique in enumerate(ranks["cliques"]):
                # One vertical bar a clique, right of the points, from its best to its worst method.
                rows = [places[method] for method in clique]
                x = max(rank for _, rank in ordered) + 0.3 + 0.25 * k
                axis.plot([x, x], [min(rows) - 0.2, max(rows) + 0.2], color=COLOURS[k % 8], linewidth=2.5)
            axis.invert_yaxis()
            axis.set_title(
                f"{dataset}: critical difference {ranks['critical_difference']:.2f}, Friedman p "
                f"{ranks['friedman_p']:.2g}, {ranks['cases']} pairs", fontsize=8,
            )  # fmt: skip
            axis.set_xlabel("mean rank by Dice (1 is best); bars join what is not told apart")
        save(figure, frame, folder / "critical_difference")


def _of_dice(summary: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The comparison by Dice of each dataset and model."""
    for dataset, models in summary["comparisons"].items():
        for model, metrics in models.items():
            if "dice" in metrics:
                yield f"{dataset}, {model}", metrics["dice"]


def stability_figure(summary: Mapping[str, Any], folder: Path) -> None:
    """How often each method holds each rank when subjects are drawn again; area is the share."""
    found = {name: entry["stability"] for name, entry in _of_dice(summary) if entry["stability"]}
    frame = pd.DataFrame(
        [
            {"dataset": dataset, "method": method, "rank": rank, "share": round(share, 4)}
            for dataset, stability in found.items()
            for method, shares in stability["frequency"].items()
            for rank, share in enumerate(shares, 1)
        ],
        columns=["dataset", "method", "rank", "share"],
    )
    most = max((len(stability["frequency"]) for stability in found.values()), default=1)
    with drawing(0.32 * most + 2.6, (0.24 * most + 1.0) * max(len(found), 1)) as figure:
        axes = figure.subplots(max(len(found), 1), 1, squeeze=False)[:, 0]
        for axis, (dataset, stability) in zip(axes, found.items(), strict=False):
            frequency = stability["frequency"]
            ordered = sorted(frequency, key=lambda name: float(np.dot(frequency[name], np.arange(len(frequency)))))
            for row, method in enumerate(ordered):
                shares = np.array(frequency[method])
                axis.scatter(np.arange(1, len(shares) + 1), np.full(len(shares), row), s=140 * shares, color=COLOURS[0])
            tau = stability["kendall_tau"]
            axis.set_yticks(range(len(ordered)), ordered)
            axis.set_xticks(range(1, len(ordered) + 1))
            axis.set(xlabel="rank by mean Dice")
            agreement = "undefined: all tie"
            if tau["median"] is not None:
                agreement = f"{tau['median']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}]"
            axis.set_title(f"{dataset}: Kendall's tau with the full ranking {agreement}", fontsize=8)
            axis.invert_yaxis()
        save(figure, frame, folder / "rank_stability")


def structures_figure(summary: Mapping[str, Any], rows: pd.DataFrame, folder: Path) -> None:
    """Box plot of the Dice of each structure: no registration against the best method of each dataset."""
    parts, panels = [], []
    for dataset, manifest in summary["datasets"].items():
        best = next((e["method"] for e in summary["methods"] if e["dataset"] == dataset and e["rank"] == 1), None)
        methods = [name for name in ("identity", best) if name]
        mine = rows[(rows["dataset"] == dataset) & rows["method"].isin(methods)]
        labels = [label for label in sorted(manifest["labels"], key=int) if f"dice_{label}" in mine]
        by_case = mine.groupby(["method", "fixed", "moving"], sort=False)[[f"dice_{label}" for label in labels]].mean()
        long = by_case.reset_index().melt(["method", "fixed", "moving"], var_name="label", value_name="dice")
        long["label"] = long["label"].str.removeprefix("dice_")
        long.insert(0, "dataset", dataset)
        long.insert(5, "name", long["label"].map(manifest["labels"]))
        parts.append(long)
        panels.append((dataset, methods, labels[:SHOWN_STRUCTURES], manifest["labels"], long))
    frame = pd.concat(parts, ignore_index=True)
    most = max(len(labels) for _, _, labels, _, _ in panels)
    with drawing(6.4, (0.2 * most + 1.1) * len(panels)) as figure:
        axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axis, (dataset, methods, labels, names, long) in zip(axes, panels, strict=True):
            _boxes(axis, long, methods, labels)
            axis.set_yticks(range(len(labels)), [names[label] for label in labels], fontsize=6)
            axis.invert_yaxis()
            axis.set(xlabel="Dice of a test pair (mean over seeds)", title=dataset)
            axis.legend(frameon=False, fontsize=7, loc="lower left")
        save(figure, frame, folder / "structures")


def _boxes(axis: Any, long: pd.DataFrame, methods: Sequence[str], labels: Sequence[str]) -> None:
    for k, method in enumerate(methods):
        mine = long[long["method"] == method]
        groups = [mine.loc[mine["label"] == label, "dice"].dropna().to_numpy() for label in labels]
        boxes = axis.boxplot(
            groups, orientation="horizontal", positions=np.arange(len(labels)) + 0.36 * (k - (len(methods) - 1) / 2),
            widths=0.3, patch_artist=True, flierprops={"markersize": 2}, manage_ticks=False,
        )  # fmt: skip
        for box in boxes["boxes"]:
            box.set_facecolor("#cccccc" if method == "identity" else "#9ecae1")
        for median in boxes["medians"]:
            median.set_color("black")
        if boxes["boxes"]:
            boxes["boxes"][0].set_label(method)


def speed_figure(summary: Mapping[str, Any], rows: pd.DataFrame, folder: Path) -> None:
    """Mean test Dice against the median time of a registration; differs between repetitions, as times do."""
    means = {(e["dataset"], e["method"]): e["metrics"]["dice"]["mean"] for e in summary["methods"]}
    timed = rows.dropna(subset=["inference_seconds"]).groupby(["dataset", "method"], sort=False)
    frame = timed["inference_seconds"].median().mul(1000).round(3).rename("inference_ms").reset_index()
    frame["device"] = [", ".join(sorted(set(mine["device"]))) for _, mine in timed]
    pairs = list(zip(frame["dataset"], frame["method"], strict=True))
    # What was trained goes by its model and similarity; a baseline has neither and stands for itself.
    series = {
        (e["dataset"], e["method"]): f"{e['model']}.{e['similarity']}" if e["similarity"] else e["method"]
        for e in summary["methods"]
    }
    frame["series"] = [series[pair] for pair in pairs]
    frame["dice"] = [np.nan if means[pair] is None else round(means[pair], 4) for pair in pairs]
    with drawing(4.2, 3.0) as figure:
        axis = figure.subplots()
        for k, (name, mine) in enumerate(frame.groupby("series", sort=False)):
            colour, marker = COLOURS[k % 8], MARKERS[k % 8]
            axis.plot(
                mine["inference_ms"], mine["dice"], linestyle="", markersize=4, label=name, color=colour, marker=marker
            )
        axis.set(xlabel=f"time of a registration (ms, median); {_devices(rows)}", ylabel="test Dice")
        if len(frame):
            low, high = frame["inference_ms"].min(), frame["inference_ms"].max()
            axis.set_xscale("log" if high > 10 * low else "linear")
            axis.legend(frameon=False, fontsize=6)
        save(figure, frame, folder / "runtime_dice")


def _devices(rows: pd.DataFrame) -> str:
    """On what was timed, in a line or, where there is more than one device, in a word."""
    found = sorted(set(rows.dropna(subset=["inference_seconds"])["device"]))
    return found[0] if len(found) == 1 else "devices differ, see CSV" if found else "nothing timed"


def curves_figure(histories: Mapping[tuple[str, str, int], pd.DataFrame], folder: Path) -> None:
    """Similarity and regularizer over the steps of the final trainings, a running mean; one panel a similarity."""
    parts = []
    for (dataset, method, seed), history in histories.items():
        if history.empty:
            continue
        smooth = history.set_index("step")[["similarity", "regularizer"]].rolling(max(len(history) // 20, 1)).mean()
        kept = smooth.iloc[:: max(len(history) // 100, 1)].dropna().reset_index()
        kept.insert(0, "seed", seed)
        kept.insert(0, "method", method)
        kept.insert(0, "dataset", dataset)
        parts.append(kept)
    columns = ["dataset", "method", "seed", "step", "similarity", "regularizer"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    cells = frame["method"].map(lambda name: str(name).rpartition(".")[0])
    groups = list(frame.groupby([frame["dataset"], cells], sort=False))
    with drawing(2.6 * max(len(groups), 1) + 0.6, 2.6) as figure:
        axes = figure.subplots(1, max(len(groups), 1), squeeze=False)[0]
        for axis, ((_, name), mine) in zip(axes, groups, strict=False):
            for k, (full, runs) in enumerate(mine.groupby("method", sort=False)):
                for number, (_, run) in enumerate(runs.groupby("seed", sort=False)):
                    label = str(full).rpartition(".")[2] if number == 0 else None
                    axis.plot(run["step"], run["similarity"], color=COLOURS[k % 8], linewidth=0.8, label=label)
            axis.set(title=name, xlabel="step")
            axis.legend(frameon=False, fontsize=6)
        axes[0].set_ylabel("training similarity (lower is better)")
        save(figure, frame, folder / "training")

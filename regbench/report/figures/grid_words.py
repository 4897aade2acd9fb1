"""The grid as rows and in words: score and folding of each cell, and how it stands against the best of its model."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from regbench.metrics import metric_of, printed
from regbench.report.comparison_entries import Verdicts
from regbench.report.standings import against_best
from regbench.report.summary_file import LABELS, MethodEntry, Summary, foremost, leading, number, verdicts_of
from regbench.report.tables.column_titles import metric_title
from regbench.study.goals import words

FOLDING = ("ndv_percent", "fold_central_percent")  # the first that a study has
COLUMNS = ("dataset", "model", "similarity", "regularizer", "method", "metric", "mean", "verdict")


def grid_frame(summary: Summary) -> pd.DataFrame:
    """One row a cell: its score, its verdict against the best of its model and dataset, and its folding."""
    rows, shown = [], foremost(summary)
    for entry in summary["methods"]:
        if entry["similarity"] is None or entry["dataset"] not in shown:
            continue
        judged = verdicts_of(summary, entry["dataset"], entry["model"])
        led = leading(summary, entry["dataset"])
        metric = next((name for name in (led, *judged) if name in judged), led)
        folding = next((name for name in FOLDING if name in entry["metrics"]), "")
        mean = _mean(entry, metric)
        row: dict[str, object] = {label: entry[label] for label in LABELS}
        row |= {"metric": metric, "mean": mean, "folding_metric": folding, "folding": _mean(entry, folding)}
        row["verdict"] = "" if np.isnan(mean) else _standing(judged.get(metric), entry["method"])
        rows.append(row)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "folding_metric", "folding"])
    return frame.astype({"mean": float, "folding": float})


def described(frame: pd.DataFrame) -> str:
    """What the picture shows, for those who do not see it.

    Args:
        frame: of `grid_frame`, or a part of it.
    """
    sentences = ["Heat maps, similarity by regularizer."]
    for (dataset, model), cells in frame.groupby(["dataset", "model"], sort=False):
        metric = cells["metric"].iloc[0]
        known = cells.dropna(subset=["mean"])
        if known.empty:
            sentences.append(f"{model} on {dataset}: no cell has a result.")
            continue
        ordered = known.sort_values("mean", ascending=not rising(metric), kind="stable")
        best = ordered.to_dict(orient="records")[0]
        text = f"{model} on {dataset}: {named(metric)} from {number_text(known['mean'].min(), metric)} to "
        text += f"{number_text(known['mean'].max(), metric)}, best {best['similarity']} with {best['regularizer']}"
        if known["folding"].notna().any():
            low, high = (percent_text(value) for value in (known["folding"].min(), known["folding"].max()))
            text += f"; {named(known['folding_metric'].iloc[0])} from {low} to {high}"
        sentences.append(f"{text}.")
    return " ".join(sentences)


def caption(summary: Summary, frame: pd.DataFrame) -> str:
    """What the picture shows, what its marks mean, and what the verdicts are claims about.

    Args:
        summary: of the analysis.
        frame: of `grid_frame`.
    """
    metrics = " or ".join(dict.fromkeys(named(name) for name in frame["metric"])) or "Dice"
    folding = " or ".join(dict.fromkeys(named(name).partition(",")[0] for name in frame["folding_metric"] if name))
    beside = f", and beside it {folding} in per cent" if folding else ""
    first = f"Study {summary['study']}: mean test {metrics} of each similarity (rows) and regularizer (columns)"
    lines = [f"{first}{beside}; {shades(frame)}, a scale of its own for each map."]
    signs = [f"{sign} {words}".strip() for sign, words in meanings(summary, frame)]
    if signs:
        lines.append(f"Marks are against the best of a panel: {', '.join(signs)}.")
    claims: dict[str, list[str]] = {}
    for model, verdicts in _shown_verdicts(summary, frame):
        claims.setdefault(verdicts["claim"], []).append(model)
    for claim, models in claims.items():
        names = ", ".join(dict.fromkeys(models))
        lines.append(claim if len(claims) == 1 else f"{names}: {claim}")
    return " ".join(lines)


def shades(frame: pd.DataFrame) -> str:
    """What a dark cell says: the better score, and the more folding."""
    metrics = list(dict.fromkeys(frame["metric"]))
    if all(map(rising, metrics)):
        return "darker is more"
    falling = ", ".join(words(metric) for metric in metrics if not rising(metric))
    return f"darker is more, but of {falling} less"


def meanings(summary: Summary, frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Each sign that the picture has, and its meaning; the sign is empty where there is none.

    Args:
        summary: of the analysis.
        frame: of `grid_frame`.
    """
    words = set(frame["verdict"])
    if words & {"best", "better than all"}:
        yield "★", "best mean (bold: better than every other)"
    shown = [verdicts["region"] for _, verdicts in _shown_verdicts(summary, frame)]
    regions = dict.fromkeys(f"{region:g}" for region in shown if region is not None)
    if "equal" in words:
        yield "=", f"equal within {' or '.join(regions)}"
    if "undecided" in words:
        yield "?", "undecided"
    if "worse" in words:
        yield "", "no mark: worse"
    if "not compared" in words:
        yield "·", "not compared"
    if frame["mean"].isna().any() or frame["folding"].isna().any():
        yield "", "hatched: no result"


def _mean(entry: MethodEntry, metric: str) -> float:
    spread = entry["metrics"].get(metric)
    value = number(spread["mean"]) if spread else np.nan
    return value if np.isfinite(value) else np.nan


def _standing(verdicts: Verdicts | None, method: str) -> str:
    """How a method stands against the best: `better than all` for a best that is; empty without verdicts."""
    if verdicts is None or len(verdicts["methods"]) < 2:
        return ""
    standing = against_best(verdicts)
    if method == verdicts["best"]:
        others = [word for other, word in standing.items() if other != method]
        return "better than all" if others and set(others) == {"worse"} else "best"
    word = standing.get(method, "not compared")
    return word if word in ("equal", "undecided", "not compared") else "worse"


def _shown_verdicts(summary: Summary, frame: pd.DataFrame) -> Iterator[tuple[str, Verdicts]]:
    """The verdicts that the picture shows, each with its model."""
    for dataset, model, metric in frame[["dataset", "model", "metric"]].drop_duplicates().itertuples(index=False):
        verdicts = verdicts_of(summary, dataset, model).get(metric)
        if verdicts is not None:
            yield model, verdicts


def rising(metric: str) -> bool:
    return metric_of(metric).direction == "higher"


def named(metric: str) -> str:
    return metric_title(metric)


def number_text(value: float, metric: str) -> str:
    return "" if np.isnan(value) else printed(value, metric)


def percent_text(value: float) -> str:
    """Two digits that count, and no 0.00 of what is not zero."""
    if np.isnan(value):
        return ""
    if value == 0:
        return "0"
    return "<.01" if value < 0.005 else f"{value:.2f}" if value < 10 else f"{value:.1f}"

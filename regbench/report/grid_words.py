"""The grid as rows and in words: score and folding of each cell, and how it stands against the best of its model."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from regbench.metrics import METRICS

FOLDING = ("ndv_percent", "fold_central_percent")  # the first that a study has
NAMES = {"dice": "Dice", "ndv_percent": "NDV, %", "fold_central_percent": "Folding, %"}
COLUMNS = ("dataset", "model", "similarity", "regularizer", "method", "metric", "mean", "verdict")


def grid_frame(summary: Mapping[str, Any]) -> pd.DataFrame:
    """One row a cell: its score, its verdict against the best of its model and dataset, and its folding."""
    rows = []
    for entry in summary["methods"]:
        if entry["similarity"] is None:
            continue
        judged = summary.get("verdicts", {}).get(entry["dataset"], {}).get(entry["model"], {})
        metric = next((name for name in ("dice", *judged) if name in judged), "dice")
        row = {name: entry[name] for name in COLUMNS[:5]} | {"metric": metric, "mean": _mean(entry, metric)}
        row["verdict"] = "" if np.isnan(row["mean"]) else _against_best(judged.get(metric), entry["method"])
        folding = next((name for name in FOLDING if name in entry["metrics"]), "")
        rows.append(row | {"folding_metric": folding, "folding": _mean(entry, folding)})
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "folding_metric", "folding"])
    return frame.astype({"mean": float, "folding": float})


def described(frame: pd.DataFrame) -> str:
    """What the picture shows, for those who do not see it.

    Args:
        frame: of `grid_frame`, or a part of it.
    """
    sentences = ["Heat maps, similarity by regularizer."]
    for (dataset, model), mine in frame.groupby(["dataset", "model"], sort=False):
        metric = mine["metric"].iloc[0]
        known = mine.dropna(subset=["mean"])
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


def caption(summary: Mapping[str, Any], frame: pd.DataFrame) -> str:
    """What the picture shows, what its marks mean, and of what the verdicts are claims.

    Args:
        summary: of the analysis.
        frame: of `grid_frame`.
    """
    metrics = " or ".join(dict.fromkeys(named(name) for name in frame["metric"])) or "Dice"
    folding = " or ".join(dict.fromkeys(named(name).partition(",")[0] for name in frame["folding_metric"] if name))
    beside = f", and beside it {folding} in per cent" if folding else ""
    first = f"Study {summary['study']}: mean test {metrics} of each similarity (rows) and regularizer (columns)"
    lines = [f"{first}{beside}; darker is more, a scale of its own for each map."]
    signs = [f"{sign} {words}".strip() for sign, words in meanings(summary, frame)]
    if signs:
        lines.append(f"Marks are against the best of a panel: {', '.join(signs)}.")
    claims: dict[str, list[str]] = {}
    for judged in _judged(summary, frame):
        claims.setdefault(judged["claim"], []).append(judged["model"])
    for claim, models in claims.items():
        names = ", ".join(dict.fromkeys(models))
        lines.append(claim if len(claims) == 1 else f"{names}: {claim}")
    return " ".join(lines)


def meanings(summary: Mapping[str, Any], frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Each sign that the picture has, and what it says; the sign is empty where there is none.

    Args:
        summary: of the analysis.
        frame: of `grid_frame`.
    """
    verdicts = set(frame["verdict"])
    if verdicts & {"best", "better than all"}:
        yield "★", "best mean (bold: better than every other)"
    regions = dict.fromkeys(
        f"{judged['region']:g}" for judged in _judged(summary, frame) if judged["region"] is not None
    )
    if "equal" in verdicts:
        yield "=", f"equal within {' or '.join(regions)}"
    if "undecided" in verdicts:
        yield "?", "undecided"
    if "worse" in verdicts:
        yield "", "no mark: worse"
    if "not compared" in verdicts:
        yield "·", "not compared"
    if frame["mean"].isna().any() or frame["folding"].isna().any():
        yield "", "hatched: no result"


def _mean(entry: Mapping[str, Any], metric: str) -> float:
    value = entry["metrics"].get(metric, {}).get("mean")
    return np.nan if value is None or not np.isfinite(value) else float(value)


def _against_best(judged: Mapping[str, Any] | None, method: str) -> str:
    """How a method stands against the best: `better than all` for a best that is; empty without verdicts."""
    if judged is None or len(judged["methods"]) < 2:
        return ""
    best = judged["best"]
    pairs = [one for one in judged["pairs"] if best in (one["a"], one["b"])]
    if method == best:
        wins = [one["verdict"] == ("better" if one["a"] == best else "worse") for one in pairs]
        return "better than all" if wins and all(wins) else "best"
    of_best = {one["b"] if one["a"] == best else one["a"]: one["verdict"] for one in pairs}
    if method not in of_best:
        return "not compared"
    return of_best[method] if of_best[method] in ("equal", "undecided") else "worse"


def _judged(summary: Mapping[str, Any], frame: pd.DataFrame) -> Iterator[Mapping[str, Any]]:
    """The verdicts that the picture shows."""
    for dataset, model, metric in frame[["dataset", "model", "metric"]].drop_duplicates().itertuples(index=False):
        found = summary.get("verdicts", {}).get(dataset, {}).get(model, {}).get(metric)
        if found is not None:
            yield {"dataset": dataset, "model": model, **found}


def rising(metric: str) -> bool:
    return METRICS[metric].direction == "higher"


def named(metric: str) -> str:
    return NAMES.get(metric, metric)


def number_text(value: float, metric: str) -> str:
    return "" if np.isnan(value) else f"{value:.{METRICS[metric].digits}f}"


def percent_text(value: float) -> str:
    """Two digits that count, and no 0.00 of what is not zero."""
    if np.isnan(value):
        return ""
    if value == 0:
        return "0"
    return "<.01" if value < 0.005 else f"{value:.2f}" if value < 10 else f"{value:.1f}"

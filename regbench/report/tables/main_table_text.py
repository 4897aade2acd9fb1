"""The main table as text: mean, spreads and marks of a metric in one column; columns that say nothing are left out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from regbench.metrics import metric_of
from regbench.report.standings import rank_text
from regbench.report.tables.column_titles import TITLES, metric_title
from regbench.report.tables.latex_width import LINE, natural_width
from regbench.report.tables.table_format import (
    ARROWS,
    NONE,
    Form,
    Piece,
    Row,
    Score,
    cell,
    escape,
    header,
    plain,
    rows_of,
)
from regbench.study.goals import words
from regbench.study.terms import WEIGHT

ANSWERS = "ndv_percent"  # the metric that LaTeX has behind the leading one, whatever else fits: is it plausible
GROUP = ["dataset", "model"]


NO_DIGITS: Mapping[str, int] = {}


def as_text(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    form: Form,
    tuned: Sequence[str] = (),
    finer: Mapping[str, int] = NO_DIGITS,
) -> pd.DataFrame:
    """The main table as text.

    Args:
        frame: of `main_table`.
        metrics: its metrics, in their order.
        form: for which texts are escaped.
        tuned: columns of weights, and of what else was searched.
        finer: metrics with more digits than usual.

    Returns:
        Text; the dataset, the model and the failures are columns only where they differ or there are any.
    """
    shown = _names(frame, form)
    shown[header("lambda", form)] = [escape(lambdas(row), form) for row in rows_of(frame)]
    for name in tuned:
        texts = [weight(row, name) if name.startswith(WEIGHT) else _value(row[name]) for row in rows_of(frame)]
        shown[header(name, form) if name in TITLES else escape(name, form)] = [escape(text, form) for text in texts]
    for name in metrics:
        if f"{name}_mean" not in frame:
            continue
        emphases, marks = emphasis(frame, name), frame.get(f"{name}_verdict", pd.Series("", frame.index))
        shown[header(name, form)] = [
            cell(score(row, name), finer.get(name, metric_of(name).digits), form, emphasis=strong, mark=str(mark))
            for row, strong, mark in zip(rows_of(frame), emphases, marks, strict=True)
        ]
        if name in set(frame.get("matched_metric", ())):
            shown[matched_title(frame, form)] = _matched(frame, finer.get(name, metric_of(name).digits), form)
    if frame["failed"].any():
        of = frame["pairs"] * frame["seeds"]
        lost = [f"{lost} of {count}" if lost else "0" for lost, count in zip(frame["failed"], of, strict=True)]
        shown[header("failed", form)] = lost
    if frame["rank"].notna().any():
        shown[header("rank", form)] = [escape(rank_of(row, NONE), form) for row in rows_of(frame)]
    return shown


def matched_title(frame: pd.DataFrame, form: Form) -> str:
    """The title of the column of scores at equal regularity."""
    metrics, regularities = (frame[f"matched_{name}"].dropna().unique() for name in ("metric", "regularity"))
    score = metric_title(str(metrics[0])).partition(",")[0] if len(metrics) == 1 else "Score"
    arrow = f" {ARROWS[metric_of(str(metrics[0])).direction]}" if len(metrics) == 1 else ""
    return escape(f"{score} at equal {words(str(regularities[0]))}{arrow}", form)


def _matched(frame: pd.DataFrame, digits: int, form: Form) -> list[str]:
    """Scores at equal regularity with the marks of their verdicts."""
    verdicts = frame["matched_verdict"]
    emphases = dict.fromkeys(frame.index, "")
    for _, cells in frame[frame["matched_score"].notna()].groupby(GROUP, sort=False):
        best = cells.index[verdicts[cells.index] == "best"]
        alone = bool((verdicts[cells.index] == "worse").sum() == len(cells) - 1)
        emphases |= dict.fromkeys(best if len(cells) > 1 else (), "bold" if alone else "underlined")
    return [
        cell(Score(float(value)), digits, form, emphasis=strong, mark=str(mark))
        for value, strong, mark in zip(frame["matched_score"], emphases.values(), verdicts, strict=True)
    ]


def pieces(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    shown: tuple[Sequence[str], Mapping[str, int]],
    controls: Sequence[str],
) -> list[Piece]:
    """What LaTeX has of a table that is too wide to be read: one of each model and dataset, of many metrics several.

    The first has what answers the question: the leading metric, folding, the rank. In all the SD over seeds stands
    beside the leading metric alone. What no model made stands in each.

    Args:
        frame: of `main_table`.
        metrics: its metrics, in their order.
        shown: what was searched beside lambda, and metrics with more digits than usual.
        controls: methods that stand below the last rule.

    Returns:
        None where one table fits the width of a text at eight points.
    """
    groups = list(frame[frame["similarity"].notna()].groupby(GROUP, sort=False))
    known = [name for name in metrics if f"{name}_mean" in frame]
    if not groups or natural_width(as_text(frame, metrics, "tex", *shown)) <= LINE:
        return []
    if ANSWERS in known[1:]:
        known = [known[0], ANSWERS, *(name for name in known[1:] if name != ANSWERS)]
    frame = frame.assign(**{f"{name}_seed_sd": np.nan for name in known[1:]})
    columns = _fitting(frame, known, shown)
    parts = []
    for (dataset, model), cells in groups:
        others = frame[(frame["dataset"] == dataset) & frame["similarity"].isna()]
        part = frame.loc[sorted([*others.index, *cells.index])].reset_index(drop=True)
        title = f"{dataset}, {model}" if frame["dataset"].nunique() > 1 else str(model) if len(groups) > 1 else ""
        for number, names in enumerate(columns, 1):
            of = f"part {number} of {len(columns)}" if len(columns) > 1 else ""
            full = ", ".join(filter(None, [title, of]))
            parts.append(Piece(full, as_text(part, names, "tex", *shown), rules(part, controls)))
    return parts


def _fitting(
    frame: pd.DataFrame, known: Sequence[str], shown: tuple[Sequence[str], Mapping[str, int]]
) -> list[list[str]]:
    """Metrics in groups, each as large as the width of a text has room for; one that has none stands alone."""
    columns: list[list[str]] = [[]]
    for name in known:
        if columns[-1] and natural_width(as_text(frame, [*columns[-1], name], "tex", *shown)) > LINE:
            columns.append([])
        columns[-1].append(name)
    return columns


def rules(frame: pd.DataFrame, controls: Sequence[str]) -> tuple[int, int]:
    """Rows above the first rule (`identity`, baselines) and below the last (controls); none for several datasets."""
    if frame["dataset"].nunique() > 1:
        return 0, 0
    last = int(frame["method"].isin(controls).sum())
    return int(frame["similarity"].isna().sum()) - last, last


def emphasis(frame: pd.DataFrame, metric: str) -> list[str]:
    """'bold' for what is better than every other method of its model, else 'underlined' for the best mean.

    The best of a metric without verdicts is that by the printed number, which several may share.
    """
    emphases = dict.fromkeys(frame.index, "")
    infinite = frame.get(f"{metric}_infinite", pd.Series(0, frame.index))
    competing = frame[frame["similarity"].notna() & (frame[f"{metric}_median"].notna() | (infinite > 0))]
    for _, cells in competing.groupby(GROUP, sort=False):
        verdicts = cells.get(f"{metric}_verdict", pd.Series("", cells.index)).fillna("")
        if len(cells) < 2:
            continue
        if (verdicts == "best").any():
            earned = (verdicts == "worse").sum() == len(cells) - 1
            emphases |= dict.fromkeys(cells.index[verdicts == "best"], "bold" if earned else "underlined")
        else:
            means = cells[f"{metric}_mean"].dropna()
            best = means.max() if metric_of(metric).direction == "higher" else means.min()
            if means.nunique() > 1:
                emphases |= dict.fromkeys(means.index[means == best], "underlined")
    return list(emphases.values())


def score(row: Row, name: str) -> Score:
    """The score of a row of the main table by a metric."""
    mean, sd, seed_sd, median = (row[f"{name}_{kind}"] for kind in ("mean", "sd", "seed_sd", "median"))
    infinite = row.get(f"{name}_infinite", 0)
    return Score(mean, sd, seed_sd, median, 0 if pd.isna(infinite) else int(infinite), row["failed"] > 0)


def rank_of(row: Row, dash: str = "-") -> str:
    """The rank with its interval."""
    ends = (row.get(name) for name in ("rank", "rank_low", "rank_high"))
    rank, low, high = (None if pd.isna(end) else int(end) for end in ends)
    if rank is None:
        return NONE
    return rank_text(rank, None if low is None or high is None else (low, high), dash)


def lambdas(row: Row, dash: str = NONE) -> str:
    """The lambda of a row; the range where several searches chose."""
    return weight(row, "lambda", dash)


def weight(row: Row, name: str, dash: str = NONE) -> str:
    """The weight of a row by the name of its column; the range where several searches chose."""
    ends = [row.get(f"{name}_{end}") for end in ("low", "high")]
    values = ends if all(end is not None and np.isfinite(end) for end in ends) else [row[name]]
    texts = [f"{float(value):.3g}" for value in values if value is not None and np.isfinite(value)]
    return dash.join(dict.fromkeys(texts)) or NONE


def _names(frame: pd.DataFrame, form: Form) -> pd.DataFrame:
    """The components of each method. Where there is one model, a method without a similarity has its name there."""
    names = frame[["dataset", "model", "similarity", "regularizer"]].copy()
    untuned = frame["similarity"].isna()
    if frame["dataset"].nunique() == 1:
        names = names.drop(columns="dataset")
    if frame.loc[~untuned, "model"].nunique() == 1:
        names["similarity"] = frame["similarity"].where(~untuned, frame["method"])
        names = names.drop(columns="model")
    return plain(names, form)


def _value(value: object) -> str:
    """A searched value as text; cells that were not searched have none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return NONE
    return f"{value:.3g}" if isinstance(value, float) else str(value)

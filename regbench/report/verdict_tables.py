"""Every verdict with what it rests on and what would decide it, and the noise that the intervals hold."""

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from regbench.metrics import METRICS
from regbench.report.against_best import judged
from regbench.report.caption import regions
from regbench.report.relations import needed
from regbench.report.table_format import NONE, Form, plain, write_table

SHOWN_METRIC = "dice"
FAMILIES = ("similarity", "regularizer", "against_identity", "pairs")
COUNTS = ("n", "subjects", "runs")
NUMBERS = ("difference", "low", "high", "se_subjects", "se_runs", "df", *COUNTS)
PARTS = ("subject", "seed", "tuning", "residual")


def write_verdicts(summary: Mapping[str, Any], folder: Path) -> None:
    """Write `verdicts` and `variance`, each as CSV, Markdown, LaTeX and HTML."""
    study, verdicts, variance = summary["study"], verdicts_table(summary), variance_table(summary)
    write_table(
        folder / "verdicts", verdicts, lambda form: _shown(verdicts, form),
        f"Study {study}: every verdict on Dice, a against b: better, worse, equal, or undecided. Difference: mean of a "
        "less mean of b, with its simultaneous 95 % interval, which holds the noise of test subjects and, where they "
        "were repeated, of trainings and tuning. Families, each judged as a whole: similarities averaged over the "
        "regularizers, regularizers averaged over the similarities, each method against no registration, and every two "
        f"methods of a model. {regions(summary)}{_rest(verdicts)} Would decide: trainings and test pairs "
        "with which it would be decided four times in five, if noise and difference are as measured. The CSV has all "
        "metrics.", study,
    )  # fmt: skip
    write_table(
        folder / "variance", variance, lambda form: plain(variance, form),
        f"Study {study}: what the noise of a difference of two methods is made of: shares of its variance (test "
        "subjects, seeds of the trainings, tuning, and the rest), and the SD of each in the metric's own unit. A dash "
        "where a study cannot tell: one seed says nothing of seeds, one search nothing of tuning.", study,
    )  # fmt: skip


def verdicts_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """One row a comparison, of every metric and family."""
    rows = [
        {"dataset": dataset, "model": model, "metric": metric, "family": family}
        | {"a": one["a"], "verdict": one["verdict"], "b": one["b"]}
        | {name: _rounded(one.get(name), name, metric) for name in NUMBERS}
        | {"reason": one.get("reason") or "", "would_decide": needed(one)}
        for dataset, model, metric, verdicts in judged(summary)
        for family in FAMILIES
        for one in verdicts[family]
    ]
    columns = ["dataset", "model", "metric", "family", "a", "verdict", "b", *NUMBERS, "reason", "would_decide"]
    counts = dict.fromkeys(COUNTS, "Int64")
    # Where nothing could be judged, a column holds no number at all.
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(NUMBERS, "float64") | counts)


def variance_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """One row a dataset, model and metric: shares of variance and deviations."""
    rows = []
    for dataset, model, metric, verdicts in judged(summary):
        shares, deviations = verdicts.get("shares") or {}, verdicts.get("sd") or {}
        row: dict[str, Any] = {"dataset": dataset, "model": model, "metric": metric}
        row |= {f"share_{part}": _significant(shares.get(part), 3) for part in PARTS}
        row |= {f"sd_{part}": _significant(deviations.get(part), 3) for part in PARTS}
        rows.append(row | {name: verdicts["noise"].get(name) for name in ("seeds", "replicates", "subjects", "pairs")})
    names = [f"share_{part}" for part in PARTS] + [f"sd_{part}" for part in PARTS]
    counts = ["seeds", "replicates", "subjects", "pairs"]
    frame = pd.DataFrame(rows, columns=["dataset", "model", "metric", *names, *counts])
    return frame.astype(dict.fromkeys(names, float) | dict.fromkeys(counts, "Int64"))


def to_decide(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The undecided comparisons by Dice, and of each what would decide it; null where nothing in reach would."""
    return [
        {"dataset": dataset, "model": model, "metric": metric, "family": family, "a": one["a"], "b": one["b"]}
        | {"difference": one["difference"], "reason": one["reason"], "needs": one["needs"]}
        for dataset, model, metric, verdicts in judged(summary)
        if metric == SHOWN_METRIC
        for family in FAMILIES
        for one in verdicts[family]
        if one["verdict"] == "undecided"
    ]


def _shown(frame: pd.DataFrame, form: Form) -> pd.DataFrame:
    """What is printed: Dice, the interval in one column, what all rows share left out."""
    mine = frame[frame["metric"] == SHOWN_METRIC]
    text = mine[["dataset", "model", "family", "a", "verdict", "b"]].copy()
    for column in ("dataset", "model"):
        if mine[column].nunique() < 2:
            text = text.drop(columns=column)
    text["family"] = mine["family"].map({"against_identity": "against identity"}).fillna(mine["family"])
    digits = METRICS[SHOWN_METRIC].digits + 1
    text["difference"] = [NONE if pd.isna(value) else f"{value:+.{digits}f}" for value in mine["difference"]]
    ends = zip(mine["low"], mine["high"], strict=True)
    text["interval"] = [NONE if pd.isna(low) else f"{low:+.{digits}f} to {high:+.{digits}f}" for low, high in ends]
    text["rests_on"] = list(_rests_on(mine))
    if text["rests_on"].nunique() < 2:
        text = text.drop(columns="rests_on")
    text["would_decide"] = [_needed(row) for row in mine.to_dict(orient="records")]
    prefixes = [f"{model}." for model in mine["model"]]
    for column in ("a", "b"):
        names = zip(mine[column], prefixes, strict=True)
        text[column] = [str(name).removeprefix(prefix) for name, prefix in names]
    return plain(text, form)


def _rest(frame: pd.DataFrame) -> str:
    """What all verdicts on Dice rest on, where it is the same; else it is a column."""
    known = set(_rests_on(frame[frame["metric"] == SHOWN_METRIC]))
    return f" All rest on {known.pop()}." if len(known) == 1 else ""


def _needed(row: Mapping[Hashable, Any]) -> str:
    """What would decide it, or why nothing is said of it."""
    if row["verdict"] != "undecided":
        return ""
    usual = row["reason"].startswith("the interval")
    return str(row["would_decide"] or ("out of reach" if usual else row["reason"]))


def _rests_on(frame: pd.DataFrame) -> Iterator[str]:
    for row in frame.to_dict(orient="records"):
        parts = [(row["n"], "pair"), (row["subjects"], "subject"), (row["runs"], "run")]
        known = [f"{count} {what}{'s' if count != 1 else ''}" for count, what in parts if not pd.isna(count) and count]
        yield ", ".join(known) or NONE


def _rounded(value: float | None, name: str, metric: str) -> float | int | None:
    if value is None or name in COUNTS:
        return value
    return round(value, 1 if name == "df" else METRICS[metric].digits + 1)


def _significant(value: float | None, digits: int) -> float:
    return float("nan") if value is None else float(f"{value:.{digits}g}")

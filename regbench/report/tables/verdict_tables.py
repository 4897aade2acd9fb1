"""Every verdict with its evidence and what would decide it, and the noise that the intervals hold."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from regbench.report.comparison_entries import FAMILIES, ComparisonEntry, ComponentEntry
from regbench.report.summary_file import Summary, all_verdicts, digits_of, leading, led_by
from regbench.report.tables.main_caption import regions
from regbench.report.tables.table_format import NONE, Form, Row, plain, rows_of, write_table
from regbench.report.verdict_clauses import needed

if TYPE_CHECKING:
    from regbench.statistics.components import Of

Measure = Literal["difference", "low", "high", "se_subjects", "se_runs", "se_folds", "df", "n", "subjects", "runs"]
COUNTS: tuple[Measure, ...] = ("n", "subjects", "runs")
OF_FOLDS: Measure = "se_folds"  # of studies that pool some
NUMBERS: tuple[Measure, ...] = ("difference", "low", "high", "se_subjects", "se_runs", OF_FOLDS, "df", *COUNTS)
Drawn = Literal["seeds", "replicates", "splits", "subjects", "pairs"]
DRAWN: tuple[Drawn, ...] = ("seeds", "replicates", "splits", "subjects", "pairs")
PARTS = ("share", "sd", "sd_low", "sd_high", "df")
OF: tuple["Of", ...] = ("difference", "score")
SOURCES = (
    "Sources: split, which subjects validated and which were trained with; tuning, the search for lambda; seed, the "
    "training; subject, the test pair and its subjects; residual, what is left of one run on one pair."
)


def write_verdicts(summary: Summary, folder: Path) -> None:
    """Write `verdicts` and `variance`, each as CSV, Markdown, LaTeX and HTML."""
    study, verdicts, variance = summary["study"], verdicts_table(summary), variance_table(summary)
    shown = of_leading(verdicts, summary)
    write_table(
        folder / "verdicts", verdicts, lambda form: comparisons_text(shown, form, summary),
        f"Study {study}: every verdict on {led_by(summary)}, a against b: better, worse, equal, or undecided. "
        "Difference: mean of a less mean of b, with its "
        f"simultaneous 95 % interval, which holds the noise of test subjects and, where they "
        "were repeated, of trainings and tuning. Families, each judged as a whole: similarities averaged over the "
        "regularizers, regularizers averaged over the similarities, each method against no registration, and every two "
        f"methods of a model. {regions(summary)}{_rest(shown)} Would decide: trainings and test pairs "
        "with which it would be decided four times in five, if noise and difference are as measured. The CSV has all "
        "metrics.", study,
    )  # fmt: skip
    write_table(
        folder / "variance", variance, lambda form: components_text(of_leading(variance, summary), form),
        f"Study {study}: what {led_by(summary)} of one run on one pair varies by: the difference of two methods (mean "
        "over pairs of methods; what moves all methods alike drops out), and the score of one (mean over methods). "
        f"{SOURCES} SD in the metric's unit with its 95 % interval; df: degrees of freedom behind it. Sources that are "
        f"joined by + this study cannot tell apart.{_below(variance)} The CSV has all metrics.", study,
    )  # fmt: skip


def verdicts_table(summary: Summary) -> pd.DataFrame:
    """One row a comparison, of every metric and family."""
    numbers = comparison_columns(summary)
    rows = [
        {"dataset": dataset, "model": model, "metric": metric, "family": family}
        | comparison_row(one, digits_of(summary, metric), numbers)
        for dataset, model, metric, verdicts in all_verdicts(summary)
        for family in FAMILIES
        for one in verdicts[family]
    ]
    columns = ["dataset", "model", "metric", "family", "a", "verdict", "b", *numbers, "reason", "would_decide"]
    # Where nothing could be judged, a column holds no number at all.
    kinds = {str(name): "Int64" if name in COUNTS else "float64" for name in numbers}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def comparison_columns(summary: Summary) -> list[Measure]:
    """The numbers that a comparison of a study has."""
    return [name for name in NUMBERS if name != OF_FOLDS or "pools" in summary]


def comparison_row(one: ComparisonEntry, digits: int, numbers: Sequence[Measure]) -> dict[str, object]:
    """A comparison with its evidence and what would decide it.

    Args:
        one: the comparison.
        digits: of the metric in the tables.
        numbers: of `comparison_columns`.
    """
    row: dict[str, object] = {"a": one["a"], "verdict": one["verdict"], "b": one["b"]}
    row |= {name: _rounded(one.get(name), name, digits) for name in numbers}
    return row | {"reason": one.get("reason") or "", "would_decide": needed(one)}


def variance_table(summary: Summary) -> pd.DataFrame:
    """One row a dataset, model, metric, number (difference or score) and source of its variance."""
    rows = [
        {"dataset": dataset, "model": model, "metric": metric, "of": of, **_component(part)}
        | {name: verdicts["noise"].get(name) for name in DRAWN}
        for dataset, model, metric, verdicts in all_verdicts(summary)
        for of in OF
        for part in verdicts["components"].get(of, ())
    ]
    drawn = [name for name in DRAWN if name != "splits" or "splits" in summary]
    columns = ["dataset", "model", "metric", "of", "source", *PARTS, "below_0", *drawn]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(dict.fromkeys(PARTS, "float64") | {str(name): "Int64" for name in drawn})


def _component(part: ComponentEntry) -> dict[str, object]:
    return {
        "source": part["source"],
        "share": _significant(part["share"], 3),
        "sd": _significant(part["sd"], 3),
        "sd_low": _significant(part["low"], 3),
        "sd_high": _significant(part["high"], 3),
        "df": round(part["df"], 1),
        "below_0": "yes" if part["negative"] else "no",
    }


def components_text(shown: pd.DataFrame, form: Form) -> pd.DataFrame:
    """Sources as they are printed: share, and the SD with its interval in one column."""
    text = shown[[name for name in ("dataset", "model", "metric") if shown[name].nunique() > 1]].copy()
    text["of"], text["source"] = shown["of"], shown["source"]
    text["share"] = [NONE if pd.isna(share) else f"{100 * share:.0f} %" for share in shown["share"]]
    ends = zip(shown["sd"], shown["sd_low"], shown["sd_high"], strict=True)
    text["sd"] = [f"{sd:.2g} ({low:.2g} to {high:.2g})" for sd, low, high in ends]
    text["df"] = [f"{df:g}" for df in shown["df"]]
    return plain(text, form, {"sd": "SD", "df": "df"})


def _below(variance: pd.DataFrame) -> str:
    """That some estimates are below 0, where they are."""
    if not (variance["below_0"] == "yes").any():
        return ""
    return " A variance that was estimated below 0 counts as 0 (`below_0` in the CSV)."


def of_leading(frame: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The rows of a frame with `dataset` and `metric` that are of the metric that their dataset is led by."""
    led = {name: goals["leading"] for name, goals in summary["goals"].items()}
    mine = [led.get(dataset) == metric for dataset, metric in zip(frame["dataset"], frame["metric"], strict=True)]
    return frame[np.array(mine, dtype=bool)]


def to_decide(summary: Summary) -> list[dict[str, object]]:
    """The undecided comparisons by the leading metric, for JSON, with what would decide each; None where nothing."""
    return [
        {"dataset": dataset, "model": model, "metric": metric, "family": family, "a": one["a"], "b": one["b"]}
        | {"difference": one["difference"], "reason": one["reason"], "needs": one["needs"]}
        for dataset, model, metric, verdicts in all_verdicts(summary)
        if metric == leading(summary, dataset)
        for family in FAMILIES
        for one in verdicts[family]
        if one["verdict"] == "undecided"
    ]


def comparisons_text(shown: pd.DataFrame, form: Form, summary: Summary) -> pd.DataFrame:
    """Comparisons as they are printed: the interval in one column, what all rows share left out."""
    text = shown[["dataset", "model", "metric", "family", "a", "verdict", "b"]].copy()
    for column in ("dataset", "model", "metric"):
        if shown[column].nunique() < 2:
            text = text.drop(columns=column)
    text["family"] = shown["family"].map({"against_identity": "against identity"}).fillna(shown["family"])
    digits = [digits_of(summary, metric) + 1 for metric in shown["metric"]]
    differences = zip(shown["difference"], digits, strict=True)
    text["difference"] = [NONE if pd.isna(value) else f"{value:+.{places}f}" for value, places in differences]
    ends = zip(shown["low"], shown["high"], digits, strict=True)
    text["interval"] = [NONE if pd.isna(low) else f"{low:+.{n}f} to {high:+.{n}f}" for low, high, n in ends]
    text["rests_on"] = list(_rests_on(shown))
    if text["rests_on"].nunique() < 2:
        text = text.drop(columns="rests_on")
    text["would_decide"] = [_needed(row) for row in rows_of(shown)]
    prefixes = [f"{model}." for model in shown["model"]]
    for column in ("a", "b"):
        names = zip(shown[column], prefixes, strict=True)
        text[column] = [str(name).removeprefix(prefix) for name, prefix in names]
    return plain(text, form)


def _rest(shown: pd.DataFrame) -> str:
    """What all verdicts that are printed rest on, where it is the same; else it is a column."""
    known = set(_rests_on(shown))
    return f" All rest on {known.pop()}." if len(known) == 1 else ""


def _needed(row: Row) -> str:
    """What would decide a verdict, or why that is not known."""
    if row["verdict"] != "undecided":
        return ""
    usual = row["reason"].startswith("the interval")
    return str(row["would_decide"] or ("out of reach" if usual else row["reason"]))


def _rests_on(frame: pd.DataFrame) -> Iterator[str]:
    for row in frame[list(COUNTS)].fillna(0).astype(int).itertuples(index=False):
        known = [_counted(count, noun) for count, noun in zip(row, ("pair", "subject", "run"), strict=True) if count]
        yield ", ".join(known) or NONE


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _rounded(value: float | None, name: Measure, digits: int) -> float | int | None:
    if value is None or name in COUNTS:
        return value
    return round(value, 1 if name == "df" else digits + 1)


def _significant(value: float | None, digits: int) -> float:
    return float("nan") if value is None else float(f"{value:.{digits}g}")

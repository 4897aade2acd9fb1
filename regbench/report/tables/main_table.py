"""The main table: one row a method, with its scores, verdicts and rank."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from regbench.metrics import metric_of
from regbench.report.headline import headline
from regbench.report.objectives import weight_names, weights_searched
from regbench.report.standings import Standing, against_best, rank_intervals, standings
from regbench.report.summary_file import (
    LABELS,
    STATISTICS,
    MethodEntry,
    Summary,
    all_verdicts,
    digits_of,
    finer_digits,
    number,
)
from regbench.report.tables import main_caption
from regbench.report.tables.main_table_text import as_text, pieces, rules
from regbench.report.tables.table_format import exact, write_table
from regbench.report.tables.table_provenance import provenance_of
from regbench.report.tables.verdict_tables import to_decide
from regbench.study.terms import WEIGHT
from regbench.system.escaping import csv_table
from regbench.system.files import write_json, write_text
from regbench.system.provenance import CodeVersion

SEARCHED = "weights_searched"
OF_SURFACES = ("hd95_mm", "assd_mm")
MAIN = (
    "dice",
    "hd95_mm",
    "assd_mm",
    "nsd",
    "tre_mm",
    "tre_median_mm",
    "tre70_mm",
    "rtre_percent",
    "fold_central_percent",
    "fold_foreground_percent",
    "ndv_percent",
    "endpoint_error_mm",
    "endpoint_error_foreground_mm",
)


def main_metrics(summary: Summary) -> tuple[str, ...]:
    """The metrics of the table: those that datasets are led by, then the usual ones."""
    return tuple(dict.fromkeys([*(goals["leading"] for goals in summary["goals"].values()), *MAIN]))


def main_table(summary: Summary) -> pd.DataFrame:
    """One row a method: lambda, counts, mean, SD over cases and over seeds, and verdict of each metric; rounded."""
    rows: list[dict[str, object]] = []
    matched = _matched(summary)
    weights, standing, intervals = weight_names(summary["methods"]), standings(summary), rank_intervals(summary)
    tuned = [name for name in searched(summary) if name not in weights]
    judged = {metric for _, _, metric, _ in all_verdicts(summary)}
    digits = {name: digits_of(summary, name) for name in main_metrics(summary)}
    infinite = [name for name in main_metrics(summary) if name in OF_SURFACES or _any_infinite(summary, name)]
    for entry in summary["methods"]:
        key = entry["dataset"], entry["method"]
        row: dict[str, object] = {label: entry[label] for label in LABELS}
        row["model"] = entry["model"] or entry["method"]
        row |= _lambda(entry) | _weights(entry, weights) | {name: entry.get("values", {}).get(name) for name in tuned}
        row |= _counts(entry)
        verdicts = {name: standing.get((*key, name)) for name in judged}
        row |= {
            "failed": entry["failed_rows"],
            **_scores(entry, digits, infinite, verdicts),
            "rank": entry["rank"],
        }
        if "trade_offs" in summary:
            row |= matched.get(key, {})
        if judged:
            row["rank_low"], row["rank_high"] = intervals.get(key, (None, None))
        rows.append(row)
    frame = pd.DataFrame(rows).astype({"rank": "Int64"})
    if judged:
        frame = frame.astype({"rank_low": "Int64", "rank_high": "Int64"})
    return exact(frame, rows, tuned)


def _scores(
    entry: MethodEntry, metrics: Mapping[str, int], infinite: Collection[str], verdicts: Mapping[str, Standing | None]
) -> dict[str, object]:
    """The columns of a method's metrics.

    Args:
        entry: of the method.
        metrics: of the table, with their digits.
        infinite: metrics that are infinite in a case of any method.
        verdicts: of the method against the best, by metric.
    """
    columns: dict[str, object] = {}
    for name, digits in metrics.items():
        spread = entry["metrics"].get(name)
        if spread:
            columns |= {f"{name}_{statistic}": round(number(spread[statistic]), digits) for statistic in STATISTICS}
            if name in infinite:
                columns[f"{name}_infinite"] = spread["infinite"]
            if name in verdicts:
                columns[f"{name}_verdict"] = verdicts[name]
        if name == "dice" and spread:
            columns["dice30"] = round(number(entry["dice30"]), metric_of("dice30").digits)
    return columns


def _matched(summary: Summary) -> dict[tuple[str, str], dict[str, object]]:
    """The columns of each cell's score at equal regularity: by the leading metric, at the level in the middle."""
    columns: dict[tuple[str, str], dict[str, object]] = {}
    for entry in summary.get("trade_offs", []):
        digits, at = digits_of(summary, entry["metric"]), entry["headline"]
        standing = {one["level"]: against_best(one) for one in entry["verdicts"]}.get(at, {})
        for cell in entry["cells"]:
            height = next((one for one in cell["heights"] if one["level"] == at and at is not None), None)
            columns.setdefault(
                (entry["dataset"], cell["method"]),
                {
                    "matched_metric": entry["metric"],
                    "matched_regularity": entry["regularity"],
                    "matched_level": at,
                    **{
                        f"matched_{name}": None if height is None else round(number(height[name]), digits)
                        for name in ("score", "low", "high")
                    },
                    "matched_verdict": standing.get(cell["method"]),
                },
            )
    return columns


def _lambda(entry: MethodEntry) -> dict[str, float | None]:
    """The lambda of an entry, and where several searches chose one each the ends of their range."""
    lams = [lam for lam in entry.get("lams") or () if lam is not None]
    ends = {"lambda_low": min(lams), "lambda_high": max(lams)} if len(lams) > 1 else {}
    return {"lambda": entry["lam"], **ends}


def _weights(entry: MethodEntry, names: Sequence[str]) -> dict[str, float | None]:
    """The weight of each further term as `_lambda` has it, and how many weights were searched; empty without terms."""
    columns: dict[str, float | None] = {}
    of_term = {f"{WEIGHT}{term['id']}": term for term in entry.get("terms", ())}
    for name in names:
        chosen = [weight for weight in of_term[name]["weights"] if weight is not None] if name in of_term else []
        columns[name] = of_term[name]["weight"] if name in of_term else None
        columns |= {f"{name}_low": min(chosen), f"{name}_high": max(chosen)} if len(chosen) > 1 else {}
    return columns | ({SEARCHED: weights_searched(entry)} if names else {})


def _counts(entry: MethodEntry) -> dict[str, object]:
    """Trials, seeds and pairs of an entry; of pooled folds the trials of all, and the seeds of each."""
    of_folds = entry.get("pooled")
    trials, seeds = (of_folds["trials"], of_folds["seeds"]) if of_folds else (len(entry["trials"]), len(entry["runs"]))
    return {"trials": trials, "seeds": max(seeds, 1), "pairs": entry["pairs"]}


def _any_infinite(summary: Summary, name: str) -> bool:
    spreads = (entry["metrics"].get(name) for entry in summary["methods"])
    return any(spread["infinite"] for spread in spreads if spread)


def searched(summary: Summary) -> list[str]:
    """The names of what was searched beside lambda in any cell, in the order of the table."""
    return list(dict.fromkeys(name for entry in summary["methods"] for name in entry.get("values", {})))


def beside_lambda(summary: Summary) -> list[str]:
    """The columns of weights, and of what else was searched, that stand behind lambda."""
    weights = weight_names(summary["methods"])
    return [*weights, *([SEARCHED] if weights else []), *(name for name in searched(summary) if name not in weights)]


def write_main(
    summary: Summary, folder: Path, config: Mapping[str, object], made_by: CodeVersion | None = None
) -> None:
    """Write `main.{csv,md,tex,html}`, the same numbers in long form, and its provenance (`provenance_of`)."""
    frame, tuned, metrics = main_table(summary), beside_lambda(summary), main_metrics(summary)
    controls = [entry["method"] for entry in summary["methods"] if entry.get("control")]
    finer = finer_digits(summary, metrics)
    write_table(
        folder / "main", frame, lambda form: as_text(frame, metrics, form, tuned, finer), caption(summary),
        summary["study"],
        ruled=rules(frame, controls), pieces=pieces(frame, metrics, (tuned, finer), controls),
    )  # fmt: skip
    write_text(folder / "main_long.csv", csv_table(_long(frame, metrics)))
    verdicts = {"headline": headline(summary), "to_decide": to_decide(summary)}
    write_json(folder / "main.provenance.json", provenance_of(summary, config, made_by) | verdicts)


def caption(summary: Summary) -> str:
    """Every convention behind the numbers, and what the marks claim, in words."""
    lines = [main_caption.protocol(summary), main_caption.marks(summary)]
    if any(_any_infinite(summary, name) for name in main_metrics(summary)):
        lines.append(
            "Where a label vanished in the warp, its surface distance is infinite: the median over cases is given, and "
            "how many cases are infinite."
        )
    if any(entry["failed_rows"] for entry in summary["methods"]):
        lines.append(
            "Failed: registrations (pairs times seeds) without a result; the means are of the pairs that have one."
        )
    return " ".join([*lines, *main_caption.definitions(summary, main_metrics(summary))])


def _long(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """One row a method, metric and statistic, with the verdict on that metric."""
    keys = ["dataset", "method", "model", "similarity", "regularizer", "lambda", "trials", "seeds", "pairs"]
    names = "|".join(map(re.escape, sorted(metrics, key=len, reverse=True)))
    numbers = [name for name in frame if re.fullmatch(rf"({names})_(mean|sd|seed_sd|median|infinite)", str(name))]
    long = frame.melt(keys, numbers, var_name="column", value_name="value")
    parts = long["column"].str.extract(rf"^({names})_(.*)$")
    long.insert(len(keys), "metric", parts[0])
    long.insert(len(keys) + 1, "statistic", parts[1])
    words = {
        (row["dataset"], row["method"], name): row.get(f"{name}_verdict")
        for row in frame.to_dict(orient="records") for name in metrics
    }  # fmt: skip
    long["verdict"] = [words[key] for key in zip(long["dataset"], long["method"], long["metric"], strict=True)]
    return long.drop(columns="column")

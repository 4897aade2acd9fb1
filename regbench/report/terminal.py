"""The main table in the width of a terminal, and the headline, for `regbench show`."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from regbench.metrics import metric_of
from regbench.report.headline import headline
from regbench.report.summary_file import Summary, all_verdicts, finer_digits
from regbench.report.tables.main_table import beside_lambda, main_table
from regbench.report.tables.main_table_text import emphasis, lambdas, rank_of, score, weight
from regbench.report.tables.table_format import NONE, Row, rows_of
from regbench.study.terms import WEIGHT

WIDTH = 120
WARNINGS = 3  # that are printed; of more, the number
# By falling importance: what does not fit the width is left out from the end.
METRICS_SHOWN = {
    "dice": "Dice",
    "tre_mm": "TRE mm",
    "fold_central_percent": "fold %",
    "ndv_percent": "NDV %",
    "endpoint_error_foreground_mm": "EPE mm",
    "hd95_mm": "HD95 mm",
    "nsd": "NSD",
    "tre70_mm": "TRE70 mm",
}
MARKS = {"bold": "*", "underlined": "+", "equal": "=", "undecided": "?"}


def terminal_table(summary: Summary) -> str:
    """The main table: best method first, identity on top, `±` the SD over pairs, in brackets that over seeds."""
    frame = main_table(summary)
    order = frame.assign(last=frame["method"].isin([e["method"] for e in summary["methods"] if e.get("control")]))
    frame = order.sort_values(["dataset", "last", "model", "rank"], na_position="first", kind="stable")
    frame = frame.reset_index(drop=True)
    led = (goals["leading"] for goals in summary["goals"].values())
    names = [
        name
        for name in dict.fromkeys([*led, *METRICS_SHOWN])
        if f"{name}_mean" in frame and frame[f"{name}_median"].notna().any()
    ]
    while True:
        text = _table(frame, names, beside_lambda(summary), finer_digits(summary, names)).to_string(index=False)
        if len(names) < 2 or max(map(len, text.splitlines())) <= WIDTH:
            return text
        names.pop()


def legend(summary: Summary) -> str:
    """What the signs of the table mean."""
    lines = ["± SD over pairs; in brackets SD over seeds."]
    judged = {metric for _, _, metric, _ in all_verdicts(summary)}
    if judged:
        lines = [
            "Against the best of its model: = equal, ? undecided, no sign: worse. * better than every other, + best "
            "mean, but not so.",
            *lines,
        ]
        present = {name for entry in summary["methods"] for name in entry["metrics"]}
        without = [words for name, words in METRICS_SHOWN.items() if name in present - judged]
        lines += [f"Not judged: {', '.join(without)}."] if without else []
    return textwrap.fill(" ".join(lines), WIDTH)


def closing(summary: Summary) -> str:
    """The last lines: the warnings, then the headline of the study."""
    warnings = summary["warnings"]
    lines = [textwrap.shorten(f"WARNING {warning}", 2 * WIDTH) for warning in warnings[:WARNINGS]]
    if len(warnings) > WARNINGS:
        lines.append(f"{len(warnings)} warnings: the others stand on the page")
    lines += [""] if lines else []
    return "\n".join(lines + [textwrap.fill(paragraph, WIDTH) for paragraph in headline(summary)])


def _table(frame: pd.DataFrame, names: Sequence[str], tuned: Sequence[str], finer: Mapping[str, int]) -> pd.DataFrame:
    shown = frame[["dataset", "model", "similarity", "regularizer", *tuned]].astype(object)
    if frame["dataset"].nunique() == 1:
        shown = shown.drop(columns="dataset")
    rows = rows_of(frame)
    shown.insert(list(shown).index("regularizer") + 1, "lambda", [lambdas(row, "-") for row in rows])
    for name in (name for name in tuned if name.startswith(WEIGHT)):
        shown[name] = [weight(row, name, "-") for row in rows]
    for name in names:
        verdicts = frame.get(f"{name}_verdict", pd.Series(np.nan, frame.index))
        signs = zip(emphasis(frame, name), verdicts, strict=True)
        # A metric that was not judged has no signs: without one would read as worse.
        known = verdicts.notna().any()
        marks = [(MARKS.get(strong) or MARKS.get(str(verdict), "")) if known else "" for strong, verdict in signs]
        digits = finer.get(name, metric_of(name).digits)
        cells = [_cell(row, name, digits, with_sd=name == names[0]) for row in rows]
        wide = max(map(len, cells))
        sign = 2 * any(marks)
        shown[METRICS_SHOWN.get(name, name)] = [
            f"{text:>{wide}}{mark:>{sign}}" for text, mark in zip(cells, marks, strict=True)
        ]
    if frame["failed"].any():
        shown["failed"] = frame["failed"]
    shown["rank"] = [rank_of(row) for row in rows]
    return shown.where(shown.notna(), NONE)


def _cell(row: Row, name: str, digits: int, *, with_sd: bool) -> str:
    """``0.681 ± 0.029 (0.012)``; of the metrics after the first without the SD over pairs."""
    value = score(row, name)
    if value.infinite:
        count = f"{value.infinite} infinite"
        return count if not np.isfinite(value.median) else f"{value.median:.{digits}f}, {count}"
    if not np.isfinite(value.mean):
        return "failed" if value.failed else NONE
    sd = f" ± {value.sd:.{digits}f}" if with_sd and np.isfinite(value.sd) else ""
    return f"{value.mean:.{digits}f}{sd}" + (f" ({value.seed_sd:.{digits}f})" if np.isfinite(value.seed_sd) else "")

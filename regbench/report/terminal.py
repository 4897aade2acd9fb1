"""What `regbench show` prints: the main table in the width of a terminal, and last what the study found."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from regbench.metrics import METRICS
from regbench.report.against_best import judged
from regbench.report.headline import headline
from regbench.report.printed import emphasis, lambdas, ranked, score
from regbench.report.table_format import NONE
from regbench.report.tables import main_table, searched

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
}
MARKS = {"bold": "*", "underlined": "+", "equal": "=", "undecided": "?"}


def terminal_table(summary: Mapping[str, Any]) -> str:
    """The main table: best method first, identity on top, `±` the SD over pairs, in brackets that over seeds."""
    frame = main_table(summary)
    order = frame.assign(last=frame["method"].isin([e["method"] for e in summary["methods"] if e.get("control")]))
    frame = order.sort_values(["dataset", "last", "model", "rank"], na_position="first", kind="stable")
    frame = frame.reset_index(drop=True)
    names = [name for name in METRICS_SHOWN if f"{name}_mean" in frame and frame[f"{name}_median"].notna().any()]
    while True:
        text = _table(frame, names, searched(summary)).to_string(index=False)
        if len(names) < 2 or max(map(len, text.splitlines())) <= WIDTH:
            return text
        names.pop()


def legend(summary: Mapping[str, Any]) -> str:
    """What the signs of the table mean."""
    lines = ["± SD over pairs; in brackets SD over seeds."]
    if any(True for _ in judged(summary)):
        lines = [
            "Against the best of its model: = equal, ? undecided, no sign: worse. * better than every other, + best "
            "mean, but not so.",
            *lines,
        ]
        others = [words for name, words in METRICS_SHOWN.items() if name not in {one[2] for one in judged(summary)}]
        present = {name for entry in summary["methods"] for name in entry["metrics"]}
        without = [words for words in others if any(METRICS_SHOWN.get(name) == words for name in present)]
        lines += [f"Not judged: {', '.join(without)}."] if without else []
    return textwrap.fill(" ".join(lines), WIDTH)


def closing(summary: Mapping[str, Any]) -> str:
    """The last lines: what the study found and of what it is said, after the number of warnings."""
    warnings = summary["warnings"]
    lines = [textwrap.shorten(f"WARNING {warning}", 2 * WIDTH) for warning in warnings[:WARNINGS]]
    if len(warnings) > WARNINGS:
        lines.append(f"{len(warnings)} warnings: the others stand on the page")
    lines += [""] if lines else []
    return "\n".join(lines + [textwrap.fill(paragraph, WIDTH) for paragraph in headline(summary)])


def _table(frame: pd.DataFrame, names: Sequence[str], tuned: Sequence[str]) -> pd.DataFrame:
    shown = frame[["dataset", "model", "similarity", "regularizer", *tuned]].astype(object)
    if frame["dataset"].nunique() == 1:
        shown = shown.drop(columns="dataset")
    rows = [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]
    shown.insert(list(shown).index("regularizer") + 1, "lambda", [lambdas(row, "-") for row in rows])
    for name in names:
        verdicts = frame.get(f"{name}_verdict", pd.Series(np.nan, frame.index))
        signs = zip(emphasis(frame, name), verdicts, strict=True)
        # A metric that was not judged has no signs: without one would read as worse.
        known = verdicts.notna().any()
        marks = [(MARKS.get(strong) or MARKS.get(str(verdict), "")) if known else "" for strong, verdict in signs]
        cells = [_cell(row, name, with_sd=name == names[0]) for row in rows]
        wide = max(map(len, cells))
        sign = 2 * any(marks)
        shown[METRICS_SHOWN[name]] = [f"{text:>{wide}}{mark:>{sign}}" for text, mark in zip(cells, marks, strict=True)]
    if frame["failed"].any():
        shown["failed"] = frame["failed"]
    shown["rank"] = [ranked(row) for row in rows]
    return shown.where(shown.notna(), NONE)


def _cell(row: Mapping[str, Any], name: str, *, with_sd: bool) -> str:
    """``0.681 ± 0.029 (0.012)``; of the metrics after the first without the SD over pairs."""
    found, digits = score(row, name), METRICS[name].digits
    if found.infinite:
        number = f"{found.infinite} infinite"
        return number if not np.isfinite(found.median) else f"{found.median:.{digits}f}, {number}"
    if not np.isfinite(found.mean):
        return "failed" if found.failed else NONE
    sd = f" ± {found.sd:.{digits}f}" if with_sd and np.isfinite(found.sd) else ""
    return f"{found.mean:.{digits}f}{sd}" + (f" ({found.seed_sd:.{digits}f})" if np.isfinite(found.seed_sd) else "")

"""Tables of the cells at equal regularity: their scores at each level, and every verdict."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.report.comparison_entries import FAMILIES, CellCurve, Height, LevelVerdicts, TradeOffEntry
from regbench.report.standings import against_best
from regbench.report.summary_file import Summary, digits_of
from regbench.report.tables.column_titles import metric_title
from regbench.report.tables.main_caption import at_levels_words, regions, units
from regbench.report.tables.table_format import (
    BOLD,
    MARKS,
    NONE,
    UNDERLINED,
    Form,
    escape,
    plain,
    write_table,
)
from regbench.report.tables.verdict_tables import COUNTS, comparison_columns, comparison_row, comparisons_text
from regbench.study.goals import words

REACHED = "Reached"


def write_trade_offs(summary: Summary, folder: Path) -> None:
    """Write `curve` and `curve_verdicts`, each in four forms; nothing for a study without curves."""
    if "trade_offs" not in summary:
        return
    study, entries = summary["study"], summary["trade_offs"]
    frame, verdicts = curve_table(summary), curve_verdicts_table(summary)
    write_table(
        folder / "curve", frame, lambda form: _shown(summary, form),
        f"Study {study}: cells where they are as regular. Each run of a cell was trained at {_points(entries)} lambdas "
        "(the chosen one among them); mean score and mean regularity of its test pairs make a curve over log lambda, "
        f"which is read where its regularity is at the level. {at_levels_words(summary)} In brackets the 95 % interval "
        "of that number alone; marks are verdicts against the best cell of the model at that level, as in the main "
        "table, each level a family of its own. Mean height: the area under the curve between the first and the last "
        "level, on a scale of roots, by its width. A dash: a run's curve does not come so far; nothing is "
        "extrapolated. Reached: the levels that all curves of the cell have on the test pairs. The CSV has every "
        "metric.", study,
    )  # fmt: skip
    shown = verdicts[_of_headline(verdicts, entries)]
    write_table(
        folder / "curve_verdicts", verdicts,
        lambda form: comparisons_text(shown.drop(columns="level"), form, summary),
        f"Study {study}: every verdict at equal regularity, a against b, at the level in the middle. "
        f"{at_levels_words(summary)} Difference with its simultaneous 95 % interval, which holds the noise of test "
        "subjects (on both axes of the curve) and, where they were repeated, of trainings and tuning. "
        f"{regions(summary)} The CSV has every level, the mean height and all metrics.", study,
    )  # fmt: skip


def _points(entries: Sequence[TradeOffEntry]) -> int:
    """How many lambdas a curve was asked for."""
    cells = [cell for entry in entries for cell in entry["cells"]]
    seeds = [len({point["seed"] for point in cell["points"]}) for cell in cells]
    counts = [len(cell["points"]) // max(of, 1) for cell, of in zip(cells, seeds, strict=True)]
    return max(counts, default=0)


def curve_table(summary: Summary) -> pd.DataFrame:
    """One row a dataset, model, metric, level and cell."""
    rows = [
        {name: entry[name] for name in ("dataset", "model", "metric", "regularity")}
        | {"level": height["level"], "method": cell["method"]}
        | {name: _rounded(height[name], digits_of(summary, entry["metric"]) + 1) for name in ("score", "low", "high")}
        | {"verdict": against_best(verdicts).get(cell["method"])}
        | {"reached_low": _reach(cell, 0), "reached_high": _reach(cell, 1), "lost": cell["lost"]}
        for entry in summary.get("trade_offs", [])
        for verdicts in entry["verdicts"]
        for cell in entry["cells"]
        for height in cell["heights"]
        if height["level"] == verdicts["level"]
    ]
    numbers = ("level", "score", "low", "high", "reached_low", "reached_high")
    columns = ["dataset", "model", "metric", "regularity", "level", "method", "score", "low", "high", "verdict"]
    frame = pd.DataFrame(rows, columns=[*columns, "reached_low", "reached_high", "lost"])
    return frame.astype(dict.fromkeys(numbers, "float64"))


def curve_verdicts_table(summary: Summary) -> pd.DataFrame:
    """One row a comparison, of every metric, level and family."""
    numbers = comparison_columns(summary)
    rows = [
        {"dataset": entry["dataset"], "model": entry["model"], "metric": entry["metric"], "level": verdicts["level"]}
        | {"family": family}
        | comparison_row(one, digits_of(summary, entry["metric"]), numbers)
        for entry in summary.get("trade_offs", [])
        for verdicts in entry["verdicts"]
        for family in FAMILIES
        for one in verdicts[family]
    ]
    columns = ["dataset", "model", "metric", "level", "family", "a", "verdict", "b", *numbers, "reason", "would_decide"]
    kinds = {str(name): "Int64" if name in COUNTS else "float64" for name in numbers} | {"level": "float64"}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def _of_headline(frame: pd.DataFrame, entries: Sequence[TradeOffEntry]) -> "pd.Series[bool]":
    """The rows of the middle level by the first metric of each dataset and model."""
    first: dict[tuple[str, str], tuple[str, float | None]] = {}
    for entry in entries:
        first.setdefault((entry["dataset"], entry["model"]), (entry["metric"], entry["headline"]))
    keys = zip(frame["dataset"], frame["model"], frame["metric"], frame["level"], strict=True)
    return pd.Series([first[d, m] == (metric, level) for d, m, metric, level in keys], frame.index, dtype=bool)


def _shown(summary: Summary, form: Form) -> pd.DataFrame:
    """One row a cell, a column a level; of the first metric of each dataset and model."""
    first: dict[tuple[str, str], TradeOffEntry] = {}
    for entry in summary.get("trade_offs", []):
        first.setdefault((entry["dataset"], entry["model"]), entry)
    parts = {entry["method"]: (entry["similarity"], entry["regularizer"]) for entry in summary["methods"]}
    rows = [row for entry in first.values() for row in _rows(entry, parts, summary, form)]
    names = ["dataset", "model", "similarity", "regularizer"]
    frame = pd.DataFrame(rows).fillna(escape(NONE, form))  # a model whose cells share no level
    frame = frame[[*(name for name in frame if name != REACHED), REACHED]]
    text = plain(frame[[name for name in names if name == "similarity" or frame[name].nunique() > 1]], form)
    return text.join(frame.drop(columns=names).rename(columns=lambda name: escape(str(name), form)))


def _rows(
    entry: TradeOffEntry, parts: Mapping[str, tuple[str | None, str | None]], summary: Summary, form: Form
) -> Iterator[dict[str, str]]:
    digits = digits_of(summary, entry["metric"])
    unit = units(entry["regularity"])
    names = _level_names(summary, entry)
    for cell in entry["cells"]:
        similarity, regularizer = parts[cell["method"]]
        row = {"dataset": entry["dataset"], "model": entry["model"]}
        row |= {"similarity": similarity or NONE, "regularizer": regularizer or NONE}
        for name, verdicts, height in zip(names, entry["verdicts"], cell["heights"], strict=True):
            row[name] = _height(height, verdicts, cell["method"], digits, form)
        reach = cell["reached"]
        row[REACHED] = escape(NONE if reach is None else f"{reach[0]:.2g} to {reach[1]:.2g}{unit}", form)
        yield row


def _level_names(summary: Summary, entry: TradeOffEntry) -> list[str]:
    """The titles of the columns; by their number where models or datasets have levels of their own."""
    alike = len({tuple(one["levels"]) for one in summary.get("trade_offs", [])}) == 1
    alike &= len({goals["leading"] for goals in summary["goals"].values()}) == 1
    metric, regularity = metric_title(entry["metric"]).partition(",")[0], words(entry["regularity"])
    names = [
        f"{metric} at {regularity} {level:g}{units(entry['regularity'])}" if alike else f"{metric} at level {number}"
        for number, level in enumerate(entry["levels"], 1)
    ]
    return [*names, *(["Mean height"] if len(names) > 1 else [])]


def _height(height: Height, verdicts: LevelVerdicts, method: str, digits: int, form: Form) -> str:
    if height["score"] is None:
        return escape(NONE, form)
    standing = against_best(verdicts)
    mark = standing.get(method, "")
    text = f"{height['score']:.{digits}f}"
    if mark == "best":
        alone = all(other == "worse" for name, other in standing.items() if name != method)
        text = (BOLD if alone else UNDERLINED)[form].format(text)
    sign = MARKS.get(mark, {}).get(form, "")
    sign = f" {sign}" if sign and form != "tex" else sign
    if height["low"] is None or height["high"] is None:
        return text + sign
    return text + sign + escape(f" [{height['low']:.{digits}f}, {height['high']:.{digits}f}]", form)


def _reach(cell: CellCurve, end: int) -> float:
    return np.nan if cell["reached"] is None else float(f"{cell['reached'][end]:.4g}")


def _rounded(value: float | None, digits: int) -> float:
    return np.nan if value is None else round(value, digits)

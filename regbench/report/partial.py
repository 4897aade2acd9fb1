"""The table of an unfinished study: what is evaluated so far, and for every cell that is not complete the reason."""

import numpy as np
import pandas as pd

from regbench.metrics import METRICS
from regbench.orchestration.progress import Cell, progress
from regbench.report.method_entries import metrics_of
from regbench.report.read_rows import joined
from regbench.report.summary_file import STATISTICS
from regbench.report.tables.main_table import MAIN
from regbench.report.tables.main_table_text import score
from regbench.report.tables.table_format import Form, Row, Score, cell, escape, header, plain, rows_of, write_table
from regbench.study.methods import Study
from regbench.system import provenance
from regbench.system.files import write_json

IN_TERMINAL = ("dataset", "method", "lambda", "seeds", "dice_mean", "tre_mm_mean", "ndv_percent_mean", "state", "why")


def write_partial(study: Study) -> str:
    """Write `partial/partial.{csv,md,tex,html}` and `partial.json`; the table as text for a terminal.

    It has no ranks, no marks of the best and no tests: those wait for all cells.
    """
    cells, folder = progress(study).cells, study.layout.partial
    frame = pd.DataFrame([_row(study, one) for one in cells])
    done = sum(one.state == "done" for one in cells)
    words = caption(study, done, len(cells))
    write_table(folder / "partial", frame, lambda form: _shown(frame, form), words, study.name)
    write_json(folder / "partial.json", {
        "complete": False, "study": study.name, "cells_done": done, "cells": [_entry(one) for one in cells],
        "tables_made_by": provenance.code(),
    })  # fmt: skip
    shown = frame[[name for name in IN_TERMINAL if name in frame]]
    if len(study.config.datasets) == 1:
        shown = shown.drop(columns="dataset")
    return f"{plain(shown, 'md').to_string(index=False)}\n\nPARTIAL table: {done} of {len(frame)} cells; {folder}"


def caption(study: Study, done: int, cells: int) -> str:
    """That this is not the result, and how its numbers are made."""
    return (
        f"PARTIAL TABLE of study {study.name}, NOT ITS RESULT: {done} of {cells} cells are complete. `state` and "
        "`why` say of each row how far it is; a row whose `seeds` are not all evaluated is of those that are. Mean and "
        "SD over test pairs (ddof 1) of the score averaged over seeds. No ranks and no tests: they need all cells. The "
        "result is `tables/main.*`, once the study has ended."
    )


def _shown(frame: pd.DataFrame, form: Form) -> pd.DataFrame:
    """The frame as text: mean ± SD in one column, the reason last."""
    numbers = [name for name in MAIN if f"{name}_mean" in frame]
    whys = frame["why"]
    shown = plain(frame.drop(columns=[c for c in frame if str(c).startswith(tuple(numbers))] + ["why"]), form)
    for name in numbers:
        scores = [_score(row, name) for row in rows_of(frame)]
        shown[header(name, form)] = [cell(value, METRICS[name].digits, form) for value in scores]
    shown[header("why", form)] = [escape(why, form) for why in whys]
    return shown


def _score(row: Row, name: str) -> Score:
    judged = row["pairs"] and f"{name}_infinite" in row and not pd.isna(row[f"{name}_infinite"])
    return score(row, name) if judged else Score(np.nan)


def _row(study: Study, one: Cell) -> dict[str, object]:
    """A cell with what is evaluated of it so far."""
    method = study.method(one.method)
    similarity, regularizer = (part.id if part else None for part in (method.similarity, method.regularizer))
    lams = {record["lam"] for record in one.records.values()}
    row: dict[str, object] = {
        "dataset": one.dataset,
        "method": one.method,
        "similarity": similarity,
        "regularizer": regularizer,
        "lambda": lams.pop() if len(lams) == 1 else None,
        "state": one.state,
        "seeds": f"{len(one.seeds)} of {len(study.seeds(one.method, one.dataset))}",
        "pairs": 0,
        "failed": 0,
    }
    why = [f"{one.state}: {one.reason}"] if one.reason else []
    if not one.seeds:
        return row | {"why": "; ".join(why)}
    rows = joined([study.layout.pairs(one.dataset, one.method, seed) for seed in one.seeds])
    failed = rows[rows["status"] != "complete"]
    row |= {"pairs": len(rows[["fixed", "moving"]].drop_duplicates()), "failed": len(failed)}
    return row | {"why": "; ".join([*why, *sorted(set(failed["reason"]))])} | _scores(rows)


def _scores(rows: pd.DataFrame) -> dict[str, object]:
    """Statistics and infinite cases of each metric of the main table, rounded."""
    scores: dict[str, object] = {}
    for name, spread in metrics_of(rows).items():
        if name in MAIN:
            digits = METRICS[name].digits
            scores |= {f"{name}_{statistic}": _round(spread[statistic], digits) for statistic in STATISTICS}
            scores[f"{name}_infinite"] = spread["infinite"]
    return scores


def _round(value: float | None, digits: int) -> float | None:
    return round(value, digits) if value is not None and np.isfinite(value) else value


def _entry(one: Cell) -> dict[str, object]:
    return {
        "dataset": one.dataset, "method": one.method, "state": one.state, "reason": one.reason,
        "seeds": one.seeds,
        "checkpoint_sha256": {str(seed): record["checkpoint_sha256"] for seed, record in one.records.items()},
    }  # fmt: skip

"""The table of an unfinished study: what is evaluated so far, and for every cell that is not complete the reason."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from regbench.metrics import METRICS
from regbench.orchestration.progress import Cell, progress
from regbench.report.analyze import joined, metrics_of
from regbench.report.table_format import Form, Score, cell, escape, header, plain, write_table
from regbench.report.tables import MAIN
from regbench.study import plan
from regbench.study.config import Config
from regbench.system import provenance
from regbench.system.files import write_json

IN_TERMINAL = ("dataset", "method", "lambda", "seeds", "dice_mean", "ndv_percent_mean", "state", "why")


def write_partial(config: Config) -> str:
    """Write `partial/partial.{csv,md,tex,html}` and `partial.json`; the table as text for a terminal.

    It has no ranks, no marks of the best and no tests: those wait for all cells.
    """
    found, folder = progress(config), plan.layout(config).partial
    frame = pd.DataFrame([_row(config, each) for each in found.cells])
    done = sum(each.state == "done" for each in found.cells)
    words = caption(config, done, len(found.cells))
    write_table(folder / "partial", frame, lambda form: _shown(frame, form), words, config.study)
    write_json(folder / "partial.json", {
        "complete": False, "study": config.study, "cells_done": done, "cells": [_entry(each) for each in found.cells],
        "tables_made_by": provenance.code(),
    })  # fmt: skip
    shown = frame[[name for name in IN_TERMINAL if name in frame]]
    if len(config.datasets) == 1:
        shown = shown.drop(columns="dataset")
    return f"{plain(shown, 'md').to_string(index=False)}\n\nPARTIAL table: {done} of {len(frame)} cells; {folder}"


def caption(config: Config, done: int, cells: int) -> str:
    """That this is not the result, and how its numbers are made."""
    return (
        f"PARTIAL TABLE of study {config.study}, NOT ITS RESULT: {done} of {cells} cells are complete. `state` and "
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
        scores = [_score(row, name) for row in frame.to_dict(orient="records")]
        shown[header(name, form)] = [cell(score, METRICS[name].digits, form) for score in scores]
    shown[header("why", form)] = [escape(why, form) for why in whys]
    return shown


def _score(row: Mapping[Hashable, Any], name: str) -> Score:
    if not row["pairs"] or f"{name}_infinite" not in row or pd.isna(row[f"{name}_infinite"]):
        return Score(np.nan)
    mean, sd, seed_sd, median = (row[f"{name}_{kind}"] for kind in ("mean", "sd", "seed_sd", "median"))
    return Score(mean, sd, seed_sd, median, int(row[f"{name}_infinite"]), row["failed"] > 0)


def _row(config: Config, each: Cell) -> dict[str, Any]:
    method = plan.find_method(config, each.method)
    row: dict[str, Any] = {"dataset": each.dataset, "method": each.method}
    row |= {kind: getattr(method, kind).id if getattr(method, kind) else None for kind in ("similarity", "regularizer")}
    lams = {record["lam"] for record in each.records.values()}
    row |= {"lambda": lams.pop() if len(lams) == 1 else None, "state": each.state}
    row |= {"seeds": f"{len(each.seeds)} of {len(plan.seeds(config, each.method))}", "pairs": 0, "failed": 0}
    row["why"] = f"{each.state}: {each.reason}" if each.reason else ""
    if not each.seeds:
        return row
    rows = joined([plan.layout(config).pairs(each.dataset, each.method, seed) for seed in each.seeds])
    failed = rows[rows["status"] != "complete"]
    row |= {"pairs": len(rows[["fixed", "moving"]].drop_duplicates()), "failed": len(failed)}
    if len(failed):
        row["why"] = "; ".join([*filter(None, [row["why"]]), *sorted(set(failed["reason"]))])
    for name, spread in metrics_of(rows).items():
        if name in MAIN:
            digits = METRICS[name].digits
            row |= {f"{name}_{kind}": _round(spread[kind], digits) for kind in ("mean", "sd", "seed_sd", "median")}
            row[f"{name}_infinite"] = spread["infinite"]
    return row


def _round(value: float, digits: int) -> float:
    return round(value, digits) if np.isfinite(value) else value


def _entry(each: Cell) -> dict[str, Any]:
    return {
        "dataset": each.dataset, "method": each.method, "state": each.state, "reason": each.reason,
        "seeds": each.seeds,
        "checkpoint_sha256": {str(seed): record["checkpoint_sha256"] for seed, record in each.records.items()},
    }  # fmt: skip

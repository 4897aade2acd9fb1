"""What the rows say about the methods: tests, intervals, ranks, and the grid as a two-way design.

Two answers, side by side. Verdicts (`regbench.report.study_verdicts`) carry the noise of subjects, trainings, tuning.
The tests of `compare_methods` take the trained networks as they are: the unit is the pair, seeds averaged first; pairs
share subjects, so their intervals come from a bootstrap of subjects. Only numbers that are the same in every repetition
are compared: no times.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.metrics import METRICS
from regbench.report.study_verdicts import Cell, study_verdicts
from regbench.statistics import (
    case_scores,
    cliques,
    compare,
    critical_difference,
    friedman,
    rank_after_tests,
    rank_stability,
    two_way,
)

COMPARED = ("dice", "hd95_mm", "tre_mm", "endpoint_error_mm", "endpoint_error_foreground_mm", "ndv_percent")
# All pairs of methods are compared up to this many; of more, the best so many. Work would grow with their square.
MOST = 24
RESAMPLES = 2000


def compare_methods(rows: pd.DataFrame, cells: Mapping[str, Cell]) -> dict[str, Any]:
    """Compare the tuned methods of one dataset, model by model and metric by metric.

    Models are compared apart: which loss is best for a network, and which for an optimisation, are two questions.

    Args:
        rows: one row a method, seed and pair; `identity` among the methods.
        cells: model, similarity and regularizer of every method that is one.

    Returns:
        Model to metric to: `best`, `pairs` (every two methods, one family), `against_best` and `against_identity` (a
        family each), `ranks`, `stability`, `grid` (the two-way view); JSON throughout.
    """
    found: dict[str, Any] = {}
    for metric in COMPARED:
        if metric not in rows or not rows[metric].notna().any():
            continue
        scores = case_scores(rows, metric)
        for model in dict.fromkeys(cell[0] for cell in cells.values()):
            methods = [str(name) for name in scores if str(name) in cells and cells[str(name)][0] == model]
            known = [name for name in methods if scores[name].notna().any()]
            if known:
                entry = _of_metric(scores, _foremost(scores[known], metric), metric, cells)
                entry["left_out"] = len(methods) - len(entry["methods"])
                found.setdefault(model, {})[metric] = entry
    return found


def judge_methods(
    rows: pd.DataFrame, cells: Mapping[str, Cell], trained: Mapping[str, bool], equivalence: Mapping[str, float]
) -> dict[str, Any]:
    """Verdicts on the tuned methods of one dataset, model by model and metric by metric.

    Args:
        rows: one row a method, seed and pair; `identity` among the methods.
        cells: model, similarity and regularizer of every method that is one.
        trained: whether a seed changes what a model says.
        equivalence: half width of practical equivalence of each metric that has one; such a metric is judged even where
            no test is printed of it.

    Returns:
        Model to metric to `study_verdicts`, with `best`, `methods` and `left_out`.
    """
    found: dict[str, Any] = {}
    for metric in dict.fromkeys([*COMPARED, *equivalence]):
        if metric not in rows or not rows[metric].notna().any():
            continue
        scores = case_scores(rows, metric)
        for model in trained:
            methods = [str(name) for name in scores if str(name) in cells and cells[str(name)][0] == model]
            if not methods:
                continue
            kept = _foremost(scores[methods], metric)
            means = scores[kept].mean().dropna()
            best = means.idxmax() if METRICS[metric].direction == "higher" else means.idxmin()
            found.setdefault(model, {})[metric] = {
                "best": str(best) if len(means) else None,
                "methods": kept,
                "left_out": len(methods) - len(kept),
                **study_verdicts(
                    rows, metric, kept, cells=cells, trained=trained[model], region=equivalence.get(metric)
                ),
            }
    return found


def _foremost(scores: pd.DataFrame, metric: str) -> list[str]:
    """The methods that are compared: all, or of very many the best; in their own order."""
    means = scores.replace(np.inf, np.nan).mean().fillna(np.inf if METRICS[metric].direction == "lower" else -np.inf)
    ordered = means.sort_values(ascending=METRICS[metric].direction == "lower", kind="stable").index[:MOST]
    return [str(name) for name in scores if name in set(ordered)]


def _of_metric(scores: pd.DataFrame, methods: list[str], metric: str, cells: Mapping[str, Cell]) -> dict[str, Any]:
    direction = METRICS[metric].direction
    subjects = np.array([list(case) for case in scores.index], dtype=object)
    table = scores[methods]
    means = table.mean()
    best = str(means.idxmax() if direction == "higher" else means.idxmin())

    def compared(pairs: Sequence[tuple[str, str]] | None, frame: pd.DataFrame = table) -> list[dict[str, Any]]:
        result = compare(frame, np.random.default_rng(0), pairs=pairs, subjects=subjects, resamples=RESAMPLES)
        return _records(result)

    entry: dict[str, Any] = {
        "best": best,
        "cases": len(table),
        "methods": methods,
        "pairs": compared(None),
        "against_best": compared([(name, best) for name in methods if name != best]),
        "ranks": _ranks(table, metric),
        "stability": _stability(table, metric, subjects),
        "grid": _grid(table, cells, subjects),
    }
    if "identity" in scores:
        entry["against_identity"] = compared([(name, "identity") for name in methods], scores[[*methods, "identity"]])
    return entry


def _ranks(table: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Mean ranks with Friedman's test and Nemenyi's critical difference; ranks after tests."""
    direction = METRICS[metric].direction
    after = rank_after_tests(table, direction)
    found: dict[str, Any] = {"after_tests": {str(name): int(rank) for name, rank in after["rank"].items()}}
    complete = int((~table.isna().any(axis=1)).sum())
    if table.shape[1] > 2 and complete > 1:
        result = friedman(table, direction)
        difference = critical_difference(table.shape[1], result.cases)
        found |= {
            "friedman_statistic": result.statistic,
            "friedman_p": result.p,
            "cases": result.cases,
            "mean_ranks": {str(name): float(rank) for name, rank in result.mean_ranks.items()},
            "critical_difference": difference,
            "cliques": cliques(result.mean_ranks, difference),
        }
    return found


def _stability(table: pd.DataFrame, metric: str, subjects: NDArray[Any]) -> dict[str, Any]:
    """How often each method holds each rank when subjects are drawn again."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    if (~finite.isna().any(axis=1)).sum() < 2:
        return {}
    found = rank_stability(
        finite, METRICS[metric].direction, np.random.default_rng(0), subjects=subjects, resamples=RESAMPLES
    )
    tau = found.kendall_tau[~np.isnan(found.kendall_tau)]  # NaN where all methods tie
    low, middle, high = (float(value) for value in np.quantile(tau, [0.025, 0.5, 0.975])) if len(tau) else [np.nan] * 3
    return {
        "frequency": {str(name): [float(share) for share in row] for name, row in found.frequency.iterrows()},
        "kendall_tau": {"median": middle, "low": low, "high": high},
    }


def _grid(table: pd.DataFrame, cells: Mapping[str, Cell], subjects: NDArray[Any]) -> dict[str, Any]:
    """Main effects of similarity and regularizer and their interaction; empty where a cell is missing."""
    mine = table.replace([np.inf, -np.inf], np.nan)
    columns = pd.MultiIndex.from_tuples([cells[str(name)][1:] for name in mine])
    wanted = len(set(columns.get_level_values(0))) * len(set(columns.get_level_values(1)))
    if len(columns) < 4 or len(columns) != wanted or mine.dropna().empty:
        return {}
    found = two_way(mine.set_axis(columns, axis=1), np.random.default_rng(0), subjects=subjects, resamples=RESAMPLES)
    return {
        "grand_mean": found.grand_mean,
        "cases": found.cases,
        "effects": _records(found.effects),
        "shares": _records(found.shares),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, for JSON."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]

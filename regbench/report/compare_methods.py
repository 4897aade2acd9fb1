"""Compare the methods by their rows: tests, intervals, ranks, and the grid as a two-way design.

Two answers, side by side. Verdicts (`regbench.report.study_verdicts`) carry the noise of subjects, trainings, tuning.
The tests of `compare_methods` take the trained networks as they are: the unit is the pair, seeds averaged first; pairs
share subjects, so their intervals come from a bootstrap of subjects. Only numbers that are the same in every repetition
are compared: no times.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.metrics import metric_of
from regbench.report.comparison_entries import Effect, Grid, PairedTest, PairedTests, Ranks, Share, Stability, Verdicts
from regbench.report.looked import Looked
from regbench.report.study_verdicts import GridCell, study_verdicts
from regbench.report.summary_file import Goals
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


def compared_by(goals: Goals) -> list[str]:
    """The metrics that the methods of a dataset are compared by: the usual ones, and those of its goals."""
    return list(dict.fromkeys([*COMPARED, goals["leading"], *goals["objective"], *goals["selection"]]))


def compare_methods(
    rows: pd.DataFrame, cells: Mapping[str, GridCell], goals: Goals
) -> dict[str, dict[str, PairedTests]]:
    """Compare the tuned methods of one dataset, model by model and metric by metric.

    Models are compared apart: which loss is best for a network, and which for an optimisation, are two questions.

    Args:
        rows: one row a method, seed and pair; `identity` among the methods.
        cells: model, similarity and regularizer of every method that is one.
        goals: of the dataset.

    Returns:
        The tests by model and metric.
    """
    tests: dict[str, dict[str, PairedTests]] = {}
    for metric in compared_by(goals):
        if metric not in rows or not rows[metric].notna().any():
            continue
        scores = case_scores(rows, metric)
        for model in dict.fromkeys(cell.model for cell in cells.values()):
            methods = _of_model(scores, cells, model)
            known = [name for name in methods if scores[name].notna().any()]
            if known:
                entry = _tests(scores, _foremost(scores[known], metric), metric, cells)
                entry["left_out"] = len(methods) - len(entry["methods"])
                tests.setdefault(model, {})[metric] = entry
    return tests


def judge_methods(
    rows: pd.DataFrame,
    cells: Mapping[str, GridCell],
    trained: Mapping[str, bool],
    equivalence: Mapping[str, float],
    goals: Goals,
    *,
    looks: Mapping[str, Looked],
) -> dict[str, dict[str, Verdicts]]:
    """Verdicts on the tuned methods of one dataset, model by model and metric by metric.

    Args:
        rows: one row a method, seed and pair; `identity` among the methods.
        cells: model, similarity and regularizer of every method that is one.
        trained: whether a seed changes the numbers of a model.
        equivalence: half width of practical equivalence of each metric that has one; such a metric is judged even where
            no test is printed of it.
        goals: of the dataset.
        looks: of the models whose cells got their seeds in looks.

    Returns:
        The verdicts by model and metric.
    """
    verdicts: dict[str, dict[str, Verdicts]] = {}
    for metric in dict.fromkeys([*compared_by(goals), *equivalence]):
        if metric not in rows or not rows[metric].notna().any():
            continue
        scores = case_scores(rows, metric)
        for model in trained:
            methods = _of_model(scores, cells, model)
            if not methods:
                continue
            compared = _foremost(scores[methods], metric)
            means = scores[compared].mean().dropna()
            verdicts.setdefault(model, {})[metric] = {
                **study_verdicts(
                    rows,
                    metric,
                    compared,
                    cells=cells,
                    trained=trained[model],
                    region=equivalence.get(metric),
                    looked=looks.get(model),
                ),
                "best": _best(means, metric) if len(means) else None,
                "methods": compared,
                "left_out": len(methods) - len(compared),
            }
    return verdicts


def _of_model(scores: pd.DataFrame, cells: Mapping[str, GridCell], model: str) -> list[str]:
    return [name for name in map(str, scores) if name in cells and cells[name].model == model]


def _foremost(scores: pd.DataFrame, metric: str) -> list[str]:
    """The methods that are compared: all, or of very many the best; in their own order."""
    means = scores.replace(np.inf, np.nan).mean().fillna(np.inf if metric_of(metric).direction == "lower" else -np.inf)
    ordered = means.sort_values(ascending=metric_of(metric).direction == "lower", kind="stable").index[:MOST]
    return [str(name) for name in scores if name in set(ordered)]


def _best(means: "pd.Series[float]", metric: str) -> str:
    return str(means.idxmax() if metric_of(metric).direction == "higher" else means.idxmin())


def _tests(scores: pd.DataFrame, methods: list[str], metric: str, cells: Mapping[str, GridCell]) -> PairedTests:
    subjects = np.array([list(case) for case in scores.index], dtype=object)
    table = scores[methods]
    best = _best(table.mean(), metric)

    def tested(pairs: Sequence[tuple[str, str]] | None, frame: pd.DataFrame = table) -> list[PairedTest]:
        result = compare(frame, np.random.default_rng(0), pairs=pairs, subjects=subjects, resamples=RESAMPLES)
        return cast("list[PairedTest]", _records(result))

    tests: PairedTests = {
        "best": best,
        "cases": len(table),
        "methods": methods,
        "left_out": 0,
        "pairs": tested(None),
        "against_best": tested([(name, best) for name in methods if name != best]),
        "ranks": _ranks(table, metric),
        "stability": _stability(table, metric, subjects),
        "grid": _grid(table, cells, subjects),
    }
    if "identity" in scores:
        tests["against_identity"] = tested([(name, "identity") for name in methods], scores[[*methods, "identity"]])
    return tests


def _ranks(table: pd.DataFrame, metric: str) -> Ranks:
    """Mean ranks with Friedman's test and Nemenyi's critical difference; ranks after tests."""
    direction = metric_of(metric).direction
    after = rank_after_tests(table, direction)
    ranks: Ranks = {"after_tests": {str(name): int(rank) for name, rank in after["rank"].items()}}
    complete = int((~table.isna().any(axis=1)).sum())
    if table.shape[1] > 2 and complete > 1:
        result = friedman(table, direction)
        difference = critical_difference(table.shape[1], result.cases)
        ranks["friedman_statistic"], ranks["friedman_p"], ranks["cases"] = result.statistic, result.p, result.cases
        ranks["mean_ranks"] = {str(name): float(rank) for name, rank in result.mean_ranks.items()}
        ranks["critical_difference"], ranks["cliques"] = difference, cliques(result.mean_ranks, difference)
    return ranks


def _stability(table: pd.DataFrame, metric: str, subjects: NDArray[Any]) -> Stability:
    """How often each method holds each rank when subjects are drawn again."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    if (~finite.isna().any(axis=1)).sum() < 2:
        return {}
    stability = rank_stability(
        finite, metric_of(metric).direction, np.random.default_rng(0), subjects=subjects, resamples=RESAMPLES
    )
    tau = stability.kendall_tau[~np.isnan(stability.kendall_tau)]  # NaN where all methods tie
    low, middle, high = (float(value) for value in np.quantile(tau, [0.025, 0.5, 0.975])) if len(tau) else [np.nan] * 3
    return {
        "frequency": {str(name): [float(share) for share in row] for name, row in stability.frequency.iterrows()},
        "kendall_tau": {"median": middle, "low": low, "high": high},
    }


def _grid(table: pd.DataFrame, cells: Mapping[str, GridCell], subjects: NDArray[Any]) -> Grid:
    """Main effects of similarity and regularizer and their interaction; empty where a cell is missing."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    columns = pd.MultiIndex.from_tuples([cells[str(name)][1:] for name in finite])
    full = len(set(columns.get_level_values(0))) * len(set(columns.get_level_values(1)))
    if len(columns) < 4 or len(columns) != full or finite.dropna().empty:
        return {}
    view = two_way(finite.set_axis(columns, axis=1), np.random.default_rng(0), subjects=subjects, resamples=RESAMPLES)
    return {
        "grand_mean": view.grand_mean,
        "cases": view.cases,
        "effects": cast("list[Effect]", _records(view.effects)),
        "shares": cast("list[Share]", _records(view.shares)),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain Python values, for JSON."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]

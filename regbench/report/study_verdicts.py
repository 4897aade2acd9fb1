"""The verdicts of a study: its methods, its similarities and its regularizers, and what they may be claimed of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.metrics import METRICS
from regbench.statistics import (
    Comparison,
    Family,
    Scores,
    common_noise,
    judge,
    membership,
    rank_intervals,
    sampled,
    spreads,
)

Cell = tuple[str, str, str]  # model, similarity, regularizer
Scope = Literal["tuning", "lambdas", "networks", "fixed"]
CASE = ["fixed", "moving"]
NO_SEARCH = 0


def study_verdicts(
    rows: pd.DataFrame,
    metric: str,
    methods: Sequence[str],
    *,
    cells: Mapping[str, Cell],
    trained: bool,
    region: float | None = None,
) -> dict[str, Any]:
    """Judge the methods of one model on one dataset by one metric.

    Args:
        rows: of one dataset, one row a method, run and pair; `identity` may be among the methods; `replicate` names the
            search that chose a run's lambda.
        metric: the column that is judged.
        methods: those that are compared.
        cells: model, similarity and regularizer of each.
        trained: whether a seed changes the numbers.
        region: half width of practical equivalence, in the metric's unit.

    Returns:
        As `summary.json` holds it: `pairs`, `similarity`, `regularizer` and `against_identity` (a family each),
        `ranks`, `scope` and `claim`, `shares` and `sd` of the noise; plain values throughout.
    """
    table, cases, groups = collect(rows[rows["method"].isin({*methods, "identity"})], metric)
    searches = len({groups[run] for name in methods for run in table[name].runs})
    drawn = trained or searches > 1
    compared = {name: replace(table[name], drawn=drawn) for name in methods}
    family = Family(cases, METRICS[metric].direction, region, groups=groups if searches > 1 else {})
    pairs = judge(compared, family)
    known = common_noise(compared, family)
    borrowed = replace(family, borrowed=known.df)
    levels = {kind: _levels(compared, cells, place) for place, kind in ((1, "similarity"), (2, "regularizer"))}
    runs = max(len(one.runs) for one in compared.values())
    units = searches if searches > 1 else runs
    scope = _scope(trained, runs, searches)
    stacked = [one for one in compared.values() if len(one.runs) == runs]
    noise = spreads(np.stack([one.values for one in stacked]), _searches(stacked[0], groups, searches))
    still = {"identity": replace(table["identity"], drawn=False)} if "identity" in table else {}
    return {
        "region": region,
        "scope": scope,
        "claim": claim(scope, runs, searches),
        "pairs": records(pairs),
        **{kind: records(judge(found, borrowed)) if found else [] for kind, found in levels.items()},
        "against_identity": records(
            # What a seed does to all cells alike is in each of these differences: the cells say it once, not K times.
            judge({**compared, **still}, replace(family, borrowed=0.0), [(name, "identity") for name in compared])
            if still
            else []
        ),
        "ranks": {name: list(places) for name, places in rank_intervals(list(compared), pairs).items()},
        "shares": {name: _number(value) for name, value in noise.shares.items()},
        "sd": {name: _number(value) for name, value in noise._asdict().items()},
        "noise": {
            "seeds": runs,
            "replicates": searches,
            "subjects": len(sampled(membership(cases))),
            "pairs": len(cases),
            "df_runs": known.df + units - 1 if units > 1 and drawn else None,
        },
    }


def collect(
    rows: pd.DataFrame, metric: str, *, case: Sequence[str] = CASE
) -> tuple[dict[str, Scores], NDArray[Any], dict[Any, Any]]:
    """Scores of each method on the same cases, the subjects of the cases, and the search of each run.

    A case of which a run has no row is NaN there.

    Args:
        rows: `method`, `seed`, the columns of `case` and `metric`; `replicate` where there was more than one search.
        metric: the column to take.
        case: the columns that name a case.
    """
    wide = rows.set_index(["method", "seed", *case])[metric].unstack(list(case), sort=False)
    subjects = wide.columns.to_frame().to_numpy(dtype=object)
    values, index = wide.to_numpy(dtype=np.float64), wide.index.to_list()
    places: dict[str, list[int]] = {str(method): [] for method in dict.fromkeys(rows["method"])}
    for place, (method, _) in enumerate(index):
        places[str(method)].append(place)
    found = {name: Scores(values[mine], tuple(index[k][1] for k in mine)) for name, mine in places.items()}
    searches = rows["replicate"] if "replicate" in rows else pd.Series(NO_SEARCH, index=rows.index)
    return found, subjects, dict(zip(rows["seed"], searches, strict=True))


def _levels(compared: Mapping[str, Scores], cells: Mapping[str, Cell], place: int) -> dict[str, Scores]:
    """Each similarity averaged over the regularizers, or the other way round; empty where a cell of the grid is missing
    or failed, or a side has one level."""
    names = [list(dict.fromkeys(cells[name][k] for name in compared)) for k in (1, 2)]
    runs = {one.runs for one in compared.values()}
    whole = all(np.isfinite(one.values).any(axis=1).all() for one in compared.values())
    if len(compared) != len(names[0]) * len(names[1]) or len(names[place - 1]) < 2 or len(runs) > 1 or not whole:
        return {}
    levels: dict[str, list[Scores]] = {}
    for name, one in compared.items():
        levels.setdefault(cells[name][place], []).append(one)
    return {level: replace(ones[0], values=np.mean([o.values for o in ones], axis=0)) for level, ones in levels.items()}


def _searches(one: Scores, groups: Mapping[Any, Any], searches: int) -> list[Any] | None:
    return [groups[run] for run in one.runs] if searches > 1 else None


def _scope(trained: bool, runs: int, searches: int) -> Scope:
    if searches > 1:
        return "tuning"
    if not trained:
        return "fixed"
    return "lambdas" if runs > 1 else "networks"


def claim(scope: Scope, runs: int, searches: int = 1) -> str:
    """What the verdicts hold for, in words."""
    return {
        "tuning": f"Claims hold for each loss, tuned in this way: they carry {searches} independent searches a cell, "
        f"{runs} trainings in all, and the test subjects.",
        "lambdas": f"Claims hold at these lambdas, from one search a cell: they carry {runs} trainings and the test "
        "subjects.",
        "networks": "Claims hold for these trained networks: they carry the test subjects alone. With one training "
        "each, nothing is claimed about trainings.",
        "fixed": "Nothing is drawn but the test subjects: claims hold at these lambdas and carry the subjects.",
    }[scope]


def records(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Comparisons as JSON holds them: null for what is no number."""
    return [
        {name: _number(value) if isinstance(value, float) else value for name, value in found._asdict().items()}
        for found in comparisons
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

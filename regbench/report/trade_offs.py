"""Cells compared where they are as regular: scores at levels of regularity, and the mean height of their curves."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from regbench.metrics import metric_of
from regbench.report.comparison_entries import CellCurve, ComparisonEntry, Height, LevelVerdicts, TradeOffEntry
from regbench.report.curves_of_runs import (
    Floats,
    RunCurve,
    common_reach,
    heights,
    points_of,
    run_curves,
    tried,
)
from regbench.report.pooling import with_pools
from regbench.report.study_verdicts import GridCell, collect, study_verdicts
from regbench.report.summary_file import MethodEntry, Summary, leading, stored
from regbench.statistics import Family, Scores, judge
from regbench.statistics.trade_off import Curve, at_levels, levels_between, mean_height
from regbench.study.config import TradeOff
from regbench.study.goals import words
from regbench.study.methods import Study
from regbench.study.pools import Pool

MEAN = "mean height"  # the name of the column that is of no level
BAND = 25  # places of a curve's band
LEAST = 0.25  # of the common range (of roots): levels take no less of it, even where all chosen lambdas fold nothing


class _Span(NamedTuple):
    """The common range by the validation pairs, the cells that end it, and the least regular chosen lambda."""

    low: float
    high: float
    ends: tuple[str, str]
    farthest: float


def trade_offs(study: Study, summary: Summary, rows: pd.DataFrame, further: pd.DataFrame) -> list[TradeOffEntry]:
    """One entry a dataset, model and metric.

    Levels are chosen by validation pairs alone: between the most regular level that every curve of the model has, and
    the least regular of the chosen lambdas, beyond which no cell was meant to be used; not beyond what every curve has.

    Args:
        study: with `curve`.
        summary: of the analysis so far: methods and verdicts.
        rows: of the study's runs.
        further: of the further points of their curves.
    """
    config = study.config.curve
    assert config is not None  # the caller has seen it
    pools = {pool.id: pool for pool in study.pools}
    entries: list[TradeOffEntry] = []
    for dataset in with_pools(study):
        for model in dict.fromkeys(one.model.id for one in study.methods if one.tuned and one.model):
            names = [one.id for one in study.methods if one.tuned and one.model and one.model.id == model]
            of = [
                {one["method"]: one for one in summary["methods"] if one["dataset"] == fold and one["method"] in names}
                for fold in (pools[dataset].folds if dataset in pools else (dataset,))
            ]
            for metric in config.metrics or (leading(summary, dataset),):
                judged = summary.get("verdicts", {}).get(dataset, {}).get(model, {}).get(leading(summary, dataset))
                if metric not in rows or judged is None:
                    continue
                group = _Group(study, config, (dataset, model, metric), of, pools.get(dataset))
                entries.append(group.entry(rows, further, judged["methods"]))
    return entries


class _Group:
    """The cells of a model on a dataset, or on the folds of a pool, by one metric."""

    def __init__(
        self,
        study: Study,
        config: TradeOff,
        place: tuple[str, str, str],
        entries: Sequence[Mapping[str, MethodEntry]],
        pool: Pool | None,
    ) -> None:
        self.study, self.config, self.entries, self.pool = study, config, entries, pool
        self.dataset, self.model, self.metric = place
        self.trained = next(one.has_weights for one in study.methods if one.model and one.model.id == self.model)

    def entry(self, rows: pd.DataFrame, further: pd.DataFrame, methods: Sequence[str]) -> TradeOffEntry:
        """The whole entry; `methods` are those that are compared."""
        span, levels = self._span(), self._levels()
        read = _readings(levels)
        curves = {name: self._curves(rows, further, name) for name in self.entries[0]}
        at = {name: heights(name, runs, read, pool=self.pool) for name, runs in curves.items()}
        verdicts = [self._judge(at, methods, column, level) for column, level in _columns(levels).items()]
        return {
            "dataset": self.dataset,
            "model": self.model,
            "metric": self.metric,
            "regularity": self.config.regularity,
            "given": not isinstance(self.config.levels, int),
            "span": None if span is None else [span.low, span.high],
            "ends": [] if span is None else list(span.ends),
            "levels": list(levels),
            "used": None if span is None else span.farthest,
            "headline": levels[len(levels) // 2] if levels else None,
            "cells": [self._cell(name, curves[name], at[name], levels) for name in curves],
            "verdicts": verdicts,
        }

    def _curves(self, rows: pd.DataFrame, further: pd.DataFrame, method: str) -> list[RunCurve]:
        names = (self.config.regularity, self.metric)
        curves: list[RunCurve] = []
        for entries in self.entries:
            entry = entries[method]
            mine = [
                part[(part["dataset"] == entry["dataset"]) & (part["method"] == method)] for part in (rows, further)
            ]
            curves += run_curves(mine[0], mine[1], entry, names)
        return curves

    def _span(self) -> _Span | None:
        """What all runs of all cells have; a run whose regularity does not change with lambda is left out."""
        ranges: list[tuple[float, float, float, str]] = []
        for entries in self.entries:
            for method, entry in entries.items():
                for run in tried(self.study, entry["dataset"], entry, self.config.regularity):
                    if run.most > run.least:
                        ranges.append((run.least, run.most, run.chosen, method))
        if not ranges:
            return None
        low, high = max(ranges, key=lambda one: one[0]), min(ranges, key=lambda one: one[1])
        if low[0] >= high[1]:
            return None
        return _Span(low[0], high[1], (low[3], high[3]), max(one[2] for one in ranges))

    def _levels(self) -> tuple[float, ...]:
        given = self.config.levels
        if not isinstance(given, int):
            return tuple(sorted(given))
        span = self._span()
        if span is None:
            return ()
        first, last = np.sqrt(span.low), np.sqrt(span.high)
        end = float(np.clip(np.sqrt(span.farthest), first + LEAST * (last - first), last))
        return levels_between(span.low, end**2, given)

    def _judge(
        self, at: Mapping[str, pd.DataFrame], methods: Sequence[str], column: str, level: float | None
    ) -> LevelVerdicts:
        frame = pd.concat([at[name] for name in methods], ignore_index=True)
        known = frame.drop(columns=[self.metric], errors="ignore").rename(columns={column: self.metric})
        cells = {name: GridCell(self.model, *_components(self.entries[0][name])) for name in methods}
        region = self.study.config.equivalence.get(self.metric)
        families = study_verdicts(known, self.metric, methods, cells=cells, trained=self.trained, region=region)
        for family in (families["pairs"], families["similarity"], families["regularizer"]):
            for comparison in family:
                comparison["reason"] = _reason(comparison, level)
        means = {name: float(at[name].groupby("seed")[column].mean().mean(skipna=False)) for name in methods}
        whole = {name: mean for name, mean in means.items() if np.isfinite(mean)}
        sign = 1 if metric_of(self.metric).direction == "higher" else -1
        return {
            **families,
            "level": level,
            "best": max(whole, key=lambda name: sign * whole[name]) if whole else None,
            "methods": list(methods),
            "left_out": len(at) - len(methods),
        }

    def _cell(self, method: str, runs: Sequence[RunCurve], at: pd.DataFrame, levels: Sequence[float]) -> CellCurve:
        reach = common_reach(runs)
        columns = _columns(levels)
        intervals = {column: self._interval(at, column) for column in columns}
        points = points_of(runs)
        further = len(self.study.further_points) + 1
        return {
            "method": method,
            "heights": [
                cast("Height", {"level": level, **dict(zip(("score", "low", "high"), intervals[column], strict=True))})
                for column, level in columns.items()
            ],
            "reached": None if reach is None else list(reach),
            "points": points,
            "lost": len(runs) * further
            - sum(point["score"] is not None and point["regularity"] is not None for point in points),
            "band": [] if reach is None else self._band(method, runs, reach),
        }

    def _band(self, method: str, runs: Sequence[RunCurve], reach: tuple[float, float]) -> list[list[float | None]]:
        places = np.clip(np.linspace(np.sqrt(reach[0]), np.sqrt(reach[1]), BAND) ** 2, *reach)
        read = _readings(list(map(float, places)), mean=False)
        frame = heights(method, runs, read, pool=self.pool)
        return [[float(place), *self._interval(frame, column)] for place, column in zip(places, read, strict=True)]

    def _interval(self, frame: pd.DataFrame, column: str) -> tuple[float | None, float | None, float | None]:
        """The mean of a cell with its own 95 % interval, of subjects, runs and folds: the engine's, against 0."""
        scores, subjects, design, folds = collect(frame, column)
        ((_, own),) = scores.items()
        compared = {"a": Scores(own.values, own.runs, self.trained or bool(design.units))}
        compared["0"] = Scores(np.zeros((1, own.values.shape[1])), ("0",), drawn=False)
        family = Family(subjects, groups=design.units, folds=folds, unit=design.unit)
        (judged,) = judge(compared, family, [("a", "0")])
        return stored(judged.difference), stored(judged.low), stored(judged.high)


def _components(entry: MethodEntry) -> tuple[str, str]:
    return str(entry["similarity"]), str(entry["regularizer"])


def _columns(levels: Sequence[float]) -> dict[str, float | None]:
    """The name of each level's column, and that of the mean height where there are two levels."""
    columns: dict[str, float | None] = {f"at {level:g}": level for level in levels}
    return columns | ({MEAN: None} if len(levels) > 1 else {})


def _readings(levels: Sequence[float], *, mean: bool = True) -> dict[str, Callable[[Curve], Floats]]:
    """What reads each column off a curve."""
    names = [f"at {level:g}" for level in levels] if mean else [str(number) for number in range(len(levels))]
    read: dict[str, Callable[[Curve], Floats]] = {
        name: partial(_one_level, level=level) for name, level in zip(names, levels, strict=True)
    }
    return read | ({MEAN: partial(mean_height, low=levels[0], high=levels[-1])} if mean and len(levels) > 1 else {})


def _one_level(curve: Curve, *, level: float) -> Floats:
    one: Floats = at_levels(curve, level)[0]
    return one


def _reason(comparison: ComparisonEntry, level: float | None) -> str:
    """Why a comparison is undecided: a run without a number here is one whose curve does not come so far."""
    place = "this level" if level is not None else "all levels"
    return re.sub(r"(?<=\S) failed(?= in |;|$)", f" does not reach {place}", comparison["reason"])


def trade_off_caveats(summary: Summary) -> Iterator[str]:
    """What is to be known of the levels."""
    for entry in summary.get("trade_offs", []):
        place, regularity = f"{entry['dataset']}, {entry['model']}", words(entry["regularity"])
        if entry["metric"] != leading(summary, entry["dataset"]):
            continue
        if not entry["levels"]:
            yield (
                f"{place}: no level of {regularity} is common to the curves of all cells, so none is compared at equal "
                f"regularity; give `curve.levels`, or another `curve.regularity`"
            )
        elif entry["span"] is None or entry["span"][0] > entry["levels"][-1]:
            yield f"{place}: the given levels of {regularity} are not common to all cells by the validation pairs"
        if entry["used"] == 0:
            yield (
                f"{place}: no chosen lambda folds anything on the validation pairs, so cells at equal {regularity} are "
                "compared where none of them would be used; `curve.regularity: sdlogj` is never 0"
            )
        lost = {cell["method"]: cell["lost"] for cell in entry["cells"] if cell["lost"]}
        if lost:
            names = ", ".join(f"{name} ({count})" for name, count in lost.items())
            yield f"{place}: points of curves without numbers, left out of them: {names}"

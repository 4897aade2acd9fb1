"""The entry of a method in the summary: its scores, its failures, and the searches and trainings behind them."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from regbench.metrics import METRICS, SIMILARITY, TIMED, dice30
from regbench.report.caveats import made_by
from regbench.report.pooling import case_of
from regbench.report.summary_file import (
    Baseline,
    Choice,
    MethodEntry,
    MetricSpread,
    RunEntry,
    StructureScores,
    TermEntry,
    TrialEntry,
)
from regbench.statistics import spread
from regbench.study.grid_config import Component
from regbench.study.layout import IDENTITY
from regbench.study.methods import Method, Study
from regbench.study.terms import WEIGHT
from regbench.system.files import read_sealed
from regbench.tuning.range_files import is_at_end, selecting
from regbench.tuning.trial_files import read_trials

OF_LABEL = ("dice", "hd95_mm", "assd_mm", "nsd")
# What the summary holds of the records of trials and of runs.
OF_TRIAL, OF_RUN = tuple(TrialEntry.__annotations__), tuple(RunEntry.__annotations__)


class Tuning(NamedTuple):
    """The searches of a cell: what each chose, and all their trials."""

    choices: list[Choice]
    trials: list[TrialEntry]

    @property
    def lam(self) -> float | None:
        """The lambda that was chosen; of several searches the geometric mean of their choices."""
        return _geometric_mean([choice["lam"] for choice in self.choices])


def _geometric_mean(lams: Sequence[float | None]) -> float | None:
    """Of the lambdas, or other weights, that are known; one alone stays as it is."""
    known = [lam for lam in lams if lam is not None]
    return lams[0] if len(lams) == 1 or not known else float(f"{np.exp(np.mean(np.log(known))):.6g}")


def _terms(method: Method, choices: Sequence[Choice]) -> list[TermEntry]:
    """The terms behind the first of a method's regularizer."""
    if method.regularizer is None:
        return []
    entries: list[TermEntry] = []
    for term in method.regularizer.further:
        chosen = [choice.get("values", {}).get(f"{WEIGHT}{term.id}") for choice in choices]
        fixed = term.weight if isinstance(term.weight, float) else None
        weights = [float(weight) if isinstance(weight, float | int) else fixed for weight in chosen]
        entries.append(
            {
                "id": term.id,
                "name": term.name,
                "behind": method.regularizer.first.name,
                "range": None if term.searched is None else list(term.searched),
                "weight": fixed if fixed is not None else _geometric_mean(weights),
                "weights": weights,
            }
        )
    return entries


def method_entry(study: Study, dataset: str, method: Method, rows: pd.DataFrame, leading: str) -> MethodEntry:
    """The entry of a method on a dataset, its rank not yet known.

    Args:
        study: with the method.
        dataset: its id.
        method: one of the methods or controls of the study.
        rows: of that method on that dataset, one row a seed and pair.
        leading: the metric that it is ranked by.
    """
    labels = read_sealed(study.layout.manifest(dataset))["labels"]
    entry = _evaluated((dataset, labels), method, rows, leading)
    if method.control or method.id == IDENTITY:
        entry["similarities"] = _similarities(study, rows)
    if method.baseline:
        entry["baseline"] = _baseline(method.baseline, rows)
    if method.tuned:
        tuning = _tuning(study, dataset, method.id)
        entry["lam"], entry["lams"] = tuning.lam, [choice["lam"] for choice in tuning.choices]
        entry["selected"], entry["searches"] = tuning.choices[0], tuning.choices
        entry["edge"] = any(choice["edge"] for choice in tuning.choices)
        if is_at_end(study, dataset, method.id):
            entry["range_at_end"] = True
        if values := tuning.choices[0].get("values"):
            entry["values"] = values
        if terms := _terms(method, tuning.choices):
            entry["terms"] = terms
        if (passes := study.passes(method.id)) > 1:
            entry["passes"] = passes
        entry["trials"] = tuning.trials
        entry["runs"] = [_run(study, dataset, method.id, seed) for seed in study.seeds(method.id, dataset)]
        entry["trained"], entry["made_by"] = method.needs_training, made_by(entry)
        for trial in entry["trials"]:
            trial.pop("environment", None)  # `made_by` has it once
    if method.refine is not None:
        _add_network(entry, study, method.trained_as)
        steps, rate = method.refine.steps, method.refine.learning_rate
        entry["refined"] = {"method": method.trained_as, "steps": steps, "learning_rate": rate}
    return entry


def pooled_entry(
    study: Study, dataset: tuple[str, Mapping[str, str]], rows: pd.DataFrame, leading: str, folds: Sequence[MethodEntry]
) -> MethodEntry:
    """The entry of a method on the test pairs of all folds, its rank not yet known.

    Args:
        study: with the method.
        dataset: id of the pool, and its labels.
        rows: of the method in all folds (`regbench.report.pooling.pooled_rows`).
        leading: the metric that it is ranked by.
        folds: its entry of each fold: their trials and trainings stay there.
    """
    first = folds[0]
    method = study.method(first["method"])
    entry = _evaluated(dataset, method, rows, leading)
    if "similarities" in first:
        entry["similarities"] = _similarities(study, rows)
    if "baseline" in first:
        entry["baseline"] = first["baseline"]
    if "refined" in first:
        entry["refined"] = first["refined"]
    if "lams" in first:
        lams = [lam for one in folds for lam in one.get("lams", [])]
        entry["lams"], entry["lam"] = lams, _geometric_mean(lams)
        entry["edge"] = any(one["edge"] for one in folds)
    if "terms" in first:
        entry["terms"] = _pooled_terms([one["terms"] for one in folds])
    if "passes" in first:
        entry["passes"] = first["passes"]
    if "trained" in first:
        entry["trained"] = first["trained"]
    trials, seeds = sum(len(one["trials"]) for one in folds), max(len(one["runs"]) for one in folds)
    entry["pooled"] = {"folds": len(folds), "trials": trials, "seeds": max(seeds, 1)}
    return entry


def _pooled_terms(folds: Sequence[Sequence[TermEntry]]) -> list[TermEntry]:
    """The terms of a cell with the weights that the searches of all folds chose."""
    pooled: list[TermEntry] = []
    for of_term in zip(*folds, strict=True):
        weights = [weight for term in of_term for weight in term["weights"]]
        term = of_term[0].copy()
        term["weights"], term["weight"] = weights, _geometric_mean(weights)
        pooled.append(term)
    return pooled


def _similarities(study: Study, rows: pd.DataFrame) -> dict[str, float | None]:
    """The mean of each similarity of the grid, as far as the rows have it."""
    columns = {part.id: f"{SIMILARITY}{part.id}" for part in study.config.grid.similarities}
    return {name: float(rows[column].mean()) for name, column in columns.items() if column in rows}


def _add_network(entry: MethodEntry, study: Study, trained_as: str) -> None:
    """To a refined row, the lambdas and networks of the row that trained them; the search is that row's alone."""
    dataset = entry["dataset"]
    tuning = Tuning(_choices(study, dataset, trained_as), [])
    entry["lam"], entry["lams"] = tuning.lam, [choice["lam"] for choice in tuning.choices]
    if values := tuning.choices[0].get("values"):
        entry["values"] = values
    if terms := _terms(study.method(trained_as), tuning.choices):
        entry["terms"] = terms
    entry["runs"] = [_run(study, dataset, trained_as, seed) for seed in study.seeds(trained_as, dataset)]


def metrics_of(rows: pd.DataFrame, leading: str = "") -> dict[str, MetricSpread]:
    """Mean and spreads of every metric of a method's rows that is the same in each repetition: no times.

    Args:
        rows: of the method.
        leading: the metric that it is ranked by, which a method without any number has too; a similarity may be it.
    """
    names = dict.fromkeys([*METRICS, leading])
    return {
        name: metric_spread(rows, name)
        for name in names
        if name in rows and name not in TIMED and (name == leading or rows[name].notna().any())
    }


def metric_spread(rows: pd.DataFrame, metric: str) -> MetricSpread:
    """Mean and SD over cases (ddof 1) of the seed-averaged score, and the SD over seeds of the mean over cases.

    Where a label vanished, its surface distance and with it the mean are infinite: `infinite` counts such cases, and
    the median is what can be compared.
    """
    scores = rows.set_index([*case_of(rows), "seed"])[metric].unstack("seed", sort=False).to_numpy()
    over_cases = spread(scores)
    by_case = scores.mean(axis=1)
    by_case = by_case[~np.isnan(by_case)]
    return {
        "mean": over_cases.mean,
        "sd": over_cases.sd,
        "seed_sd": over_cases.seed_sd,
        "median": float(np.median(by_case)) if len(by_case) else np.nan,
        "infinite": int(np.isinf(by_case).sum()),
        "cases": over_cases.cases,
    }


def _evaluated(place: tuple[str, Mapping[str, str]], method: Method, rows: pd.DataFrame, leading: str) -> MethodEntry:
    """What the rows alone tell."""
    dataset, labels = place
    by_case = rows.groupby(case_of(rows), sort=False)
    components = (method.model, method.similarity, method.regularizer)
    model, similarity, regularizer = (component.id if component else None for component in components)
    failed = rows[rows["status"] != "complete"]
    return {
        "dataset": dataset,
        "method": method.id,
        "model": model,
        "similarity": similarity,
        "regularizer": regularizer,
        "control": method.control,
        "rank": None,
        "lam": None,
        "edge": False,
        "trials": [],
        "runs": [],
        "pairs": len(rows[case_of(rows)].drop_duplicates()),
        "failed_rows": len(failed),
        "reasons": sorted(set(failed["reason"])),
        "vanished_labels": int(np.nansum(rows["labels_vanished"])) if "labels_vanished" in rows else 0,
        "metrics": metrics_of(rows, leading),
        "dice30": dice30(by_case["dice"].mean(skipna=False).to_list()) if "dice" in rows else None,
        "structures": _structures(rows, labels),
    }


def _baseline(component: Component, rows: pd.DataFrame) -> Baseline:
    """A baseline with all its settings and the software that made its rows: what is installed now may be newer."""
    from regbench.models.classical import settings  # noqa: PLC0415  loads torch

    software = list(rows["software"].dropna()) if "software" in rows else []
    return {
        "name": component.name,
        "parameters": settings(component.name, component.parameters),
        "software": json.loads(software[0]) if software else {},
    }


def _tuning(study: Study, dataset: str, method: str) -> Tuning:
    replicates = study.replicates(method, dataset)
    trials = [
        {"replicate": replicate, **trial}
        for replicate in replicates
        for trial in read_trials(
            study.trial_files(dataset, method, replicate=replicate), selecting(study, dataset, method, replicate)
        )
    ]
    return Tuning(
        _choices(study, dataset, method),
        [cast("TrialEntry", {key: trial[key] for key in OF_TRIAL if key in trial}) for trial in trials],
    )


def _choices(study: Study, dataset: str, method: str) -> list[Choice]:
    """What each search of a cell chose."""
    paths = (study.layout.selected(dataset, method, replicate) for replicate in study.replicates(method, dataset))
    return [read_sealed(path) for path in paths]


def _run(study: Study, dataset: str, method: str, seed: int) -> RunEntry:
    record = read_sealed(study.layout.run_record(dataset, method, seed))
    return cast("RunEntry", {key: record[key] for key in OF_RUN if key in record})


def _structures(rows: pd.DataFrame, labels: Mapping[str, str]) -> list[StructureScores]:
    """Mean and SD over cases of the metrics of each label; cases without the label are not counted."""
    columns = [f"{metric}_{label}" for metric in OF_LABEL for label in labels]
    of_cases = rows.groupby(case_of(rows), sort=False)[[name for name in columns if name in rows]]
    by_case = of_cases.mean(skipna=False)  # over all seeds: those that worked alone would reward a method for diverging
    known = [label for label in sorted(labels, key=int) if f"dice_{label}" in by_case]
    return [_structure(by_case, label, labels[label]) for label in known]


def _structure(by_case: pd.DataFrame, label: str, name: str) -> StructureScores:
    scores: StructureScores = {"label": int(label), "name": name}
    for metric in OF_LABEL:
        if f"{metric}_{label}" in by_case:
            values = by_case[f"{metric}_{label}"].to_numpy()
            finite = values[np.isfinite(values)]
            scores[f"{metric}_mean"] = float(finite.mean()) if len(finite) else np.nan
            scores[f"{metric}_sd"] = float(finite.std(ddof=1)) if len(finite) > 1 else np.nan
            scores |= {f"{metric}_cases": len(finite), f"{metric}_vanished": int(np.isinf(values).sum())}
    return scores

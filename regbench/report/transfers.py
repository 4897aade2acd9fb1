"""What the runs are worth on other data: every cell on the sets of `evaluate_on`, beside those trained there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from regbench.evaluation.transfer import TRAINED_ON
from regbench.metrics import metric_of
from regbench.report.comparison_entries import ComparisonEntry
from regbench.report.study_verdicts import collect, records
from regbench.report.summary_file import TransferEntry, stored
from regbench.statistics import Family, Scores, judge
from regbench.study.job_specs import objective_spec
from regbench.study.methods import Study

SHOWN = (
    "dice",
    "tre_mm",
    "hd95_mm",
    "ndv_percent",
)  # behind the objective: the first that the rows have tells which is better
JOIN = " on "  # between method and training set: no id has blanks


def transfer_entries(study: Study, rows: pd.DataFrame, transfers: pd.DataFrame) -> list[TransferEntry]:
    """One entry a tested set, training set and cell; where the set is trained on too, its own cells beside them.

    Args:
        study: with the cells.
        rows: of the study, each run on its own data.
        transfers: of its runs on other data.
    """
    own = rows[rows["dataset"].isin(set(transfers["dataset"]))].assign(**{TRAINED_ON: lambda frame: frame["dataset"]})
    cells = {method.id: method for method in study.methods if method.cell and method.model}
    every = pd.concat([own[own["method"].isin(cells)], transfers], ignore_index=True)
    entries: list[TransferEntry] = []
    for tested in study.config.evaluate_on:
        part = every[every["dataset"] == tested]
        for model in dict.fromkeys(method.model.id for method in cells.values() if method.model):
            names = [name for name, method in cells.items() if method.model and method.model.id == model]
            of_model = part[part["method"].isin(names)]
            trained = cells[names[0]].has_weights
            shown = tuple(dict.fromkeys([*objective_spec(study).metrics, *SHOWN]))
            entries += _of_model(of_model, (tested, model), shown, trained=trained, regions=study.config.equivalence)
    return entries


def _of_model(
    rows: pd.DataFrame, place: tuple[str, str], shown: Sequence[str], *, trained: bool, regions: Mapping[str, float]
) -> Iterable[TransferEntry]:
    tested, model = place
    known = [metric for metric in shown if metric in rows and rows[metric].notna().any()]
    if not known:
        return
    leading = known[0]
    labelled = rows.assign(method=rows["method"] + JOIN + rows[TRAINED_ON])
    scores, subjects, design, _ = collect(labelled, leading)
    drawn = {name: replace(one, drawn=trained or bool(design.units)) for name, one in scores.items()}
    better, region = metric_of(leading).direction, regions.get(leading)
    family = Family(subjects, better, region, groups=design.units, unit=design.unit)
    pairs = [
        (name, f"{_method(name)}{JOIN}{tested}")
        for name in scores
        if _trained_on(name) != tested and f"{_method(name)}{JOIN}{tested}" in scores
    ]
    against_own = {entry["a"]: entry for entry in records(judge(drawn, family, pairs))} if pairs else {}
    ranks = _ranks(scores, metric_of(leading).direction)
    for name in scores:
        cell = labelled[labelled["method"] == name]
        comparison: ComparisonEntry | None = against_own.get(name)
        yield {
            "tested_on": tested,
            "trained_on": _trained_on(name),
            "model": model,
            "method": _method(name),
            "leading": leading,
            "means": {metric: stored(_mean(cell, metric)) for metric in known},
            "sd": stored(_sd(cell, leading)),
            "seed_sd": stored(_seed_sd(cell, leading)),
            "pairs": len(cell[["fixed", "moving"]].drop_duplicates()),
            "failed": int((cell["status"] != "complete").sum()),
            "rank": ranks.get(name),
            "against_own": comparison,
        }


def _method(name: str) -> str:
    return name.partition(JOIN)[0]


def _trained_on(name: str) -> str:
    return name.partition(JOIN)[2]


def _by_case(rows: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """Seeds averaged first."""
    scores: pd.Series[float] = rows.groupby(["fixed", "moving"], sort=False)[metric].mean()
    return scores


def _mean(rows: pd.DataFrame, metric: str) -> float:
    return float(_by_case(rows, metric).mean())


def _sd(rows: pd.DataFrame, metric: str) -> float:
    return float(_by_case(rows, metric).std(ddof=1))


def _seed_sd(rows: pd.DataFrame, metric: str) -> float:
    return float(rows.groupby("seed")[metric].mean().std(ddof=1))


def _ranks(scores: Mapping[str, Scores], direction: str) -> dict[str, int]:
    """Place of each method among those of the same training set, by its mean; none without numbers."""
    sign = -1 if direction == "higher" else 1
    means = {
        name: sign * float(np.nanmean(one.values)) for name, one in scores.items() if np.isfinite(one.values).any()
    }
    ranks = dict[str, int]()
    for trained in dict.fromkeys(map(_trained_on, means)):
        order = sorted((name for name in means if _trained_on(name) == trained), key=means.__getitem__)
        ranks |= {name: place for place, name in enumerate(order, 1)}
    return ranks

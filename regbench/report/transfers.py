"""What the runs are worth on other data: every cell on the sets of `evaluate_on`, beside those trained there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from regbench.evaluation.transfer import TRAINED_ON
from regbench.metrics import metric_of
from regbench.report.comparison_entries import ComparisonEntry
from regbench.report.method_entries import metric_spread
from regbench.report.study_verdicts import collect, records
from regbench.report.summary_file import TransferEntry, number, stored
from regbench.statistics import Family, judge
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
    cells = {name: labelled[labelled["method"] == name] for name in scores}
    spreads = {name: {metric: metric_spread(cell, metric) for metric in known} for name, cell in cells.items()}
    ranks = _ranks({name: spread[leading]["mean"] for name, spread in spreads.items()}, better)
    for name, cell in cells.items():
        comparison: ComparisonEntry | None = against_own.get(name)
        yield {
            "tested_on": tested,
            "trained_on": _trained_on(name),
            "model": model,
            "method": _method(name),
            "leading": leading,
            "means": {metric: stored(number(spread["mean"])) for metric, spread in spreads[name].items()},
            "sd": stored(number(spreads[name][leading]["sd"])),
            "seed_sd": stored(number(spreads[name][leading]["seed_sd"])),
            "pairs": len(cell[["fixed", "moving"]].drop_duplicates()),
            "failed": int((cell["status"] != "complete").sum()),
            "rank": ranks.get(name),
            "against_own": comparison,
        }


def _method(name: str) -> str:
    return name.partition(JOIN)[0]


def _trained_on(name: str) -> str:
    return name.partition(JOIN)[2]


def _ranks(means: Mapping[str, float | None], direction: str) -> dict[str, int]:
    """Place of each method among those of the same training set, by its mean; none without a finite one."""
    sign = -1 if direction == "higher" else 1
    known = {name: sign * mean for name, mean in means.items() if mean is not None and np.isfinite(mean)}
    ranks = dict[str, int]()
    for trained in dict.fromkeys(map(_trained_on, known)):
        order = sorted((name for name in known if _trained_on(name) == trained), key=known.__getitem__)
        ranks |= {name: place for place, name in enumerate(order, 1)}
    return ranks

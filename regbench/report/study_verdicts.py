"""The verdicts of a study: its methods, its similarities and its regularizers, and what they may be claimed of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.metrics import metric_of
from regbench.report.comparison_entries import ComparisonEntry, ComponentEntry, Families, Noise, NoiseCounts, Scope
from regbench.report.looked import Looked, against_in_looks, judge_means_in_looks, judged_in_looks, looked_claim
from regbench.report.pooling import DEAL, FOLD, case_of
from regbench.report.summary_file import stored
from regbench.statistics import (
    OF,
    Comparison,
    Component,
    Design,
    Family,
    Folds,
    Scores,
    common_fold_noise,
    common_noise,
    components,
    judge,
    membership,
    rank_intervals,
    sampled,
)

NO_SEARCH = 0


class GridCell(NamedTuple):
    """The place of a method in the grid."""

    model: str
    similarity: str
    regularizer: str


def study_verdicts(
    rows: pd.DataFrame,
    metric: str,
    methods: Sequence[str],
    *,
    cells: Mapping[str, GridCell],
    trained: bool,
    region: float | None = None,
    looked: Looked | None = None,
) -> Families:
    """Judge the methods of one model on one dataset by one metric.

    Args:
        rows: of one dataset, one row a method, run and pair; `identity` may be among the methods; `replicate` names the
            search that chose a run's lambda.
        metric: the column that is judged.
        methods: those that are compared.
        cells: model, similarity and regularizer of each.
        trained: whether a seed changes the numbers.
        region: half width of practical equivalence, in the metric's unit.
        looked: the looks at the cells of the model; None where all have their seeds at once.
    """
    all_cells = [*methods] if looked is None else [*looked.units]
    rows = rows[rows["method"].isin({*all_cells, "identity"})]
    scores, subjects, design, folds = collect(rows, metric)
    noise = noise_of([scores[name] for name in methods], subjects, design, folds, trained=trained)
    counts = noise["noise"]
    drawn = trained or counts["replicates"] > 1
    of_cells = {name: replace(scores[name], drawn=drawn) for name in all_cells}
    compared = {name: of_cells[name] for name in methods}
    family = Family(subjects, metric_of(metric).direction, region, groups=design.units, folds=folds, unit=design.unit)
    pairs = judge(compared, family) if looked is None else judged_in_looks(of_cells, methods, family, looked)
    known = common_noise(compared, family)
    borrowed = _lent(family, known.df, common_fold_noise(compared, family).df)
    units = len(set(design.units.values())) or counts["seeds"]
    scope = scope_of(counts, trained=trained)
    against_identity = list[Comparison]()
    if "identity" in scores:
        unmoved = {"identity": replace(scores["identity"], drawn=False)}
        # What a seed does to all cells alike is in each of these differences: the cells say it once, not K times.
        own = _lent(family, 0.0, 0.0)
        against_identity = (
            judge({**compared, **unmoved}, own, [(name, "identity") for name in compared])
            if looked is None
            else against_in_looks({**of_cells, **unmoved}, methods, own, looked)
        )
    return {
        "region": region,
        "scope": scope,
        "claim": claim(scope, counts, fewest=min(len(one.runs) for one in compared.values()))
        + (pooled_claim(folds) if folds else "")
        + (looked_claim(looked) if looked else "")
        + atlas_claim(subjects),
        "pairs": records(pairs),
        "similarity": _judged_levels(compared, cells, "similarity", borrowed, looked),
        "regularizer": _judged_levels(compared, cells, "regularizer", borrowed, looked),
        "against_identity": records(against_identity),
        "ranks": {name: list(places) for name, places in rank_intervals(list(compared), pairs).items()},
        "components": noise["components"],
        "noise": {**counts, "df_runs": known.df + units - 1 if units > 1 and drawn else None},
    }


def _lent(family: Family, runs: float, folds: float) -> Family:
    """The family with so many degrees of freedom of the noise of runs and of folds from a larger one."""
    pooled = None if family.folds is None else family.folds._replace(borrowed=folds)
    return replace(family, borrowed=runs, folds=pooled)


class Collected(NamedTuple):
    """Scores of each method on the same cases, the subjects of the cases, how runs were drawn, and who tested a case.

    Attributes:
        folds: the fold that tested each case; None of rows that are not pooled.
    """

    scores: dict[str, Scores]
    subjects: NDArray[Any]
    design: Design
    folds: Folds | None


def collect(rows: pd.DataFrame, metric: str, *, case: Sequence[str] | None = None) -> Collected:
    """What is judged, from rows.

    A case of which a run has no row is NaN there.

    Args:
        rows: `method`, `seed`, the columns of `case` and `metric`; `replicate` where there was more than one search,
            `split` where these had several draws of validation subjects.
        metric: the column to take.
        case: the columns that name a case; `case_of` the rows without it.
    """
    named = list(case or case_of(rows))
    wide = rows.set_index(["method", "seed", *named])[metric].unstack(named, sort=False)
    cases = wide.columns.to_frame(index=False)
    subjects = cases.drop(columns=FOLD, errors="ignore").to_numpy(dtype=object)
    deals = int(rows[DEAL].nunique()) if DEAL in rows else 1
    folds = Folds(cases[FOLD].to_numpy(dtype=object), deals=deals) if FOLD in cases else None
    values, index = wide.to_numpy(dtype=np.float64), wide.index.to_list()
    places: dict[str, list[int]] = {str(method): [] for method in dict.fromkeys(rows["method"])}
    for place, (method, _) in enumerate(index):
        places[str(method)].append(place)
    scores = {name: Scores(values[lines], tuple(index[k][1] for k in lines)) for name, lines in places.items()}
    none = pd.Series(NO_SEARCH, index=rows.index)
    splits, searches = (rows.get(name, none) for name in ("split", "replicate"))
    # Searches may be counted from 0 in each split.
    inside = zip(splits, searches, strict=True)
    seeds = rows["seed"]
    design = Design(dict(zip(seeds, inside, strict=True)), dict(zip(seeds, splits, strict=True)))
    return Collected(scores, subjects, design, folds)


def noise_of(
    scores: Collection[Scores],
    subjects: NDArray[Any],
    design: Design,
    folds: Folds | None = None,
    *,
    trained: bool = True,
) -> Noise:
    """What the noise of a score, and of a difference of two methods, is made of; those with most runs tell it.

    Args:
        scores: of the methods that are compared.
        subjects: one or two of each case.
        design: of the runs.
        folds: of cases that are pooled: each fold is taken by itself, then their mean.
        trained: whether a seed changes the numbers.
    """
    searches, splits = (len({of[run] for one in scores for run in one.runs}) for of in design)
    runs = max(len(one.runs) for one in scores)
    repeated = [one for one in scores if len(one.runs) == runs]
    values = np.stack([one.values for one in repeated])
    of_folds = [folds.of_cases == name for name in dict.fromkeys(folds.of_cases)] if folds else [slice(None)]
    tables, names = [values[..., chosen] for chosen in of_folds], repeated[0].runs
    counts: NoiseCounts = {
        "seeds": runs,
        "replicates": searches,
        "subjects": len(sampled(membership(subjects))),
        "pairs": len(subjects),
    }
    if splits > 1:
        counts["splits"] = splits
    if folds and folds.deals > 1:
        counts["deals"] = folds.deals
    tested = [subjects[chosen] for chosen in of_folds] if "deals" in counts else None
    parts = {of: components(tables, names, design, of, seeds=trained, tested=tested) for of in OF}
    return {"components": {of: [_component(one) for one in parts[of]] for of in OF}, "noise": counts}


def _component(one: Component) -> ComponentEntry:
    return {
        "source": one.source,
        "share": stored(one.share),
        "sd": one.variance**0.5,
        "low": one.low**0.5,
        "high": one.high**0.5,
        "df": one.df,
        "negative": one.negative,
    }


def _judged_levels(
    compared: Mapping[str, Scores],
    cells: Mapping[str, GridCell],
    kind: Literal["similarity", "regularizer"],
    family: Family,
    looked: Looked | None,
) -> list[ComparisonEntry]:
    """Verdicts on the similarities, each averaged over the regularizers, or the other way round.

    Empty where a cell of the grid is missing or failed, or a side has one level. With looks, by the runs that all cells
    have.
    """
    if looked is not None:
        compared = looked.shared(compared)
    levels: dict[str, list[Scores]] = {}
    others = set[str]()
    for name, one in compared.items():
        _, similarity, regularizer = cells[name]
        level, other = (similarity, regularizer) if kind == "similarity" else (regularizer, similarity)
        levels.setdefault(level, []).append(one)
        others.add(other)
    runs = {one.runs for one in compared.values()}
    whole = all(np.isfinite(one.values).any(axis=1).all() for one in compared.values())
    if len(compared) != len(levels) * len(others) or len(levels) < 2 or len(runs) > 1 or not whole:
        return []
    means = {level: np.mean([one.values for one in ones], axis=0) for level, ones in levels.items()}
    scores = {level: replace(levels[level][0], values=mean) for level, mean in means.items()}
    if looked is None:
        return records(judge(scores, family))
    return records(judge_means_in_looks(scores, family, looked, looked.number(compared)))


def scope_of(counts: NoiseCounts, *, trained: bool) -> Scope:
    """What verdicts may be claimed of, by what was drawn."""
    if counts.get("splits", counts.get("deals", 1)) > 1:
        return "splits"
    if counts["replicates"] > 1:
        return "tuning"
    if not trained:
        return "fixed"
    return "lambdas" if counts["seeds"] > 1 else "networks"


def claim(scope: Scope, counts: NoiseCounts, fewest: int | None = None) -> str:
    """What the verdicts hold for, in words; `fewest` are the runs of the cell with the fewest."""
    runs, searches = counts["seeds"], counts["replicates"]
    trainings = f"{runs} trainings" if fewest in (None, runs) else f"{fewest} to {runs} trainings"
    most = "" if fewest in (None, runs) else "up to "
    if deals := counts.get("deals"):
        one, training = "search" if searches == 1 else "searches", "training" if runs == 1 else "trainings"
        return (
            f"Claims hold for each loss, tuned in this way on other subjects: they carry {deals} deals of the folds, "
            f"{searches} {one} and {runs} {training} a cell in each fold, and the test subjects."
        )
    return {
        "splits": "Claims hold for each loss, tuned in this way on other validation subjects: they carry "
        f"{counts.get('splits', 1)} draws of these, {searches} independent searches a cell, {trainings} in all, and "
        "the test subjects.",
        "tuning": f"Claims hold for each loss, tuned in this way: they carry {most}{searches} independent searches a "
        f"cell, {trainings} in all, and the test subjects.",
        "lambdas": f"Claims hold at these lambdas, from one search a cell: they carry {trainings} and the test "
        "subjects.",
        "networks": "Claims hold for these trained networks: they carry the test subjects alone. With one training "
        "each, nothing is claimed about trainings.",
        "fixed": "Nothing is drawn but the test subjects: claims hold at these lambdas and carry the subjects.",
    }[scope]


def pooled_claim(folds: Folds) -> str:
    """What the verdicts on pooled folds hold for, beside that of any one."""
    count = len(set(folds.of_cases))
    of = "" if folds.deals == 1 else f", {count // folds.deals} of each deal"
    return (
        f" Pooled over {count} folds{of}, each trained by itself and tested on other subjects: intervals also carry "
        "how far the folds differ, corrected for the subjects that their trainings share (Nadeau and Bengio 2003). "
        "What all folds share no fold can tell: claims hold for trainings on subjects of this study."
    )


def atlas_claim(subjects: NDArray[Any]) -> str:
    """That the verdicts hold for one atlas alone, where each test pair has it; else empty.

    Args:
        subjects: ``(cases, 2)``, fixed and moving of each.
    """
    pairs = [{str(name) for name in pair} for pair in subjects]
    shared = set.intersection(*pairs) if len(pairs) > 1 else set()
    if len(shared) != 1 or subjects.ndim != 2:
        return ""
    (atlas,) = shared
    roles = [role for role, column in zip(("fixed", "moving"), subjects.T, strict=True) if set(column) == {atlas}]
    place = f"the {roles[0]} image" if roles else "one image"
    return (
        f" {atlas} is {place} of every test pair: claims hold for this atlas alone, and it is not counted among the "
        "test subjects."
    )


def records(comparisons: Sequence[Comparison]) -> list[ComparisonEntry]:
    """Comparisons as JSON has them: None for what is no number."""
    return [cast("ComparisonEntry", _record(comparison)) for comparison in comparisons]


def _record(comparison: Comparison) -> dict[str, object]:
    values = comparison._asdict().items()
    record = {name: stored(value) if isinstance(value, float) else value for name, value in values}
    return record if comparison.se_folds else {name: value for name, value in record.items() if name != "se_folds"}

"""The verdicts of a study by each convention beside those by its own: what is reversed, gained and lost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from regbench.metrics import metric_of
from regbench.report.comparison_entries import ComparisonEntry
from regbench.report.looked import Looked
from regbench.report.method_entries import metric_spread
from regbench.report.robustness.views import OF_LABELS, OWN, POOLED_SD, SAME, View, views
from regbench.report.study_verdicts import GridCell, study_verdicts
from regbench.report.summary_file import Summary, leading, number, verdicts_of
from regbench.statistics import pooled_sd
from regbench.system.errors import RegbenchError

# Beside the metric that a dataset is led by, where its rows have them.
USUAL = ("dice", "hd95_mm", "ndv_percent", "sdlogj", "tre_mm")
Kind = Literal["reversed", "gained", "lost", "equal_or_not"]
KINDS: tuple[Kind, ...] = ("reversed", "gained", "lost", "equal_or_not")


class Place(NamedTuple):
    """What is judged: some methods of a model on a dataset by a metric."""

    dataset: str
    model: str
    metric: str


class Judged(NamedTuple):
    """The methods by one convention.

    Attributes:
        pairs: every two of them.
        scores: the mean over runs and cases of each method; of medians over cases the mean over runs.
        ranks: 1 is the best; those without a finite score have none.
    """

    pairs: list[ComparisonEntry]
    scores: dict[str, float]
    ranks: dict[str, int]

    @property
    def best(self) -> str:
        """The method of rank 1; empty where none has a rank."""
        return next((name for name, rank in self.ranks.items() if rank == 1), "")


class Change(NamedTuple):
    """Two methods of which the conventions say different things."""

    a: str
    b: str
    own: str
    now: str
    kind: Kind


class Outcome(NamedTuple):
    """One convention beside the study's own."""

    place: Place
    words: str
    group: str
    own: Judged
    now: Judged
    note: str = ""

    @property
    def changes(self) -> list[Change]:
        """The pairs with another verdict, reversed ones first."""
        pairs = zip(self.own.pairs, self.now.pairs, strict=True)
        found = [
            Change(one["a"], one["b"], one["verdict"], two["verdict"], kind)
            for one, two in pairs
            if (kind := _kind(one["verdict"], two["verdict"])) is not None
        ]
        return sorted(found, key=lambda change: KINDS.index(change.kind))

    @property
    def moved(self) -> int:
        """How many methods have another rank."""
        return sum(self.own.ranks.get(name) != self.now.ranks.get(name) for name in self.own.scores)

    def count(self, kind: Kind) -> int:
        """How many pairs changed in this way."""
        return sum(change.kind == kind for change in self.changes)


def _kind(own: str, now: str) -> Kind | None:
    if own == now:
        return None
    if own == "undecided":
        return "gained"
    if now == "undecided":
        return "lost"
    return "equal_or_not" if "equal" in (own, now) else "reversed"


class Compared(NamedTuple):
    """What the outcomes of a dataset are made from.

    Attributes:
        summary: of the study.
        rows: of the dataset, or of a pool of folds, with the columns of `regbench.evaluation.conventions`.
        cells: place of each method in the grid.
        trained: whether a seed changes the numbers, by model.
        sizes: mean voxels of each label.
        looks: of the models whose cells got their seeds in looks.
    """

    summary: Summary
    rows: pd.DataFrame
    cells: Mapping[str, GridCell]
    trained: Mapping[str, bool]
    sizes: Mapping[str, float]
    looks: Mapping[str, Looked]


def outcomes(dataset: str, of: Compared) -> Iterator[Outcome]:
    """Each convention of each metric of each model on a dataset.

    Raises:
        RegbenchError: if the verdicts by the study's own convention are not those of its summary.
    """
    first = leading(of.summary, dataset)
    labels = of.summary["datasets"][dataset]["labels"]
    for model in of.trained:
        judged = verdicts_of(of.summary, dataset, model)
        if first not in judged or len(judged[first]["methods"]) < 2:
            continue
        further = [name for name in judged if name in OF_LABELS]  # that the config asks for
        for metric in dict.fromkeys([first, *USUAL, *further]):
            if metric not in of.rows or not of.rows[metric].notna().any():
                continue
            place = Place(dataset, model, metric)
            methods = judged.get(metric, judged[first])["methods"]
            looked = of.looks.get(model)  # whose levels need all cells
            rows = of.rows[of.rows["method"].isin(methods if looked is None else [*looked.units])]
            own = _judged(rows, rows[metric].to_numpy(dtype=np.float64), place, methods, of, region=metric)
            if metric in judged and own.pairs != judged[metric]["pairs"]:
                raise RegbenchError(
                    f"{dataset}, {model}: the verdicts on {metric} must be those of the study's summary, but are not. "
                    "The config or the rows are newer than the analysis: run `regbench analyze` and `regbench report`."
                )
            yield Outcome(place, OWN, "", own, own, _own_words(own, model))
            for view in views(rows, metric, labels, of.sizes if metric == first else {}):
                yield _outcome(rows, view, place, own, of)
            if metric == first and labels and metric in OF_LABELS:
                yield from _pooled_sd(rows, place, own, list(labels))


def _own_words(own: Judged, model: str) -> str:
    decided = sum(pair["verdict"] != "undecided" for pair in own.pairs)
    return f"{decided} of {len(own.pairs)} decided; best {own.best.removeprefix(f'{model}.') or 'none'}"


def _outcome(rows: pd.DataFrame, view: View, place: Place, own: Judged, of: Compared) -> Outcome:
    scores, note = view.scores(rows), ""
    if np.array_equal(scores, rows[place.metric].to_numpy(dtype=np.float64), equal_nan=True):
        return Outcome(place, view.words, view.group, own, own, SAME)
    now = _judged(rows, scores, place, list(own.scores), of, region=view.region)
    regions = of.summary.get("equivalence", {})
    if place.metric in regions and view.region not in regions:
        note = f"no region of equivalence declared for {view.region}: nothing can be equal"
    return Outcome(place, view.words, view.group, own, now, note)


def _judged(
    rows: pd.DataFrame, scores: "np.ndarray[tuple[int], np.dtype[np.float64]]", place: Place,
    methods: Sequence[str], of: Compared, *, region: str,
) -> Judged:  # fmt: skip
    """The methods by one convention; all pairs of them are one family, whatever is done with other conventions."""
    known = rows.assign(**{place.metric: scores})
    width = of.summary.get("equivalence", {}).get(region)
    families = study_verdicts(
        known,
        place.metric,
        methods,
        cells=of.cells,
        trained=of.trained[place.model],
        region=width,
        looked=of.looks.get(place.model),
    )
    by_method = {str(name): part for name, part in known.groupby("method", sort=False)}
    means = {name: number(metric_spread(by_method[name], place.metric)["mean"]) for name in methods}
    sign = -1 if metric_of(place.metric).direction == "higher" else 1
    ordered = sorted((name for name in methods if np.isfinite(means[name])), key=lambda name: sign * means[name])
    return Judged(families["pairs"], means, {name: rank for rank, name in enumerate(ordered, 1)})


def _pooled_sd(rows: pd.DataFrame, place: Place, own: Judged, labels: Sequence[str]) -> Iterator[Outcome]:
    """What `±` would be by the convention of many tables; no verdict rests on either."""
    best = rows[rows["method"] == own.best]
    if best.empty:
        return
    by_case = best.groupby(["fixed", "moving"])[[f"{place.metric}_{label}" for label in labels]].mean()
    pooled, over_cases = pooled_sd(by_case.to_numpy(dtype=np.float64)), metric_spread(best, place.metric)["sd"]
    digits = metric_of(place.metric).digits
    if np.isfinite(pooled) and over_cases is not None and np.isfinite(over_cases):
        words = f"± {over_cases:.{digits}f} of the best would read ± {pooled:.{digits}f}; no verdict rests on it"
        yield Outcome(place, POOLED_SD, "", own, own, words)

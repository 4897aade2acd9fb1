"""The summary of a study (`analysis/summary.json`): what `analyze` writes, and what tables, figures and pages read.

The types are the shapes of the JSON, key by key. A number that is NaN or infinite when it is written is None when it
is read back.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NotRequired, TypedDict

from regbench.metrics.definitions import metric_of
from regbench.report.comparison_entries import ComparisonEntry, LookEntry, PairedTests, TradeOffEntry, Verdicts
from regbench.study.frozen import Kept
from regbench.study.goals import words
from regbench.study.methods import Study
from regbench.system.files import read_sealed
from regbench.system.provenance import Environment

MICROSCOPIC = 0.05  # mm: of smaller voxels, hundredths of a mm say nothing
Kind = Literal["model", "similarity", "regularizer"]
KINDS: tuple[Kind, ...] = ("model", "similarity", "regularizer")
Label = Literal["dataset", "method", "model", "similarity", "regularizer"]
LABELS: tuple[Label, ...] = ("dataset", "method", *KINDS)
Statistic = Literal["mean", "sd", "seed_sd", "median"]
STATISTICS: tuple[Statistic, ...] = ("mean", "sd", "seed_sd", "median")
Value = bool | int | float | str | list[int]  # of what was searched beside lambda


class Manifest(TypedDict):
    """A prepared dataset (`data/<id>/manifest.json`, which the summary holds whole): the keys that are read here."""

    shape: list[int]
    spacing_mm: list[float]
    labels: dict[str, str]  # value: name
    splits: NotRequired[dict[str, list[str]]]
    pairs: NotRequired[dict[str, list[list[str]]]]
    remarks: NotRequired[list[str]]  # what was left out or is not used
    references: dict[str, list[str]]  # what pairs of a split can be scored by
    subjects: NotRequired[list[str]]
    masked: NotRequired[list[str]]  # subjects with a mask
    data_sha256: str
    redrawn: NotRequired[list["Redrawn"]]  # further draws of validation subjects


class Redrawn(TypedDict):
    """A further draw of validation subjects, in the keys of a manifest."""

    splits: dict[str, list[str]]


class MetricSpread(TypedDict):
    """Mean and SD over cases of the seed-averaged score, and the SD over seeds of the mean over cases."""

    mean: float | None
    sd: float | None
    seed_sd: float | None
    median: float | None
    infinite: int  # cases
    cases: int


# `label` and `name`, and of each metric of labels `<metric>_mean`, `_sd`, `_cases` and `_vanished`.
StructureScores = dict[str, str | int | float | None]


class TrialEntry(TypedDict):
    """A trial of the tuning."""

    replicate: NotRequired[int]  # the search that it belongs to
    number: int
    lam: float
    values: NotRequired[dict[str, Value]]
    status: str
    reason: NotRequired[str]
    scores: dict[str, float]  # means over the validation pairs by metric; none where it diverged
    environment: NotRequired[Environment]  # until `made_by` has it


class SecondHalf(TypedDict):
    """The part of the fall of the training similarity that came in the second half, with its standard error."""

    share: float
    se: float


class RunEntry(TypedDict):
    """A final training."""

    seed: int
    lam: float | None
    status: str
    reason: str
    validation: dict[str, float | None]  # means over the validation pairs; empty for a training that failed
    checkpoint_sha256: str
    data_sha256: str
    environment: Environment
    second_half: NotRequired[SecondHalf | None]


class MadeBy(TypedDict):
    """An environment, with the seeds of the trainings and the numbers of the trials that it made."""

    environment: Environment
    runs: list[int]
    trials: list[int]


class ChosenTrial(TypedDict):
    """The trial that a rule chose."""

    number: int
    lam: float
    values: NotRequired[dict[str, Value]]
    scores: dict[str, float]


class Choice(TypedDict):
    """What one search of a cell chose (`selected.json`, which the summary holds whole): the keys that are read here."""

    range: list[float]
    lam: float | None
    values: NotRequired[dict[str, Value]]
    metrics: list[str]  # that trials were compared by
    best: ChosenTrial | None
    best_limited: ChosenTrial | None  # with NDV at most the limit
    edge: bool
    alike: NotRequired[list[float] | None]  # the ends of the lambdas that the trials do not tell apart
    flat: NotRequired[bool]  # whether these are more than half of the range
    found: NotRequired[bool]  # whether the range was found before the first round


class Baseline(TypedDict):
    """A classical method, with all its settings and the software that ran."""

    name: str
    parameters: dict[str, object]
    software: dict[str, str]


class TermEntry(TypedDict):
    """A further term of a cell's objective.

    Attributes:
        behind: name of the first term, which lambda weighs.
        range: of a weight that was searched; None where it is fixed.
        weight: the fixed one, or what was chosen: of several searches the geometric mean; None where none was.
        weights: what each search chose; all the same where it is fixed.
    """

    id: str
    name: str
    behind: str
    range: list[float] | None
    weight: float | None
    weights: list[float | None]


class BudgetEntry(TypedDict):
    """What cells have the same of, as the config says."""

    fairness: str
    trials: int  # of a search; with `trials_per_weight` for each weight that it has


class PooledCounts(TypedDict):
    """What the folds of a pooled row had in all, and the seeds of each."""

    folds: int
    trials: int
    seeds: int


class Refinement(TypedDict):
    """How a row refines each pair, and the method that trained its networks."""

    method: str
    steps: int
    learning_rate: float


class MethodEntry(TypedDict):
    """A row of the main table: a method on a dataset."""

    dataset: str
    method: str
    model: str | None
    similarity: str | None
    regularizer: str | None
    control: NotRequired[bool]
    rank: int | None  # among the methods of its dataset and model
    lam: float | None
    edge: bool
    trials: list[TrialEntry]
    runs: list[RunEntry]
    pairs: int
    failed_rows: int
    reasons: list[str]
    vanished_labels: int
    metrics: dict[str, MetricSpread]
    dice30: float | None
    structures: list[StructureScores]
    similarities: NotRequired[dict[str, float | None]]  # after registration, of identity and controls
    baseline: NotRequired[Baseline]
    selected: NotRequired[Choice]  # of the first search; these keys are of tuned methods alone
    searches: NotRequired[list[Choice]]
    lams: NotRequired[list[float | None]]  # of all searches
    range_at_end: NotRequired[bool]  # the search for its range found its best lambda at the end of what was tried
    values: NotRequired[dict[str, Value]]
    terms: NotRequired[list[TermEntry]]  # behind the first of a regularizer that has several
    passes: NotRequired[int]  # forward passes of a step, where there is more than one
    trained: NotRequired[bool]
    made_by: NotRequired[list[MadeBy]]
    pooled: NotRequired[PooledCounts]  # of a row of several folds, whose trials and trainings stand in theirs
    refined: NotRequired[Refinement]


class TransferEntry(TypedDict):
    """A cell on data that it was not trained on, or on its own beside those."""

    tested_on: str
    trained_on: str
    model: str
    method: str
    leading: str  # the metric that ranks and compares
    means: dict[str, float | None]
    sd: float | None  # over test pairs, of the leading metric
    seed_sd: float | None
    pairs: int
    failed: int  # rows
    rank: int | None  # among the cells of the model and training set
    against_own: ComparisonEntry | None  # with the same cell trained on what is tested


class LambdaTransfer(TypedDict):
    """What a cell loses with the lambda of another cell of the same losses."""

    dataset: str
    method: str
    from_dataset: str
    from_method: str
    own: list[float]  # the lowest and the highest that its searches chose
    taken: list[float]  # those of the other
    lost: float | None  # of the validation score
    sd: float | None
    inside: bool  # whether the lambdas taken lie in the range that the cell searched


class MaskEntry(TypedDict):
    """What counts by masks, as the config says."""

    training: str
    regularizer: bool
    evaluation: str


class Goals(TypedDict):
    """What a dataset was searched, chosen and is told by; of several metrics ranks are taken."""

    objective: list[str]
    selection: list[str]
    leading: str  # the metric that tables, ranks and headline are led by


class Summary(TypedDict):
    """The whole file."""

    study: str
    description: str
    seeds: list[int]
    replicates: NotRequired[int]
    splits: NotRequired[int]  # draws of validation subjects, where there are several
    deals: NotRequired[dict[str, int]]  # of the folds of each pool, where there are several
    goals: dict[str, Goals]  # by dataset
    limited: bool  # whether lambda was chosen with NDV at most the limit
    ndv_limit_percent: float
    nsd_tolerance_mm: float
    steps: int
    datasets: dict[str, Manifest]
    methods: list[MethodEntry]
    equivalence: NotRequired[dict[str, float]]
    verdicts: NotRequired[dict[str, dict[str, dict[str, Verdicts]]]]  # dataset, model, metric
    comparisons: dict[str, dict[str, dict[str, PairedTests]]]  # dataset, model, metric
    transfers: NotRequired[list[TransferEntry]]  # of studies with `evaluate_on`
    looks: NotRequired[list[LookEntry]]  # of studies with `looks`
    trade_offs: NotRequired[list[TradeOffEntry]]  # of studies with `curve`
    lambda_transfers: NotRequired[list[LambdaTransfer]]  # of studies with several datasets or models
    masks: NotRequired[MaskEntry]  # where any counts
    budget: NotRequired[BudgetEntry]  # where regularizers have several terms
    pools: NotRequired[dict[str, list[str]]]  # the folds of each pooled dataset, where there are any
    frozen: NotRequired[Kept]  # of studies that were pre-registered
    warnings: list[str]


def load_summary(study: Study) -> Summary:
    """The summary of a study that was analysed."""
    summary: Summary = read_sealed(study.layout.summary)
    return summary


def foremost(summary: Summary) -> list[str]:
    """The datasets that pictures and sentences tell of: pooled folds for themselves stand in the tables alone."""
    folds = {fold for pool in summary.get("pools", {}).values() for fold in pool}
    return [name for name in summary["goals"] if name not in folds]


def all_verdicts(summary: Summary) -> Iterator[tuple[str, str, str, Verdicts]]:
    """Dataset, model, metric and their verdicts, in the order of the summary; nothing without verdicts."""
    for dataset, models in summary.get("verdicts", {}).items():
        for model, metrics in models.items():
            for metric, verdicts in metrics.items():
                yield dataset, model, metric, verdicts


def verdicts_of(summary: Summary, dataset: str, model: str | None) -> dict[str, Verdicts]:
    """The verdicts of one dataset and model by metric; empty where nothing was judged."""
    return summary.get("verdicts", {}).get(dataset, {}).get(model or "", {})


def leading(summary: Summary, dataset: str) -> str:
    """The metric that the tables of a dataset are led by."""
    return summary["goals"][dataset]["leading"]


def led_by(summary: Summary) -> str:
    """The leading metrics in words: ``Dice``, or ``Dice (brains) and TRE (lungs)``."""
    named: dict[str, list[str]] = {}
    for dataset in foremost(summary):
        named.setdefault(words(leading(summary, dataset)), []).append(dataset)
    return next(iter(named)) if len(named) == 1 else " and ".join(f"{n} ({', '.join(of)})" for n, of in named.items())


def digits_of(summary: Summary, metric: str) -> int:
    """The digits of a metric in the tables of a study: lengths have more where voxels are of micrometres.

    All numbers of a column have the same: of a voxel's side its hundredths, where that is below `MICROSCOPIC`.
    """
    known = metric_of(metric)
    sides = [side for manifest in summary["datasets"].values() for side in manifest.get("spacing_mm", ())]
    if known.unit != "mm" or not sides or min(sides) >= MICROSCOPIC:
        return known.digits
    return known.digits + math.ceil(-math.log10(min(sides)))


def finer_digits(summary: Summary, metrics: Iterable[str]) -> dict[str, int]:
    """Those metrics that have more digits in this study than anywhere else."""
    digits = {name: digits_of(summary, name) for name in metrics}
    return {name: count for name, count in digits.items() if count != metric_of(name).digits}


def number(value: float | None) -> float:
    """A number of the summary; NaN where it has none."""
    return float("nan") if value is None else float(value)


def stored(value: float) -> float | None:
    """A number as JSON has it: None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def validation_draws(summary: Summary) -> dict[str, list[list[str]]]:
    """By dataset the validation subjects of each draw; empty where a study has one draw."""
    return {
        name: [draw["splits"]["validation"] for draw in (manifest, *manifest["redrawn"]) if "splits" in draw]
        for name, manifest in summary["datasets"].items()
        if "redrawn" in manifest
    }

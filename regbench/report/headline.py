"""The result of a study in a sentence or two a dataset and model, from its verdicts and from nothing else."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from regbench.metrics import metric_of
from regbench.report.comparison_entries import FAMILIES, Scope, Verdicts
from regbench.report.standings import against_best
from regbench.report.summary_file import MetricSpread, Summary, foremost, leading, number, verdicts_of
from regbench.report.verdict_clauses import CONVERSE, Relations, clauses, listed, subject
from regbench.study import goals

Side = Literal["similarity", "regularizer"]
SIDES: tuple[Side, Side] = ("similarity", "regularizer")
NAMED = 2  # cells that are named; of more, the number
SCOPES: dict[Scope, str] = {
    "splits": "This is said of the losses, tuned in this way on other validation subjects.",
    "tuning": "This is said of the losses, tuned in this way.",
    "lambdas": "This holds at these lambdas.",
    "networks": "This is said of these trained networks; nothing is claimed about trainings.",
    "fixed": "This holds at these lambdas.",
}
NOTHING_CLAIMED = "One training each: nothing is claimed about trainings."


def headline(summary: Summary) -> list[str]:
    """The verdicts in words, a short paragraph for each dataset and model.

    Similarities and regularizers are those of the marginal families; then the best cell, what is undecided, what
    failed, and the scope. Names stand in backquotes where they are of a dataset or model.

    Args:
        summary: of the analysis; one without verdicts has no headline.

    Returns:
        Plain sentences, in the order of the summary.
    """
    if "verdicts" not in summary:
        return []
    told = foremost(summary)
    groups = dict.fromkeys(
        (entry["dataset"], entry["model"])
        for entry in summary["methods"]
        if entry["similarity"] and entry["dataset"] in told
    )
    return [_paragraph(summary, dataset, model) for dataset, model in groups]


def _paragraph(summary: Summary, dataset: str, model: str | None) -> str:
    several = len(foremost(summary)) > 1
    where = f"On `{dataset}` with `{model}`" if several else f"With `{model}`"
    metrics = verdicts_of(summary, dataset, model)
    metric = next((name for name in (leading(summary, dataset), *metrics) if name in metrics), None)
    if metric is None or metrics[metric]["best"] is None:
        return f"{where}, no cell has a result that can be compared."
    verdicts, cells = metrics[metric], _Cells(summary, dataset, model, metric)
    by = "" if metric == "dice" else f", by {goals.words(metric)}"
    first, *more = [*_marginal(verdicts, metric_of(metric).direction), *_cell_sentences(verdicts, cells)]
    return " ".join([f"{where}{by}, {first}", *map(_capital, more), *_failed(verdicts, cells), *_scope(verdicts)])


class _Cells:
    """The names of the cells of a dataset and model, and which of them have no result by a metric."""

    def __init__(self, summary: Summary, dataset: str, model: str | None, metric: str) -> None:
        cells = [entry for entry in summary["methods"] if (entry["dataset"], entry["model"]) == (dataset, model)]
        self.names = {entry["method"]: f"{entry['similarity']} x {entry['regularizer']}" for entry in cells}
        self.levels = {kind: {entry[kind] for entry in cells} for kind in SIDES}
        self.failed = {entry["method"] for entry in cells if not _has_result(entry["metrics"].get(metric))}

    def named(self, methods: Sequence[str]) -> str:
        """Their names, or of many how many."""
        if len(methods) > NAMED:
            return str(len(methods))
        return listed([self.names.get(method, method) for method in methods])


def _has_result(spread: MetricSpread | None) -> bool:
    return spread is not None and (not math.isnan(number(spread["median"])) or spread["infinite"] > 0)


def _marginal(verdicts: Verdicts, direction: str) -> Iterator[str]:
    """One sentence on similarities and regularizers."""
    parts = list[str]()
    for side in SIDES:
        if verdicts[side]:
            levels = {"similarity": "similarities", "regularizer": "regularizers"}[side]
            parts += clauses(Relations(verdicts[side], direction), verdicts["region"], levels)
    if parts:
        yield f"{'; '.join(parts)}."


def _cell_sentences(verdicts: Verdicts, cells: _Cells) -> Iterator[str]:
    """The best cell against the others; of a single cell, what it is against no registration."""
    best = str(verdicts["best"])
    name = cells.names.get(best, best)
    standing = {method: word for method, word in against_best(verdicts).items() if method not in cells.failed}
    others = [(method, CONVERSE[word]) for method, word in standing.items() if word != "best"]
    same_as_marginal = any(verdicts[side] and len(cells.levels[side]) == len(cells.names) for side in SIDES)
    if not others:
        yield from _alone(verdicts, best, name)
        return
    if not same_as_marginal:
        yield _best(name, others, cells, verdicts["region"])
    yield from _below(verdicts, cells)


def _best(name: str, against: Sequence[tuple[str, str]], cells: _Cells, region: float | None) -> str:
    """The best cell against the others, each with the verdict of the best against it."""
    others = {word: [other for other, verdict in against if verdict == word] for word in CONVERSE}
    count = len(against)
    if len(others["better"]) == count:
        rest = f"the other {count} cells" if count > 1 else cells.named(others["better"])
        return f"{name} is the best cell, better than {rest}."
    if len(others["undecided"]) == count:
        rest = f"the other {count} cells" if count > 1 else cells.named(others["undecided"])
        return f"{name} has the best mean, but against {rest} nothing is decided."
    parts = []
    if others["better"]:
        parts.append(f"better than {cells.named(others['better'])}")
    if others["equal"]:
        within = "" if region is None else f" within {region:g}"
        parts.append(f"equal to {cells.named(others['equal'])}{within}")
    if others["undecided"]:
        parts.append(f"undecided against {cells.named(others['undecided'])}")
    return f"{name} has the best mean of {count + 1} cells: {', '.join(parts)}."


def _alone(verdicts: Verdicts, method: str, name: str) -> Iterator[str]:
    """The only cell with a result: against no registration."""
    one = next((one for one in verdicts["against_identity"] if one["a"] == method), None)
    if one is None:
        yield f"{name} is the only cell; it has nothing to be compared with."
        return
    verdict, region = one["verdict"], verdicts["region"]
    if verdict == "undecided":
        yield f"nothing is decided between {name} and no registration{Relations([one]).why([(one['a'], one['b'])])}."
    elif verdict == "equal":
        yield f"{name} and no registration are equal{'' if region is None else f' within {region:g}'}."
    else:
        yield f"{name} is {verdict} than no registration."


def _below(verdicts: Verdicts, cells: _Cells) -> Iterator[str]:
    """Cells that are not better than no registration."""
    against = [one for one in verdicts["against_identity"] if one["a"] not in cells.failed]
    count, parts = len(against), []
    for word, words in (("worse", "worse than"), ("equal", "equal to"), ("undecided", "undecided against")):
        below = [one["a"] for one in against if one["verdict"] == word]
        if below:
            who = subject([cells.names.get(method, method) for method in below])
            parts.append(f"{who if len(below) <= NAMED else f'{len(below)} of {count} cells are'} {words}")
    if parts:
        yield f"{', '.join(parts)} no registration."


def _failed(verdicts: Verdicts, cells: _Cells) -> Iterator[str]:
    if verdicts.get("left_out"):
        yield f"Only the best {len(verdicts['methods'])} of {len(cells.names)} cells are compared."
    failed = [name for method, name in cells.names.items() if method in cells.failed]
    if failed:
        yield f"{subject(failed) if len(failed) <= NAMED else f'{len(failed)} cells are'} without a result."


def _scope(verdicts: Verdicts) -> Iterator[str]:
    """What the verdicts are claims about; where nothing is decided, nothing is claimed."""
    if any(comparison["verdict"] != "undecided" for family in FAMILIES for comparison in verdicts[family]):
        yield SCOPES[verdicts["scope"]]
    elif verdicts["scope"] == "networks":
        yield NOTHING_CLAIMED


def _capital(sentence: str) -> str:
    """Names of losses are as they are; a sentence of ours begins with a capital."""
    return sentence[0].upper() + sentence[1:] if sentence.startswith("nothing") else sentence

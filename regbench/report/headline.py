"""What a study found, in a sentence or two a dataset and model, made from its verdicts and from nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from regbench.metrics import METRICS
from regbench.report.relations import CONVERSE, Relations, clauses, listed, subject

METRIC = "dice"  # or where a study has none, the first that it was compared by
NAMED = 2  # cells that are named; of more, the number
SCOPES = {
    "tuning": "This is said of the losses, tuned in this way.",
    "lambdas": "This holds at these lambdas.",
    "networks": "This is said of these trained networks; nothing is claimed about trainings.",
    "fixed": "This holds at these lambdas.",
}
NOTHING_CLAIMED = "One training each: nothing is claimed about trainings."


def headline(summary: Mapping[str, Any]) -> list[str]:
    """What the verdicts say, a short paragraph for each dataset and model.

    Similarities and regularizers are those of the marginal families; then the best cell, what is undecided, what
    failed, and the scope. Names stand in backquotes where they are of a dataset or model.

    Args:
        summary: of the analysis; one without verdicts has no headline.

    Returns:
        Plain sentences, in the order of the summary.
    """
    if "verdicts" not in summary:
        return []
    groups = dict.fromkeys((entry["dataset"], entry["model"]) for entry in summary["methods"] if entry["similarity"])
    return [_paragraph(summary, dataset, model) for dataset, model in groups]


def _paragraph(summary: Mapping[str, Any], dataset: str, model: str) -> str:
    several = len({entry["dataset"] for entry in summary["methods"]}) > 1
    where = f"On `{dataset}` with `{model}`" if several else f"With `{model}`"
    cells = _Cells(summary, dataset, model)
    metrics = summary["verdicts"].get(dataset, {}).get(model, {})
    metric = METRIC if METRIC in metrics else next(iter(metrics), None)
    if metric is None:
        return f"{where}, no cell has a result that can be compared."
    verdicts = metrics[metric]
    by = "" if metric == METRIC else f", by {metric}"
    first, *more = [*_marginal(verdicts, METRICS[metric].direction), *_cell_sentences(verdicts, cells)]
    return " ".join([f"{where}{by}, {first}", *map(_capital, more), *_failed(verdicts, cells), *_scope(verdicts)])


class _Cells:
    """The names of the cells of a dataset and model."""

    def __init__(self, summary: Mapping[str, Any], dataset: str, model: str) -> None:
        mine = [one for one in summary["methods"] if (one["dataset"], one["model"]) == (dataset, model)]
        self.names = {one["method"]: f"{one['similarity']} x {one['regularizer']}" for one in mine}
        self.levels = {kind: {one[kind] for one in mine} for kind in ("similarity", "regularizer")}

    def named(self, methods: Sequence[str]) -> str:
        """Their names, or of many how many."""
        if len(methods) > NAMED:
            return str(len(methods))
        return listed([self.names.get(method, method) for method in methods])


def _marginal(verdicts: Mapping[str, Any], direction: str) -> Iterator[str]:
    """One sentence on similarities and regularizers."""
    found = list[str]()
    for family, levels in (("similarity", "similarities"), ("regularizer", "regularizers")):
        if verdicts[family]:
            found += clauses(Relations(verdicts[family], direction), verdicts["region"], levels)
    if found:
        yield f"{'; '.join(found)}."


def _cell_sentences(verdicts: Mapping[str, Any], cells: _Cells) -> Iterator[str]:
    """The best cell against the others; of a single cell, what it is against no registration."""
    best, name = verdicts["best"], cells.names.get(verdicts["best"], verdicts["best"])
    against = [_turned(one, best) for one in verdicts["pairs"] if best in (one["a"], one["b"])]
    said_before = any(verdicts[kind] and len(cells.levels[kind]) == len(cells.names) for kind in cells.levels)
    if not against:
        yield from _alone(verdicts, name)
    elif not said_before:
        yield _best(name, against, cells, verdicts["region"])
    yield from _below(verdicts, cells)


def _best(name: str, against: Sequence[tuple[str, str]], cells: _Cells, region: float | None) -> str:
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


def _alone(verdicts: Mapping[str, Any], name: str) -> Iterator[str]:
    """A study of one cell: against no registration."""
    (one, *_) = verdicts["against_identity"] or [None]
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


def _below(verdicts: Mapping[str, Any], cells: _Cells) -> Iterator[str]:
    """Cells that are not better than no registration; a single cell has its own sentence."""
    if not verdicts["pairs"]:
        return
    count, parts = len(verdicts["against_identity"]), []
    for word, words in (("worse", "worse than"), ("equal", "equal to"), ("undecided", "undecided against")):
        found = [one["a"] for one in verdicts["against_identity"] if one["verdict"] == word]
        if found:
            who = subject([cells.names.get(method, method) for method in found])
            parts.append(f"{who if len(found) <= NAMED else f'{len(found)} of {count} cells are'} {words}")
    if parts:
        yield f"{', '.join(parts)} no registration."


def _failed(verdicts: Mapping[str, Any], cells: _Cells) -> Iterator[str]:
    missing = [method for method in cells.names if method not in verdicts["methods"]]
    if missing and verdicts.get("left_out"):
        yield f"Only the best {len(verdicts['methods'])} of {len(cells.names)} cells are compared."
    elif missing and len(missing) <= NAMED:
        yield f"{subject([cells.names[method] for method in missing])} without a result."
    elif missing:
        yield f"{len(missing)} cells are without a result."


def _scope(verdicts: Mapping[str, Any]) -> Iterator[str]:
    """Of what it is said; where nothing is decided, nothing is claimed."""
    families = ("pairs", "similarity", "regularizer", "against_identity")
    if any(one["verdict"] != "undecided" for family in families for one in verdicts[family]):
        yield SCOPES[verdicts["scope"]]
    elif verdicts["scope"] == "networks":
        yield NOTHING_CLAIMED


def _turned(one: Mapping[str, Any], best: str) -> tuple[str, str]:
    """The other method, and the verdict of the best against it."""
    return (one["b"], one["verdict"]) if one["a"] == best else (one["a"], CONVERSE[one["verdict"]])


def _capital(sentence: str) -> str:
    """Names of losses are as they are; a sentence of ours begins with a capital."""
    return sentence[0].upper() + sentence[1:] if sentence.startswith("nothing") else sentence

"""Verdicts on cells that got their seeds in looks: each pair by the runs, and at the level, of the look that ended it.

The level of a look holds whatever made the seeds end there, so it holds for every metric, not only for the one that the
looks judge: by that one, what the files of the looks say comes out again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from regbench.report.comparison_entries import LookEntry
from regbench.statistics import Comparison, Family, Looks, Pair, Scores, comparisons, having, judge_at
from regbench.study.looks import LookedPair, made
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError


class Looked(NamedTuple):
    """What the looks at the cells of a model gave and ended.

    Attributes:
        looks: of the study.
        ended: of each two cells the number of the look, from 0, that decided them, gave them up or was the last.
        units: that each cell got.
        unit: what is counted: ``seeds`` or ``searches``.
    """

    looks: Looks
    ended: Mapping[frozenset[str], int]
    units: Mapping[str, int]
    unit: str

    def number(self, methods: Collection[str]) -> int:
        """The last look, from 0, at which all of some cells had the same units."""
        return self.looks.counts.index(min(self.units[name] for name in methods))

    def shared(self, scores: Mapping[str, Scores]) -> dict[str, Scores]:
        """The scores of cells by the runs that all of them have."""
        runs = self.looks.runs[self.number(scores)]
        return {name: having(one, runs) for name, one in scores.items()}


def looked(study: Study, dataset: str, model: str) -> Looked | None:
    """What the looks at the cells of a model said; None where they got all seeds at once.

    Raises:
        RegbenchError: if the last look is not made.
    """
    batches = study.batches_of_looks
    if batches is None or model not in study.looked_models:
        return None
    files = list(made(study.layout, dataset, model))
    if not files or files[-1]["further"]:
        raise RegbenchError(
            f"all looks at `{model}` on `{dataset}` must be made, but look {len(files) + 1} is not. Run Snakemake "
            "again, with `--forcerun analyze` if it was finished."
        )
    ended = {frozenset(_names(pair)): number for number, look in enumerate(files) for pair in look["pairs"]}
    units = {name: count for look in files for name, count in look["units"].items()}
    return Looked(looks_of(study), ended, units, batches.unit)


def looks_at(study: Study, dataset: str, models: Collection[str]) -> dict[str, Looked]:
    """The looks at the cells of those models that got their seeds in looks."""
    by_model = {model: looked(study, dataset, model) for model in models}
    return {model: of_model for model, of_model in by_model.items() if of_model is not None}


def looks_of(study: Study) -> Looks:
    """The looks of a study, with the runs that a cell may have at each.

    Raises:
        ValueError: if it has none.
    """
    if study.batches_of_looks is None:
        raise ValueError("the study must have `looks`, but has none")
    counts = study.batches_of_looks.counts
    runs = [frozenset(study.seeds_of_units(count)) for count in counts]
    return Looks(runs, counts, best=study.config.looks is not None and study.config.looks.find == "best")


def judged_in_looks(
    scores: Mapping[str, Scores], methods: Sequence[str], family: Family, of_model: Looked
) -> list[Comparison]:
    """Judge all pairs of some cells, each by the look that ended it.

    Args:
        scores: of all cells of the model.
        methods: whose pairs are told.
        family: of all pairs of the model and all looks.
        of_model: its looks.
    """
    levels = of_model.looks.levels(family.alpha / comparisons(scores))
    pairs = list(combinations(methods, 2))
    numbers = {pair: of_model.ended[frozenset(pair)] for pair in pairs}
    return _by_look(scores, family, numbers, of_model.looks, levels)


def against_in_looks(
    scores: Mapping[str, Scores], methods: Sequence[str], family: Family, of_model: Looked
) -> list[Comparison]:
    """Judge cells against no registration, each by the last look that saw it.

    Args:
        scores: of all cells of the model, and of `identity`.
        methods: cells that are told.
        family: of all these comparisons and all looks.
        of_model: its looks.
    """
    levels = of_model.looks.levels(family.alpha / len(methods))
    numbers = {(name, "identity"): of_model.number([name]) for name in methods}
    return _by_look(scores, family, numbers, of_model.looks, levels)


def judge_means_in_looks(
    scores: Mapping[str, Scores], family: Family, of_model: Looked, number: int
) -> list[Comparison]:
    """Judge means over cells with the runs, and at the level, of a look that saw all of them.

    Args:
        scores: of similarities, or of regularizers.
        family: of all pairs and all looks.
        of_model: the looks at the cells.
        number: of the look, from 0.
    """
    level = of_model.looks.levels(family.alpha / comparisons(scores))[number]
    runs = of_model.looks.runs[number]
    return judge_at(scores, family, list(combinations(scores, 2)), runs=runs, level=level)


def _by_look(
    scores: Mapping[str, Scores], family: Family, numbers: Mapping[Pair, int], looks: Looks, levels: Sequence[float]
) -> list[Comparison]:
    judged = dict[Pair, Comparison]()
    for number in sorted(set(numbers.values())):
        pairs = [pair for pair in numbers if numbers[pair] == number]
        found = judge_at(scores, family, pairs, runs=looks.runs[number], level=levels[number])
        judged |= dict(zip(pairs, found, strict=True))
    return [judged[pair] for pair in numbers]


def looked_claim(of_model: Looked) -> str:
    """What the looks mean for the verdicts, in words."""
    return (
        f" Seeds were given out in {len(of_model.looks.counts)} looks, at most {of_model.looks.counts[-1]} "
        f"{of_model.unit} a cell: a verdict and its interval are of the look that decided the pair or gave it up, at a "
        "level that holds over all looks together."
    )


def look_entries(study: Study) -> Iterator[LookEntry]:
    """Every look of a study, for the summary."""
    for dataset in study.config.datasets:
        for model in study.looked_models:
            for number, look in enumerate(made(study.layout, dataset.id, model), 1):
                pairs = look["pairs"]
                entry: LookEntry = {
                    "dataset": dataset.id,
                    "model": model,
                    "look": number,
                    "metric": look["metric"],
                    "spent": look["spent"],
                    "level": look["level"],
                    "seeds": {name: len(study.seeds(name, dataset.id, number)) for name in look["units"]},
                    "most": len(study.with_all_seeds().seeds(next(iter(look["units"])))),
                    "decided": [_names(pair) for pair in pairs if pair["comparison"]["verdict"] != "undecided"],
                    "given_up": [
                        _names(pair)
                        for pair in pairs
                        if pair["comparison"]["verdict"] == "undecided" and not pair["goes_on"]
                    ],
                    "open": [_names(pair) for pair in pairs if pair["goes_on"]],
                }
                if looks_of(study).best:
                    entry["best"] = True
                yield entry


def _names(pair: LookedPair) -> list[str]:
    return [pair["comparison"]["a"], pair["comparison"]["b"]]

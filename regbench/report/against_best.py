"""How each method stands against the best of its model: what the marks of the tables are made from."""

from collections.abc import Iterator, Mapping
from typing import Any

from regbench.report.relations import CONVERSE

RANKED_BY = "dice"
Judged = Mapping[str, Any]  # the verdicts of one dataset, model and metric
WORDS = {
    "best": "best",
    "equal": "equal to best",
    "undecided": "undecided against best",
    "worse": "worse than best",
}


def judged(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Judged]]:
    """Dataset, model, metric and the verdicts, in the order of the summary; none of a summary without verdicts."""
    for dataset, models in summary.get("verdicts", {}).items():
        for model, metrics in models.items():
            for metric, verdicts in metrics.items():
                yield dataset, model, metric, verdicts


def against_best(summary: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """'best', 'equal', 'undecided' or 'worse' by dataset, method and metric, of what was judged.

    A method that is alone is the best of one.
    """
    found: dict[tuple[str, str, str], str] = {}
    for dataset, _, metric, verdicts in judged(summary):
        best = verdicts["best"]
        found[dataset, best, metric] = "best"
        for one in verdicts["pairs"]:
            if best in (one["a"], one["b"]):
                other = one["b"] if one["a"] == best else one["a"]
                found[dataset, other, metric] = CONVERSE[one["verdict"]] if one["a"] == best else one["verdict"]
    return found


def rank_intervals(summary: Mapping[str, Any]) -> dict[tuple[str, str], tuple[int, int]]:
    """The ranks by Dice that each method may hold by its verdicts, by dataset and method."""
    return {
        (dataset, method): (low, high)
        for dataset, _, metric, verdicts in judged(summary)
        if metric == RANKED_BY
        for method, (low, high) in verdicts["ranks"].items()
    }


def rank_text(rank: int, interval: tuple[int, int] | None, dash: str = "-") -> str:
    """``1 (1-3)``; the rank alone where no other may hold it or none was judged."""
    if interval is None or interval[0] == interval[1]:
        return str(rank)
    return f"{rank} ({interval[0]}{dash}{interval[1]})"

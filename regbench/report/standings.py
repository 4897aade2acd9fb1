"""How each method stands against the best of its model: the marks of the tables come from here."""

from typing import Literal

from regbench.report.comparison_entries import Verdicts
from regbench.report.summary_file import Summary, all_verdicts, leading
from regbench.report.verdict_clauses import CONVERSE

Standing = Literal["best", "better", "equal", "undecided", "worse"]
WORDS = {
    "best": "best",
    "equal": "equal to best",
    "undecided": "undecided against best",
    "worse": "worse than best",
}


def standings(summary: Summary) -> dict[tuple[str, str, str], Standing]:
    """How each method that was judged stands against the best, by dataset, method and metric.

    A method that is alone is the best of one.
    """
    return {
        (dataset, method, metric): standing
        for dataset, _, metric, verdicts in all_verdicts(summary)
        for method, standing in against_best(verdicts).items()
    }


def against_best(verdicts: Verdicts) -> dict[str, Standing]:
    """How each method stands against the best of its model; empty where no method has a number."""
    best = verdicts["best"]
    if best is None:
        return {}
    standing: dict[str, Standing] = {best: "best"}
    for comparison in verdicts["pairs"]:
        a, b, verdict = comparison["a"], comparison["b"], comparison["verdict"]
        if best in (a, b):
            standing[b if a == best else a] = CONVERSE[verdict] if a == best else verdict
    return standing


def rank_intervals(summary: Summary) -> dict[tuple[str, str], tuple[int, int]]:
    """The ranks by the leading metric that each method may hold by its verdicts, by dataset and method."""
    return {
        (dataset, method): (low, high)
        for dataset, _, metric, verdicts in all_verdicts(summary)
        if metric == leading(summary, dataset)
        for method, (low, high) in verdicts["ranks"].items()
    }


def rank_text(rank: int, interval: tuple[int, int] | None, dash: str = "-") -> str:
    """``1 (1-3)``; the rank alone where no other may hold it or none was judged."""
    if interval is None or interval[0] == interval[1]:
        return str(rank)
    return f"{rank} ({interval[0]}{dash}{interval[1]})"

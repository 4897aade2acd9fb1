"""How the verdicts of a study agree with those of the same study trained once more."""

from collections.abc import Iterator
from typing import NamedTuple

from regbench.report.comparison_entries import ComparisonEntry
from regbench.report.summary_file import Summary, all_verdicts, verdicts_of

JUDGED = ("better", "equal", "worse")


class Agreement(NamedTuple):
    """Of all comparisons of two methods by one metric.

    Attributes:
        compared: how many there are in both studies.
        outside: those whose difference lies outside the interval that was published.
        contradicted: those whose verdict became another one; an undecided one contradicts nothing.
    """

    compared: int
    outside: list[str]
    contradicted: list[str]


def agreement(published: Summary, again: Summary) -> Agreement:
    """Hold the differences between methods to the published intervals."""
    count, outside, contradicted = 0, list[str](), list[str]()
    for place, one, other in _pairs(published, again):
        low, high, difference = one["low"], one["high"], other["difference"]
        if low is None or high is None or difference is None:
            continue
        count += 1
        names = f"{place}, {one['a']} against {one['b']}"
        if not low <= difference <= high:
            outside.append(f"{names}: published {low:.4g} to {high:.4g}, now {difference:.4g}")
        verdicts = one["verdict"], other["verdict"]
        if verdicts[0] != verdicts[1] and set(verdicts) <= set(JUDGED):
            contradicted.append(f"{names}: published {verdicts[0]}, now {verdicts[1]}")
    return Agreement(count, outside, contradicted)


def _pairs(published: Summary, again: Summary) -> Iterator[tuple[str, ComparisonEntry, ComparisonEntry]]:
    for dataset, model, metric, verdicts in all_verdicts(published):
        others = verdicts_of(again, dataset, model).get(metric)
        by_names = {} if others is None else {(one["a"], one["b"]): one for one in others["pairs"]}
        for one in verdicts["pairs"]:
            if (one["a"], one["b"]) in by_names:
                yield f"{dataset}, {model}, {metric}", one, by_names[one["a"], one["b"]]

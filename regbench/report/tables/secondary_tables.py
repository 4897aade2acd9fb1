"""The tables behind the main one: structures, the choice of lambda, tests, and the grid as a two-way design."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from regbench.metrics import METRICS
from regbench.report.comparison_entries import Grid, TestFamily
from regbench.report.summary_file import (
    Choice,
    ChosenTrial,
    MethodEntry,
    Summary,
    digits_of,
    led_by,
    number,
    validation_draws,
    verdicts_of,
)
from regbench.report.tables.column_titles import choice_title
from regbench.report.tables.main_table import searched
from regbench.report.tables.table_format import NONE, Form, Score, cell, escape, exact, header, plain, write_table
from regbench.report.tables.verdict_tables import of_leading, write_verdicts
from regbench.study.goals import FOLDING, LIMITED, RANK, words

OF_STRUCTURES = "dice"
MOST_NAMED = 24  # subjects in a caption
Rule = Literal["best", "best_limited"]
RULES: Mapping[Rule, str] = {"best": "", "best_limited": LIMITED}  # and what its columns end their first word in
ESTIMATES: tuple[Literal["effect", "ci_low", "ci_high"], ...] = ("effect", "ci_low", "ci_high")
TEST_FAMILIES: tuple[TestFamily, ...] = ("against_best", "against_identity", "pairs")


class Search(NamedTuple):
    """One of the searches of a cell."""

    entry: MethodEntry
    replicate: int
    choice: Choice


def write_secondary(summary: Summary, folder: Path) -> None:
    """Write `verdicts`, `variance`, `per_structure`, `selection`, `significance` and `grid`, each in four forms."""
    study = summary["study"]
    write_verdicts(summary, folder)
    structures = structures_table(summary)
    write_table(
        folder / "per_structure", structures, lambda form: _structures_shown(structures, form),
        f"Study {study}: Dice of each structure, mean ± SD over test pairs (ddof 1), seeds averaged first; pairs in "
        "which the structure is absent before registration are left out. HD95 and ASSD of each stand in the CSV, "
        "without the cases in which the structure vanished, and with their number.", study,
    )  # fmt: skip
    selection = selection_table(summary)
    write_table(
        folder / "selection", selection, lambda form: plain(selection, form, _choice_titles(summary)),
        f"Study {study}: the lambda of {_of_best(summary)}, and the same with NDV at most "
        f"{summary['ndv_limit_percent']:g} %; both rules were fixed before tuning. `edge`: the chosen lambda lies at "
        f"an end of its range.{found_ranges(summary)}{drawn_anew(summary)}", study,
    )  # fmt: skip
    tests = significance_table(summary)
    led = of_leading(tests[tests["family"] != "pairs"], summary)
    write_table(
        folder / "significance", tests, lambda form: plain(_tests_shown(led), form),
        f"Study {study}: paired comparisons of these trained networks over test pairs, seeds averaged first: mean "
        "difference a - b with a 95 % interval (bootstrap of subjects), two-sided Wilcoxon signed-rank test, Holm over "
        "the family, rank-biserial correlation (positive: a is larger). They condition on the networks as trained and "
        "on their lambdas: only test pairs vary, so a small p does not say that other trainings would agree, and pairs "
        "that share subjects count as if they did not. What may be claimed of the methods stands in the table of "
        f"verdicts. Shown: {led_by(summary)} against the best method and against no registration; all metrics and all "
        "pairs of methods stand in the CSV.", study,
    )  # fmt: skip
    grid = grid_table(summary)
    write_table(
        folder / "grid", grid, lambda form: plain(of_leading(grid, summary), form),
        f"Study {study}: the grid as a two-way design, effects on the mean over test pairs as deviations from the "
        "grand mean, with 95 % intervals (bootstrap of subjects); `share`: part of the variation between cells. Shown: "
        f"{led_by(summary)}; other metrics stand in the CSV.", study,
    )  # fmt: skip


def found_ranges(summary: Summary) -> str:
    """A sentence of the ranges that were found, not given; empty without any."""
    ranges = {
        f"{entry['dataset']} {entry['method'].partition('.')[2]} [{choice['range'][0]:g}, {choice['range'][1]:g}]"
        + (" (the best of these lambdas was the last that was tried)" if entry.get("range_at_end") else "")
        for entry in summary["methods"]
        if (choice := entry.get("selected")) and choice.get("found")
    }
    if not ranges:
        return ""
    return (
        " The ranges of lambda were found before the first round, by registrations of validation pairs with `instance` "
        f"at powers of ten: {', '.join(sorted(ranges))}."
    )


def drawn_anew(summary: Summary) -> str:
    """A sentence of who validated in each split; empty where all searches have the declared one."""
    draws = validation_draws(summary)
    if not draws:
        return ""
    if sum(len(names) for splits in draws.values() for names in splits) > MOST_NAMED:
        return " `split`: the draw of validation subjects; `main.provenance.json` names them."
    told = [
        f"{number} ({dataset}) {', '.join(names)}" if len(draws) > 1 else f"{number} {', '.join(names)}"
        for dataset, splits in draws.items()
        for number, names in enumerate(splits, 1)
    ]
    return f" `split`: the draw of validation subjects; {'; '.join(told)}."


def structures_table(summary: Summary) -> pd.DataFrame:
    """One row a dataset, method and structure."""
    rows = []
    for entry in summary["methods"]:
        for structure in entry["structures"]:
            row: dict[str, object] = {"dataset": entry["dataset"], "method": entry["method"], **structure}
            for name, value in structure.items():
                metric = name.removesuffix("_mean").removesuffix("_sd")
                if metric in METRICS and metric != name:
                    row[name] = np.nan if value is None else round(float(value), digits_of(summary, metric))
            rows.append(row)
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["dataset", "method", "label", "name"])


def _structures_shown(frame: pd.DataFrame, form: Form) -> pd.DataFrame:
    """Structures down, methods across; without labels nothing but the titles."""
    digits = METRICS[OF_STRUCTURES].digits
    if frame.empty:
        return plain(frame[["dataset", "label", "name"]], form)
    text = frame[["dataset", "label", "name", "method"]].copy()
    pairs = zip(frame[f"{OF_STRUCTURES}_mean"], frame[f"{OF_STRUCTURES}_sd"], strict=True)
    text["text"] = [cell(Score(mean, sd), digits, form) for mean, sd in pairs]
    wide = text.pivot_table(
        index=["dataset", "label", "name"], columns="method", values="text", aggfunc="first", sort=False
    )
    wide = wide[list(dict.fromkeys(frame["method"]))].reset_index()
    wide[["dataset", "name"]] = wide[["dataset", "name"]].map(lambda value: escape(str(value), form))
    titles = {name: header(name, form) for name in ("dataset", "label", "name")}
    wide = wide.rename(columns=lambda name: titles.get(str(name)) or escape(str(name), form))
    return wide.fillna(escape(NONE, form))


def selection_table(summary: Summary) -> pd.DataFrame:
    """One row a search of a cell: the choice of either rule."""
    names = searched(summary)
    searches = [
        Search(entry, replicate, choice)
        for entry in summary["methods"]
        if entry["trials"] and entry.get("selected")
        for replicate, choice in enumerate(entry.get("searches") or [entry["selected"]])
    ]
    several = any(search.replicate for search in searches)
    rows = [_selection(search, names, summary, several=several) for search in searches]
    columns = dict.fromkeys(column for row in rows for column in row)
    searched_values = [column for column in columns if column.endswith(tuple(f"_{name}" for name in names))]
    return exact(pd.DataFrame(rows), rows, searched_values if names else ())


def _rule(goal: Sequence[str], rule: Rule) -> str:
    """The name of a rule as columns begin with it: ``by_dice``, ``by_dice_ndv``."""
    return f"by_{goal[0] if len(goal) == 1 else RANK}{RULES[rule]}"


def _of_best(summary: Summary) -> str:
    """What the first rule takes, in words."""
    goals = {tuple(goal["selection"]) for goal in summary["goals"].values()}
    if len(goals) > 1 or any(len(goal) > 1 for goal in goals):
        return "the best validation score"
    return f"best validation {words(goals.pop()[0])}"


def _choice_titles(summary: Summary) -> dict[str, str]:
    """The titles of the columns of either rule."""
    goals = [goal["selection"] for goal in summary["goals"].values()]
    return {
        f"{_rule(goal, rule)}_{name}": choice_title(name, _rule(goal, rule))
        for goal in goals
        for rule in RULES
        for name in ("lambda", *searched(summary), *goal, FOLDING)
    }


def _selection(search: Search, names: list[str], summary: Summary, *, several: bool) -> dict[str, object]:
    entry, replicate, choice = search
    row: dict[str, object] = {"dataset": entry["dataset"], "method": entry["method"]}
    row |= {"search": replicate + 1} if several else {}
    if (splits := summary.get("splits", 1)) > 1:
        row["split"] = replicate * splits // summary["replicates"] + 1
    row["trials"] = sum(trial.get("replicate", 0) == replicate for trial in entry["trials"])
    for rule in RULES:
        goal = choice["metrics"]
        chosen = _chosen(choice[rule], names, {name: digits_of(summary, name) for name in (*goal, FOLDING)})
        row |= {f"{_rule(goal, rule)}_{name}": value for name, value in chosen.items()}
    return {**row, "edge": "yes" if choice.get("edge", entry["edge"]) else "no"}


def _chosen(trial: ChosenTrial | None, names: list[str], digits: Mapping[str, int]) -> dict[str, object]:
    """Lambda, what was searched beside it, and the scores of the trial that a rule chose; NaN where it chose none."""
    metrics = dict.fromkeys(digits, np.nan)
    if trial is None:
        return {"lambda": np.nan, **dict.fromkeys(names), **metrics}
    values = trial.get("values", {})
    goals: dict[str, object] = {name: round(trial["scores"][name], digits[name]) for name in metrics}
    return {"lambda": trial["lam"], **{name: values.get(name) for name in names}, **goals}


def significance_table(summary: Summary) -> pd.DataFrame:
    """One row a comparison, of every metric and family."""
    rows = [
        {"dataset": dataset, "metric": metric, "family": family, **comparison}
        | {"conditions_on": _conditions(summary, dataset, model, metric)}
        for dataset, models in summary["comparisons"].items()
        for model, metrics in models.items()
        for metric, entry in metrics.items()
        for family in TEST_FAMILIES
        for comparison in entry.get(family, ())
    ]
    columns = ["dataset", "metric", "family", "a", "b", "n", "mean_difference", "ci_low", "ci_high", "p", "p_holm"]
    frame = pd.DataFrame(rows, columns=[*columns, "rank_biserial", "significant", "too_few", "conditions_on"])
    for name in ("mean_difference", "ci_low", "ci_high"):
        digits = frame["metric"].map(lambda metric: digits_of(summary, metric) + 1)
        numbers = zip(pd.to_numeric(frame[name]), digits, strict=True)
        frame[name] = [round(value, places) for value, places in numbers]
    for name in ("p", "p_holm"):
        frame[name] = [float(f"{value:.3g}") for value in pd.to_numeric(frame[name])]
    frame["rank_biserial"] = pd.to_numeric(frame["rank_biserial"]).round(3)
    return frame


def _conditions(summary: Summary, dataset: str, model: str, metric: str) -> str:
    """The condition of a test: a method that trains nothing has no network, only its lambda."""
    verdicts = verdicts_of(summary, dataset, model).get(metric)
    return "these lambdas" if verdicts and verdicts["scope"] == "fixed" else "these trained networks"


def _tests_shown(frame: pd.DataFrame) -> pd.DataFrame:
    words = [
        "n too small" if few else "yes" if significant else "no"
        for significant, few in zip(frame["significant"], frame["too_few"], strict=True)
    ]
    return frame.drop(columns=["metric", "significant", "too_few"]).assign(significant=words)


def grid_table(summary: Summary) -> pd.DataFrame:
    """One row an effect, of every metric and model whose grid is full."""
    rows = [
        {"dataset": dataset, "metric": metric, "model": model, **effect}
        for dataset, models in summary["comparisons"].items()
        for model, metrics in models.items()
        for metric, tests in metrics.items()
        for effect in _effects(tests["grid"], digits_of(summary, metric) + 1)
    ]
    columns = ["term", "similarity", "regularizer", "effect", "ci_low", "ci_high", "share"]
    return pd.DataFrame(rows, columns=["dataset", "metric", "model", *columns])


def _effects(grid: Grid, digits: int) -> Iterator[dict[str, object]]:
    """Every effect of a grid, rounded, with the share of its term; none of an empty grid."""
    shares = {row["term"]: row["share"] for row in grid.get("shares", ())}
    for effect in grid.get("effects", ()):
        numbers: dict[str, object] = {name: round(number(effect[name]), digits) for name in ESTIMATES}
        yield {**effect, **numbers, "share": round(number(shares[effect["term"]]), 3)}

"""The verdict engine on anyone's table of per-case results: parquet or CSV, from whatever program."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd

from regbench.metrics import METRICS, widest_difference
from regbench.report.comparison_entries import ComparisonEntry, Noise, NoiseCounts, Scope
from regbench.report.study_verdicts import NO_SEARCH, claim, collect, noise_of, records, scope_of
from regbench.report.summary_file import stored
from regbench.statistics import Family, Scores, judge, rank_intervals
from regbench.system.errors import UsageError, did_you_mean
from regbench.system.parquet import check_table

WIDTH = 9
Direction = Literal["higher", "lower"]


class RankedMethod(TypedDict):
    """A method with its mean and the ranks that it may hold."""

    method: str
    mean: float | None
    runs: int
    cases: int  # that its mean is over: those with a number in every training
    ranks: list[int]


class RowVerdicts(Noise):
    """The verdicts on a table of results."""

    metric: str
    direction: Direction
    equivalence: float | None
    alpha: float
    scope: Scope
    claim: str
    methods: list[RankedMethod]  # the best first
    pairs: list[ComparisonEntry]


def verdicts_of_rows(
    path: Path,
    metric: str,
    *,
    equivalence: float | None = None,
    direction: str | None = None,
    dataset: str | None = None,
    alpha: float = 0.05,
) -> RowVerdicts:
    """Judge every two methods of a table of per-case results.

    Args:
        path: parquet or CSV with one row a method, case and, where there are several trainings, `seed`. A case is named
            by `fixed` and `moving` (pairs that share a subject are then not independent) or by `case`.
        metric: the column that is judged.
        equivalence: half width of practical equivalence, in the metric's unit; without it nothing is ever equal.
        direction: `higher` or `lower`, which of the two is better; known for regbench's own metrics.
        dataset: which one, where a column `dataset` names several.
        alpha: chance that any statement is false.

    Raises:
        UsageError: if the file cannot be read, a column is missing, a row stands twice, or an argument makes no sense.
    """
    better = _direction(metric, direction)
    _check_arguments(metric, alpha, equivalence)
    rows, case = _checked(_read(path), path, metric, dataset)
    scores, subjects, design, _ = collect(rows, metric, case=case)
    noise = noise_of(list(scores.values()), subjects, design)
    pairs = judge(scores, Family(subjects, better, equivalence, alpha, design.units, unit=design.unit))
    scope, fewest = scope_of(noise["noise"], trained=True), min(len(one.runs) for one in scores.values())
    means = {name: _mean(one) for name, one in scores.items()}
    ranks = rank_intervals(list(scores), pairs)
    ordered = sorted(means, key=lambda name: _place(means[name], better))
    return {
        **noise,
        "metric": metric,
        "direction": better,
        "equivalence": equivalence,
        "alpha": alpha,
        "scope": scope,
        "claim": _claim(scope, noise["noise"], fewest),
        "methods": [
            {
                "method": name,
                "mean": stored(means[name]),
                "runs": len(scores[name].runs),
                "cases": int((~np.isnan(scores[name].values).any(axis=0)).sum()),
                "ranks": list(ranks[name]),
            }
            for name in ordered
        ],
        "pairs": records(pairs),
    }


def _check_arguments(metric: str, alpha: float, equivalence: float | None) -> None:
    if not 0 < alpha < 1:
        raise UsageError(f"--alpha must be between 0 and 1, but got {alpha:g}.")
    if equivalence is not None and not 0 < equivalence < np.inf:
        raise UsageError(f"--equivalence must be a positive number in the unit of {metric}, but got {equivalence:g}.")
    if equivalence is not None and equivalence >= widest_difference(metric):
        raise UsageError(
            f"--equivalence must be less than the whole range of {metric}, {widest_difference(metric):g}, but got "
            f"{equivalence:g}."
        )


def text(verdicts: RowVerdicts) -> str:
    """The verdicts of `verdicts_of_rows` for a terminal."""
    noise, region, count = verdicts["noise"], verdicts["equivalence"], len(verdicts["methods"])
    trainings = _trainings(noise["seeds"], min(method["runs"] for method in verdicts["methods"]))
    lines = [
        f"{verdicts['metric']}, {verdicts['direction']} is better; {count} methods, {noise['pairs']} "
        f"cases of {noise['subjects']} subjects, {trainings} each",
        verdicts["claim"],
        f"Intervals hold together at {1 - verdicts['alpha']:.0%} over {len(verdicts['pairs'])} comparisons; "
        + ("no region of equivalence was declared." if region is None else f"equal means within ±{region:g}."),
        "",
        *_ranking(verdicts["methods"], noise["pairs"]),
        "",
        *(_line(pair) for pair in verdicts["pairs"]),
        "",
        _shares(verdicts),
    ]
    return "\n".join(lines)


def _ranking(methods: Sequence[RankedMethod], cases: int) -> list[str]:
    width = max(len(entry["method"]) for entry in methods)
    lines = [f"{'method':<{width}}  {'mean':>{WIDTH}}  rank"]
    for entry in methods:
        low, high = entry["ranks"]
        mean = f"{entry['mean']:.4f}" if entry["mean"] is not None else "–"  # noqa: RUF001  no number
        lines.append(f"{entry['method']:<{width}}  {mean:>{WIDTH}}  {low if low == high else f'{low}-{high}'}")
        if entry["cases"] < cases:
            lines[-1] += f"  (mean of {entry['cases']} of {cases} cases: the others have no number)"
    return lines


def _line(pair: ComparisonEntry) -> str:
    words = {"better": "is better than", "worse": "is worse than", "equal": "equals"}
    sentence = f"{pair['a']} {words.get(pair['verdict'], 'and')} {pair['b']}"
    if pair["verdict"] == "undecided":
        sentence += ": undecided"
    if pair["low"] is None:
        return f"{sentence} ({pair['reason']})"
    sentence += f": {pair['difference']:+.4f} [{pair['low']:+.4f}, {pair['high']:+.4f}]"
    return sentence + (f"; {pair['needs']['text']} would decide" if pair["needs"] else "")


def _shares(noise: Noise) -> str:
    known = [(one, one["share"]) for one in noise["components"]["difference"]]
    parts = ", ".join(f"{one['source']} {share:.0%} (SD {one['sd']:.4f})" for one, share in known if share is not None)
    return f"Of the variance of a difference of two methods: {parts}." if parts else "Variances cannot be told."


def _trainings(most: int, fewest: int) -> str:
    return f"{most} training{'s' if most > 1 else ''}" if fewest == most else f"{fewest} to {most} trainings"


def _claim(scope: Scope, counts: NoiseCounts, fewest: int) -> str:
    """What the verdicts hold for; `fewest` are the trainings of the method with the fewest."""
    words = claim(scope, counts, fewest)
    if scope == "lambdas":
        carried = f"{_trainings(counts['seeds'], fewest)} and the test subjects"
        words = f"Claims carry {carried}; what was tuned, and how, the table does not say."
    if fewest == 1 < counts["seeds"]:
        words += " Of a method with one training nothing is claimed about trainings: it is taken as it is."
    return words


def _direction(metric: str, given: str | None) -> Direction:
    if given == "higher":
        return "higher"
    if given == "lower":
        return "lower"
    if metric in METRICS:
        return METRICS[metric].direction
    raise UsageError(f"--direction must say whether `higher` or `lower` is better: `{metric}` is none of our metrics.")


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            check_table(path)
            return pd.read_parquet(path)
        # Comma, semicolon or tab, with or without a byte-order mark, as spreadsheets write it.
        return pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"`{path}` must be a readable file, but got: {error.strerror or error}.") from error
    except (ValueError, csv.Error) as error:  # pandas' and pyarrow's own are ValueErrors
        what = str(error).partition("\n")[0]
        raise UsageError(f"`{path}` must be a table as parquet or CSV, but cannot be read: {what}.") from error


def _checked(rows: pd.DataFrame, path: Path, metric: str, dataset: str | None) -> tuple[pd.DataFrame, list[str]]:
    """The rows that are judged, and the columns that name a case."""
    known = [str(name) for name in rows.columns]
    case = ["fixed", "moving"] if {"fixed", "moving"} <= set(known) else ["case"]
    for name in ("method", metric, *case):
        if name not in known:
            more = " (or `fixed` and `moving`)" if name == "case" else ""
            raise UsageError(f"`{path}` must have a column `{name}`{more}, but has none; {did_you_mean(name, known)}")
    rows = _of_dataset(rows, path, dataset)
    for name in ("method", *case):
        if rows[name].isna().any():
            raise UsageError(
                f"`{path}`: `{name}` must be given in every row, but row {_first(rows[name].isna())} has none."
            )
    numbers = pd.to_numeric(rows[metric], errors="coerce").astype(float)
    wrong = numbers.isna() & rows[metric].notna()
    if wrong.any():
        got = rows[metric][wrong].iloc[0]
        raise UsageError(f"`{path}`: `{metric}` must hold numbers, but row {_first(wrong)} has {got!r}.")
    judged = rows[["method", *case]].astype(str).assign(**{metric: numbers})
    judged["seed"] = rows["seed"].astype(str) if "seed" in rows else "0"
    for name in ("replicate", "split"):
        judged[name] = _of_seed(rows[name], judged["seed"]) if name in rows else NO_SEARCH
    twice = judged.duplicated(["method", "seed", *case])
    if twice.any():
        row = judged[twice].iloc[0]
        named = ", ".join(f"{name} {row[name]}" for name in ("method", "seed", *case))
        raise UsageError(
            f"`{path}` must have one row a method, seed and case, but {named} stands twice. Name the trainings in "
            "`seed`, or average over structures first."
        )
    searches = judged.drop_duplicates(["seed", "replicate", "split"])
    if (several := searches["seed"].duplicated()).any():
        raise UsageError(
            f"`{path}`: a `seed` must be of one search (`replicate`, `split`), but seed "
            f"{searches['seed'][several].iloc[0]} is of several. Number the seeds through all searches."
        )
    if judged["method"].nunique() < 2:
        raise UsageError(f"`{path}` must have at least two methods to compare, but has {judged['method'].nunique()}.")
    return judged, case


def _of_seed(given: "pd.Series[Any]", seeds: "pd.Series[str]") -> "pd.Series[str]":
    """A column of searches or splits, as text; where a row has none (a baseline), what others of its seed have."""
    known = given.astype(str).where(given.notna())
    return known.fillna(known.groupby(seeds).transform("first")).fillna(str(NO_SEARCH))


def _of_dataset(rows: pd.DataFrame, path: Path, dataset: str | None) -> pd.DataFrame:
    if "dataset" not in rows:
        return rows
    known = [str(name) for name in dict.fromkeys(rows["dataset"])]
    if dataset is None and len(known) > 1:
        raise UsageError(f"`{path}` has {len(known)} datasets ({', '.join(known)}): choose one by --dataset.")
    if dataset is not None and dataset not in known:
        raise UsageError(f"--dataset must be in `{path}`, but got `{dataset}`; {did_you_mean(dataset, known)}")
    return rows if dataset is None else rows[rows["dataset"].astype(str) == dataset]


def _first(wrong: "pd.Series[bool]") -> int:
    """Number of the first such row, from 1, the head not counted."""
    return int(np.flatnonzero(wrong.to_numpy())[0]) + 1


def _mean(one: Scores) -> float:
    known = one.values[:, ~np.isnan(one.values).any(axis=0)]
    return float(known.mean()) if known.size else float("nan")


def _place(mean: float, better: str) -> tuple[bool, float]:
    return np.isnan(mean), -mean if better == "higher" else mean

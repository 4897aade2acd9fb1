"""Tables on lambda: how flat its curves are, what a borrowed one costs, what other rules would have chosen."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from published_studies import Curve, Published, chosen, curves, read_off
from scipy import stats

FOLDED = 0.1  # percent of NDV: a limit that one of the other rules has
Rule = Callable[[pd.DataFrame, float], float]  # the trials of a search and the region: a lambda


def width(logs: NDArray[np.float64], dice: NDArray[np.float64], region: float) -> float:
    """Decades of lambda around the best in which the curve stays within the region of it."""
    best = int(np.argmax(dice))
    inside = dice >= dice[best] - region
    first, last = best, best
    while first > 0 and inside[first - 1]:
        first -= 1
    while last < len(dice) - 1 and inside[last + 1]:
        last += 1
    return float(logs[last] - logs[first])


def flatness(studies: list[Published]) -> pd.DataFrame:
    """How wide the range of lambda is that costs no more Dice than what does not matter."""
    lines = []
    for study in studies:
        for model in study.models:
            widths, tenfold = {}, []
            for cell, (logs, dice) in curves(study, model).items():
                widths[cell] = width(logs, dice, study.region)
                best = int(np.argmax(dice))
                away = np.abs(np.abs(logs - logs[best]) - 1) < (logs[1] - logs[0])
                tenfold.append(float(dice[best] - dice[away].min()) if away.any() else np.nan)
            low, high = min(widths, key=widths.__getitem__), max(widths, key=widths.__getitem__)
            lines.append({
                "study": study.name, "model": model, "equal within": study.region,
                "decades of lambda, median": f"{np.median(list(widths.values())):.1f}",
                "narrowest": f"{low.partition('.')[2]} {widths[low]:.1f}",
                "widest": f"{high.partition('.')[2]} {widths[high]:.1f}",
                "lost by a tenfold lambda, median": f"{np.nanmedian(tenfold):.4f}",
            })  # fmt: skip
    return pd.DataFrame(lines)


def borrowed(studies: list[Published]) -> pd.DataFrame:
    """Validation Dice between similarities where each is tuned, and where one has the lambda of the other."""
    lines = []
    for study, model in ((s, m) for s in studies for m in s.models):
        known = curves(study, model)
        for a, b in combinations(dict.fromkeys(study.cells(model)["similarity"]), 2):
            own_a, own_b = _with_lambda_of(study, known, a, a), _with_lambda_of(study, known, b, b)
            lines.append({
                "study": study.name, "model": model, "": f"{a} minus {b}",
                "each with its own lambda": f"{own_a - own_b:+.3f}",
                "both with that of the first": f"{own_a - _with_lambda_of(study, known, b, a):+.3f}",
                "both with that of the second": f"{_with_lambda_of(study, known, a, b) - own_b:+.3f}",
            })  # fmt: skip
    return pd.DataFrame(lines)


def _with_lambda_of(study: Published, known: dict[str, Curve], similarity: str, owner: str) -> float:
    """Mean validation Dice over the regularizers, each with the lambdas that it has beside another similarity."""
    scores = []
    for cell, at in known.items():
        model, name, regularizer = cell.split(".")
        if name == similarity:
            scores.append(read_off(at, chosen(study, f"{model}.{owner}.{regularizer}")))
    return float(np.mean(scores))


def rules(studies: list[Published]) -> pd.DataFrame:
    """What other rules would have chosen from the same trials, and what order of cells they give."""
    lines = []
    for study, model in ((s, m) for s in studies for m in s.models):
        known = curves(study, model)
        own = {cell: chosen(study, cell) for cell in known}
        score = {cell: read_off(at, own[cell]) for cell, at in known.items()}
        for words, rule in RULES.items():
            other = {cell: _by_rule(study, cell, rule) for cell in known}
            then = {cell: read_off(at, other[cell]) for cell, at in known.items()}
            factors = np.concatenate([np.log10(other[cell] / own[cell]) for cell in known])
            lost = {cell: score[cell] - then[cell] for cell in known}
            worst = max(lost, key=lost.__getitem__)
            tau = stats.kendalltau(list(score.values()), list(then.values())).statistic
            lines.append({
                "study": study.name, "model": model, "rule": words,
                "factor of lambda, median": f"{10 ** np.median(factors):.1f}",
                "Dice lost, median": f"{np.median(list(lost.values())):+.4f}",
                "most": f"{worst.partition('.')[2]} {lost[worst]:+.4f}", "Kendall's tau of cells": f"{tau:+.2f}",
            })  # fmt: skip
    return pd.DataFrame(lines)


def _by_rule(study: Published, cell: str, rule: Rule) -> pd.Series:
    """What a rule takes from each search of a cell."""
    trials = study.trials[(study.trials["method"] == cell) & np.isfinite(study.trials["dice"])]
    return pd.Series({replicate: rule(search, study.region) for replicate, search in trials.groupby("replicate")})


def best_trial(search: pd.DataFrame, region: float) -> float:
    """The lambda of the highest single trial."""
    return float(search.loc[search["dice"].idxmax(), "lam"])


def most_regular(search: pd.DataFrame, region: float) -> float:
    """The largest lambda whose trial is equal to the best one."""
    return float(search.loc[search["dice"] >= search["dice"].max() - region, "lam"].max())


def hardly_folded(search: pd.DataFrame, region: float) -> float:
    """The lambda of the highest trial with little folding; where all fold, that of the least."""
    least = max(FOLDED, search["ndv_percent"].min())
    return best_trial(search[search["ndv_percent"] <= least], region)


RULES: dict[str, Rule] = {
    # of the same trials, one search at a time; the study takes the highest place of the smoothed curve
    "the best trial, not smoothed": best_trial,
    f"the best trial with NDV at most {FOLDED} %": hardly_folded,
    "the most regular trial that is equal to the best": most_regular,
}

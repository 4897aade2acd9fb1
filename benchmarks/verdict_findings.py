"""Tables on verdicts: what was decided, what others would have claimed, what other metrics and studies say."""

from itertools import combinations

import numpy as np
import pandas as pd
from published_studies import Published, by_pair, claims
from scipy import stats

from regbench.statistics import holm

ALPHA = 0.05
COMPARED = {
    "similarity": "similarity over the grid",
    "regularizer": "regularizer over the grid",
    "pairs": "pairs of cells",
}
OTHER_METRICS = ("dice30", "hd95_mm_mean", "assd_mm_mean", "nsd_mean", "ndv_percent_mean")
LOWER_IS_BETTER = ("hd95_mm_mean", "assd_mm_mean", "ndv_percent_mean")


def counts(studies: list[Published]) -> pd.DataFrame:
    """How many comparisons of Dice were decided."""
    lines = []
    for study in studies:
        for model in study.models:
            for family, words in COMPARED.items():
                verdicts = pd.Series([verdict for verdict, _ in claims(study, model, family).values()], dtype=str)
                lines.append({
                    "study": study.name, "model": model,
                    "compared": words, "all": len(verdicts),
                    "one is better": int(verdicts.isin(["better", "worse"]).sum()),
                    "equal": int((verdicts == "equal").sum()), "undecided": int((verdicts == "undecided").sum()),
                })  # fmt: skip
    return pd.DataFrame(lines)


def differences(studies: list[Published]) -> pd.DataFrame:
    """What similarity and regularizer change, with intervals that hold together."""
    lines = []
    for study in studies:
        chosen = study.verdicts[study.verdicts["family"].isin(["similarity", "regularizer"])]
        chosen = chosen[chosen["model"].isin(study.models)]
        for row in chosen.itertuples(index=False):
            lines.append({
                "study": study.name, "model": row.model, "": f"{row.a} against {row.b}", "verdict": row.verdict,
                "Dice": f"{row.difference:+.4f}", "interval": f"{row.low:+.4f} to {row.high:+.4f}",
            })  # fmt: skip
    return pd.DataFrame(lines)


def usual_tests(scores: pd.DataFrame) -> dict[tuple[str, str], tuple[str, float]]:
    """Wilcoxon's test of each pair of cells over image pairs, as most papers have it: who is better, and p."""
    found = {}
    for a, b in combinations(sorted(scores), 2):
        change = (scores[a] - scores[b]).dropna()
        p = float(stats.wilcoxon(change).pvalue) if (change != 0).any() else 1.0
        found[a, b] = ("better" if change.mean() > 0 else "worse"), p
    return found


def usual_claims(scores: pd.DataFrame, *, corrected: bool) -> dict[tuple[str, str], str]:
    """Who is better in each pair of cells that the usual tests call different."""
    tests = usual_tests(scores)
    p = np.array([value for _, value in tests.values()])
    significant = (holm(p) if corrected else p) < ALPHA
    return {pair: verdict for (pair, (verdict, _)), claimed in zip(tests.items(), significant, strict=True) if claimed}


def one_seed(studies: list[Published]) -> pd.DataFrame:
    """What one training of each cell, tested over its image pairs, would have said of what the study says."""
    heads = {
        "confirmed": "the study agrees",
        "equal": "the study: equal",
        "undecided": "the study: undecided",
        "contradicted": "the study: the other one",
    }
    lines = []
    for study, model, corrected in ((s, m, c) for s in studies for m in s.models for c in (False, True)):
        known = claims(study, model)
        answers = [_answers(scores, known, corrected=corrected) for _, scores in by_pair(study, model).groupby("seed")]
        line = {
            "study": study.name,
            "model": model,
            "p": "Holm's" if corrected else "as it is",
            "pairs of cells": str(len(known)),
            "called different": f"{np.mean([len(each) for each in answers]):.1f}",
        }
        lines.append(line | {h: f"{np.mean([each.count(name) for each in answers]):.1f}" for name, h in heads.items()})
    return pd.DataFrame(lines)


def _answers(scores: pd.DataFrame, known: dict[tuple[str, str], tuple[str, float]], *, corrected: bool) -> list[str]:
    """What the study answers to each claim of the usual tests."""
    answers = []
    for pair, verdict in usual_claims(scores, corrected=corrected).items():
        if pair in known:
            answer = known[pair][0]
            decided = "confirmed" if answer == verdict else "contradicted"
            answers.append(answer if answer in ("equal", "undecided") else decided)
    return answers


def winners(studies: list[Published]) -> pd.DataFrame:
    """Which cell one training of each cell, or half of the test pairs, would have called the best."""
    lines = []
    for study in studies:
        for model in study.models:
            scores = by_pair(study, model)
            whole = scores.groupby(["fixed", "moving"]).mean().mean()
            seeds = [scores.xs(seed).mean().idxmax() for seed in scores.index.unique("seed")]
            pairs = scores.groupby(["fixed", "moving"]).mean()
            random = np.random.default_rng(0)
            halves = [
                pairs.iloc[random.permutation(len(pairs))[: len(pairs) // 2]].mean().idxmax() for _ in range(1000)
            ]
            lines.append({
                "study": study.name, "model": model, "best mean": str(whole.idxmax()).partition(".")[2],
                "best of each seed": ", ".join(dict.fromkeys(name.partition(".")[2] for name in seeds)),
                "half of the pairs: another best": f"{np.mean([name != whole.idxmax() for name in halves]):.0%}",
            })  # fmt: skip
    return pd.DataFrame(lines)


def orders(studies: list[Published]) -> pd.DataFrame:
    """How the order of a model's cells by Dice agrees with that by other metrics."""
    lines = []
    for study in studies:
        for model in study.models:
            cells = study.cells(model)
            line: dict[str, object] = {"study": study.name, "model": model}
            for metric in OTHER_METRICS:
                if metric in cells and cells[metric].notna().all() and cells[metric].nunique() > 1:
                    sign = -1 if metric in LOWER_IS_BETTER else 1
                    tau = stats.kendalltau(cells["dice_mean"], sign * cells[metric]).statistic
                    line[metric.removesuffix("_mean")] = f"{tau:+.2f}"
            lines.append(line)
    return pd.DataFrame(lines).fillna("")


def regularity(studies: list[Published]) -> pd.DataFrame:
    """How the order of a model's cells changes where they are compared at equal regularity."""
    lines = []
    for study, model in ((s, m) for s in studies for m in s.models):
        cells = study.cells(model)
        if "matched_score" not in cells or cells["matched_score"].notna().sum() < 2:
            continue
        known = cells[cells["matched_score"].notna()].set_index("method")
        tau = stats.kendalltau(known["dice_mean"], known["matched_score"]).statistic
        lines.append({
            "study": study.name, "model": model, "cells": len(known),
            "level": f"{known['matched_regularity'].iloc[0]} {known['matched_level'].iloc[0]:g}",
            "best as tuned": str(known["dice_mean"].idxmax()).partition(".")[2],
            "best at the level": str(known["matched_score"].idxmax()).partition(".")[2],
            "Kendall's tau": f"{tau:+.2f}",
        })  # fmt: skip
    return pd.DataFrame(lines)


def stains(studies: list[Published]) -> pd.DataFrame:
    """Mean TRE of each cell at a lambda from elsewhere and at multiples of it, whose ids end with `_x10` or `_x100`."""
    lines = []
    for study in studies:
        before = study.main.loc[study.main["method"] == "identity", "tre_mm_mean"].iloc[0]
        for model in study.models:
            cells = study.cells(model)
            parts = cells["regularizer"].str.extract(r"^(?P<name>.+?)(?:_x(?P<factor>\d+))?$")
            table = cells.assign(name=parts["name"], factor=parts["factor"].fillna("1").astype(int))
            for (similarity, regularizer), of_cell in table.groupby(["similarity", "name"], sort=False):
                errors = of_cell.set_index("factor")["tre_mm_mean"].sort_index()
                lines.append({
                    "study": study.name, "cell": f"{similarity}.{regularizer}", "before": f"{before:.2f}",
                    **{f"lambda x {factor}": f"{error:.2f}" for factor, error in errors.items()},
                })  # fmt: skip
    return pd.DataFrame(lines)


def predictions(studies: list[Published]) -> pd.DataFrame:
    """Whether `instance`, which trains nothing, says of the losses what the networks say."""
    lines = []
    for study in studies:
        for model in study.models:
            if model == "instance" or "instance" not in study.models:
                continue
            tau = tau_of(means_of(study, model), means_of(study, "instance"))
            for family in ("similarity", "regularizer"):
                ours, theirs = claims(study, model, family), claims(study, "instance", family)
                both = [(ours[pair][0], theirs[pair][0]) for pair in ours if pair in theirs]
                decided = [(one, two) for one, two in both if "undecided" not in (one, two)]
                lines.append({
                    "study": study.name, "network": model, "Kendall's tau of cells": tau,
                    "verdicts on": family, "both decide": len(decided), "the same": sum(a == b for a, b in decided),
                    "contradicted": sum({a, b} == {"better", "worse"} for a, b in decided),
                    "of": len(both),
                })  # fmt: skip
    return pd.DataFrame(lines)


def tau_of(first: dict[str, float], second: dict[str, float]) -> str:
    """Kendall's tau of the cells that both have."""
    common = [name for name in first if name in second]
    return f"{stats.kendalltau([first[name] for name in common], [second[name] for name in common]).statistic:+.2f}"


def means_of(study: Published, model: str) -> dict[str, float]:
    cells = study.cells(model)
    names = cells["similarity"] + "." + cells["regularizer"]
    return dict(zip(names, cells["dice_mean"], strict=True))

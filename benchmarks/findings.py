"""The tables and figures of docs/findings.md, from the published studies of results/reference/.

    python benchmarks/findings.py [--reference FOLDER] [--page FILE] [--figures FOLDER] [--check]

Reads tables, rows and trials of the published folders, and nothing else: anybody gets the same bytes. Each table stands
in the page between `<!-- table: NAME -->` and `<!-- end -->`, and is replaced there; `--check` only says which differ.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from regbench.statistics import holm
from regbench.tuning.smoothing import smooth

ROOT = Path(__file__).parent.parent
AGAIN = "_again"  # the name of a repetition: `quick_again` of `quick`
ALPHA = 0.05
FOLDED = 0.1  # percent of NDV: a limit that one of the other rules has
COMPARED = {
    "similarity": "similarity over the grid",
    "regularizer": "regularizer over the grid",
    "pairs": "pairs of cells",
}
OTHER_METRICS = ("dice30", "hd95_mm_mean", "assd_mm_mean", "nsd_mean", "ndv_percent_mean")
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
LOWER_IS_BETTER = ("hd95_mm_mean", "assd_mm_mean", "ndv_percent_mean")


Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # decimal logarithms of lambda, smoothed Dice
Rule = Callable[[pd.DataFrame, float], float]  # the trials of a search and the region: a lambda


class Published(NamedTuple):
    """What is read of a published study."""

    name: str
    rows: pd.DataFrame  # one per pair, method and seed
    main: pd.DataFrame
    verdicts: pd.DataFrame
    trials: pd.DataFrame
    region: float  # of Dice: two methods within it are equal

    def cells(self, model: str) -> pd.DataFrame:
        """The rows of the main table that are cells of a model."""
        return self.main[(self.main["model"] == model) & self.main["regularizer"].notna()]

    @property
    def of_labels(self) -> bool:
        """Whether it is judged by Dice; a study of landmarks is not."""
        return "dice_mean" in self.main

    @property
    def models(self) -> list[str]:
        """Those with more than one cell."""
        counted = self.main[self.main["regularizer"].notna()].groupby("model", sort=False).size()
        return [str(name) for name, count in counted.items() if count > 1]


def read(folder: Path) -> Published:
    """A published study."""
    verdicts = pd.read_csv(folder / "tables/verdicts.csv")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Published(
        folder.name,
        pd.read_parquet(folder / "analysis/rows.parquet"),
        pd.read_csv(folder / "tables/main.csv"),
        verdicts[verdicts["metric"] == "dice"],
        trials(folder / "records.jsonl"),
        float((config.get("equivalence") or {}).get("dice", 0.0)),
    )


def trials(records: Path) -> pd.DataFrame:
    """Every trial of every search, with its scores; `chosen` where its lambda is what the search chose."""
    tried, chosen_by = [], {}
    for line in records.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        stage, *place, name = record["file"].split("/")
        if stage != "tuning":
            continue
        search = place[1], int(place[2].removeprefix("replicate"))
        if name == "selected.json":
            chosen_by[search] = record["content"]["lam"]
        elif name.startswith("trials"):
            tried += [(*search, one["number"], one["lam"], one["scores"]) for one in record["content"]]
    return pd.DataFrame([
        {"method": method, "replicate": replicate, "number": number, "lam": lam, "dice": scores.get("dice"),
         "ndv_percent": scores.get("ndv_percent"), "chosen": lam == chosen_by.get((method, replicate))}
        for method, replicate, number, lam, scores in sorted(tried, key=lambda one: one[:3])
    ])  # fmt: skip


def claims(study: Published, model: str, family: str = "pairs") -> dict[tuple[str, str], tuple[str, float]]:
    """Each compared pair in alphabetical order: the verdict on its first, and its difference."""
    chosen = study.verdicts[(study.verdicts["model"] == model) & (study.verdicts["family"] == family)]
    turned = {"better": "worse", "worse": "better"}
    found = {}
    for a, b, verdict, difference in chosen[["a", "b", "verdict", "difference"]].itertuples(index=False):
        if a < b:
            found[a, b] = verdict, difference
        else:
            found[b, a] = turned.get(verdict, verdict), -difference
    return found


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


def curve(trials: pd.DataFrame) -> Curve:
    """Decimal logarithms of lambda over what was tried, and the smoothed validation Dice there."""
    known = trials[np.isfinite(trials["dice"]) & (trials["lam"] > 0)]
    logs = np.log10(known["lam"].to_numpy())
    low, high = logs.min(), logs.max()
    places = np.linspace(0, 1, 201)
    smoothed = smooth(((logs - low) / (high - low))[:, None], known["dice"].to_numpy(), at=places[:, None])
    return low + places * (high - low), smoothed.mean


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


def curves(study: Published, model: str) -> dict[str, Curve]:
    """The smoothed curve of each cell of a model."""
    cells = study.cells(model)["method"]
    return {cell: curve(study.trials[study.trials["method"] == cell]) for cell in cells}


def read_off(at: Curve, lambdas: Iterable[float]) -> float:
    """Mean validation Dice of a curve at some lambdas; beyond what was tried, that of its end."""
    logs, dice = at
    return float(np.mean(np.interp(np.log10(list(lambdas)), logs, dice)))


def chosen(study: Published, cell: str) -> pd.Series:
    """The lambda of each search of a cell."""
    trials = study.trials[(study.trials["method"] == cell) & study.trials["chosen"]]
    return trials.drop_duplicates("replicate").set_index("replicate")["lam"]


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


def by_pair(study: Published, model: str) -> pd.DataFrame:
    """Dice with one row per run and pair, one column per cell."""
    cells = list(study.cells(model)["method"])
    rows = study.rows[study.rows["method"].isin(cells)]
    return rows.pivot_table(index=["seed", "fixed", "moving"], columns="method", values="dice")[cells]


def usual_tests(scores: pd.DataFrame) -> dict[tuple[str, str], tuple[str, float]]:
    """Wilcoxon's test of each pair of cells over image pairs, as most papers have it: who is better, and p."""
    found = {}
    for a, b in combinations(sorted(scores), 2):
        change = (scores[a] - scores[b]).dropna()
        p = float(stats.wilcoxon(change).pvalue) if (change != 0).any() else 1.0
        found[a, b] = ("better" if change.mean() > 0 else "worse"), p
    return found


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
    found = usual_tests(scores)
    p = np.array([value for _, value in found.values()])
    significant = (holm(p) if corrected else p) < ALPHA
    answers = []
    for (pair, (verdict, _)), is_claim in zip(found.items(), significant, strict=True):
        if is_claim and pair in known:
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
            network, alone = (_means(study, name) for name in (model, "instance"))
            common = [name for name in network if name in alone]
            tau = stats.kendalltau([network[name] for name in common], [alone[name] for name in common]).statistic
            for family in ("similarity", "regularizer"):
                ours, theirs = claims(study, model, family), claims(study, "instance", family)
                both = [(ours[pair][0], theirs[pair][0]) for pair in ours if pair in theirs]
                decided = [(one, two) for one, two in both if "undecided" not in (one, two)]
                lines.append({
                    "study": study.name, "network": model, "Kendall's tau of cells": f"{tau:+.2f}",
                    "verdicts on": family, "both decide": len(decided), "the same": sum(a == b for a, b in decided),
                    "contradicted": sum({a, b} == {"better", "worse"} for a, b in decided),
                    "of": len(both),
                })  # fmt: skip
    return pd.DataFrame(lines)


def _means(study: Published, model: str) -> dict[str, float]:
    cells = study.cells(model)
    names = cells["similarity"] + "." + cells["regularizer"]
    return dict(zip(names, cells["dice_mean"], strict=True))


def agreement(studies: list[Published]) -> pd.DataFrame:
    """The verdicts of a study in its repetition with other seeds of trainings and searches."""
    known = {study.name: study for study in studies}
    lines = []
    for study in studies:
        again = known.get(study.name + AGAIN)
        for model in study.models if again else []:
            assert again is not None
            for family, words in COMPARED.items():
                first, second = claims(study, model, family), claims(again, model, family)
                both = [(first[pair][0], second[pair][0]) for pair in first if pair in second]
                decided = [(a, b) for a, b in both if a != "undecided"]
                lines.append({
                    "study": study.name, "model": model,
                    "compared": words,
                    "decided first": len(decided), "confirmed": sum(a == b for a, b in decided),
                    "then undecided": sum(b == "undecided" for _, b in decided),
                    "contradicted": sum(b not in (a, "undecided") for a, b in decided),
                    "decided then only": sum(a == "undecided" != b for a, b in both), "of": len(both),
                })  # fmt: skip
    return pd.DataFrame(lines)


RULES: dict[str, Rule] = {
    # of the same trials, one search at a time; the study takes the highest place of the smoothed curve
    "the best trial, not smoothed": best_trial,
    f"the best trial with NDV at most {FOLDED} %": hardly_folded,
    "the most regular trial that is equal to the best": most_regular,
}

OF_LANDMARKS = {"stains": stains}
TABLES = {
    "counts": counts,
    "differences": differences,
    "flatness": flatness,
    "borrowed": borrowed,
    "rules": rules,
    "one seed": one_seed,
    "winners": winners,
    "orders": orders,
    "regularity": regularity,
    "predictions": predictions,
    "agreement": agreement,
}


def markdown(table: pd.DataFrame) -> str:
    """Rows of a table; a sentence where there is none."""
    if table.empty:
        return "No published study has it."
    lines = [list(table), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(text: str, studies: list[Published]) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: if the page names a table that is none of `TABLES`.
    """

    def anew(found: re.Match[str]) -> str:
        name = found[1]
        tables = OF_LANDMARKS if name in OF_LANDMARKS else TABLES
        if name not in tables:
            raise ValueError(f"the page must name a table of {', '.join(TABLES | OF_LANDMARKS)}, but got `{name}`")
        chosen = [study for study in studies if study.of_labels == (tables is TABLES)]
        return f"<!-- table: {name} -->\n\n{markdown(tables[name](chosen))}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([^>]+?) -->.*?<!-- end -->", anew, text, flags=re.DOTALL)


def figures(studies: list[Published]) -> Iterator[tuple[str, mpl.figure.Figure]]:
    """Pictures of lambda, of `instance` beside the networks, and of the repetitions."""
    studies = [study for study in studies if study.of_labels]
    for study in [study for study in studies if not study.name.endswith(AGAIN)]:
        figure, axes = plt.subplots(1, len(study.models), figsize=(4.5 * len(study.models), 3.4), squeeze=False)
        for axis, model in zip(axes[0], study.models, strict=True):
            for logs, dice in curves(study, model).values():
                best = int(np.argmax(dice))
                axis.plot(logs - logs[best], dice - dice[best], color="#4477aa", alpha=0.5, linewidth=1)
            axis.axhspan(-study.region, 0, color="#ccbb44", alpha=0.3, linewidth=0)
            axis.set(title=model, xlabel="decades of lambda from the best", xlim=(-3, 3), ylim=(-0.05, 0.005))
        axes[0][0].set_ylabel("validation Dice below the best")
        yield f"findings_lambda_{study.name}", figure
        if len(study.models) > 1 and "instance" in study.models:
            network = next(model for model in study.models if model != "instance")
            figure, axis = plt.subplots(figsize=(4.6, 4.2))
            ours, theirs = _means(study, network), _means(study, "instance")
            parts = {name: name.split(".") for name in ours if name in theirs}
            marks = dict(zip(dict.fromkeys(regularizer for _, regularizer in parts.values()), "os^Dv<>", strict=False))
            colours = dict(zip(dict.fromkeys(similarity for similarity, _ in parts.values()), COLOURS, strict=False))
            for name, (similarity, regularizer) in parts.items():
                mark, colour = marks[regularizer], colours[similarity]
                axis.plot(theirs[name], ours[name], mark, color=colour, markersize=5, label=name, linestyle="none")
            axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
            axis.set(xlabel="mean Dice, instance", ylabel=f"mean Dice, {network}", title=study.name)
            yield f"findings_instance_{study.name}", figure
    known = {study.name: study for study in studies}
    for study in [study for study in studies if study.name + AGAIN in known]:
        figure, axes = plt.subplots(1, len(study.models), figsize=(4.2 * len(study.models), 4), squeeze=False)
        colours = {"better": "#228833", "worse": "#228833", "equal": "#4477aa", "undecided": "#bbbbbb"}
        for axis, model in zip(axes[0], study.models, strict=True):
            first, second = (claims(one, model) for one in (study, known[study.name + AGAIN]))
            for verdict in ("undecided", "equal", "better", "worse"):
                pairs = [pair for pair in first if pair in second and first[pair][0] == verdict]
                places = [first[pair][1] for pair in pairs], [second[pair][1] for pair in pairs]
                axis.plot(*places, "o", color=colours[verdict], markersize=3)
            limits = axis.get_xlim()
            axis.plot(limits, limits, color="black", linewidth=0.5)
            axis.set(title=model, xlabel="difference of Dice, first", ylabel="difference of Dice, again")
        yield f"findings_again_{study.name}", figure


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reference", type=Path, default=ROOT / "results/reference")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/findings.md")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs/figures")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 where the tables of the page differ"
    )
    options = parser.parse_args()
    studies = [read(path.parent.parent) for path in sorted(options.reference.glob("*/tables/verdicts.csv"))]
    if not studies:
        sys.exit(f"`{options.reference}` must hold published studies, but holds none; `regbench publish` makes one.")
    before = options.page.read_text(encoding="utf-8")
    after = with_tables(before, studies)
    if options.check:
        print(
            "the tables are those of the studies" if after == before else f"`{options.page}` differs from the studies"
        )
        return int(after != before)
    options.page.write_text(after, encoding="utf-8")
    mpl.use("Agg")
    for name, figure in figures(studies):
        figure.savefig(options.figures / f"{name}.png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        plt.close(figure)
        print(options.figures / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How often are studies in looks wrong, what do they save, and what do they lose against all seeds at once?

    python benchmarks/looks.py --studies 100    # docs/looks_simulated.csv, looks_rules.csv and looks_best.csv

Made-up studies with a known truth, as those of `benchmarks/verdicts.py`. Each is judged once with all its seeds
(*fixed*) and in looks. *False*: a family (all pairs of methods) with a wrong claim: better or worse of methods that do
not differ so, or equal of methods that differ by the whole region. *Decided*: pairs a study that are better, worse or
equal. *Same cost*: a fixed study with as many trainings as the looks used on average, rounded up to a whole seed.
*Beaten*: methods a study that another is better than, where looks spend seeds on the best methods alone.
"""

import argparse
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from math import ceil
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from verdicts import APART, REGION, Setting, draw

from regbench.statistics import Comparison, Family, Looks, Pair, Scores, having, judge, look
from regbench.statistics.looks import LEAST_CHANCE, SPENDING

DOCS = Path(__file__).parent.parent / "docs"
SIZES = ((4, 8, 8, 30), (12, 8, 24, 36))  # methods, most seeds, subjects, pairs
SPREAD = 0.015  # SD of the means of methods that differ as those of a grid do
RULES = ((1.0, 0.1), (2.0, 0.1), (3.0, 0.0), (3.0, 0.05), (3.0, 0.1), (3.0, 0.2))  # spending, least chance
Verdicts = Mapping[Pair, Comparison]


class Task(NamedTuple):
    """Studies of one kind, all of one truth."""

    setting: Setting
    truth: str
    rules: tuple[tuple[float, float], ...]
    studies: int
    best: bool = False  # `looks.find: best`


def tasks(studies: int, *, rules: bool) -> Iterator[Task]:
    """Noise, cells and truths; where several rules are compared, cells alike and unlike with normal tails alone."""
    tails = ("normal",) if rules else ("normal", "heavy", "skewed")
    truths = ("null", "apart", "spread") if rules else ("null", "region", "apart", "spread")
    of_rules = RULES if rules else ((SPENDING, LEAST_CHANCE),)
    for noise, cells, tail in product(("networks", "calmer"), ("unequal",) if rules else ("equal", "unequal"), tails):
        for size, truth in product(SIZES[1:] if rules else SIZES, truths):
            if tail == "normal" or truth in ("null", "region"):
                yield Task(Setting(noise, cells, tail, *size), truth, of_rules, studies)


def best_tasks(studies: int) -> Iterator[Task]:
    """Seeds that are spent on the best methods alone."""
    for noise, size, truth in product(("networks", "calmer"), SIZES, ("null", "apart", "spread")):
        setting = Setting(noise, "unequal", "normal", *size)
        yield Task(setting, truth, ((SPENDING, LEAST_CHANCE),), studies, best=True)


def means_of(truth: str, methods: int) -> np.ndarray:
    """The means of the methods."""
    if truth == "spread":
        return np.random.default_rng(5).normal(0, SPREAD, methods)
    return {"null": 0.0, "region": REGION, "apart": APART * REGION}[truth] * (np.arange(methods) % 2)


def in_looks(
    scores: Mapping[str, Scores], family: Family, looks: Looks
) -> tuple[dict[tuple[str, str], Comparison], int]:
    """The last comparison of each pair, and the trainings."""
    open_pairs, ended, runs = (
        list(combinations(scores, 2)),
        dict[tuple[str, str], Comparison](),
        dict.fromkeys(scores, 0),
    )
    for number, count in enumerate(looks.counts):
        runs |= {name: count for pair in open_pairs for name in pair}
        known = {name: having(one, range(runs[name])) for name, one in scores.items()}
        outcomes = look(known, family, looks, number, open_pairs)
        ended |= {pair: outcome.comparison for pair, outcome in outcomes.items()}
        open_pairs = [pair for pair, outcome in outcomes.items() if outcome.goes_on]
        if not open_pairs:
            break
    return ended, sum(runs.values())


def wrong(verdicts: Verdicts, means: np.ndarray) -> bool:
    """Whether any claim is false."""
    for (a, b), one in verdicts.items():
        difference = means[int(a)] - means[int(b)]
        signs = {"better": difference <= 0, "worse": difference >= 0, "equal": abs(difference) > REGION - 1e-12}
        if signs.get(one.verdict, False):
            return True
    return False


def decided(verdicts: Verdicts) -> int:
    """How many pairs have a claim."""
    return sum(one.verdict != "undecided" for one in verdicts.values())


def beaten(verdicts: Verdicts) -> int:
    """How many methods another is better than."""
    judged = verdicts.values()
    return len(
        {one.b for one in judged if one.verdict == "better"} | {one.a for one in judged if one.verdict == "worse"}
    )


def fixed(scores: Mapping[str, Scores], family: Family, seeds: int) -> dict[Pair, Comparison]:
    """The verdicts of a study that has so many seeds at once."""
    known = {name: having(one, range(seeds)) for name, one in scores.items()}
    return {(one.a, one.b): one for one in judge(known, family)}


def simulate(task: Task) -> list[dict[str, Any]]:
    """Rates of each rule over many studies."""
    setting, most = task.setting, task.setting.seeds
    counts = list(range(2, most + 1, 2))
    plans = {rule: Looks([range(count) for count in counts], counts, *rule, task.best) for rule in task.rules}
    means = means_of(task.truth, setting.methods)
    made = []
    for study in range(task.studies):
        random = np.random.default_rng([study, *(ord(letter) for letter in "".join(map(str, (*setting, task.truth))))])
        scores, pairs = draw(random, setting, means)
        made.append((scores, Family(pairs, region=REGION)))
    at_once = [fixed(scores, family, most) for scores, family in made]
    rows = []
    for (spending, least), plan in plans.items():
        looked = [in_looks(scores, family, plan) for scores, family in made]
        trainings = float(np.mean([used for _, used in looked]))
        alike = [fixed(scores, family, max(ceil(trainings / setting.methods), 2)) for scores, family in made]
        rows.append(
            setting._asdict() | {"truth": task.truth, "spending": spending, "least_chance": least}
            | {
                "false_fixed": float(np.mean([wrong(one, means) for one in at_once])),
                "false_looks": float(np.mean([wrong(one, means) for one, _ in looked])),
                "decided_fixed": float(np.mean([decided(one) for one in at_once])),
                "decided_looks": float(np.mean([decided(one) for one, _ in looked])),
                "decided_same_cost": float(np.mean([decided(one) for one in alike])),
                "trainings": trainings / (setting.methods * most),
            } | {
                f"beaten_{name}": float(np.mean([beaten(one) for one in of]))
                for name, of in (("fixed", at_once), ("looks", [one for one, _ in looked]), ("same_cost", alike))
                if task.best
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Print and write the rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=100, help="made-up studies a setting")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="tables: looks_simulated, looks_rules, looks_best; all without it")
    options = parser.parse_args()
    tables = {
        "looks_simulated": tasks(options.studies, rules=False),
        "looks_rules": tasks(options.studies, rules=True),
        "looks_best": best_tasks(options.studies),
    }
    with Pool(options.processes) as pool:
        for name in options.only or tables:
            rows = pool.map(simulate, list(tables[name]), chunksize=1)
            frame = pd.DataFrame([row for of_task in rows for row in of_task]).round(3)
            frame.to_csv(DOCS / f"{name}.csv", index=False, lineterminator="\n")
            print(frame.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()

"""How often are verdicts wrong, and how often do they decide? On made-up studies, and on repetitions of a real one.

    python benchmarks/verdicts.py --studies 400            # simulation; docs/verdicts_simulated.csv
    python benchmarks/verdicts.py --folds --studies 400    # pooled folds; docs/verdicts_folds_simulated.csv
    python benchmarks/verdicts.py --rows A.parquet B.parquet ...  # claims of one study held against another's

A made-up study has the noise that was measured on the networks of `configs/quick.yaml`: what a pair does to all
methods, what a subject and a pair do to one method, what a seed does to all cells alike and to one cell. *False
better/worse*: a family (all pairs of methods) with such a claim though no two methods differ. *False equal*: a family
that calls two methods equal that differ by the whole region. *Decided*: the share of pairs, three regions apart, that
are told apart. In studies of pooled folds each fold has trainings of its own, and each training subject adds its part
to what a training set does to a method: folds that share subjects share these parts.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regbench.report.study_verdicts import collect
from regbench.statistics import Family, Folds, Scores, judge

ROOT = Path(__file__).parent
DOCS = ROOT.parent / "docs"
REGION = 0.005
APART = 3  # regions between methods that should be told apart
# SD of Dice: by seed alike for all cells, by cell and seed, by subject and method, by pair and method, what is left.
NETWORKS = {"seed": 0.017, "cell": 0.012, "subject": 0.006, "pair": 0.008, "rest": 0.004}
CALMER = NETWORKS | {"cell": 0.003, "subject": 0.004, "pair": 0.006, "rest": 0.003}


class Setting(NamedTuple):
    """One kind of study."""

    noise: str
    cells: str  # "equal", or "unequal": SDs of the cells' noise that differ, log-normally, by a factor of e
    tails: str
    methods: int
    seeds: int
    subjects: int
    pairs: int


def settings() -> Iterator[Setting]:
    """Two to ten seeds, 6 to 100 pairs of 4 to 40 subjects, 3 to 12 methods."""
    sizes = ((3, 3, 4, 6), (4, 4, 8, 30), (12, 2, 8, 30), (12, 4, 8, 30), (12, 4, 24, 36), (12, 10, 40, 100))
    for noise, cells, tails in product(("networks", "calmer"), ("equal", "unequal"), ("normal", "heavy", "skewed")):
        for size in sizes:
            yield Setting(noise, cells, tails, *size)


def draw(random: np.random.Generator, setting: Setting, truth: np.ndarray) -> tuple[dict[str, Scores], np.ndarray]:
    """Scores of a made-up study whose methods have the means `truth`, and the subjects of its pairs."""
    sd = {"networks": NETWORKS, "calmer": CALMER}[setting.noise]
    people, seeds = setting.subjects, setting.seeds

    def noise(*shape: int) -> np.ndarray:
        if setting.tails == "heavy":
            return random.standard_t(3, size=shape) / np.sqrt(3)
        if setting.tails == "skewed":
            return random.exponential(size=shape) - 1
        return random.standard_normal(shape)

    every = np.array([pair for pair in product(range(people), repeat=2) if pair[0] != pair[1]])
    pairs = every[random.permutation(len(every))[: setting.pairs]]
    alike = 0.05 * noise(len(pairs)) + sd["seed"] * noise(seeds, 1)
    scale = np.exp(random.standard_normal(setting.methods)) if setting.cells == "unequal" else np.ones(setting.methods)
    scale /= np.sqrt((scale**2).mean())
    scores = {}
    for number, mean in enumerate(truth):
        fixed, moving = noise(2, people) * sd["subject"] / np.sqrt(2)
        own = fixed[pairs[:, 0]] + moving[pairs[:, 1]] + sd["pair"] * noise(len(pairs))
        moved = sd["cell"] * scale[number] * noise(seeds, 1) + sd["rest"] * noise(seeds, len(pairs))
        scores[str(number)] = Scores(mean + alike + own + moved, tuple(range(seeds)))
    return scores, pairs


class FoldSetting(NamedTuple):
    """One kind of study of pooled folds; `training_set`: SD of what its training set does to a method."""

    noise: str
    training_set: float
    folds: int
    subjects: int
    pairs: int  # of a fold
    seeds: int
    methods: int


def fold_settings() -> Iterator[FoldSetting]:
    """Three to ten folds; training sets without effect, and with a quarter and half of that of a seed."""
    sizes = ((3, 12, 12, 2, 4), (5, 20, 12, 2, 4), (5, 50, 20, 4, 6), (10, 40, 12, 1, 4), (10, 60, 12, 3, 4))
    for noise, share in product(("networks", "calmer"), (0.0, 0.25, 0.5)):
        for size in sizes:
            yield FoldSetting(noise, share * {"networks": NETWORKS, "calmer": CALMER}[noise]["cell"], *size)


def draw_folds(random: np.random.Generator, setting: FoldSetting, truth: np.ndarray) -> tuple[dict[str, Scores], Any]:
    """Scores of a made-up study, and its family with the folds."""
    sd = {"networks": NETWORKS, "calmer": CALMER}[setting.noise]
    noise, seeds, people = random.standard_normal, setting.seeds, setting.subjects
    fold_of = random.permutation(np.arange(people) % setting.folds)
    parts = []
    for fold in range(setting.folds):
        members = np.flatnonzero(fold_of == fold)
        every = np.array([pair for pair in product(members, repeat=2) if pair[0] != pair[1]])
        parts.append(every[random.permutation(len(every))[: setting.pairs]])
    pairs = np.concatenate(parts)
    of_cases = fold_of[pairs[:, 0]]
    # Fold f is tested, f + 1 validates, the others train.
    trains = np.array([[p not in (f, (f + 1) % setting.folds) for p in fold_of] for f in range(setting.folds)])
    weights = trains / np.sqrt(trains.sum(axis=1, keepdims=True))  # so that the SD of a training set is that asked for
    alike = 0.05 * noise(len(pairs)) + (sd["seed"] * noise((seeds, setting.folds)))[:, of_cases]
    scores = {}
    for number, mean in enumerate(truth):
        fixed, moving = noise((2, people)) * sd["subject"] / np.sqrt(2)
        own = fixed[pairs[:, 0]] + moving[pairs[:, 1]] + sd["pair"] * noise(len(pairs))
        moved = (sd["cell"] * noise((seeds, setting.folds)))[:, of_cases] + sd["rest"] * noise((seeds, len(pairs)))
        trained = setting.training_set * (weights @ noise(people))[of_cases]
        scores[str(number)] = Scores(mean + alike + own + moved + trained, tuple(range(seeds)))
    return scores, Family(pairs, region=REGION, folds=Folds(of_cases))


def simulate_folds(task: tuple[FoldSetting, int]) -> dict[str, Any]:
    """Rates of a setting over many studies; `without_folds` are those of intervals that do not know of folds."""
    setting, studies = task
    random = np.random.default_rng([7, *(ord(letter) for letter in "".join(map(str, setting)))])
    odd = np.arange(setting.methods) % 2
    wrong = {"false_better_or_worse": 0, "false_equal": 0, "without_folds": 0}
    decided = []
    for _ in range(studies):
        scores, family = draw_folds(random, setting, np.zeros(setting.methods))
        for name, judged in (("false_better_or_worse", family), ("without_folds", replace(family, folds=None))):
            wrong[name] += any(c.verdict in ("better", "worse") for c in judge(scores, judged))
        scores, family = draw_folds(random, setting, REGION * odd)
        wrong["false_equal"] += any(c.verdict == "equal" and (int(c.a) + int(c.b)) % 2 for c in judge(scores, family))
        scores, family = draw_folds(random, setting, APART * REGION * odd)
        decided += [c.verdict in ("better", "worse") for c in judge(scores, family) if (int(c.a) + int(c.b)) % 2]
    rates = {name: count / studies for name, count in wrong.items()} | {"decided": float(np.mean(decided))}
    return setting._asdict() | {name: round(value, 3) for name, value in rates.items()}


def simulate(task: tuple[Setting, int]) -> dict[str, Any]:
    """Rates of a setting over many studies."""
    setting, studies = task
    random = np.random.default_rng([7, *(ord(letter) for letter in "".join(map(str, setting)))])
    odd = np.arange(setting.methods) % 2
    wrong, equal, decided, told = 0, 0, [], 0
    for _ in range(studies):
        scores, pairs = draw(random, setting, np.zeros(setting.methods))
        found = judge(scores, Family(pairs, region=REGION))
        wrong += any(c.verdict in ("better", "worse") for c in found)
        told += sum(c.verdict == "equal" for c in found)
        scores, pairs = draw(random, setting, REGION * odd)
        found = judge(scores, Family(pairs, region=REGION))
        equal += any(c.verdict == "equal" and (int(c.a) + int(c.b)) % 2 for c in found)
        scores, pairs = draw(random, setting, APART * REGION * odd)
        found = judge(scores, Family(pairs, region=REGION))
        decided += [c.verdict in ("better", "worse") for c in found if (int(c.a) + int(c.b)) % 2]
    comparisons = setting.methods * (setting.methods - 1) / 2
    rates = {
        "false_better_or_worse": wrong / studies,
        "false_equal": equal / studies,
        "decided": float(np.mean(decided)),
        "equal_of_equals": told / studies / comparisons,
    }
    return setting._asdict() | {name: round(value, 3) for name, value in rates.items()}


def held_against(paths: list[Path], region: float) -> dict[str, Any]:
    """Claims on Dice of each study against those of every other, and two trainings of one cell against each other."""
    judged, alone = [], []
    for path in paths:
        rows = pd.read_parquet(path)
        rows = rows[rows["method"].str.startswith("voxelmorph")]
        table, subjects, design, _ = collect(rows, "dice")
        family = Family(subjects, region=region, groups=design.units)
        judged.append({(c.a, c.b): c.verdict for c in judge(table, family)})
        alone += list(_trainings(table, family))
    made, contradicted, confirmed = 0, 0, 0
    for one, two in combinations(range(len(judged)), 2):
        for pair, verdict in judged[one].items():
            other = judged[two][pair]
            if verdict == "undecided" or other == "undecided":
                continue
            made += 1
            confirmed += verdict == other
            contradicted += verdict != other
    counts = [pd.Series(list(verdicts.values())).value_counts().to_dict() for verdicts in judged]
    return {
        "studies": [str(path.parts[-3]) for path in paths],
        "verdicts": counts,
        "claims_of_both": made,
        "confirmed": confirmed,
        "contradicted": contradicted,
        "trainings_compared": len(alone),
        "trainings_called_different": sum(alone),
    }


def _trainings(table: dict[str, Scores], family: Family) -> Iterator[bool]:
    """Whether two halves of a cell's trainings, as if they were two methods, are called different."""
    for one in table.values():
        half = len(one.runs) // 2
        if half < 2:
            continue
        halves = {
            "first": Scores(one.values[:half], one.runs[:half]),
            "second": Scores(one.values[half : 2 * half], one.runs[half : 2 * half]),
        }
        (found,) = judge(halves, Family(family.subjects, region=family.region))
        yield found.verdict in ("better", "worse")


def main() -> None:
    """Print and write the rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=400, help="made-up studies a setting")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rows", type=Path, nargs="+", help="rows.parquet of repetitions of one study")
    parser.add_argument("--folds", action="store_true", help="studies of pooled folds")
    options = parser.parse_args()
    if options.rows:
        found = held_against(options.rows, REGION)
        (ROOT / "results" / "verdicts.json").write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found, indent=1))
        return
    run, asked = (simulate_folds, fold_settings()) if options.folds else (simulate, settings())
    with Pool(options.processes) as pool:
        rows = pool.map(run, [(setting, options.studies) for setting in asked], chunksize=1)
    frame = pd.DataFrame(rows)
    name = "verdicts_folds_simulated" if options.folds else "verdicts_simulated"
    frame.to_csv(DOCS / f"{name}.csv", index=False, lineterminator="\n")
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main()

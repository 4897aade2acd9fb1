"""Do the intervals at equal regularity cover? On made-up curves whose score at a level is known.

    python benchmarks/curves.py --studies 400    # docs/curves_simulated.csv

A cell's log regularity falls as a line over log lambda, its score is a parabola; subject, pair, seed and training
move both, with the SD of Dice that `benchmarks/verdicts.py` has for networks and a subject's share of folds that is
log-normal. All cells score the same at the level, at lambdas of their own. *Missed*: the interval of one cell does not
hold the truth (it should in 5 % of studies, or fewer). *False*: a family, all pairs of cells, says better or worse.
*Bias*: of the mean score at the level, from what lies between the points.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.statistics import Family, Scores, judge
from regbench.statistics.trade_off import Curve, at_levels

DOCS = Path(__file__).parent.parent / "docs"
LEVEL, HEIGHT = 0.3, 0.8
LOW, HIGH = 0.01, 10.0  # lambda


def study(rng: np.random.Generator, points: int, runs: int, subjects: int, cells: int) -> tuple[bool, bool, float]:
    """Whether the first cell's interval misses, whether any pair has a false claim, and the error of the first cell."""
    pairs = [(a, (a + step) % subjects) for step in (1, 2) for a in range(subjects)]
    lams, scores = np.geomspace(LOW, HIGH, points), {}
    folds = rng.lognormal(-0.125, 0.5, subjects)
    hard, seeds = 0.03 * rng.normal(size=subjects), 0.017 * rng.normal(size=runs)
    for cell in range(cells):
        place = np.log(lams / (0.3 * 3 ** (cell / max(cells - 1, 1))))
        own, of_pair = 0.006 * rng.normal(size=subjects), 0.008 * rng.normal(size=len(pairs))
        share = folds * rng.lognormal(-0.02, 0.2, subjects)
        factor = np.array([(share[a] + share[b]) / 2 for a, b in pairs])
        moved = np.array([hard[a] + hard[b] + own[a] + own[b] for a, b in pairs]) + of_pair
        values = []
        for seed in seeds:
            regular = np.log(LEVEL) - (0.8 + 0.2 * cell / cells) * place + 0.1 * rng.normal()
            height = HEIGHT - 0.005 * place**2 + (0.012 - 0.008 * cell / cells) * place + seed + 0.003 * rng.normal()
            noise = 0.002 * rng.normal(size=(points, len(pairs)))  # of each training of its own
            table = np.exp(regular + 0.05 * rng.normal(size=points))[:, None] * factor
            values.append(at_levels(Curve(lams, table, height[:, None] + moved + noise), [LEVEL])[0])
        scores[f"cell{cell}"] = Scores(np.stack(values), tuple(range(runs)))
    family = Family(np.array(pairs))
    claims = judge(scores, family)
    alone = judge({"a": scores["cell0"], "0": Scores(np.zeros((1, len(pairs))), ("0",), drawn=False)}, family)[0]
    missed = not alone.low < HEIGHT < alone.high
    return missed, any(one.verdict in ("better", "worse") for one in claims), alone.difference - HEIGHT


def main() -> None:
    """Simulate every setting and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--out", type=Path, default=DOCS / "curves_simulated.csv")
    options, rows = parser.parse_args(), []
    for points, runs, subjects, cells in product((4, 6, 8), (2, 4), (8, 24), (2, 6)):
        rng = np.random.default_rng([points, runs, subjects, cells])
        results = [study(rng, points, runs, subjects, cells) for _ in range(options.studies)]
        missed, false, errors = map(np.array, zip(*results, strict=True))
        rows.append({
            "points": points, "runs": runs, "subjects": subjects, "pairs": 2 * subjects, "cells": cells,
            "missed_percent": round(100 * missed.mean(), 1), "false_percent": round(100 * false.mean(), 1),
            "bias": round(float(errors.mean()), 4), "rms": round(float(np.sqrt((errors**2).mean())), 4),
        })  # fmt: skip
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()

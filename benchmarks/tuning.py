"""How much Dice each way to choose lambda loses in few trials, on recorded curves of real data.

    python benchmarks/tuning.py --seeds 8
    python benchmarks/tuning.py --seeds 8 --noisy      # trials with noise: docs/tuning_noise.csv

The curves (`tuning_curves.json`) give Dice at any lambda by monotone interpolation; regret is the curve's best minus
the best that was tried. `plain` samplers are Optuna's own defaults, one trial after the other (random start-up of ten).
Writes `docs/tuning_regret.csv` and the figure.
"""

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from scipy.interpolate import PchipInterpolator

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT.parent / "tests" / "support"))
from specs import propose, select  # noqa: E402

DOCS = ROOT.parent / "docs"
BUDGETS = (6, 8, 12)
NOISY_BUDGETS = (6, 9)
SEED_SD = 0.017  # of Dice: what a training seed adds to all trials, as measured in `quick`
Curve = Callable[[float], float]


def ours(sampler: str, size: int) -> Callable[[Curve, list[float], int, str, int], list[float]]:
    """Rounds of `size` through `propose`."""

    def search(curve: Curve, span: list[float], seed: int, cell: str, trials: int) -> list[float]:
        job = {"cell": cell, "range": span, "trials": trials, "round_size": size, "sampler": sampler, "seed": seed}
        results: list[dict[str, object]] = []
        found: list[float] = []
        for number in range(-(-trials // size)):
            for each in propose(job, number, results):
                found.append(curve(each["lam"]))
                results.append({**each, "status": "complete", "scores": {"dice": found[-1], "ndv_percent": 0.0}})
        return found

    return search


def plain(make: Callable[[int], optuna.samplers.BaseSampler]) -> Callable[..., list[float]]:
    """Optuna's own loop."""

    def search(curve: Curve, span: list[float], seed: int, cell: str, trials: int) -> list[float]:
        salt = int.from_bytes(hashlib.sha256(f"{cell}{seed}".encode()).digest()[:4], "big")
        study = optuna.create_study(direction="maximize", sampler=make(salt))
        study.optimize(lambda trial: curve(trial.suggest_float("lam", *span, log=True)), n_trials=trials)
        return [trial.value for trial in study.trials]

    return search


def log_grid(curve: Curve, span: list[float], seed: int, cell: str, trials: int) -> list[float]:
    """The middle of each of `trials` equal parts of the log-range."""
    low, high = span
    return [curve(low * (high / low) ** ((k + 0.5) / trials)) for k in range(trials)]


WAYS: dict[str, Callable[..., list[float]]] = {
    "log grid": log_grid,
    "grid": ours("grid", 4),
    "random": ours("random", 4),
    "cmaes, rounds of 4": ours("cmaes", 4),
    "tpe, rounds of 3": ours("tpe", 3),
    "tpe, rounds of 4": ours("tpe", 4),
    "gp, rounds of 3": ours("gp", 3),
    "gp, rounds of 4": ours("gp", 4),
    "tpe, plain": plain(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "gp, plain": plain(lambda seed: optuna.samplers.GPSampler(seed=seed)),
}


def noisy(curves: dict[str, dict[str, list[float]]], seeds: int) -> pd.DataFrame:
    """Regret of the choice, and how far the choices of two studies lie apart, where trials have noise.

    `best trial` takes the highest single score, `smoothed` what `select` takes; `repeats` spends one trial a round on a
    point that was tried, with a training seed that lies higher or lower as a whole.
    """
    rows = []
    for noise, repeats in product((0.005, 0.01, 0.02), (0, 1)):
        lost: dict[tuple[int, str], list[float]] = {}
        apart: dict[tuple[int, str], list[float]] = {}
        for cell, found in curves.items():
            at = PchipInterpolator(np.log(found["lam"]), found["dice"])
            span = [found["lam"][0], found["lam"][-1]]
            top = float(at(np.linspace(*np.log(span), 2001)).max())
            studies = [_noisy_study(at, span, seed, cell, (noise, repeats)) for seed in range(seeds)]
            for trials in NOISY_BUDGETS:  # the search of fewer trials is the beginning of that of more
                chosen = [_chosen(cell, span, results[:trials]) for results in studies]
                for rule in chosen[0]:
                    logs = [float(np.log(lams[rule])) for lams in chosen]
                    lost.setdefault((trials, rule), []).extend(top - float(at(place)) for place in logs)
                    between = [abs(one - two) / np.log(10) for one, two in combinations(logs, 2)]
                    apart.setdefault((trials, rule), []).extend(between)
        for (trials, rule), regret in lost.items():
            rows.append(
                {
                    "noise": noise, "trials": trials, "repeats": repeats, "rule": rule,
                    "regret_mean": round(float(np.mean(regret)), 5),
                    "regret_p95": round(float(np.quantile(regret, 0.95)), 5),
                    "log10_apart": round(float(np.mean(apart[trials, rule])), 3),
                    "within_10_fold": round(float(np.mean(np.array(apart[trials, rule]) <= 1)), 3),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _noisy_study(
    at: PchipInterpolator, span: list[float], seed: int, cell: str, setting: tuple[float, int]
) -> list[dict[str, object]]:
    """The trials of one search by `propose` in rounds of three, whose other training seed lies higher or lower."""
    noise, repeats = setting
    random = np.random.default_rng([seed, *cell.encode()])
    shift = SEED_SD * float(random.standard_normal())
    trials = max(NOISY_BUDGETS)
    job = {"cell": cell, "range": span, "trials": trials, "round_size": 3, "sampler": "gp", "seed": seed, "noisy": True}
    job |= {"repeats": repeats, "training_seed": seed} if repeats else {}
    results: list[dict[str, object]] = []
    for number in range(-(-trials // 3)):
        for each in propose(job, number, results):
            score = float(at(np.log(each["lam"]))) + noise * float(random.standard_normal())
            score += shift if "seed" in each else 0.0
            results.append({**each, "status": "complete", "reason": "", "scores": {"dice": score, "ndv_percent": 0.0}})
    return results


def _chosen(cell: str, span: list[float], results: list[dict[str, object]]) -> dict[str, float]:
    """The lambda of the highest single trial, and what `select` takes."""
    choice = {
        "method": cell,
        "range": span,
        "value": None,
        "selection": {"metrics": ["dice"]},
        "ndv_limit_percent": 0.5,
    }
    found = select({**choice, "noisy": True}, results)
    return {"best trial": found["best_trial"]["lam"], "smoothed": found["lam"]}


def main() -> None:
    """Print and write the table, draw the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--noisy", action="store_true", help="trials with noise, and the choice among them")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    if options.noisy:
        frame = noisy(json.loads((ROOT / "results" / "tuning_curves.json").read_text())["cells"], options.seeds)
        frame.to_csv(DOCS / "tuning_noise.csv", index=False, lineterminator="\n")
        print(frame.to_string(index=False))
        return
    rows = []
    for cell, found in json.loads((ROOT / "results" / "tuning_curves.json").read_text())["cells"].items():
        at = PchipInterpolator(np.log(found["lam"]), found["dice"])
        span = [found["lam"][0], found["lam"][-1]]
        top = float(at(np.linspace(*np.log(span), 2001)).max())
        for way, search in WAYS.items():
            for seed in range(1 if way in ("log grid", "grid") else options.seeds):
                for trials in BUDGETS:
                    tried = search(lambda lam, at=at: float(at(np.log(lam))), span, seed, cell, trials)
                    rows.append({"way": way, "trials": trials, "cell": cell, "regret": top - max(tried)})
    frame = pd.DataFrame(rows)
    by_cell = frame.groupby(["way", "trials", "cell"], sort=False)["regret"].mean().reset_index()
    groups = by_cell.groupby(["way", "trials"], sort=False)["regret"]
    table = groups.mean().unstack("trials").round(5)
    worst = frame.groupby(["way", "trials"], sort=False)["regret"].quantile(0.95).unstack("trials").round(5)
    table.columns = [f"mean_{trials}" for trials in table.columns]
    for trials in BUDGETS:
        table[f"p95_{trials}"] = worst[trials]
    table.to_csv(DOCS / "tuning_regret.csv", lineterminator="\n")
    print(table.to_string())
    draw(table)


def draw(table: pd.DataFrame) -> None:
    """Mean regret against the number of trials, one line a way."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (way, row) in enumerate(table.iterrows()):
        values = [max(row[f"mean_{trials}"], 1e-5) for trials in BUDGETS]
        axes.plot(BUDGETS, values, marker="osD^v"[number % 5], linestyle=("-", "--")[number // 5], label=way)
    axes.set(yscale="log", xlabel="trials", ylabel="mean regret (Dice)", xticks=BUDGETS)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(DOCS / "figures" / "tuning_regret.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()

"""One model a cell that takes log lambda as an input: does its curve of Dice over lambda replace separate trainings?

    python benchmarks/amortised.py OASIS_TRT.npz

A hypernetwork makes the weights of the quick study's network from log lambda (HyperMorph: Hoopes et al. 2021,
doi:10.1007/978-3-030-78191-0_1), in training one random lambda a step. It is trained as long as 2 and 6 trials and
held against separate trainings of one trial's length at each of seven lambdas, with as many seeds as are asked for:
the first is what a tuner sees, the mean of the others judges. Real brains (OASIS-TRT, internal use only: the numbers
alone are kept); one thread. Writes ``benchmarks/results/amortised.json``.
"""

import argparse
import math
import time
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor, nn
from torch.func import functional_call
from tuning_curves import brains

from regbench.losses.objective import objective
from regbench.metrics import dice, ndv_percent
from regbench.models.predict import build_model
from regbench.spatial import warp_labels
from regbench.study import plan
from regbench.study.config import load, read_yaml
from regbench.system.files import write_json
from regbench.training.schedule import one_cycle
from regbench.tuning.rounds import propose

ROOT = Path(__file__).parent
OUT = ROOT / "amortised.json"
CELLS = ("voxelmorph.lcc.grad_l2", "voxelmorph.gcc.grad_l1", "voxelmorph.mse.bending")
POINTS = 7  # lambdas with separate trainings
DENSE = 25  # lambdas read off one model: reading costs no training
LENGTHS = (2, 6)  # of the amortised training, in trials
RATE = 2e-3  # highest learning rate of the hypernetwork, which turns one step into a larger change of each weight
TRIALS = 6  # of the tuner that it would replace
TRAIN = 8  # subjects; the other four make twelve validation pairs
BATCH = 2
Run = Callable[[Tensor, Tensor, float], Tensor]


class Amortised(nn.Module):
    """The weights of a network as a function of where lambda stands in its log-range, from -1 to 1."""

    def __init__(self, network: nn.Module, span: list[float], width: int = 32) -> None:
        super().__init__()
        self.network, self.span = network, span
        self.body = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.change = nn.ModuleList()
        for value in network.parameters():
            layer = nn.Linear(width, value.numel(), bias=False)
            # At the start, what lambda changes in a weight is small beside the weight.
            nn.init.normal_(layer.weight, std=0.1 * float(value.detach().std(correction=0)) / math.sqrt(width))
            self.change.append(layer)

    def forward(self, fixed: Tensor, moving: Tensor, lam: float) -> Tensor:
        """Displacement ``(B, d, *S)`` in voxels at one lambda."""
        low, high = self.span
        place = 2 * math.log(lam / low) / math.log(high / low) - 1
        features = self.body(torch.tensor([place]))
        named = self.network.named_parameters()
        weights = {
            name: value + change(features).view_as(value)
            for (name, value), change in zip(named, self.change, strict=True)
        }
        found: Tensor = functional_call(self.network, weights, (fixed, moving))
        return found


class Separate(nn.Module):
    """A network that is not told lambda."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, fixed: Tensor, moving: Tensor, lam: float) -> Tensor:
        """Displacement ``(B, d, *S)`` in voxels."""
        found: Tensor = self.network(fixed, moving)
        return found


def train(
    model: nn.Module,
    parts: list[dict[str, Any]],
    lams: Callable[[np.random.Generator], float],
    images: Tensor,
    *,
    steps: int,
    rate: float,
    seed: int,
    middle: float | None = None,
) -> float:
    """Train on random ordered pairs of the training subjects; returns seconds.

    Args:
        model: fixed, moving, lambda -> displacement.
        parts: similarity and regularizer.
        lams: the lambda of a step.
        images: ``(n, 1, *S)``.
        steps: of the training.
        rate: highest learning rate.
        seed: of the pairs.
        middle: lambda at which both terms count half, where lambda changes from step to step: the minimiser at a
            lambda stays, and no lambda's gradient drowns the others'.
    """
    began, draw = time.monotonic(), np.random.default_rng(seed)
    chance = np.random.default_rng([seed, 1])  # of lambda alone: all models see the same pairs
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * one_cycle(step, steps, 0.1)
        pairs = np.array([draw.choice(TRAIN, 2, replace=False) for _ in range(BATCH)])
        fixed, moving, lam = images[pairs[:, 0]], images[pairs[:, 1]], lams(chance)
        loss = objective(*parts, lam)(fixed, moving, model(fixed, moving, lam)).loss
        if middle is not None:
            loss = loss / (1 + lam / middle)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return time.monotonic() - began


@torch.no_grad()
def score(model: nn.Module, lam: float, images: Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Mean Dice and NDV (%) of the validation pairs."""
    scores = []
    for f, m in permutations(range(TRAIN, len(images)), 2):
        displacement = model(images[f : f + 1], images[m : m + 1], lam)[0].numpy()
        shared = sorted(set(np.unique(labels[f])) & set(np.unique(labels[m])) - {0})
        per_label = dice(labels[f], warp_labels(labels[m], displacement), [int(label) for label in shared])
        scores.append((np.nanmean(list(per_label.values())), ndv_percent(displacement)))
    means = np.mean(scores, axis=0)
    return float(means[0]), float(means[1])


def measure(config: Any, name: str, images: Tensor, labels: np.ndarray, seeds: int) -> dict[str, Any]:
    """Curves of one cell: separate trainings, and the amortised ones."""
    cell = plan.find_method(config, name)
    if cell.model is None or cell.similarity is None or cell.regularizer is None:
        raise ValueError(f"`{name}` has nothing to train")
    component = {"name": cell.model.name, "parameters": cell.model.parameters}
    parts = [{"name": part.name, "parameters": part.parameters} for part in (cell.similarity, cell.regularizer)]
    span = plan.lambda_of(config, name)["range"]
    steps, rate, middle = config.training.steps, config.training.learning_rate, math.sqrt(span[0] * span[1])
    grid, dense = ([float(lam) for lam in np.geomspace(*span, count)] for count in (POINTS, DENSE))
    found: dict[str, Any] = {"range": span, "lam": grid, "dense": dense, "separate": [], "seconds": [], "amortised": {}}
    for seed in range(seeds):
        curve = []
        for lam in grid:
            torch.manual_seed(seed)
            model: nn.Module = Separate(build_model(component, 2))
            seconds = train(model, parts, lambda _, lam=lam: lam, images, steps=steps, rate=rate, seed=seed)
            found["seconds"].append(round(seconds, 3))
            curve.append(score(model, lam, images, labels))
        found["separate"].append(curve)
        print(name, "separate, seed", seed, [round(value, 4) for value, _ in curve], flush=True)
    low, high = np.log(span)
    for length in LENGTHS:
        torch.manual_seed(0)
        model = Amortised(build_model(component, 2), span)
        seconds = train(
            model, parts, lambda chance: float(np.exp(chance.uniform(low, high))), images,
            steps=length * steps, rate=RATE, seed=0, middle=middle,
        )  # fmt: skip
        curve = [score(model, lam, images, labels) for lam in dense]
        found["amortised"][str(length)] = {"seconds": round(seconds, 3), "curve": curve}
        print(name, "amortised", length, [round(value, 4) for value, _ in curve[::4]], flush=True)
    return found


def judge(name: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Error of the curve, regret of the chosen lambda, and cost in trials, for each way and what it is held against."""
    curves, log = np.array(found["separate"])[:, :, 0], np.log(found["lam"])
    truth = PchipInterpolator(log, curves[1:].mean(0))
    top = float(truth(np.linspace(log[0], log[-1], 2001)).max())
    seen = PchipInterpolator(log, curves[0])
    trial = float(np.mean(found["seconds"]))

    def row(way: str, curve: Any, lam: float, cost: float) -> dict[str, Any]:
        """`curve` at the lambdas of the separate trainings."""
        off = np.asarray(curve) - curves[1:].mean(0)
        shape = off - off.mean()
        return {"cell": name, "way": way, "error": float(np.abs(off).mean()), "bias": float(off.mean()),
                "shape_error": float(np.abs(shape).mean()), "lam": lam, "regret": top - float(truth(np.log(lam))),
                "cost": cost}  # fmt: skip

    dense = np.linspace(log[0], log[-1], DENSE)
    rows = [
        row(f"{POINTS} separate trainings, one seed", curves[0], float(np.exp(dense[seen(dense).argmax()])), POINTS)
    ]
    job = {"cell": name, "range": found["range"], "trials": TRIALS, "round_size": 3, "sampler": "gp", "seed": 0}
    results: list[dict[str, Any]] = []
    for number in range(TRIALS // 3):
        for each in propose(job, number, results):
            results.append({**each, "status": "complete", "dice": float(seen(np.log(each["lam"]))), "ndv_percent": 0.0})
    best = max(results, key=lambda result: result["dice"])
    rows.append(row(f"gp, {TRIALS} trials", curves[0], best["lam"], TRIALS))
    for length, run in found["amortised"].items():
        curve = np.array(run["curve"])[:, 0]
        at = curve[:: (DENSE - 1) // (POINTS - 1)]
        rows.append(row(f"amortised, {length} trials", at, found["dense"][int(curve.argmax())], run["seconds"] / trial))
    return rows


def main() -> None:
    """Write the curves and print the judgement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = load(read_yaml(ROOT.parent / "configs" / "quick.yaml"))
    images, labels = brains(options.data)
    cells: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for name in CELLS:
        cells[name] = measure(config, name, images, labels, options.seeds)
        rows += judge(name, cells[name])
        write_json(OUT, {"steps": config.training.steps, "seeds": options.seeds, "cells": cells, "rows": rows})
    import pandas as pd  # noqa: PLC0415  for the table alone

    frame = pd.DataFrame(rows)
    print(frame.groupby(["cell", "way"], sort=False).mean().round(4).to_string())
    print(frame.drop(columns="cell").groupby("way", sort=False).mean().round(4).to_string())


if __name__ == "__main__":
    main()

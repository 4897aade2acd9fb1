"""Record how validation Dice depends on lambda, densely: the ground on which `benchmarks/tuning.py` judges samplers.

`instance` on real brains (twelve axial slices of OASIS-TRT at 2 mm; internal use only, hence only the numbers are
kept). Run once: ``python benchmarks/tuning_curves.py OASIS_TRT.npz``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from regbench.losses.objective import objective
from regbench.metrics import dice, ndv_percent
from regbench.models.predict import build_model
from regbench.spatial import warp_labels
from regbench.study.load import load
from regbench.study.methods import Method, Study
from regbench.study.specs import ComponentSpec
from regbench.study.yaml_file import read_yaml
from regbench.system.files import write_json

ROOT = Path(__file__).parent
OUT = ROOT / "results" / "tuning_curves.json"
POINTS = 17
PAIRS = 8
RANGES = {  # of lambda, by hand: what is a strong penalty for one loss is a weak one for another
    "lcc.grad_l1": (0.003, 10), "lcc.grad_l2": (0.003, 30), "lcc.bending": (0.003, 100),
    "lcc.displacement_l1": (0.00003, 1), "gcc.grad_l1": (0.001, 3), "gcc.grad_l2": (0.001, 10),
    "gcc.bending": (0.001, 30), "gcc.displacement_l1": (0.0001, 0.3), "mse.grad_l1": (0.0001, 0.3),
    "mse.grad_l2": (0.0003, 10), "mse.bending": (0.0001, 3), "mse.displacement_l1": (0.00001, 0.03),
}  # fmt: skip
MODEL = ComponentSpec(name="instance", parameters={"steps": [30, 30, 20], "diffeomorphic": False})


def brains(path: Path) -> tuple[torch.Tensor, np.ndarray]:
    """Images ``(12, 1, 80, 96)`` scaled to order one and their labels, at 2 mm."""
    with np.load(path) as stored:
        images, labels = stored["images"].astype(np.float32), stored["labels"]
    images /= np.percentile(images, 99.5, axis=(1, 2), keepdims=True)
    n, height, width = images.shape
    return torch.from_numpy(images.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4)))[:, None], labels[:, ::2, ::2]


def score(method: Method, lam: float, images: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Mean Dice and mean NDV (%) over fixed pairs i, i + 5."""
    parts = [
        ComponentSpec(name=part.name, parameters=part.parameters) for part in (method.similarity, method.regularizer)
    ]
    model = build_model(MODEL, 2, objective(*parts, lam))
    pairs = [(i, (i + 5) % len(images)) for i in range(PAIRS)]
    fixed, moving = (images[[pair[k] for pair in pairs]] for k in (0, 1))
    with torch.no_grad():
        found = model(fixed, moving).numpy()
    scores = []
    for (f, m), displacement in zip(pairs, found, strict=True):
        shared = sorted(set(np.unique(labels[f])) & set(np.unique(labels[m])) - {0})
        per_label = dice(labels[f], warp_labels(labels[m], displacement), [int(label) for label in shared])
        scores.append((np.nanmean(list(per_label.values())), ndv_percent(displacement)))
    means = np.mean(scores, axis=0)
    return float(means[0]), float(means[1])


def main() -> None:
    """Write the curves of all cells of the quick study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(load(read_yaml(ROOT.parent / "configs" / "quick.yaml")))
    images, labels = brains(options.data)
    cells = {}
    for method in study.methods:
        if not method.tuned or method.needs_training:
            continue
        lams = np.geomspace(*RANGES[method.losses], POINTS)
        scores = [score(method, float(lam), images, labels) for lam in lams]
        cells[method.id] = {
            "lam": [float(f"{lam:.6g}") for lam in lams],
            "dice": [round(value, 5) for value, _ in scores],
            "ndv_percent": [round(value, 4) for _, value in scores],
        }
        print(method.id, max(cells[method.id]["dice"]), flush=True)
        write_json(OUT, {"model": MODEL.to_json(), "pairs": PAIRS, "cells": cells})


if __name__ == "__main__":
    main()

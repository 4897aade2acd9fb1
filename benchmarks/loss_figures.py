"""Figures of docs/losses.md.

    python benchmarks/loss_figures.py [--benchmark benchmarks/results/losses.json]

Draws every similarity along a shift of a real slice (the MNI152 template that nilearn ships), and, from the rows of
``benchmarks/losses.py --json``, what the local correlation costs by image and by window.
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from regbench.losses import SIMILARITIES
from regbench.spatial import warp

mpl.use("svg")
import matplotlib.pyplot as plt

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
SAME, OTHER, GREY = "#0b6bb3", "#c4601a", "#6b6b6b"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
    "svg.hashsalt": "regbench",
    "svg.fonttype": "none",
}


def template(kind: str) -> Tensor:
    """Axial slice of the MNI152 2009a template, every second voxel (2 mm), scaled to [0, 1]; ``(1, 1, 98, 116)``."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise SystemExit("nilearn must be installed, for its template, but is not. pip install nilearn")
    folder = Path(spec.origin).parent / "datasets" / "data"
    file = folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    image = np.asarray(nib.load(file).dataobj, dtype=np.float32)[::2, ::2, 90]
    return torch.from_numpy(image / image.max())[None, None]


def pairs() -> dict[str, tuple[Tensor, Tensor]]:
    """Fixed and moving, aligned: the same contrast with gamma, bias and noise; and another contrast."""
    t1, grey_matter = template("t1"), template("gm")
    generator = torch.Generator().manual_seed(0)
    bias = 1 + 0.2 * torch.linspace(-1, 1, t1.shape[2]).view(-1, 1)
    noisy = t1**1.3 * bias + 0.02 * torch.randn(t1.shape, generator=generator)
    return {"T1 and T1 with gamma, bias, noise": (t1, noisy), "T1 and grey-matter map": (t1, grey_matter)}


def along_shift(name: str, fixed: Tensor, moving: Tensor, shifts: np.ndarray) -> tuple[list[float], list[float]]:
    """Loss and its derivative by the shift, in voxels along axis 0."""
    values, slopes = [], []
    direction = torch.zeros(1, 2, *fixed.shape[2:])
    direction[:, 0] = 1
    for shift in shifts:
        amount = torch.tensor(float(shift), requires_grad=True)
        value = SIMILARITIES[name](fixed, warp(moving, amount * direction))
        values.append(value.item())
        slopes.append(torch.autograd.grad(value, amount)[0].item())
    return values, slopes


DRAWN = ("lcc", "gcc", "mse", "mi", "nmi", "ngf", "mind")


def draw_shift() -> None:
    shifts = np.arange(-12, 12.01, 0.5) + 0.01  # off the grid, where linear interpolation has a kink
    fig, axes = plt.subplots(2, 4, figsize=(11, 5.4), layout="constrained")
    flat = axes.ravel()
    for axis, name in zip(flat, DRAWN, strict=False):
        for (_, (fixed, moving)), colour in zip(pairs().items(), (SAME, OTHER), strict=True):
            values, slopes = along_shift(name, fixed, moving, shifts)
            axis.plot(shifts, values, color=colour, lw=1.6)
            for k in range(2, len(shifts), 4):
                step = -np.sign(slopes[k]) * 0.9
                axis.annotate(
                    "", (shifts[k] + step, values[k]), (shifts[k], values[k]),
                    arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1, "mutation_scale": 8},
                )  # fmt: skip
        axis.axvline(0, color=GREY, lw=0.6, zorder=0)
        axis.set_title(name, loc="left")
        axis.set_xticks([-12, -6, 0, 6, 12])
    for axis in axes[1]:
        axis.set_xlabel("shift in voxels (2 mm)")
    axes[0, 3].set_xlabel("shift in voxels (2 mm)")
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("loss")
    legend = flat[-1]
    legend.axis("off")
    for row, (label, colour) in enumerate(zip(pairs(), (SAME, OTHER), strict=True)):
        legend.plot([0, 0.12], [0.8 - 0.16 * row] * 2, color=colour, lw=1.6)
        legend.text(0.16, 0.8 - 0.16 * row, label, va="center", color=colour)
    note = "Arrows: the way the gradient\ndescends. They should point to 0,\nwhere the images are aligned."
    legend.text(0, 0.42, note, va="top", color=GREY)
    legend.set(xlim=(0, 1), ylim=(0, 1))
    save(fig, "losses_shift")


def draw_cost(benchmark: dict[str, Any]) -> None:
    """With the heap kept, as our jobs keep it."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    rows = {row["row"]: row["milliseconds"] for row in benchmark["heap kept"]}
    sides = [int(row.split()[-1]) for row in rows if row.startswith("lcc side ")]
    windows = [int(row.split()[-1]) for row in rows if row.startswith("lcc window ")]
    for name, label, colour in (("regbench", "compiled", SAME), ("regbench by formula", "by formula", OTHER)):
        if name not in rows["lcc side 96"]:  # where Numba does not serve, ours is the formula
            continue
        times = [rows[f"lcc side {side}"][name] for side in sides]
        left.loglog([side**3 / 1e6 for side in sides], times, "o-", color=colour, lw=1.4, ms=4)
        costs = [rows[f"lcc window {window}"][name] for window in windows]
        right.plot(windows, costs, "o-", color=colour, lw=1.4, ms=4, label=label)
    reference = np.array([0.03, 7])
    left.loglog(reference, 20 * reference, color=GREY, lw=0.8, ls="--")
    left.text(0.06, 0.62, "proportional", color=GREY, fontsize=8)
    left.set(xlabel="million voxels", ylabel="ms, forward + backward")
    left.set_title("lcc, window 9", loc="left")
    right.set(xlabel="side of the window, voxels", ylabel="ms, forward + backward", ylim=(0, None), xticks=windows)
    right.set_title("lcc, 96 x 96 x 96", loc="left")
    right.legend(frameon=False, loc="upper left")
    save(fig, "losses_cost")


def save(fig: plt.Figure, name: str) -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    fig.savefig(FIGURES / f"{name}.svg", metadata={"Date": None})
    fig.savefig(FIGURES / f"{name}.png", dpi=110)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", type=Path, help="rows of benchmarks/losses.py --json")
    given = parser.parse_args()
    plt.rcParams.update(STYLE)
    draw_shift()
    if given.benchmark:
        draw_cost(json.loads(given.benchmark.read_text()))


if __name__ == "__main__":
    main()

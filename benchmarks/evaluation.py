"""Time and memory of all metrics of one pair, against straightforward numpy, scipy and surface-distance.

    python benchmarks/evaluation.py --shape 160 192 224 --labels 35 --json evaluation.json

Each side runs in a process of its own on the same synthetic pair, one thread. Seconds are those of the CPU, the median
of the turns after a first one, in which loops are compiled: other work on the machine adds less to them than to those
of the clock. Memory is the peak resident size above what the process held when the inputs were loaded (Linux). The
straightforward side needs `pip install surface-distance`; `--only regbench` leaves it out. Values are compared before
times are: a fast wrong number is no gain.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, map_coordinates
from scipy.spatial import KDTree

from regbench import metrics
from regbench.spatial import warp_labels

SPACING = (1.0, 1.2, 0.9)
SIDES = ("regbench", "straightforward")
Task = Callable[[], Any]


def make_pair(shape: tuple[int, ...], labels: int) -> dict[str, Any]:
    """Nearest-seed cells in a ball as structures, moved by a smooth displacement of a few voxels."""
    generator = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in shape], indexing="ij"), -1)
    seeds = generator.uniform(-0.6, 0.6, (labels, len(shape)))
    fixed = np.zeros(shape, np.int16)
    for row in range(shape[0]):
        inside = (grid[row] ** 2).sum(-1) < 0.8
        fixed[row][inside] = KDTree(seeds).query(grid[row][inside])[1] + 1
    noise = generator.normal(size=(len(shape), *shape)).astype(np.float32)
    u = np.stack([gaussian_filter(component, 6) for component in noise])
    u *= np.float32(2.0 / u.std())
    points = generator.uniform(5, np.array(shape) - 6, (200, len(shape)))
    return {
        "fixed": fixed,
        "moving": fixed,
        "moved": warp_labels(fixed, u),
        "displacement": u,
        "truth": (0.9 * u).astype(np.float32),
        "fixed_points": points,
        "moving_points": points + 1.5,
    }


def regbench_tasks(pair: dict[str, Any], wanted: list[int]) -> dict[str, Task]:
    """The package's own functions, as an evaluation calls them: each determinant and surface computed once."""
    maps = (pair["fixed"], pair["moved"], wanted)
    u = pair["displacement"]
    return {
        "labels warped": lambda: int(warp_labels(pair["moving"], u).sum()),
        "dice, hd95_mm, assd_mm, nsd, hd95_l2r": lambda: [
            list(values.values()) for values in metrics.label_metrics(*maps, SPACING, moving=pair["moving"]).values()
        ],
        "folding (8)": lambda: [value for _, value in sorted(metrics.folding_metrics(u, pair["fixed"] > 0).items())],
        "tre_mm": lambda: metrics.tre_mm(u, pair["fixed_points"], pair["moving_points"], SPACING),
        "tre_l2r_mm": lambda: metrics.tre_l2r_mm(u, pair["fixed_points"], pair["moving_points"], SPACING),
        "endpoint_error_mm": lambda: metrics.endpoint_error_mm(u, pair["truth"], SPACING),
        "displacement_mm": lambda: metrics.displacement_mm(u, SPACING),
        "inverse_consistency_mm": lambda: metrics.inverse_consistency_mm(u, -u, SPACING),
    }


def straightforward_tasks(pair: dict[str, Any], wanted: list[int]) -> dict[str, Task]:
    """What a careful user writes in an afternoon: whole arrays, a loop over labels, boxes cropped for surfaces."""
    u = pair["displacement"]
    scale = np.array(SPACING[: u.ndim - 1]).reshape(-1, *[1] * (u.ndim - 1))

    def inverse() -> float:
        landed = u + np.stack(np.meshgrid(*[np.arange(n) for n in u.shape[1:]], indexing="ij"))
        last = (np.array(u.shape[1:]) - 1).reshape(scale.shape)
        kept = ((landed >= 0) & (landed <= last)).all(0)
        back = np.stack([map_coordinates(-part, landed, order=1, mode="nearest") for part in u])
        return float(np.sqrt((((u + back) * scale) ** 2).sum(0))[kept].mean())

    def warped() -> int:
        landed = u + np.stack(np.meshgrid(*[np.arange(n) for n in u.shape[1:]], indexing="ij"))
        return int(map_coordinates(pair["moving"], landed, order=0).sum())

    def tre(order: int) -> float:
        at = pair["fixed_points"].T
        sent = at + np.stack([map_coordinates(part, at, order=order) for part in u])
        return float(np.linalg.norm((sent - pair["moving_points"].T) * scale[:, :, 0, 0], axis=0).mean())

    return {
        "labels warped": warped,
        "dice, hd95_mm, assd_mm, nsd, hd95_l2r": lambda: list(
            zip(*[_of_label(pair["fixed"] == k, pair["moved"] == k) for k in wanted], strict=True)
        ),
        "folding (8)": lambda: _folding(u, pair["fixed"] > 0),
        "tre_mm": lambda: tre(1),
        "tre_l2r_mm": lambda: tre(3),
        "endpoint_error_mm": lambda: float(np.sqrt((((u - pair["truth"]) * scale) ** 2).sum(0)).mean()),
        "displacement_mm": lambda: float(np.sqrt(((u * scale) ** 2).sum(0)).mean()),
        "inverse_consistency_mm": inverse,
    }


def _of_label(ours: Any, theirs: Any) -> tuple[float, ...]:
    dice = float(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    filled = np.argwhere(ours | theirs)
    box = tuple(slice(max(low - 1, 0), high + 2) for low, high in zip(filled.min(0), filled.max(0), strict=True))
    edges = [part[box] & ~binary_erosion(part[box]) for part in (ours, theirs)]
    to = [distance_transform_edt(~edge, sampling=SPACING[: ours.ndim]) for edge in edges]
    distances = to[1][edges[0]], to[0][edges[1]]
    both = np.concatenate(distances)
    hd95 = max(np.percentile(part, 95) for part in distances)
    return dice, float(hd95), float(both.mean()), float((both <= 1 + 1e-9).mean()), _surface_l2r(ours, theirs)


def _surface_l2r(ours: Any, theirs: Any) -> float:
    import surface_distance  # noqa: PLC0415  needed by one side only

    found = surface_distance.compute_surface_distances(ours, theirs, np.ones(ours.ndim))
    return float(surface_distance.compute_robust_hausdorff(found, 95.0))


def _folding(u: Any, foreground: Any) -> list[float]:
    dims = len(u)
    jacobian = np.stack([np.stack(np.gradient(part)) for part in u])
    central = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)) + np.eye(dims))
    del jacobian
    inner = central[(slice(2, -2),) * dims]
    positions = u + np.stack(np.meshgrid(*[np.arange(n) for n in u.shape[1:]], indexing="ij"))

    def corner(signs: tuple[int, ...], low: int, high: int) -> Any:
        edges = []
        for axis, sign in enumerate(signs):
            step = np.roll(positions, -sign, axis + 1) - positions
            edges.append(sign * step[(slice(None), *[slice(low, n - high) for n in u.shape[1:]])])
        return np.linalg.det(np.moveaxis(np.stack(edges), (0, 1), (-2, -1)))

    middle = (slice(None), *[slice(1, -1)] * dims)
    found = [corner(signs, 1, 1) for signs in product((1, -1), repeat=dims)]
    if dims == 3:
        for sign in (1, -1):
            steps = [np.roll(positions, tuple(-sign * k for k in step), (1, 2, 3)) - positions
                     for step in ((1, 1, 0), (0, 1, 1), (1, 0, 1))]  # fmt: skip
            star = np.linalg.det(np.moveaxis(np.stack([step[middle] for step in steps]), (0, 1), (-2, -1)))
            found.append(sign * star)
    factorial = {2: 2, 3: 6}[dims]
    by_name = {
        "fold_backward_percent": 100 * (corner((-1,) * dims, 1, 0) <= 0).mean(),
        "fold_central_percent": 100 * (central <= 0).mean(),
        "fold_foreground_percent": 100 * (central[foreground] <= 0).mean(),
        "fold_forward_percent": 100 * (corner((1,) * dims, 0, 1) <= 0).mean(),
        "nd_points_percent": 100 * np.any([part <= 0 for part in found], axis=0).mean(),
        "ndv_percent": 100 * sum(-0.5 * np.minimum(part, 0).sum() / factorial for part in found) / found[0].size,
        "sdlogj": np.log(np.maximum(central, 1e-9)).std(),
        "sdlogj_l2r": np.log((inner + 3).clip(1e-9, 1e9)).std(),
    }
    return [float(value) for _, value in sorted(by_name.items())]


def run_side(side: str, inputs: Path, wanted: list[int], turns: int) -> None:
    """In a process of its own: time every task, print JSON."""
    # The published surface-distance calls scipy by old names; that is its benchmark, not ours to fix.
    warnings.simplefilter("ignore")
    with np.load(inputs) as stored:
        pair = {name: stored[name] for name in stored.files}
    tasks = (regbench_tasks if side == "regbench" else straightforward_tasks)(pair, wanted)
    values = {}
    if side == "regbench":
        values = {name: task() for name, task in tasks.items()}
    held, seconds = _memory("VmRSS"), {name: list[float]() for name in tasks}
    for _ in range(turns):
        for name, task in tasks.items():
            start = time.process_time()
            values[name] = task()
            seconds[name].append(time.process_time() - start)
    print(
        json.dumps(
            {
                "seconds": {name: statistics.median(each) for name, each in seconds.items()},
                "values": values,
                "peak_above_inputs_mib": _memory("VmHWM") - held,
            }
        )
    )


def _memory(key: str) -> float:
    """MiB resident now (VmRSS) or at the peak (VmHWM); getrusage would count the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 192, 224), help="voxels along each axis")
    parser.add_argument("--labels", type=int, default=35, help="number of structures")
    parser.add_argument("--turns", type=int, default=7, help="of each task; the median counts")
    parser.add_argument("--only", choices=SIDES, help="run one side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = list(range(1, options.labels + 1))
    if options.side:
        run_side(options.side, options.inputs, wanted, options.turns)
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "pair.npz"
        np.savez(inputs, **make_pair(tuple(options.shape), options.labels))
        for side in [options.only] if options.only else SIDES:
            command = [
                sys.executable,
                __file__,
                "--side",
                side,
                "--inputs",
                str(inputs),
                "--labels",
                str(options.labels),
                "--turns",
                str(options.turns if side == "regbench" else 1),
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[side] = json.loads(done.stdout)
    _report(found, options)


def _report(found: dict[str, Any], options: argparse.Namespace) -> None:
    print(f"{'x'.join(map(str, options.shape))}, {options.labels} labels, {platform.processor() or platform.machine()}")
    sides = list(found)
    names = list(found[sides[0]]["seconds"])
    print(f"{'':<40}" + "".join(f"{side + ' s':>18}" for side in sides) + ("    ratio" if len(sides) > 1 else ""))
    rows = {name: [found[side]["seconds"][name] for side in sides] for name in names}
    for name, seconds in (*rows.items(), ("all", [sum(column) for column in zip(*rows.values(), strict=True)])):
        ratio = f"{seconds[1] / seconds[0]:9.1f}" if len(seconds) > 1 else ""
        print(f"{name:<40}" + "".join(f"{value:18.3f}" for value in seconds) + ratio)
    print(f"{'peak above inputs, MiB':<40}" + "".join(f"{found[s]['peak_above_inputs_mib']:18.0f}" for s in sides))
    if len(sides) > 1:
        for name in names:
            np.testing.assert_allclose(*(found[side]["values"][name] for side in sides), rtol=1e-4, err_msg=name)
        print("both sides agree to 1e-4 in every value")
    if options.json:
        kept = {
            side: {key: value for key, value in figures.items() if key != "values"} for side, figures in found.items()
        }
        setting: dict[str, Any] = {
            "shape": list(options.shape),
            "labels": options.labels,
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "seconds": "of the CPU, median",
        }
        options.json.write_text(json.dumps(setting | kept, indent=1) + "\n")


if __name__ == "__main__":
    main()

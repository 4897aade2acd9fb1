"""Time and memory of the losses beside those of VoxelMorph (neurite), MONAI and the plain formula.

    python benchmarks/losses.py [--json FILE] [--quick] [--threads 2] [--only ROW] [--terms]

Ours runs with the compiled loops, where Numba serves, and by its formula. Each row runs in a fresh process, on
the same tensors, the competitors in turn, so that what else the machine does hits all alike and no row inherits the
heap of another; medians of time by the clock and of CPU time. Everything runs twice: with glibc as it is (buffers over
32 MB are mapped anew for each call, and page faults decide) and with the heap kept (mallopt). Peers that are not
installed are left out. `--memory` measures the extra peak of resident memory instead; `--terms` what every loss costs
at 96^3, forward and backward, beside the forward pass of the network (`voxelmorph`), all in one process and in turn.
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.losses import CONSISTENCIES, REGULARIZERS, SIMILARITIES, landmark_distance
from regbench.models import MODELS
from regbench.spatial import jacobian_determinant
from regbench.system import numba_loops

FULL = (160, 192, 224)
BY_FORMULA = "regbench by formula"
Loss = Callable[..., Tensor]


def formula_lcc(f: Tensor, m: Tensor, window: int = 9) -> Tensor:
    """Five full convolutions, as the formula is usually typed."""
    convolve = F.conv2d if f.ndim == 4 else F.conv3d
    ones = torch.ones((1, 1) + (window,) * (f.ndim - 2))
    a, b, aa, bb, ab = (convolve(x, ones, padding=window // 2) for x in (f, m, f * f, m * m, f * m))
    n = ones.numel()
    cross = ab - a * b / n
    return 1 - (cross * cross / ((aa - a * a / n) * (bb - b * b / n) + 1e-5)).mean()


def formula_gcc(f: Tensor, m: Tensor) -> Tensor:
    a, b = f.mean(), m.mean()
    cross = (f * m).mean() - a * b
    return 1 - cross / ((f**2).mean() - a**2).sqrt() / ((m**2).mean() - b**2).sqrt()


def formula_determinant(u: Tensor) -> Tensor:
    """Learn2Reg's: scipy.ndimage.correlate with [-1/2, 0, 1/2], then the 3 x 3 determinant written out."""
    field = u[0].numpy()
    kernel = np.array([-0.5, 0, 0.5])
    d = [[scipy.ndimage.correlate1d(field[k], kernel, axis=j, mode="nearest") for j in range(3)] for k in range(3)]
    for k in range(3):
        d[k][k] += 1
    cofactors = [d[1][(j + 1) % 3] * d[2][(j + 2) % 3] - d[1][(j + 2) % 3] * d[2][(j + 1) % 3] for j in range(3)]
    return torch.from_numpy(d[0][0] * cofactors[0] + d[0][1] * cofactors[1] + d[0][2] * cofactors[2])


def cases(quick: bool) -> dict[str, tuple[tuple[int, ...], int, dict[str, Loss]]]:
    """Row -> (shape of the inputs, number of inputs, competitors); the first competitor is ours."""
    rows: dict[str, tuple[tuple[int, ...], int, dict[str, Loss]]] = {}
    volumes = {"2D 8x1x192x192": (8, 1, 192, 192), "64^3": (1, 1, 64, 64, 64), "96^3": (1, 1, 96, 96, 96)}
    full = {} if quick else {"160x192x224": (1, 1, *FULL)}
    for label, shape in (volumes | full).items():
        rows[f"lcc {label}"] = (
            shape,
            2,
            {"regbench": SIMILARITIES["lcc"], "formula": formula_lcc} | _peers("lcc", shape),
        )
    rows["mi 96^3"] = (volumes["96^3"], 2, {"regbench": SIMILARITIES["mi"]} | _peers("mi", volumes["96^3"]))
    if quick:
        return rows
    shape, field = full["160x192x224"], (1, 3, *FULL)
    rows["mi 160x192x224"] = (shape, 2, {"regbench": SIMILARITIES["mi"]})
    rows["gcc"] = (shape, 2, {"regbench": SIMILARITIES["gcc"], "formula": formula_gcc})
    for name in ("grad_l1", "grad_l2", "bending"):
        rows[name] = (field, 1, {"regbench": REGULARIZERS[name]} | _peers(name, field))
    rows["jacobian_determinant (forward)"] = (
        field, -1, {"regbench": jacobian_determinant, "learn2reg (scipy)": formula_determinant},
    )  # fmt: skip
    for window in (3, 5, 9, 15, 21, 31):
        rows[f"lcc window {window}"] = (
            (1, 1, 96, 96, 96), 2, {"regbench": lambda f, m, w=window: SIMILARITIES["lcc"](f, m, window=w)},
        )  # fmt: skip
    for side in (32, 48, 64, 80, 96, 128, 160, 192):
        rows[f"lcc side {side}"] = ((1, 1, side, side, side), 2, {"regbench": SIMILARITIES["lcc"]})
    return rows


def _peers(name: str, shape: tuple[int, ...]) -> dict[str, Loss]:
    found: dict[str, Loss] = {}
    dims = len(shape) - 2
    if find_spec("monai"):
        from monai.losses import (  # noqa: PLC0415 - only where it is installed
            BendingEnergyLoss,
            DiffusionLoss,
            GlobalMutualInformationLoss,
            LocalNormalizedCrossCorrelationLoss,
        )

        monai = {
            "lcc": lambda: LocalNormalizedCrossCorrelationLoss(dims, kernel_size=9),
            "mi": GlobalMutualInformationLoss,
            "grad_l2": DiffusionLoss,
            "bending": BendingEnergyLoss,
        }
        if name in monai:
            found["monai"] = monai[name]()
    if find_spec("neurite"):
        from neurite.nn.modules import NCC, SpatialGradient  # noqa: PLC0415 - only where it is installed

        neurite = {
            "lcc": lambda: NCC(window_size=9),
            "grad_l1": lambda: SpatialGradient("l1"),
            "grad_l2": lambda: SpatialGradient("l2"),
        }
        if name in neurite:
            found["voxelmorph"] = neurite[name]()
    return found


def inputs(shape: tuple[int, ...], count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, generator=generator) for _ in range(abs(count))]


def turn(name: str, loss: Loss, given: list[Tensor], forward_only: bool) -> tuple[float, float]:
    """`once`, for `BY_FORMULA` without the compiled loops."""
    before = numba_loops.available
    if name == BY_FORMULA:
        numba_loops.available = lambda: False
    try:
        return once(loss, given, forward_only)
    finally:
        numba_loops.available = before


def once(loss: Loss, given: list[Tensor], forward_only: bool) -> tuple[float, float]:
    """Seconds of forward and backward, by the clock and of CPU; gradient to the last input only, as in training."""
    leaves = [*given[:-1], given[-1] if forward_only else given[-1].detach().requires_grad_()]
    start, cpu = time.perf_counter(), time.process_time()
    value = loss(*leaves)
    if not forward_only:
        value.sum().backward()
    return time.perf_counter() - start, time.process_time() - cpu


def time_row(label: str, threads: int, regime: str) -> dict[str, object]:
    """Median milliseconds of each competitor, measured in this process: call it in a fresh one."""
    warnings.filterwarnings("ignore")  # MONAI's own
    torch.set_num_threads(threads)
    if regime == "heap kept":
        keep_heap()
    shape, count, losses = cases(quick=False)[label]
    given, forward_only = inputs(shape, count), count < 0
    if numba_loops.available():
        losses[BY_FORMULA] = losses["regbench"]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in losses}
    # Dense convolutions take seconds in 3D, at full size half a minute, and so does our formula at full size: once.
    often = 15 if np.prod(shape) < 5e5 else 9 if np.prod(shape) < 2e6 else 5
    dense = label.startswith("lcc") and len(shape) == 5
    slow = {"formula"} if dense else set[str]()
    slow |= {BY_FORMULA} if often == 5 else set()
    repeats = {name: 1 if name in slow else often for name in losses}
    for time_around in range(max(repeats.values())):
        for name, loss in losses.items():
            if time_around < repeats[name]:
                # Not counted: wakes the threads that a competitor with one left asleep. A second hides that by itself.
                if repeats[name] > 1 and (not taken[name] or taken[name][-1][0] < 1):
                    turn(name, loss, given, forward_only)
                taken[name].append(turn(name, loss, given, forward_only))
    row: dict[str, object] = {"row": label}
    for kind, key in enumerate(("milliseconds", "cpu_milliseconds")):
        row[key] = {name: 1000 * statistics.median(each[kind] for each in times) for name, times in taken.items()}
    return row


def time_rows(quick: bool, threads: int, only: str, regime: str) -> list[dict[str, object]]:
    rows = []
    for label in cases(quick):
        if only not in label:
            continue
        command = [sys.executable, __file__, "--threads", str(threads), "--row", label, regime]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        text = f"{label:32s}"
        for key in ("milliseconds", "cpu_milliseconds"):
            medians = rows[-1][key]
            fastest = min((m for n, m in medians.items() if not n.startswith("regbench")), default=0.0)
            text += f"{key[:-12]:5s}" + "".join(f"{n} {m:8.2f}  " for n, m in medians.items())
            text += f"x{fastest / medians['regbench']:.1f}  "
        print(text, flush=True)
    return rows


def memory_of(label: str, name: str) -> float:
    """Extra peak of resident memory in MB, measured in this process: call it in a fresh one."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    shape, count, losses = cases(quick=False)[label]
    losses[BY_FORMULA] = losses["regbench"]
    small = inputs((*shape[:2], *(24,) * (len(shape) - 2)), count)
    turn(name, losses[name], small, count < 0)
    given = inputs(shape, count)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    before = _status("VmRSS")
    turn(name, losses[name], given, count < 0)
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(key))


def terms() -> dict[str, tuple[Loss, list[Tensor]]]:
    """Every loss by its defaults, and its dearer forms, with 96^3 inputs; the last one has the gradient."""
    images, fields = inputs((1, 1, 96, 96, 96), 2), inputs((2, 3, 96, 96, 96), 1)[0].split(1)
    points = 90 * torch.rand(1, 300, 3)
    forms: dict[str, dict[str, object]] = {
        "lcc, gaussian": {"kernel": "gaussian"},
        "lcc, triangular": {"kernel": "triangular"},
        "lcc, windows 3, 5, 9": {"windows": (3, 5, 9)},
        "correlation_ratio, both": {"given": "both"},
        "multi_scale of lcc": {"similarity": "lcc"},
        "multi_scale of mi": {"similarity": "mi"},
        "jacobian, digital": {"scheme": "digital"},
        "jacobian, digital, margin 0.5": {"scheme": "digital", "margin": 0.5},
        "jacobian, digital, log": {"scheme": "digital", "measure": "log"},
        "tv, by component": {"vectorial": False},
    }
    known = {**SIMILARITIES, **REGULARIZERS, **CONSISTENCIES}
    names = [name for name in known if name not in ("multi_scale", "features")]
    table: dict[str, tuple[Loss, list[Tensor]]] = {}
    for label in [*names, *forms]:
        name = label.partition(",")[0].partition(" of")[0]
        given = images if name in SIMILARITIES else list(fields) if name in CONSISTENCIES else [0.3 * fields[0]]
        table[label] = (partial(known[name], **forms.get(label, {})), given)
    table["landmark_distance, 300"] = (lambda u: landmark_distance(u, points, points + 1), [fields[0]])
    return table


def time_terms(quick: bool, threads: int) -> dict[str, object]:
    """Median CPU milliseconds of the network's forward pass, and of each loss as a multiple of it."""
    torch.set_num_threads(threads)
    network, (fixed, moving) = MODELS["voxelmorph"](3), inputs((1, 1, 96, 96, 96), 2)
    taken: dict[str, list[float]] = {"forward": []} | {label: [] for label in terms()}
    for turn_number in range(4 if quick else 8):
        start = time.process_time()
        with torch.no_grad():
            network(fixed, moving)
        times = {"forward": time.process_time() - start}
        times |= {label: once(loss, given, forward_only=False)[1] for label, (loss, given) in terms().items()}
        for label, seconds in times.items():
            taken[label] += [seconds] if turn_number else []  # the first compiles
    medians = {label: 1000 * statistics.median(times) for label, times in taken.items()}
    ratios = {label: medians[label] / medians["forward"] for label in medians if label != "forward"}
    for label, ratio in sorted(ratios.items(), key=lambda row: row[1]):
        print(f"{label:34s}{ratio:8.3f}", flush=True)
    return {"forward_ms": medians["forward"], "ratios": ratios}


def keep_heap() -> None:
    """glibc: map nothing, trim nothing, so that freed memory stays paged in."""
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-4, 0)
    libc.mallopt(-1, 2**31 - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--only", default="", help="rows whose name contains this, for example `lcc side`")
    parser.add_argument("--quick", action="store_true", help="only what takes under a minute")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--terms", action="store_true", help="every loss beside the forward pass of the network")
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(memory_of(*given.one))
        return
    if given.row:
        print(json.dumps(time_row(given.row[0], given.threads, given.row[1])))
        return
    result: dict[str, object] = {"torch": torch.__version__, "threads": given.threads, "cpus": os.cpu_count()}
    result["compiled"] = numba_loops.available()  # else `regbench` is by formula
    print("regbench: compiled loops" if result["compiled"] else "regbench: by formula, for Numba does not serve here")
    if given.terms:
        result["terms"] = time_terms(given.quick, given.threads)
    elif given.memory:
        result["memory_mb"] = memory_table()
    else:
        for regime in ("default", "heap kept"):
            print(f"\n== {regime} allocator", flush=True)
            result[regime] = time_rows(given.quick, given.threads, given.only, regime)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


def memory_table() -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for label in (
        "lcc 160x192x224",
        "mi 96^3",
        "gcc",
        "grad_l1",
        "grad_l2",
        "bending",
        "jacobian_determinant (forward)",
    ):
        for name in [*cases(quick=False)[label][2], *([BY_FORMULA] if numba_loops.available() else [])]:
            if (label, name) == ("lcc 160x192x224", "formula"):
                continue
            done = subprocess.run(
                [sys.executable, __file__, "--one", label, name], check=False, capture_output=True, text=True
            )
            if done.returncode == 0:
                table.setdefault(label, {})[name] = round(float(done.stdout.split()[-1]), 1)
                print(f"{label:34s} {name:20s} {table[label][name]:8.1f} MB", flush=True)
            else:
                print(f"{label} {name}: {done.stderr[-200:]}", flush=True)
    return table


if __name__ == "__main__":
    main()

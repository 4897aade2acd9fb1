"""Losses, warps and training steps on a GPU, beside VoxelMorph (neurite) and MONAI: milliseconds and peak memory.

    python benchmarks/gpu.py PART --rows FILE [--device cpu] [--small] [--only ROW]

`make gpu` runs every part (benchmarks/gpu_page.py). Competitors take turns on the same tensors; medians by the device's
own clock (CUDA events), forward and backward; memory is what torch's allocator held at most above the inputs. Peers
are used as they come: one that fails (out of memory, say) is left out, and named. Each row is a line of JSON, written
when it is measured. On a CPU the clock is the machine's and memory is not measured: that form shows that the parts
work.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from losses import FULL, cases, formula_determinant, formula_lcc, inputs, once
from torch import Tensor
from training import OURS, dataset, peer_step, step, training

from regbench.spatial import fixed_order, warp
from regbench.system import device as devices

Row = dict[str, Any]
Work = Callable[[], object]
Shapes = dict[str, tuple[tuple[int, ...], int, str]]
STEPS: Shapes = {
    "step 2D 8x192x160 lcc": ((192, 160), 8, "lcc"),
    "step 3D 96^3 lcc": ((96, 96, 96), 1, "lcc"),
    "step 3D 160x192x224 lcc": (FULL, 1, "lcc"),
    "step 3D 160x192x224 mi": (FULL, 1, "mi"),
}
SMALL_STEPS: Shapes = {"step 2D 2x48x64 lcc": ((48, 64), 2, "lcc"), "step 3D 16x32x16 lcc": ((16, 32, 16), 1, "lcc")}
# Image and displacement have gradients, as in a composition or a velocity that is integrated.
WARPS = {"2D 8x2x192x160": (8, 2, 192, 160), "3D 3x96^3": (1, 3, 96, 96, 96), "3D 3x160x192x224": (1, 3, *FULL)}
SMALL_WARPS = {"2D 2x2x48x40": (2, 2, 48, 40), "3D 3x24^3": (1, 3, 24, 24, 24)}
ORDERED, UNORDERED, GRAPH = "regbench", "regbench, deterministic: false", "regbench, graph"
OWN = {*(name for name in OURS if name.startswith("regbench")), UNORDERED, GRAPH, "torch", "fixed order"}
SECONDS_ALONE = 6.0  # that a process of `share` steps for


class Bench(NamedTuple):
    """Where and how it is measured."""

    device: torch.device
    small: bool
    only: str
    rows: Path

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def turns(self) -> int:
        return 3 if self.small else 15

    def write(self, row: Row) -> None:
        """Keep a row: what is measured is not lost if a later one fails."""
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    def milliseconds(self, work: Work) -> float:
        """By the device's clock, its queue empty before."""
        if not self.on_gpu:
            began = time.perf_counter()
            work()
            return 1000 * (time.perf_counter() - began)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end))

    def peak_mib(self, work: Work) -> float | None:
        if not self.on_gpu:
            work()
            return None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)

    def measure(self, label: str, contestants: dict[str, Work]) -> None:
        """Median milliseconds and peak MiB of each, in turns."""
        taken: dict[str, list[float]] = {}
        memory: dict[str, float | None] = {}
        failed: dict[str, str] = {}
        for name, work in list(contestants.items()):
            try:
                for _ in range(1 if self.small and not self.on_gpu else 4):  # with the warm-up of a graph
                    work()
                memory[name] = self.peak_mib(work)
            except (RuntimeError, NotImplementedError) as error:  # out of memory, or a peer's tensors on two devices
                failed[name] = str(error).splitlines()[0][:160]
                del contestants[name]
        for _ in range(self.turns):
            for name, work in contestants.items():
                taken.setdefault(name, []).append(self.milliseconds(work))
        medians = {name: round(statistics.median(times), 3) for name, times in taken.items()}
        self.write({"row": label, "milliseconds": medians, "peak_mib": memory, "failed": failed})


def losses(bench: Bench) -> None:
    """The rows of losses.py."""
    for label, (shape, count, competitors) in cases(quick=bench.small).items():
        if bench.only not in label or (bench.small and not bench.on_gpu and "96^3" in label):
            continue
        given = [tensor.to(bench.device) for tensor in inputs(shape, count)]
        works: dict[str, Work] = {
            name: partial(once, loss.to(bench.device) if isinstance(loss, torch.nn.Module) else loss, given, count < 0)
            for name, loss in competitors.items()
            if loss not in (formula_determinant, formula_lcc)  # they compute on the CPU
        }
        bench.measure(label, works)


def warps(bench: Bench) -> None:
    """A warp whose image and displacement have gradients: torch's sums, and ours in a fixed order."""
    for label, shape in (SMALL_WARPS if bench.small else WARPS).items():
        if bench.only not in label:
            continue
        image, field = (
            inputs(shape, 1)[0].to(bench.device),
            3
            * torch.randn(shape[0], len(shape) - 2, *shape[2:], generator=torch.Generator().manual_seed(1)).to(
                bench.device
            ),
        )
        leaves = [image.requires_grad_(), field.requires_grad_()]

        def work(leaves: list[Tensor] = leaves) -> None:
            torch.autograd.grad(warp(*leaves).sum(), leaves)

        bench.measure(
            f"warp {label}", {"torch": ordered(bench, False, work), "fixed order": ordered(bench, True, work)}
        )


def ordered(bench: Bench, on: bool, work: Work) -> Work:
    """Work with sums in a fixed order, or as torch has them; on a CPU, where nobody needs it, for the code's sake."""

    def told() -> object:
        if bench.on_gpu:
            devices.repeatable(on)
        else:
            fixed_order.wanted = lambda tensor: on
        return work()

    return told


def steps(bench: Bench) -> None:
    """Steps as in training.py, and ours without a fixed order and as a graph."""
    for label, (shape, batch, similarity) in (SMALL_STEPS if bench.small else STEPS).items():
        if bench.only not in label:
            continue
        works: dict[str, Work] = {}
        for name, ours in {**OURS, UNORDERED: ({}, {}), GRAPH: ({}, {"graph": True})}.items():
            if name == GRAPH and not bench.on_gpu:
                continue
            try:
                if ours is not None:
                    options = {**ours[1], "device": bench.device.type}
                    run = training(dataset(shape, batch), batch, similarity, ours[0], options)
                    works[name] = ordered(bench, name != UNORDERED, partial(step, run))
                elif similarity != "mi":
                    peer = peer_step(name, shape, batch, similarity, bench.device)
                    works[name] = ordered(bench, False, peer)
            except ImportError as error:
                bench.write({"row": label, "skipped": f"{name}: {error}"})
        bench.measure(label, works)
        works.clear()


AUGMENTED = {"flips": (0,), "rotation_degrees": 5, "translation_voxels": 2, "gamma": 0.2, "noise": 0.02}
FED: dict[str, Row] = {
    "held on the device": {"images": "device"},
    "held, augmented": {"images": "device", "augmentation": AUGMENTED},
    "streamed": {"images": "stream"},
    "streamed, augmented": {"images": "stream", "augmentation": AUGMENTED},
}


def feeding(bench: Bench) -> None:
    """Which share of a training's time the device computes (torch.profiler), by the way its images come."""
    label, (shape, batch, similarity) = list((SMALL_STEPS if bench.small else STEPS).items())[1 if bench.small else 2]
    for name, options in FED.items():
        run = training(dataset(shape, batch), batch, similarity, {}, {**options, "device": bench.device.type})
        for _ in range(2 if bench.small else 5):
            step(run)
        share, steps_a_second = _busy(bench, partial(step, run), 4 if bench.small else 50)
        bench.write({"row": f"{label}, {name}", "busy_percent": 100 * share, "steps_a_second": steps_a_second})
        del run


def _busy(bench: Bench, work: Work, turns: int) -> tuple[float, float]:
    """The share of the time in which some operation runs on the device, and how often the work runs a second."""
    activity = torch.profiler.ProfilerActivity
    wait = torch.cuda.synchronize if bench.on_gpu else lambda: None
    wait()
    with torch.profiler.profile(activities=[activity.CPU, *([activity.CUDA] if bench.on_gpu else [])]) as profile:
        began = time.perf_counter()
        for _ in range(turns):
            work()
        wait()
        seconds = time.perf_counter() - began
    kind = torch.autograd.DeviceType.CUDA if bench.on_gpu else torch.autograd.DeviceType.CPU
    spans = sorted((e.time_range.start, e.time_range.end) for e in profile.events() if e.device_type == kind)
    busy, until = 0.0, float("-inf")
    for start, end in spans:
        busy, until = busy + max(end - max(start, until), 0.0), max(until, end)
    return busy / 1e6 / seconds, turns / seconds


def exactness(bench: Bench) -> None:
    """Relative error of gradients in float32 against float64 on the CPU, raw CT at 64^3."""
    pair = [4000 * tensor - 1000 for tensor in inputs((1, 1, 64, 64, 64), 2)]
    competitors = cases(quick=True)["lcc 64^3"][2]
    exact = _gradient(competitors["regbench"], [tensor.double() for tensor in pair])
    for name, loss in competitors.items():
        if loss is formula_lcc:
            continue
        ours = loss.to(bench.device) if isinstance(loss, torch.nn.Module) else loss
        gradient = _gradient(ours, [tensor.to(bench.device) for tensor in pair])
        error = ((gradient.cpu().double() - exact).norm() / exact.norm()).item()
        bench.write({"row": "lcc gradient error, raw CT", "who": name, "error": error})


def _gradient(loss: Callable[..., Tensor], pair: list[Tensor]) -> Tensor:
    leaf = pair[1].clone().requires_grad_()
    return torch.autograd.grad(loss(pair[0], leaf).sum(), leaf)[0]


def alone(bench: Bench) -> None:
    """One process that steps for a while; prints its steps a second."""
    shape, batch, similarity = SMALL_STEPS["step 3D 16x32x16 lcc"] if bench.small else STEPS["step 3D 96^3 lcc"]
    run = training(dataset(shape, batch), batch, similarity, {}, {"device": bench.device.type})
    count, seconds = 0, SECONDS_ALONE / (6 if bench.small else 1)
    for _ in range(5):
        step(run)
    print("ready", flush=True)
    sys.stdin.readline()  # until all are
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        step(run)
        count += 1
        if bench.on_gpu:
            torch.cuda.synchronize()
    print(count / (time.perf_counter() - began), flush=True)


def share(bench: Bench) -> None:
    """Steps a second of one process, and of each of two at once on the same device."""
    command = [sys.executable, __file__, "alone", "--rows", str(bench.rows), "--device", bench.device.type]
    for count in (1, 2):
        workers = [
            subprocess.Popen(
                [*command, *(["--small"] if bench.small else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        rates = [float(answer) for answer in _together(workers)]
        bench.write({"row": f"steps a second, {count} process{'es' * (count > 1)}", "rates": rates})


def _together(workers: list["subprocess.Popen[str]"]) -> list[str]:
    """What each prints after all were ready."""
    for worker in workers:
        assert worker.stdout is not None
        if not worker.stdout.readline():
            raise SystemExit("a process that shares the device ended before it was ready")
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    return [worker.communicate()[0] for worker in workers]


PARTS = {f.__name__: f for f in (losses, warps, steps, feeding, exactness, share, alone)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rows", type=Path, required=True, help="rows are appended here, one line of JSON each")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="small images, few turns")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("this needs a CUDA device, and torch sees none; --device cpu shows that the parts work")
    warnings.filterwarnings("ignore")  # the peers' own
    devices.set_up(1 if given.device == "cpu" else 4, given.device)
    PARTS[given.part](Bench(torch.device(given.device), given.small, given.only, given.rows))
    lines = given.rows.read_text(encoding="utf-8").splitlines() if given.rows.exists() else []
    ours = [
        f"{row['row']}: {row['failed'][name]}"
        for row in map(json.loads, lines)
        for name in row.get("failed", ())
        if name in OWN
    ]
    if ours:
        raise SystemExit("ours failed: " + "; ".join(ours))


if __name__ == "__main__":
    main()

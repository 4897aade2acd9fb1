"""The losses and a training step on a GPU, beside VoxelMorph (neurite) and MONAI: milliseconds and peak memory.

    python benchmarks/gpu.py [--json FILE] [--only ROW]

The rows of losses.py and steps as in training.py on one CUDA device. Competitors take turns on the same tensors;
medians by the device's own clock (CUDA events), forward and backward; memory is what torch's allocator held at most
above the inputs. Peers are used as they come: one that fails (out of memory, say) is left out, and said.
"""

import argparse
import json
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from losses import FULL, cases, formula_determinant, formula_lcc, inputs, once
from torch import Tensor
from training import OURS, dataset, peer_step, step, training

from regbench.system import device as devices

CUDA = torch.device("cuda")
STEPS: dict[str, tuple[tuple[int, ...], int, str]] = {
    "step 2D 8x192x160 lcc": ((192, 160), 8, "lcc"),
    "step 3D 96^3 lcc": ((96, 96, 96), 1, "lcc"),
    "step 3D 160x192x224 lcc": (FULL, 1, "lcc"),
    "step 3D 160x192x224 mi": (FULL, 1, "mi"),
}
TURNS = 15


def milliseconds(work: Callable[[], object]) -> float:
    """By the device's clock, its queue empty before."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def peak_mib(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def row(label: str, contestants: dict[str, Callable[[], object]]) -> dict[str, Any]:
    """Median milliseconds and peak MiB of each, in turns."""
    taken: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for name, work in list(contestants.items()):
        try:
            for _ in range(3):
                work()
            memory[name] = round(peak_mib(work), 1)
        except (RuntimeError, NotImplementedError) as error:  # a peer's: out of memory, or tensors on two devices
            if name.startswith("regbench"):
                raise
            print(f"{label}: {name} left out: {str(error).splitlines()[0][:160]}", flush=True)
            del contestants[name]
    for _ in range(TURNS):
        for name, work in contestants.items():
            taken.setdefault(name, []).append(milliseconds(work))
    found = {name: round(statistics.median(times), 3) for name, times in taken.items()}
    print(f"{label:32s}" + "".join(f"  {n} {t:.2f} ms {memory[n]:.0f} MiB" for n, t in found.items()), flush=True)
    return {"row": label, "milliseconds": found, "peak_mib": memory}


def losses(only: str) -> list[dict[str, Any]]:
    rows = []
    for label, (shape, count, competitors) in cases(quick=False).items():
        if only not in label:
            continue
        given = [tensor.to(CUDA) for tensor in inputs(shape, count)]
        works = {
            name: partial(once, loss.to(CUDA) if isinstance(loss, torch.nn.Module) else loss, given, count < 0)
            for name, loss in competitors.items()
            if loss not in (formula_determinant, formula_lcc)  # they compute on the CPU
        }
        rows.append(row(label, works))
    return rows


def steps(only: str) -> list[dict[str, Any]]:
    rows = []
    for label, (shape, batch, similarity) in STEPS.items():
        if only not in label:
            continue
        works: dict[str, Callable[[], object]] = {}
        for name, ours in OURS.items():
            if ours is not None:
                run = training(dataset(shape, batch), batch, similarity, ours[0], {**ours[1], "device": "cuda"})
                works[name] = partial(step, run)
            elif similarity != "mi":
                works[name] = peer_step(name, shape, batch, similarity, CUDA)
        rows.append(row(label, works))
    return rows


def exactness() -> list[dict[str, Any]]:
    """Largest relative error of value and gradient of our float32 losses against float64 on the CPU, raw CT at 64^3."""
    rows = []
    pair = [4000 * tensor - 1000 for tensor in inputs((1, 1, 64, 64, 64), 2)]
    for name, loss in cases(quick=False)["lcc 64^3"][2].items():
        if name == "formula":
            continue
        exact = _gradient(cases(quick=False)["lcc 64^3"][2]["regbench"], [tensor.double() for tensor in pair])
        found = _gradient(loss.to(CUDA) if isinstance(loss, torch.nn.Module) else loss, [x.to(CUDA) for x in pair])
        error = ((found.cpu().double() - exact).norm() / exact.norm()).item()
        rows.append({"row": "lcc gradient error, raw CT", "who": name, "error": error})
        print(f"lcc gradient, raw CT: {name} relative error {error:.1e}", flush=True)
    return rows


def _gradient(loss: Callable[..., Tensor], pair: list[Tensor]) -> Tensor:
    leaf = pair[1].clone().requires_grad_()
    return torch.autograd.grad(loss(pair[0], leaf).sum(), leaf)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a CUDA device, and torch sees none; benchmarks/losses.py measures on the CPU")
    warnings.filterwarnings("ignore")  # the peers' own
    devices.set_up(4)
    result: dict[str, Any] = {"torch": torch.__version__, "device": torch.cuda.get_device_name()}
    print(result, flush=True)
    result["exactness"] = exactness()
    result["rows"] = [*losses(given.only), *steps(given.only)]
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

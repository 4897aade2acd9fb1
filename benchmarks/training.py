"""One training step beside those of VoxelMorph 0.3.4 and MONAI, and where its time goes.

    python benchmarks/training.py [--json FILE] [--threads 1 2] [--only ROW]

A step is forward, loss, backward, optimiser, on the same images. Ours is the loop that `regbench train` runs, with the
config's defaults and the allocator as it sets it; each peer is its own network with its own losses and torch's Adam, in
a process left as its users have it. Each contestant has a fresh process of its own; they take turns, step by step, so
that what else the machine does hits all alike; medians of time by the clock and of CPU time. Memory is the extra peak
of resident memory over two steps after a small one. The channels of MONAI are VoxelMorph's classic ones; VxmPairwise
gets no nearer to them than without the two last convolutions at full resolution.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regbench.data.cache import Dataset
from regbench.losses.objective import objective
from regbench.models.predict import build_model
from regbench.study import config
from regbench.study.specs import ComponentSpec, TrainSpec
from regbench.system import device
from regbench.training.fit import LOOK_EVERY
from regbench.training.trainer import Trainer

# Row -> image, batch, similarity, steps that each contestant is timed for.
ROWS: dict[str, tuple[tuple[int, ...], int, str, int]] = {
    "2D 8x192x160 mse": ((192, 160), 8, "mse", 9),
    "2D 8x192x160 lcc": ((192, 160), 8, "lcc", 9),
    "3D 96^3 lcc": ((96, 96, 96), 1, "lcc", 3),
}
# Contestant -> parameters of our model, options of our training; None: a peer.
OURS: dict[str, tuple[dict[str, Any], dict[str, Any]] | None] = {
    "regbench": ({}, {}),
    "regbench, full flow": ({"flow": "full"}, {}),
    "regbench, bf16": ({}, {"precision": "bf16"}),
    "voxelmorph": None,
    "monai": None,
}
PROFILES = {"2D 2x96x80 lcc": ((96, 80), 2, "lcc", 150)} | {k: v for k, v in ROWS.items() if "lcc" in k}
SCORED = {"pairs": {}, "references": {"validation": ["labels"]}}  # nothing is validated, but it could be
Step = Callable[[], object]


def dataset(shape: tuple[int, ...], batch: int, folder: Path | None = None) -> Dataset:
    """Twice a batch of noise as training subjects; mapped from files of `folder`, as a prepared dataset is."""
    images = np.random.default_rng(0).random((2 * batch, *shape), dtype=np.float32)
    if folder is not None:
        np.save(folder / "images.npy", images)
        images = np.load(folder / "images.npy", mmap_mode="r")
    names = [f"s{k}" for k in range(2 * batch)]
    manifest = {"id": "noise", "data_sha256": "", "shape": shape, "spacing_mm": [1.0] * len(shape), "labels": {}}
    return Dataset({**manifest, "subjects": names, "splits": {"train": names}, **SCORED}, {"images": images})


def training(data: Dataset, batch: int, similarity: str, model: dict[str, Any], options: dict[str, Any]) -> Trainer:
    """The loop of `regbench train`, with the config's defaults but for `options`."""
    protocol = config.Training(steps=10_000, batch=batch, **options)
    parts = {"model": ("voxelmorph", model), "similarity": (similarity, {}), "regularizer": ("grad_l2", {})}
    specs = {kind: ComponentSpec(name=name, parameters=given) for kind, (name, given) in parts.items()}
    spec = TrainSpec(method="", **specs, training=protocol, seed=0, code="", lam=0.1)
    network = build_model(spec.model, len(data.shape)).to(device.choose(protocol.device))
    return Trainer(spec, data, network, objective(spec.similarity, spec.regularizer, 0.1))


def step(trainer: Trainer) -> None:
    """One round of the loop of `regbench.training.fit`."""
    trainer.state.record(trainer.step(trainer.batch()))
    if trainer.state.step % LOOK_EVERY == 0:
        trainer.watch(LOOK_EVERY)


def our_step(name: str, shape: tuple[int, ...], batch: int, similarity: str) -> Step:
    given = OURS[name]
    assert given is not None
    return partial(step, training(dataset(shape, batch), batch, similarity, *given))


def peer_step(
    name: str, shape: tuple[int, ...], batch: int, similarity: str, where: torch.device | None = None
) -> Step:
    """The step that a user of the peer writes after its documentation; no integration, as in our default."""
    data = dataset(shape, batch)
    fixed, moving = torch.from_numpy(data.images(data.subjects)).unsqueeze(1).to(where).split(batch)
    forward, compare, penalise = {"monai": _monai, "voxelmorph": _voxelmorph}[name](len(shape), similarity)
    forward.to(where)
    optimiser = torch.optim.Adam(forward.parameters(), lr=1e-4)

    def step() -> None:
        moved, displacement = forward(moving, fixed)
        loss = compare(moved, fixed) + 0.1 * penalise(displacement)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def _monai(dims: int, similarity: str) -> tuple[nn.Module, Callable[..., Tensor], Callable[..., Tensor]]:
    from monai.losses import DiffusionLoss, LocalNormalizedCrossCorrelationLoss  # noqa: PLC0415 - in this process only
    from monai.networks.nets import VoxelMorph, VoxelMorphUNet  # noqa: PLC0415

    backbone = VoxelMorphUNet(dims, 2, 32, (16, 32, 32, 32, 32, 32), (16, 16))
    network = VoxelMorph(backbone, integration_steps=0, spatial_dims=dims)
    compare = nn.MSELoss() if similarity == "mse" else LocalNormalizedCrossCorrelationLoss(dims, kernel_size=9)
    return network, compare, DiffusionLoss()


def _voxelmorph(dims: int, similarity: str) -> tuple[nn.Module, Callable[..., Tensor], Callable[..., Tensor]]:
    from neurite.nn.modules import MSE, NCC, SpatialGradient  # noqa: PLC0415 - in this process only
    from voxelmorph.nn.models import VxmPairwise  # noqa: PLC0415

    network = VxmPairwise(dims, 1, 1, [[16, 32, 32, 32], [32, 32, 32, 32]], integration_steps=0)
    network.forward = _swapped(network.forward)  # type: ignore[method-assign]  # displacement first, image second
    correlation, error = NCC(window_size=9), MSE()
    compare = (lambda a, b: 1 - correlation(a, b).mean()) if similarity == "lcc" else error
    return network, compare, SpatialGradient("l2")


def _swapped(forward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda moving, fixed: forward(moving, fixed, return_warped_source=True)[::-1]


def work(row: str, name: str, threads: int) -> None:
    """A contestant in a process of its own: a timed step for each line that comes in."""
    warnings.filterwarnings("ignore")  # the peers' own
    shape, batch, similarity, _ = ROWS[row]
    if OURS[name] is not None:
        device.set_up(threads, "cpu")
    else:
        torch.set_num_threads(threads)
    make = our_step if OURS[name] is not None else peer_step
    make(name, (32,) * len(shape), 1, similarity)()
    once = make(name, shape, batch, similarity)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    before = _status("VmRSS")
    for _ in range(2):
        once()
    print(json.dumps((_status("VmHWM") - before) / 1024), flush=True)
    for _ in sys.stdin:
        clock, cpu = time.perf_counter(), time.process_time()
        once()
        print(json.dumps([time.perf_counter() - clock, time.process_time() - cpu]), flush=True)


def _status(key: str) -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(key))


def compare(row: str, threads: int) -> dict[str, Any]:
    """Median milliseconds and peak megabytes of every contestant, in turns."""
    workers, memory = {}, {}
    for name in OURS:
        command = [sys.executable, __file__, "--work", row, name, "--threads", str(threads)]
        worker = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = worker.stdout.readline() if worker.stdout else ""
        if line:  # a peer that is not installed says nothing
            workers[name], memory[name] = worker, json.loads(line)
    taken: dict[str, list[list[float]]] = {name: [] for name in workers}
    for _ in range(ROWS[row][3]):
        for name, worker in workers.items():
            assert worker.stdin
            assert worker.stdout
            worker.stdin.write("\n")
            worker.stdin.flush()
            taken[name].append(json.loads(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    clock, cpu = ({n: 1000 * statistics.median(t[k] for t in taken[n]) for n in taken} for k in range(2))
    return {"row": row, "threads": threads, "milliseconds": clock, "cpu_milliseconds": cpu, "extra_mb": memory}


class Timed:
    """A callable that adds its seconds to its part of `spent`; all else of it is as it was."""

    def __init__(self, part: str, call: Callable[..., Any], spent: dict[str, float]) -> None:
        self.part, self.call, self.spent = part, call, spent

    def __call__(self, *given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        result = self.call(*given, **named)
        self.spent[self.part] += time.perf_counter() - start
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.call, name)


def profile(label: str, images: str, threads: int) -> dict[str, Any]:
    """Shares of the loop's time in percent; what is neither network, warp, loss nor optimiser is `rest`."""
    device.set_up(threads, "cpu")
    shape, batch, similarity, steps = PROFILES[label]
    with tempfile.TemporaryDirectory() as folder:
        run = training(dataset(shape, batch, Path(folder)), batch, similarity, {}, {"images": images})
        spent = dict.fromkeys(("forward", "warp and loss", "backward", "optimiser"), 0.0)
        for _ in range(3):
            step(run)
        for part, owner, name in (
            ("forward", run, "network"),
            ("warp and loss", run, "objective"),
            ("backward", run.precision, "backward"),
            ("optimiser", run.optimiser, "descend"),
        ):
            setattr(owner, name, Timed(part, getattr(owner, name), spent))
        start = time.perf_counter()
        for _ in range(max(steps, 25)):  # a multiple of 25 would have one look at the loss more than its share
            step(run)
        total = time.perf_counter() - start
    shares = {part: 100 * seconds / total for part, seconds in spent.items()}
    core = sum(shares[part] for part in ("forward", "warp and loss", "backward"))
    return {"row": label, "images": images, "threads": threads, "percent": {**shares, "network, warp and loss": core}}


def line(row: dict[str, Any]) -> str:
    """A row of the printed table."""
    text = f"{row['row']:18s} {row['threads']} thread{'s' if row['threads'] > 1 else ' '}"
    for key in ("milliseconds", "cpu_milliseconds", "extra_mb"):
        text += f"\n    {key:16s}" + "".join(f"  {name} {value:.0f}" for name, value in row[key].items())
        peers = [row[key][name] for name in ("voxelmorph", "monai") if name in row[key]]
        if peers:
            text += "   best peer / ours" + "".join(
                f"  x{min(peers) / value:.2f}" for name, value in row[key].items() if name.startswith("regbench")
            )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--profile", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(*given.work, given.threads[0])
        return
    if given.profile:
        print(json.dumps(profile(*given.profile, given.threads[0])))
        return
    result: dict[str, Any] = {"torch": torch.__version__, "cpus": os.cpu_count(), "steps": [], "profiles": []}
    for threads in given.threads:
        for row in ROWS:
            if given.only in row:
                result["steps"].append(compare(row, threads))
                print(line(result["steps"][-1]), flush=True)
    for label in PROFILES:
        for images in ("device", "stream"):
            if given.only in label:
                command = [sys.executable, __file__, "--profile", label, images, "--threads", "1"]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                result["profiles"].append(json.loads(done.stdout.splitlines()[-1]))
                shares = "".join(f"  {k} {v:.1f} %" for k, v in result["profiles"][-1]["percent"].items())
                print(f"{label:18s} images: {images:8s}{shares}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

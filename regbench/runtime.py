"""How long a registration takes and how much memory it needs; measured alone, one pair at a time."""

import ctypes
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from regbench import device as devices
from regbench.data.cache import Dataset
from regbench.data.nifti import displacement_name, write_displacement
from regbench.files import digest, read_json, replacing, write_json
from regbench.inference import device_of, register, trained
from regbench.metrics import TIMED
from regbench.train import load_run

WARM_UP = 3
MIB = 1024**2
COLUMNS = ("dataset", "method", "seed", "device", "fixed", "moving", *TIMED)


def runtime(job: Mapping[str, Any], data: Dataset, runs: list[Path], state: Path, out: Path) -> None:
    """Time every run on every test pair, one row each; a checkpoint that has been timed is not timed again.

    Run it while nothing else of the study shares the device (the workflow gives it all cores).

    Args:
        job: slice of the config (`plan.runtime_job`).
        data: prepared dataset.
        runs: folders of trained runs.
        state: folder of finished measurements; one file once all are finished.
        out: parquet file.
    """
    rows: list[dict[str, Any]] = []
    together = state.with_name(f"{state.name}.json")
    finished: dict[str, Any] = {}
    before = read_json(together) if together.exists() else {}
    for folder in runs:
        record, model = load_run(folder)
        if model is None or record["status"] != "complete":
            continue
        device = device_of(model)
        name = devices.describe(device)
        key = digest(
            {
                "job": dict(job),
                "checkpoint": record["checkpoint_sha256"],
                "device": name,
                "data": data.checksum,
                "columns": COLUMNS,
            }
        )
        path = state / f"{record['method']}.seed{record['seed']}.json"
        kept = read_json(path) if path.exists() else before.get(path.name, {})
        if kept.get("digest") != key:
            base = {"dataset": data.id, "method": record["method"], "seed": record["seed"], "device": name}
            base |= {"parameters": record["parameters"], "training_seconds": record["seconds"]}
            kept = {"digest": key, "rows": [base | row for row in _time(model, data, device)]}
            write_json(path, kept)
        rows += kept["rows"]
        finished[path.name] = kept
    with replacing(out) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(temporary, index=False)
    write_json(together, finished)  # of ten thousand runs, one file and not as many
    shutil.rmtree(state, ignore_errors=True)


def _time(model: torch.nn.Module, data: Dataset, device: torch.device) -> list[dict[str, Any]]:
    rows = []
    # Each pair of an optimisation costs the same and, beside a network's, seconds: a few tell.
    pairs = data.pairs("test") if trained(model) else data.pairs("test")[:WARM_UP]
    for number, (fixed, moving) in enumerate(pairs):
        pair = data.pair(fixed, moving)

        def once(images: tuple[Any, Any] = (pair.fixed, pair.moving)) -> None:
            register(model, *images)

        for _ in range(WARM_UP if number == 0 else 0):
            once()
        start = time.perf_counter()
        once()  # ends with a copy to the host, which waits for the device
        seconds = time.perf_counter() - start
        pipeline = _pipeline_seconds(model, data, fixed, moving)
        measured = {"inference_seconds": seconds, "pipeline_seconds": pipeline}
        rows.append({"fixed": fixed, "moving": moving, **measured, "peak_memory_mib": peak_memory_mib(once, device)})
    return rows


def _pipeline_seconds(model: torch.nn.Module, data: Dataset, fixed: str, moving: str) -> float:
    """From the prepared images on disk to the written displacement."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        pair = data.pair(fixed, moving)
        displacement = register(model, pair.fixed, pair.moving)
        affine = np.diag([*pair.spacing_mm, *[1.0] * (4 - pair.fixed.ndim)])
        write_displacement(Path(folder) / displacement_name(fixed, moving), displacement, affine)
        return time.perf_counter() - start


def peak_memory_mib(work: Callable[[], None], device: torch.device) -> float:
    """Memory that `work` needs at its peak above what is held before it: allocated on a GPU, resident on a CPU.

    NaN where the system does not tell (not Linux).
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = float(torch.cuda.memory_allocated(device))
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    if sys.platform != "linux":
        return float("nan")
    try:
        # Give freed memory back first, or the work would reuse it and seem to need none.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        before = _status_kib("VmRSS")
        work()
        return max(_status_kib("VmHWM") - before, 0) * 1024 / MIB
    except (OSError, AttributeError):
        return float("nan")


def _status_kib(name: str) -> float:
    match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return float(match.group(1)) if match else np.nan

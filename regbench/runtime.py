"""How long a registration takes and how much memory it needs; measured alone, one pair at a time."""

import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from regbench import device as devices
from regbench.baselines import BASELINES
from regbench.components import bind
from regbench.data.cache import Dataset, Pair
from regbench.data.nifti import displacement_name, write_displacement
from regbench.errors import RegbenchError, UsageError
from regbench.files import digest, read_json, replacing, write_json
from regbench.inference import device_of, register, trained
from regbench.metrics import TIMED
from regbench.took import status_kib
from regbench.train import load_run

WARM_UP = 3
MIB = 1024**2
COLUMNS = ("dataset", "method", "seed", "device", "fixed", "moving", *TIMED)


def runtime(job: Mapping[str, Any], data: Dataset, runs: list[Path], state: Path, out: Path) -> None:
    """Time every run and baseline on test pairs, one row each; what has been timed is not timed again.

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
    given = {name: value for name, value in job.items() if name != "baselines"}

    def timed(name: str, made_of: Mapping[str, Any], measure: Callable[[], list[dict[str, Any]]]) -> None:
        key = digest({"job": given, **made_of, "data": data.checksum, "columns": COLUMNS})
        path = state / f"{name}.json"
        kept = read_json(path) if path.exists() else before.get(path.name, {})
        if kept.get("digest") != key:
            kept = {"digest": key, "rows": measure()}
            write_json(path, kept)
        rows.extend(kept["rows"])
        finished[path.name] = kept

    for method, baseline in job.get("baselines", {}).items():
        name = devices.describe(torch.device("cpu"), threads=1)  # whatever torch has, a baseline has one
        base = {"dataset": data.id, "method": method, "seed": baseline["seed"], "device": name}
        made_of = {"baseline": baseline, "device": name}
        timed(f"{method}.seed{baseline['seed']}", made_of, partial(_time_baseline, baseline, data, base))
    for folder in runs:
        record, model = load_run(folder)
        if model is None or record["status"] != "complete":
            continue
        device = device_of(model)
        name = devices.describe(device)
        base = {"dataset": data.id, "method": record["method"], "seed": record["seed"], "device": name}
        base |= {"parameters": record["parameters"], "training_seconds": record["seconds"]}
        made_of = {"checkpoint": record["checkpoint_sha256"], "device": name}
        timed(f"{record['method']}.seed{record['seed']}", made_of, partial(_time, model, data, device, base))
    with replacing(out) as temporary:
        # JSON has no NaN: what comes back is None, and a column of nothing else would be no number.
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(TIMED, float))
        frame.to_parquet(temporary, index=False)
    write_json(together, finished)  # of ten thousand runs, one file and not as many
    shutil.rmtree(state, ignore_errors=True)


def _time(model: torch.nn.Module, data: Dataset, device: torch.device, base: Mapping[str, Any]) -> list[dict[str, Any]]:
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
        rows.append(
            {**base, "fixed": fixed, "moving": moving, **measured, "peak_memory_mib": peak_memory_mib(once, device)}
        )
    return rows


def _time_baseline(baseline: Mapping[str, Any], data: Dataset, base: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time, pipeline and memory of a few pairs, all three of one registration: a classical one may take an hour."""
    function = bind(BASELINES, baseline["name"], baseline["parameters"])
    pairs = data.pairs("test")[:WARM_UP]
    rows = []
    with suppress(RegbenchError):  # one call first: packages are loaded, a program of its own is started
        function(data.pair(*pairs[0]), *pairs[0])
    for fixed, moving in pairs:
        measured: dict[str, float] = {}

        def once(fixed: str = fixed, moving: str = moving, measured: dict[str, float] = measured) -> None:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                pair = data.pair(fixed, moving)
                ready = time.perf_counter()
                displacement = function(pair, fixed, moving)
                measured["inference_seconds"] = time.perf_counter() - ready
                _write(Path(folder), fixed, moving, pair, displacement)
                measured["pipeline_seconds"] = time.perf_counter() - start

        try:
            peak = peak_memory_mib(once, torch.device("cpu"))
        except UsageError:
            raise  # a missing package is no property of a pair
        except RegbenchError:
            continue  # its row says why
        blank = {"parameters": np.nan, "training_seconds": np.nan}
        rows.append({**base, "fixed": fixed, "moving": moving, **measured, **blank, "peak_memory_mib": peak})
    return rows


def _write(folder: Path, fixed: str, moving: str, pair: Pair, displacement: Any) -> None:
    affine = np.diag([*pair.spacing_mm, *[1.0] * (4 - pair.fixed.ndim)])
    write_displacement(folder / displacement_name(fixed, moving), displacement, affine)


def _pipeline_seconds(model: torch.nn.Module, data: Dataset, fixed: str, moving: str) -> float:
    """From the prepared images on disk to the written displacement."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        pair = data.pair(fixed, moving)
        displacement = register(model, pair.fixed, pair.moving)
        _write(Path(folder), fixed, moving, pair, displacement)
        return time.perf_counter() - start


def peak_memory_mib(work: Callable[[], None], device: torch.device) -> float:
    """Memory that `work` needs at its peak above what is held before it: allocated on a GPU, resident on a CPU.

    A program that was started for the work counts with us. NaN where the system does not tell (not Linux).
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
        processes = _family()
        for process in processes:
            (process / "clear_refs").write_text("5")  # resets the high-water mark
        before = sum(status_kib(process, "VmRSS") for process in processes)
        work()
        return max(sum(status_kib(process, "VmHWM") for process in processes) - before, 0) * 1024 / MIB
    except (OSError, AttributeError):
        return float("nan")


def _family() -> list[Path]:
    """This process and its children, in /proc."""
    found = [Path("/proc/self")]
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(path)
    return found

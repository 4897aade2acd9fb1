"""How long a registration takes and how much memory it needs; measured alone, one pair at a time."""

import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import torch

from regbench.data.cache import Dataset, Pair
from regbench.data.nifti import displacement_name, write_displacement
from regbench.evaluation.refined_run import load_row
from regbench.metrics import TIMED
from regbench.models.own_baseline import judged_baseline
from regbench.models.predict import device_of, optimises, register
from regbench.study.grid_config import Refine
from regbench.study.specs import TimedBaselineSpec, TimingSpec
from regbench.system import device as devices
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import RUN, digest, read_sealed, write_sealed
from regbench.system.job_usage import status_kib
from regbench.system.parquet import write_table

WARM_UP, WARM_SECONDS = 3, 0.1  # calls that are discarded: these, or fewer where those after the first take so long
PAIRS, FEW = 10, 3  # that a network is timed on, of one seed; what takes longer, and memory
MIB = 1024**2
TimedRow = dict[str, str | int | float]
COLUMNS = ("dataset", "method", "seed", "device", "fixed", "moving", *TIMED)


class Timings(TypedDict):
    """The finished measurement of one run; the digest is of all that it depends on."""

    digest: str
    rows: list[TimedRow]


def runtime(spec: TimingSpec, data: Dataset, runs: list[Path], state: Path, out: Path) -> None:
    """Time every method on a few test pairs, one row each; what has been timed is not timed again.

    One run of a method is enough: its seeds differ in the values of the weights, and no time depends on these. Of the
    others there is one row, with the time of their training. Run it while nothing else of the study shares the device
    (the workflow gives it all cores).

    Args:
        spec: of the timing.
        data: prepared dataset.
        runs: folders of trained runs.
        state: folder of finished measurements; one file once all are finished.
        out: parquet file.
    """
    rows: list[TimedRow] = []
    together = state.with_name(f"{state.name}.json")
    finished: dict[str, Timings] = {}
    before = read_sealed(together) if together.exists() else {}
    common = {"training_device": spec.training_device, "code": spec.code}

    def timed(name: str, made_of: Mapping[str, object], measure: Callable[[], list[TimedRow]]) -> None:
        key = digest({"spec": common, **made_of, "data": data.checksum, "columns": COLUMNS})
        path = state / f"{name}.json"
        measured = read_sealed(path) if path.exists() else before.get(path.name, {})
        if measured.get("digest") != key:
            measured = {"digest": key, "rows": measure()}
            write_sealed(path, measured)
        rows.extend(measured["rows"])
        finished[path.name] = measured

    for method, baseline in spec.baselines.items():
        name = devices.describe(torch.device("cpu"), threads=1)  # whatever torch has, a baseline has one
        base: TimedRow = {"dataset": data.id, "method": method, "seed": baseline.seed, "device": name}
        made_of = {"baseline": baseline.to_json(), "device": name}
        timed(f"{method}.seed{baseline.seed}", made_of, partial(_time_baseline, baseline, data, base))
    done = set[str]()
    for folder, method, refine in _rows_of_runs(spec, runs):
        record = read_sealed(folder / RUN)
        base = {"dataset": data.id, "method": method, "seed": record["seed"]}
        base |= {"parameters": record["parameters"], "training_seconds": record["seconds"]}
        if method in done:
            rows.append({**base, **dict(zip(("fixed", "moving"), data.pairs("test")[0], strict=True))})
            continue
        done.add(method)
        _, model = load_row(folder, refine)
        assert model is not None  # a run that is complete has one
        device = device_of(model)
        name = devices.describe(device)
        made_of = {"checkpoint": record["checkpoint_sha256"], "device": name}
        made_of |= {} if refine is None else {"refine": refine.model_dump()}
        measure = partial(_time, model, data, device, {**base, "device": name})
        timed(f"{method}.seed{record['seed']}", made_of, measure)
    # JSON has no NaN: what comes back is None, and a column of nothing else would be no number.
    write_table(out, pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(TIMED, float)))
    write_sealed(together, finished)  # of ten thousand runs, one file and not as many
    shutil.rmtree(state, ignore_errors=True)


def _rows_of_runs(spec: TimingSpec, runs: list[Path]) -> Iterator[tuple[Path, str, Refine | None]]:
    """The rows of the runs that are complete, each with the folder of its run; refined ones behind the others."""
    complete = {folder: record for folder in runs if (record := read_sealed(folder / RUN))["status"] == "complete"}
    for folder, record in complete.items():
        yield folder, record["method"], None
    for folder, record in complete.items():
        if (refined := spec.refined.get(record["method"])) is not None:
            yield folder, refined.method, refined.refine


def _time(model: torch.nn.Module, data: Dataset, device: torch.device, base: TimedRow) -> list[TimedRow]:
    """Time, pipeline and memory of a model; an optimisation takes long enough to measure all three of one."""
    rows = []
    network = not optimises(model)
    pairs = data.pairs("test")[: PAIRS if network else FEW]
    _warm_up(partial(_once, model, data, *pairs[0]))
    for number, (fixed, moving) in enumerate(pairs):
        measured: dict[str, float] = {}
        peak = float("nan")
        once = partial(_once, model, data, fixed, moving, measured)
        if network:
            once()
            again = partial(_once, model, data, fixed, moving)
            peak = peak_memory_mib(again, device) if number < FEW else peak
        else:
            peak = peak_memory_mib(once, device)
        rows.append({**base, "fixed": fixed, "moving": moving, **measured, "peak_memory_mib": peak})
    return rows


def _warm_up(once: Callable[[], None]) -> None:
    once()  # packages are loaded, kernels chosen
    start = time.perf_counter()
    for _ in range(WARM_UP - 1):
        if time.perf_counter() - start > WARM_SECONDS:
            return
        once()


def _once(
    model: torch.nn.Module, data: Dataset, fixed: str, moving: str, measured: dict[str, float] | None = None
) -> None:
    """From the prepared images on disk to the written displacement; fills in the time of it all and of the model."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        pair = data.pair(fixed, moving)
        ready = time.perf_counter()
        masks = (pair.fixed_mask, pair.moving_mask)
        displacement = register(model, pair.fixed, pair.moving, masks)  # copies to the host, which waits for the device
        registered = time.perf_counter()
        _write(Path(folder), fixed, moving, pair, displacement)
        if measured is not None:
            measured |= {"inference_seconds": registered - ready, "pipeline_seconds": time.perf_counter() - start}


def _time_baseline(baseline: TimedBaselineSpec, data: Dataset, base: TimedRow) -> list[TimedRow]:
    """Time, pipeline and memory of a few pairs, all three of one registration: a classical one may take an hour."""
    function = judged_baseline(baseline.name, baseline.parameters)
    pairs = data.pairs("test")[:FEW]
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


def peak_memory_mib(work: Callable[[], None], device: torch.device) -> float:
    """Memory that `work` needs at its peak above what is held before it: allocated on a GPU, resident on a CPU.

    A program that was started for the work counts with us. NaN where the system does not tell (not Linux).
    """
    if device.type == "cuda":
        return devices.with_peak(work, device)[1] / MIB
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
    processes = [Path("/proc/self")]
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                processes.append(path)
    return processes

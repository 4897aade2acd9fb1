"""Without Linux's own functions (macOS): every module loads, and what measures or speeds up says or does less."""

import ctypes
import math
import multiprocessing
import subprocess
import sys

import pytest
import torch

from regbench.evaluation.timing import peak_memory_mib
from regbench.report.parallel import in_parallel
from regbench.system import desktop, job_usage, memory, numba_loops

# Loads everything as it is first: packages of others choose their own code by the platform.
WITHOUT_LINUX = """
import ctypes, importlib, os, pkgutil, sys
import regbench

def load():
    missing = set()
    for module in pkgutil.walk_packages(regbench.__path__, "regbench."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing.add(error.name)
    return missing

optional = load()
for name in [name for name in sys.modules if name.partition(".")[0] == "regbench"]:
    del sys.modules[name]
sys.platform = "darwin"
for name in ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "copy_file_range", "posix_fadvise",
             "posix_fallocate", "eventfd", "splice", "setns", "unshare", "fdatasync"):
    vars(os).pop(name, None)

def no_library(name, *rest, **more):
    raise OSError(f"dlopen({name}): image not found")

ctypes.CDLL = no_library
import regbench
assert load() == optional, load() - optional
assert optional <= {"ants"}, optional
print(sum(name.startswith("regbench.") for name in sys.modules))
"""


@pytest.mark.slow
def test_every_module_loads_without_linux():
    done = subprocess.run([sys.executable, "-c", WITHOUT_LINUX], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 250


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine that is not Linux: no glibc, no GNU OpenMP, no /proc, no fork."""

    def missing(*_, **__):
        raise OSError("not on this machine")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(multiprocessing, "get_context", missing)
    monkeypatch.setattr(job_usage, "status_kib", missing)
    numba_loops.available.cache_clear()
    numba_loops._gomp.cache_clear()
    memory.affordable.cache_clear()
    yield
    numba_loops.available.cache_clear()
    numba_loops._gomp.cache_clear()
    memory.affordable.cache_clear()


@pytest.mark.usefixtures("elsewhere")
def test_what_linux_alone_tells_is_left_out_elsewhere(caplog):
    memory.keep()
    memory.give_back()
    assert memory.affordable() > 2**20
    # macOS counts bytes where Linux counts KiB.
    assert job_usage.took(1.5).startswith("took 1.5 s, ")
    assert job_usage.took(1.5).partition("at most ")[2].split()[0] in {"0", "1", "2", "3", "4"}
    assert in_parallel([lambda: 1, lambda: 2], 2) == [1, 2]
    assert desktop.has_desktop()
    assert math.isnan(peak_memory_mib(lambda: None, torch.device("cpu")))
    # Losses run by their formulas, and one line says so.
    image = torch.rand(1, 1, 8, 8)
    assert not numba_loops.serves(image)
    assert not numba_loops.serves(image)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "Numba must compile the losses for them to be fast on a CPU, but cannot"
    ]

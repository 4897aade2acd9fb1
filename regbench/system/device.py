"""Where a job computes: device, threads, allocator."""

import os
import platform
import shutil

import torch
from torch import nn

from regbench.system import memory
from regbench.system.errors import RegbenchError


def choose(name: str) -> torch.device:
    """The device called `name`: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.

    Raises:
        RegbenchError: if a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise RegbenchError("training.device is `cuda`, but torch sees no GPU here. Set it to `auto` or `cpu`.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def describe(device: torch.device, threads: int | None = None) -> str:
    """The device as captions and provenance name it; a CPU with the threads that torch has, unless told otherwise."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = threads or torch.get_num_threads()
    return f"cpu ({platform.machine()}), {threads} thread{'s' if threads > 1 else ''}"


def set_up(threads: int) -> None:
    """Fix the number of threads (results depend on it in the last bit) and keep freed memory for the next step."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    memory.keep()


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """The model through `torch.compile`; compiled when it is first called.

    Raises:
        RegbenchError: if it would run on the CPU and there is no C++ compiler.
    """
    compilers = [os.environ.get("CXX"), "g++", "clang++"]
    if device.type == "cpu" and not any(shutil.which(name) for name in compilers if name):
        raise RegbenchError("training.compile needs a C++ compiler on a CPU, but found no g++. Set it to `false`.")
    network: nn.Module = torch.compile(model)  # type: ignore[assignment]  # of a module it is one
    return network

"""Where a job computes: device, threads, allocator."""

import os
import platform
import shutil
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from regbench.system import gpu_usage, memory
from regbench.system.errors import RegbenchError

SHARE = 0.25  # of a GPU's free memory: another job may begin on the same one
Result = TypeVar("Result")


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


def set_up(threads: int, name: str, *, deterministic: bool = True) -> None:
    """Fix the number of threads (results depend on it in the last bit) and keep freed memory for the next step.

    Args:
        threads: of the CPU.
        name: of the device, as `choose` takes it.
        deterministic: a GPU gives the same bits in each repetition, as far as torch can; a CPU always does.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if name != "cpu" and torch.cuda.is_available():
        repeatable(deterministic)
        if uuid := getattr(torch.cuda.get_device_properties(0), "uuid", None):  # an older torch has none
            gpu_usage.watch(f"GPU-{uuid}")
    memory.keep()


def repeatable(on: bool) -> None:
    """Whether a GPU gives the same bits in each repetition; what torch cannot do in a fixed order it then warns of.

    It must be said before CUDA starts: cuBLAS reads its part once.

    Args:
        on: the same bits. Our own sampling then adds in a fixed order (`regbench.spatial.fixed_order`).
    """
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(on, warn_only=on)
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - which types do not know


def vector(values: Sequence[float], like: Tensor) -> Tensor:
    """A few numbers as a tensor ``(n,)`` with the type and the device of another, without waiting for a GPU."""
    if _copies(like.device):
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return torch.stack([torch.full((), value, dtype=like.dtype, device=like.device) for value in values])


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A tensor of this machine's memory on a device; a GPU copies it from pinned memory, and nothing waits for that."""
    return values.to(device) if _copies(device) else values.pin_memory().to(device, non_blocking=True)


def apart(device: torch.device) -> bool:
    """Whether a device has memory of its own, so that what the CPU looks at is copied and waited for."""
    return not _copies(device)


def budget(device: torch.device) -> int | None:
    """Bytes of a GPU that work side by side may take: a share of what is free; None on a CPU."""
    return int(SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def with_peak(work: Callable[[], Result], device: torch.device) -> tuple[Result, int]:
    """What some work gives, and how many bytes of a GPU it needed at its peak above what was held before it."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    result = work()
    torch.cuda.synchronize(device)
    return result, torch.cuda.max_memory_allocated(device) - before


def _copies(device: torch.device) -> bool:
    """Whether numbers of Python reach a device at once; a GPU waits for them, and a CUDA graph cannot hold that."""
    return device.type != "cuda"


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

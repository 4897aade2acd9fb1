"""Loops over voxels that Numba compiles for the CPU.

A loss in torch is a dozen passes over memory, and on a CPU memory is what it costs. A compiled loop takes one. Each
has a formula in torch, which every other device and type uses, and every machine that Numba does not serve; against it
the loop is tested.
"""

import ctypes
import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

LOG = logging.getLogger(__name__)

# Voxels for which it pays to start a thread.
VOXELS_A_THREAD = 100_000


def serves(*tensors: Tensor) -> bool:
    """Whether the compiled loops can take these: float32 in this machine's memory, three axes at most; and Numba.

    Not float64: the running sums here are of float64 and would lose digits of it. Not a fake tensor nor any other
    kind that has no memory to loop over.
    """
    if torch.compiler.is_compiling():
        return False
    return all(_in_memory(x) and x.dtype == torch.float32 and x.ndim <= 5 for x in tensors) and available()


def _in_memory(tensor: Tensor) -> bool:
    try:
        return type(tensor) is Tensor and tensor.device.type == "cpu" and tensor.data_ptr() != 0
    except RuntimeError:  # one that stands for many, under torch.func.vmap
        return False


@functools.cache
def available() -> bool:
    """Whether Numba compiles here. If it does not, the log says so once."""
    try:
        import numba  # noqa: PLC0415 - 0.3 s, for the first loss on a CPU

        _gomp()
        disabled = getattr(numba.config, "DISABLE_JIT", False)  # set by who looks for a fault with a debugger
        reason = "NUMBA_DISABLE_JIT is set" if disabled else None
    except (ImportError, OSError) as error:  # as where NumPy is newer than Numba knows
        reason = str(error)
    if reason:
        LOG.warning(
            "Numba must compile the losses for them to be fast on a CPU, but cannot: %s. Losses run by their formulas, "
            "as exact and several times slower. Install the versions of constraints.txt.", reason,
        )  # fmt: skip
    return not reason


@functools.cache
def _gomp() -> ctypes.CDLL:
    """GNU's OpenMP: by that name the one that torch brought."""
    return ctypes.CDLL("libgomp.so.1")


def jit(function: Callable[..., Any], *, reorder: bool = False) -> Callable[..., Any]:
    """Compiled at the first call, and kept on disk for the next process.

    Args:
        function: a loop, of a subset of Python and NumPy. It may not make arrays: what an array owns is counted, and
            each slice of one would count, which for rows of 64 voxels took longer than the sums.
        reorder: sums may be taken in any order, which a reduction needs in order to use vectors, and differences of
            nearly equal numbers must not have.
    """
    import numba  # noqa: PLC0415

    freedom = {"contract", "nsz", "reassoc"} if reorder else {"contract", "nsz"}
    options: dict[str, Any] = {"nogil": True, "fastmath": freedom, "error_model": "numpy", "_nrt": False}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the home can be written: compiled in each process
        compiled = numba.njit(**options)(function)
    return compiled


def in_parts(
    kernel: Callable[..., None], count: int, voxels: int, scratch: Callable[[], tuple[Any, ...]], *arguments: Any
) -> None:
    """``kernel(start, stop, *scratch(), *arguments)`` over ``range(count)``, cut among as many threads as torch uses.

    They are torch's own: those wait for work in a loop, and would share their cores with any others. As with torch, a
    forked child must stay with one thread.

    Args:
        kernel: from `jit`, so that it lets other threads run.
        count: number of independent items, as planes.
        voxels: what all of them cost together.
        scratch: makes the arrays that each thread needs for itself.
        arguments: arrays and numbers.
    """
    if not kernel.signatures:  # type: ignore[attr-defined]
        # Compiled here: the stack of another thread may be too small.
        with suppress(OSError):  # a disk too full to keep what is now compiled
            kernel(0, 0, *scratch(), *arguments)
    parts = max(1, min(torch.get_num_threads(), count, voxels // VOXELS_A_THREAD))
    cuts = [count * part // parts for part in range(parts + 1)]
    left, failed = list(pairwise(cuts)), list[BaseException]()

    def work(_: object = None) -> None:
        try:
            while left:
                kernel(*left.pop(), *scratch(), *arguments)
        except BaseException as error:  # noqa: BLE001 - may be another thread's
            failed.append(error)

    if parts == 1:
        work()
    else:
        _gomp().GOMP_parallel(
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(work), None, ctypes.c_uint(parts), ctypes.c_uint(0)
        )
    if failed:
        raise failed[0]

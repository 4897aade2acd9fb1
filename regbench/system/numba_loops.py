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


def jit(function: Callable[..., Any], *, reorder: bool = False, exact: bool = False) -> Callable[..., Any]:
    """Compile at the first call, and keep the result on disk for the next process.

    ``_nrt=False`` switches off Numba's counting of references, which each slice of an array would cost: without it
    `lcc` takes 16 % more CPU time at 64^3 and 17 % at 96^3 (medians, one thread). Numba does not document that option,
    so pyproject.toml bounds its version.

    Args:
        function: a loop, of a subset of Python and NumPy. It may not make arrays, for nothing would free them.
        reorder: sums may be taken in any order, which a reduction needs in order to use vectors, and differences of
            nearly equal numbers must not have.
        exact: every operation rounds by itself, as numpy's do: the same bits as an expression of arrays.
    """
    import numba  # noqa: PLC0415

    freedom = set[str]() if exact else {"contract", "nsz", "reassoc"} if reorder else {"contract", "nsz"}
    made_by = functools.partial(numba.njit, nogil=True, fastmath=freedom, error_model="numpy", _nrt=False)
    try:
        compiled: Callable[..., Any] = made_by(cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the home can be written: compiled in each process
        compiled = made_by()(function)
    return compiled


def in_parts(
    kernel: Callable[..., None], count: int, voxels: int, scratch: Callable[[], tuple[Any, ...]], *arguments: Any
) -> None:
    """``kernel(start, stop, *scratch(), *arguments)`` over ``range(count)``, cut among as many threads as torch uses.

    The threads are torch's own, of GNU's OpenMP (`_gomp`). After an operation of torch each waits for work in a loop
    and burns 5 ms of CPU time (median), longer than `lcc` at 64^3 takes: threads of another pool share their cores with
    them where no others are free. `concurrent.futures` takes 1.1 to 1.7 times as long for `lcc` and `bending` (2D,
    64^3, 96^3; medians of 31 calls in turn on two quiet cores). Numba's own `prange` runs on the same threads and is as
    fast (0.8 to 1.1 times, two runs), but compiles each kernel once more (1 to 4 s of CPU time), and ends a forked
    child of a process that has used it (SIGTERM), which a loader of data is.

    The contract:
        - The calling thread takes a part too, and returns when all parts are done.
        - Parts do not overlap, so kernels write to arrays without locks; each thread has its own `scratch`.
        - A kernel holds no lock of Python's (``nogil``); `work` around it does, so it does next to nothing.
        - Cuts depend on the number of threads, sums must not: a kernel sums in items of a fixed size, which the caller
          adds up. (Only the running sums of `lcc` begin anew in each part, and differ in the last digit of float64.)
        - The first call compiles, in the calling thread, before any other starts.
        - An exception in any part is raised in the calling thread, after all parts have ended.
        - As with torch, a forked child must stay with one thread.

    Args:
        kernel: from `jit`, so that it lets other threads run.
        count: number of independent items, as planes.
        voxels: what all of them cost together; a thread starts for each 100,000.
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

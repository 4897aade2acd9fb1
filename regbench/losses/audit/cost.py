"""Time and memory a voxel, beside the nearest loss of ours."""

import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from regbench.losses.audit.bench import Bench
from regbench.losses.audit.calls import Loss, outcome, quiet
from regbench.losses.audit.findings import Finding
from regbench.losses.audit.relatives import Relation
from regbench.losses.audit.samples import Shape, single

SHAPES: Mapping[int, Shape] = {2: (192, 192), 3: (48, 48, 48)}
REPEATS = 3
LONG = 1.0  # seconds, after which a pass is not repeated
MOST = 10_000  # bytes a voxel of a small image
DEAR = 10.0  # times the time of the nearest of ours that are worth a note


def cost(bench: Bench, nearest: Mapping[int, Relation]) -> Iterator[Finding]:
    """Forward and backward pass, the fastest of three; the largest sum of torch's tensors at one time.

    Args:
        bench: with the function.
        nearest: losses of ours.
    """
    for dims in bench.dims:
        inputs = single(bench.data(_shape(bench, dims), dims))
        voxels = inputs[-1][0, 0].numel()
        seconds, size = _seconds(bench.loss(inputs[0].shape), inputs), _memory(bench.loss(inputs[0].shape), inputs)
        if seconds is None or size is None:
            continue
        numbers = [("ns a voxel", 1e9 * seconds / voxels), ("bytes a voxel", size / voxels)]
        words = f"{numbers[0][1]:.3g} ns and {numbers[1][1]:.3g} bytes a voxel, forward and backward"
        dear = False
        if dims in nearest:
            other = nearest[dims].candidate
            outcome(other.loss, inputs)  # compiles its loops
            ours, our_size = _seconds(other.loss, inputs), _memory(other.loss, inputs)
            assert ours is not None  # as ours run
            assert our_size is not None
            numbers += [("ns a voxel, nearest", 1e9 * ours / voxels), ("bytes a voxel, nearest", our_size / voxels)]
            words += f"; `{other.name}` {numbers[2][1]:.3g} ns and {numbers[3][1]:.3g} bytes"
            dear = seconds > DEAR * ours
        yield Finding(f"cost in {dims}D", "note" if dear else "pass", words, tuple(numbers))


def _shape(bench: Bench, dims: int) -> Shape:
    """A shape that is large enough to be timed; the smaller one for who would fill the memory with it."""
    small = single(bench.sample(dims))
    size = _memory(bench.loss(small[0].shape), small) or 0
    return SHAPES[dims] if size <= MOST * small[-1][0, 0].numel() else bench.shapes[dims]


def _pass(loss: Loss, inputs: Sequence[Tensor], within: AbstractContextManager[object]) -> float | None:
    """Seconds of a forward and a backward pass; None where it raises."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    data = [leaf.clone() for leaf in leaves]
    try:
        with quiet(), within:
            began = time.perf_counter()
            value = loss(*data)
            if isinstance(value, Tensor):
                torch.autograd.grad(value.reshape(()), leaves, allow_unused=True)
            return time.perf_counter() - began
    except (Exception, SystemExit):  # noqa: BLE001 - whatever a function of somebody else does
        return None


def _seconds(loss: Loss, inputs: Sequence[Tensor]) -> float | None:
    """The fastest of some passes."""
    times = list[float]()
    while len(times) < REPEATS and sum(times) < LONG:
        seconds = _pass(loss, inputs, nullcontext())
        if seconds is None:
            return None
        times.append(seconds)
    return min(times)


def _memory(loss: Loss, inputs: Sequence[Tensor]) -> int | None:
    """Bytes of torch's tensors beyond the inputs, at their largest."""
    peak = _Peak()
    return None if _pass(loss, inputs, peak) is None else peak.largest


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Follows each storage from its first use to its end."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.known = weakref.WeakSet[Any]()
        self.now, self.largest = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        if storage in self.known:
            return
        self.known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.largest = max(self.largest, self.now)
        weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.now -= size

"""Time and memory a voxel, beside the nearest loss of ours."""

import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
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
DEAR = 10.0  # times the time of the nearest of ours that are worth a note


def cost(bench: Bench, nearest: Mapping[int, Relation]) -> Iterator[Finding]:
    """Forward and backward pass, the fastest of three; the largest sum of torch's tensors at one time.

    Args:
        bench: with the function.
        nearest: losses of ours.
    """
    for dims in bench.dims:
        inputs = single(bench.data(SHAPES[dims], dims))
        with torch.no_grad():
            refused = outcome(bench.loss(dims), inputs).error
        if refused:
            continue
        voxels = inputs[-1][0, 0].numel()
        seconds, size = _seconds(bench.loss(dims), inputs), _memory(bench.loss(dims), inputs)
        numbers = [("ns a voxel", 1e9 * seconds / voxels), ("bytes a voxel", size / voxels)]
        words = f"{numbers[0][1]:.3g} ns and {numbers[1][1]:.3g} bytes a voxel, forward and backward"
        dear = False
        if dims in nearest:
            other = nearest[dims].candidate
            outcome(other.loss, inputs)  # compiles its loops
            ours, our_size = _seconds(other.loss, inputs), _memory(other.loss, inputs)
            numbers += [("ns a voxel, nearest", 1e9 * ours / voxels), ("bytes a voxel, nearest", our_size / voxels)]
            words += f"; `{other.name}` {numbers[2][1]:.3g} ns and {numbers[3][1]:.3g} bytes"
            dear = seconds > DEAR * ours
        yield Finding(f"cost, {dims}D", "note" if dear else "pass", words, tuple(numbers))


def _pass(loss: Loss, leaves: Sequence[Tensor]) -> None:
    """Forward and backward."""
    value = loss(*leaves)
    assert isinstance(value, Tensor)  # as it was in the calls before
    torch.autograd.grad(value.reshape(()), leaves, allow_unused=True)


def _seconds(loss: Loss, inputs: Sequence[Tensor]) -> float:
    leaves, times = [tensor.clone().requires_grad_() for tensor in inputs], list[float]()
    with quiet():
        while len(times) < REPEATS and sum(times) < LONG:
            began = time.perf_counter()
            _pass(loss, leaves)
            times.append(time.perf_counter() - began)
    return min(times)


def _memory(loss: Loss, inputs: Sequence[Tensor]) -> int:
    """Bytes of torch's tensors beyond the inputs, at their largest."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    peak = _Peak()
    with quiet(), peak:
        _pass(loss, leaves)
    return peak.largest


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

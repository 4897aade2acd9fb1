"""What torch is asked to do, forward and backward: for tests of what a GPU would do, where there is none."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from regbench.spatial import fixed_order
from regbench.system import device, numba_loops

# By `torch.use_deterministic_algorithms`: what has no deterministic form on CUDA, by the name of the operation.
UNORDERED = {
    "avg_pool3d_backward", "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward", "fractional_max_pool2d_backward", "fractional_max_pool3d_backward",
    "max_unpool2d", "max_unpool3d", "upsample_linear1d_backward", "upsample_bilinear2d_backward",
    "upsample_bicubic2d_backward", "upsample_trilinear3d_backward", "reflection_pad1d_backward",
    "reflection_pad2d_backward", "reflection_pad3d_backward", "nll_loss_forward", "nll_loss2d_forward",
    "_ctc_loss_backward", "_embedding_bag_dense_backward", "put_", "histc", "bincount", "median", "nanmedian",
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "cumsum", "scatter_reduce",
}  # fmt: skip
# What makes the CPU wait for a GPU, or has a size that only the GPU knows; a CUDA graph can hold none of it.
WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim",
    "unique_consecutive", "lift_fresh", "linalg_inv", "_linalg_check_errors", "item",
}  # fmt: skip


class Operations(TorchDispatchMode):
    """Names of the operations called; sums in no order and waits are told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.unordered: set[str] = set()
        self.waiting: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.names.add(name)
        # The gradient of a grid is no sum (`fixed_order`); `output_mask` comes last.
        if name in UNORDERED and not (name.startswith("grid_sampler") and args[-1][0] is False):
            self.unordered.add(name)
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if name in WAITING or by_mask:
            self.waiting.add(f"{name} by a mask" if by_mask else name)
        result = func(*args, **(kwargs or {}))
        # Between devices, of which one may be "meta" in the place of a GPU.
        devices = {part.device for part in tree_leaves((args, result)) if isinstance(part, Tensor)}
        if len(devices) > 1 and not (kwargs or {}).get("non_blocking"):
            self.waiting.add(f"{name} from device to device")
        return result


def as_on_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """Take the forms that a GPU takes: formulas, sums in a fixed order, numbers that are filled in."""
    patch.setattr(numba_loops, "available", lambda: False)
    patch.setattr(fixed_order, "wanted", lambda tensor: True)
    patch.setattr(device, "_copies", lambda device: False)
    patch.setattr(Tensor, "pin_memory", lambda self: self)


class Tape(TorchDispatchMode):
    """Stands for a CUDA graph: records operations and computes them again in the same memory, without Python.

    Recording leaves every tensor as it was, and refuses what makes a GPU wait, as a capture does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.replays = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func.overloadpacket.__name__ in WAITING:
            raise RuntimeError("operation not permitted when stream is capturing")
        for argument, value in [*zip(func._schema.arguments, args, strict=False), *named(func, given)]:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_leaves(value):
                    self.before.setdefault(tensor.data_ptr(), (tensor, tensor.clone()))
        result = func(*args, **given)
        self.calls.append((func, args, given, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, given, result in self.calls:
            for place, value in zip(tree_leaves(result), tree_leaves(func(*args, **given)), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)

    @torch.no_grad()
    def undo(self) -> None:
        for tensor, value in self.before.values():
            tensor.copy_(value)


def named(func: Any, given: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The arguments of an operation that are given by name."""
    return [(argument, given[argument.name]) for argument in func._schema.arguments if argument.name in given]


class Tapes:
    """`regbench.training.step_graph.Graphs` without a GPU."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.warm = 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        self.warm += 1
        yield

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        tape = Tape()
        try:
            with tape:
                result = work()
        finally:
            tape.undo()
        self.tapes.append(tape)
        return result, tape.replay

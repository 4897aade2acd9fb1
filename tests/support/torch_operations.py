"""What torch is asked to do, forward and backward: for tests of what a GPU would do, where there is none."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

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
        return func(*args, **(kwargs or {}))


def as_on_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """Take the forms that a GPU takes: formulas, sums in a fixed order, numbers that are filled in."""
    patch.setattr(numba_loops, "available", lambda: False)
    patch.setattr(fixed_order, "wanted", lambda tensor: True)
    patch.setattr(device, "_copies", lambda device: False)

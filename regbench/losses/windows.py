"""Sums over a box around each voxel, axis by axis; plain torch, differentiable."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# A window is flat where its variance is at most this part of its sum of squares, both in float64: above the rounding of
# float64, and far below that of float32, in which an image's few dim voxels on a dark ground would be taken for flat.
FLAT = 1e-12


def box_sum(image: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Sum over the voxels of the window around each voxel that lie in the image.

    Args:
        image: ``(..., *S)``.
        sides: odd side of the window along each axis of S, in voxels.

    Returns:
        ``(..., *S)``.
    """
    return window_sum(F.pad(image, window_padding(sides)), sides)


def window_padding(sides: tuple[int, ...]) -> list[int]:
    """For `torch.nn.functional.pad`: half a window on either side of each axis."""
    return [side // 2 for side in reversed(sides) for _ in range(2)]


def window_sum(padded: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Sum over each window that lies in the array.

    Not a pooling by ``(side, 1)``: its backward is wrong on CUDA (torch 2.11, channels last: an error as large as the
    gradient), and it is slower. Not a running sum, which loses digits behind a bright voxel.

    Args:
        padded: ``(..., *S)``.
        sides: of the window along each axis of S, in voxels; none longer than its axis.

    Returns:
        ``(..., *R)``, each axis shorter by ``side - 1``.
    """
    if torch.compiler.is_compiling():  # which makes a gradient of its own
        return _WindowSum.forward(padded, sides)
    sums: Tensor = _WindowSum.apply(padded, sides)  # type: ignore[no-untyped-call]
    return sums


class _WindowSum(torch.autograd.Function):
    """Its gradient is a window sum too; autograd's own, of each slice and addition, takes twice the time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(padded: Tensor, sides: tuple[int, ...]) -> Tensor:
        for axis, side in enumerate(sides, start=padded.ndim - len(sides)):
            padded = _sum_along(padded, axis, side)
        return padded

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.sides = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        padding = [side - 1 for side in reversed(ctx.sides) for _ in range(2)]
        return window_sum(F.pad(grad_outputs[0], padding), ctx.sides), None


def _sum_along(image: Tensor, axis: int, side: int) -> Tensor:
    """By doubling: windows of 1, 2, 4, ... voxels, and one voxel more where a binary digit of `side` is 1."""
    size, total, length = image.shape[axis], image, 1
    for digit in bin(side)[3:]:
        count = size - 2 * length + 1
        total = total.narrow(axis, 0, count) + total.narrow(axis, length, count)
        length *= 2
        if digit == "1":
            count = size - length
            total = total.narrow(axis, 0, count) + image.narrow(axis, length, count)
            length += 1
    return total


def window_counts(size: int, side: int, like: Tensor) -> Tensor:
    """How many voxels of the window around each voxel of an axis lie in the image; ``(size,)``."""
    place, radius = torch.arange(size, device=like.device, dtype=like.dtype), side // 2
    return place.clamp_max(radius) + (size - 1 - place).clamp_max(radius) + 1

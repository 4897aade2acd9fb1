"""Sums over a window around each voxel, axis by axis; plain torch, differentiable."""

from math import exp
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.system.device import vector
from regbench.system.errors import one_of

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


Kernel = Literal["box", "gaussian", "triangular"]
Lines = tuple[tuple[float, ...], ...]  # of the weights of a window along each axis: a voxel's weight is their product


def kernel_lines(kernel: Kernel, sides: tuple[int, ...], sigma: float | None) -> Lines | None:
    """Weights along each axis, 1 at the centre; None for a box, in which all are 1.

    Args:
        kernel: ``gaussian`` falls as ``exp(-d^2 / (2 sigma^2))``, ``triangular`` as ``1 - |d| / (side // 2 + 1)``.
        sides: odd side of the window along each axis, beyond which every weight is 0.
        sigma: of the Gaussian, in voxels; None for a third of each side.

    Raises:
        ValueError: if there is no such kernel, or sigma is not positive, or given for another kernel.
    """
    one_of("kernel", kernel, "box", "gaussian", "triangular")
    if sigma is not None and (kernel != "gaussian" or not 0 < sigma < float("inf")):
        raise ValueError(
            f"sigma must be positive and belong to `kernel: gaussian`, but got {sigma} with {kernel}. Leave it out, or "
            "choose that kernel."
        )
    if kernel == "box":
        return None
    lines = []
    for side in sides:
        places = range(-(side // 2), side // 2 + 1)
        if kernel == "triangular":
            lines.append(tuple(1 - abs(d) / (side // 2 + 1) for d in places))
        else:
            width = side / 3 if sigma is None else sigma
            lines.append(tuple(exp(-(d**2) / (2 * width**2)) for d in places))
    return tuple(lines)


def weighted_sum(padded: Tensor, sides: tuple[int, ...], lines: Lines | None) -> Tensor:
    """`window_sum`, each voxel by its weight in the window; by products with banded matrices.

    Args:
        padded: ``(..., *S)``; float64, whose products autocast leaves alone.
        sides: of the window along each axis of S, in voxels.
        lines: of the window; None for a box.
    """
    if lines is None:
        return window_sum(padded, sides)
    for axis, line in enumerate(lines, start=padded.ndim - len(lines)):
        padded = _weighted_along(padded, axis, vector(line, padded))
    return padded


def _weighted_along(image: Tensor, axis: int, line: Tensor) -> Tensor:
    size = image.shape[axis]
    count = size - len(line) + 1
    place = torch.arange(size, device=image.device) - torch.arange(count, device=image.device).view(-1, 1)
    inside = (place >= 0) & (place < len(line))
    matrix = torch.where(inside, line[place.clamp(0, len(line) - 1)], 0)
    if axis == image.ndim - 1:
        return image @ matrix.mT
    return (matrix @ image.flatten(axis + 1)).view(*image.shape[:axis], count, *image.shape[axis + 1 :])

"""Sampling whose gradients are the same to the bit in each repetition on a GPU.

The backward passes of ``grid_sample``, of linear ``interpolate`` and of some poolings add to a voxel from many threads,
in whatever order these arrive; float sums depend on it in the last bit. Here sampling adds whole numbers, whose sum
has no order, and what acts along one axis after the other is a product with a matrix.

All forms are torch's own where `wanted` does not say otherwise: on a CPU, which adds in one order, always.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MODES = ("bilinear", "nearest")  # by the numbers that torch's backward pass has for them
PADDINGS = ("zeros", "border")
ROOM = 62  # bits of an int64 that a sum may fill


def wanted(tensor: Tensor) -> bool:
    """Whether gradients of a tensor must be added in a fixed order: on a GPU that torch is told to be repeatable on."""
    return tensor.is_cuda and torch.are_deterministic_algorithms_enabled()


def grid_sample(image: Tensor, grid: Tensor, *, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """``F.grid_sample`` with aligned corners.

    Args:
        image: ``(B, C, *M)``.
        grid: ``(B, *S, d)`` in [-1, 1], the last axis of the image first.
        mode: ``bilinear`` (of volumes too) or ``nearest``.
        padding: ``border`` or ``zeros``.

    Returns:
        ``(B, C, *S)``. In fixed order the gradient of a channel of an image is exact to 2^-62 times the number of
        sampled points, of the largest gradient that comes in (2^-39 at 160 x 192 x 224); where one that comes in is
        not finite, all of the channel's are NaN.
    """
    if wanted(image):
        sampled: Tensor = _GridSample.apply(image, grid, mode, padding)  # type: ignore[no-untyped-call]
        return sampled
    return F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=True)


def along_axes(function: Callable[[Tensor], Tensor], line: Callable[[Tensor, int], Tensor], image: Tensor) -> Tensor:
    """A linear function that acts along one axis after the other, such as a mean of blocks.

    Args:
        function: of ``(B, C, *S)``.
        line: the same along one axis, of ``(1, n, n)`` and the number of the axis.
        image: ``(B, C, *S)``.

    Returns:
        ``function(image)``.
    """
    if wanted(image):
        result: Tensor = _AlongAxes.apply(image, function, line)  # type: ignore[no-untyped-call]
        return result
    return function(image)


class _GridSample(torch.autograd.Function):
    """See `grid_sample`."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
        ctx.save_for_backward(image, grid)
        ctx.mode, ctx.padding = mode, padding
        return F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        image, grid = ctx.saved_tensors
        of_image = of_grid = None
        with _our_order():
            if ctx.needs_input_grad[0]:
                corners = _corners(grid, image.shape[2:], ctx.mode, ctx.padding)
                of_image = _summed(gradient, corners, image.shape).to(image.dtype)
            if ctx.needs_input_grad[1]:
                operation = getattr(torch.ops.aten, f"grid_sampler_{image.ndim - 2}d_backward")
                # Each point has a gradient of its own, which is no sum: torch's is in order.
                numbers = (MODES.index(ctx.mode), PADDINGS.index(ctx.padding))
                _, of_grid = operation(gradient.to(image.dtype), image, grid, *numbers, True, [False, True])
        return of_image, of_grid, None, None


class _AlongAxes(torch.autograd.Function):
    """See `along_axes`."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, function: Callable[[Tensor], Tensor], line: Callable[[Tensor, int], Tensor]
    ) -> Tensor:
        ctx.line, ctx.shape = line, image.shape
        return function(image)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        given = gradient.dtype
        if given in (torch.float16, torch.bfloat16):
            gradient = gradient.float()
        for axis, size in enumerate(ctx.shape[2:]):
            unit = torch.eye(size, dtype=gradient.dtype, device=gradient.device)[None]
            matrix = ctx.line(unit, axis)[0]  # (size, new size)
            moved = gradient.movedim(2 + axis, -1)
            gradient = (moved @ matrix.mT).movedim(-1, 2 + axis)
        return gradient.to(given).contiguous(), None, None


class _Corner(NamedTuple):
    """A voxel that each sampled point is made of: its flat index ``(B, N)``, and its weight, 0 outside the image."""

    voxel: Tensor
    weight: Tensor


def _corners(grid: Tensor, shape: Sequence[int], mode: str, padding: str) -> Iterator[_Corner]:
    """All voxels that the points are made of, by the arithmetic of torch's kernel; the weights of a point sum to 1."""
    linear = mode == "bilinear"
    axes = []
    for axis, size in enumerate(shape):
        place = (grid[..., len(shape) - 1 - axis].flatten(1) + 1) / 2 * (size - 1)
        if padding == "border":
            place = place.clamp(0, size - 1)
        first = place.floor() if linear else place.round()
        below = (first, 1 - (place - first) if linear else torch.ones_like(place))
        axes.append((below, *([(first + 1, place - first)] if linear else [])))
    for number in range(2 ** len(shape) if linear else 1):
        index: Tensor | int = 0
        weight: Tensor | float = 1.0
        for axis, size in enumerate(shape):
            at, share = axes[axis][number >> axis & 1]
            weight = weight * torch.where((at >= 0) & (at <= size - 1), share, 0)
            # A place may be NaN or far away: an index must be one.
            index = index * size + at.nan_to_num(0).clamp(0, size - 1).long()
        assert isinstance(index, Tensor)
        assert isinstance(weight, Tensor)  # there is an axis
        yield _Corner(index, weight)


def _summed(gradient: Tensor, corners: Iterator[_Corner], shape: Sequence[int]) -> Tensor:
    """What comes in at the points, summed over the voxels that they are made of, in fixed point; ``shape``, float64.

    A voxel gets at most the sum of the magnitudes of all points. The unit of a channel is a power of two, so small
    that this sum just fits into an int64; it depends on the largest magnitude alone, which has no order either.
    """
    amounts = gradient.flatten(2).double()
    points = amounts.shape[2]
    largest = amounts.abs().amax(2, keepdim=True) if points else amounts.new_zeros((*amounts.shape[:2], 1))
    finite = largest.isfinite()
    _, exponent = torch.frexp(torch.where(finite, largest, 0))  # the largest is below 2^exponent
    power = (ROOM - points.bit_length() - exponent.long()).clamp(-1022, 1022)
    amounts = torch.where(finite, amounts, 0) * _two_to(power)
    sums = torch.zeros((*shape[:2], prod(shape[2:])), dtype=torch.int64, device=gradient.device)
    for voxel, weight in corners:
        parts = (amounts * weight[:, None].double()).round_().long()
        sums.scatter_add_(2, voxel[:, None].expand_as(parts), parts)
    exact = sums.double() * _two_to(-power)
    return torch.where(finite, exact, torch.nan).view(tuple(shape))


def _two_to(power: Tensor) -> Tensor:
    """Two to whole powers from -1022 to 1022, exactly: the bits of float64."""
    return ((power + 1023) << 52).view(torch.float64)


@contextmanager
def _our_order() -> Iterator[None]:
    """Torch's own sums as they come: ours have no order, and torch would sort whole numbers too."""
    before, only_warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch._C._set_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch._C._set_deterministic_algorithms(before, warn_only=only_warned)

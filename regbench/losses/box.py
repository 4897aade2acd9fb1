"""Sums over a box around each voxel, axis by axis."""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor


def box_sum(image: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Sum over the voxels of the window that lie in the image; differentiable.

    Args:
        image: ``(B, C, *S)``.
        sides: odd side of the window along each axis, in voxels.

    Returns:
        ``(B, C, *S)``.
    """
    for axis, side in enumerate(sides):
        if side > 1:
            image = _box_sum_along(image, 2 + axis, side)
    return image


def _box_sum_along(image: Tensor, axis: int, side: int) -> Tensor:
    """The axis before the last of a channels-last view: there, avg_pool2d runs over contiguous voxels."""
    shape = image.shape
    rows = image.reshape(shape[:axis].numel(), shape[axis], 1, shape[axis + 1 :].numel())
    summed = F.avg_pool2d(rows.permute(0, 3, 1, 2), (side, 1), 1, (side // 2, 0), divisor_override=1)
    return summed.permute(0, 2, 3, 1).reshape(shape)


class Windows:
    """Window sums of slabs of planes ``(n, Y, Z)``, with room for them made once.

    The sum along the first axis runs over the slab as it is; the other two over a copy in which zeros stand between
    rows and between planes. There a window that leaves the image adds nothing, and every sum is one over a flat line:
    its voxels are `pitch` apart from row to row and `area` from plane to plane.
    """

    def __init__(self, like: Tensor, planes: int, plane: tuple[int, int], sides: tuple[int, int, int]) -> None:
        self.sides, (self.rows, self.columns) = sides, plane
        self.pitch = self.columns + sides[2] // 2
        self.area = (self.rows + sides[1] // 2) * self.pitch
        self._front = (sides[1] // 2) * self.pitch + sides[2] // 2
        self._padded = like.new_zeros(self._front + planes * self.area)
        longest = max((planes + sides[0] - 1) * prod(plane), self._padded.numel())
        self._spare = (like.new_empty(longest), like.new_empty(longest))
        self._across = like.new_empty(self._padded.numel())

    def inner(self, line: Tensor) -> Tensor:
        """The voxels of a padded line, ``(n, Y, Z)``."""
        planes = line.numel() // self.area
        return line.as_strided((planes, self.rows, self.columns), (self.area, self.pitch, 1), line.storage_offset())

    def sum(self, slab: Tensor, out: Tensor) -> None:
        """Write the window sums of a contiguous slab with its halo, ``(n + side - 1, Y, Z)``, to a padded line.

        Between the voxels, `out` is left with values of no meaning.
        """
        planes = slab.shape[0] - self.sides[0] + 1
        line = self._padded[: self._front + planes * self.area]
        within = self.inner(line[self._front :])
        _add(*window_terms(slab.view(-1), self.sides[0], prod(slab.shape[1:]), self._spare), within)
        across = self._across[: line.numel() - self.sides[2] + 1]
        _add(*window_terms(line, self.sides[2], 1, self._spare), across)
        _add(*window_terms(across, self.sides[1], self.pitch, self._spare), out[: planes * self.area - self._front])


def _add(first: Tensor, second: Tensor | None, out: Tensor) -> None:
    if second is None:
        out.copy_(first.view(out.shape))
    else:
        torch.add(first.view(out.shape), second.view(out.shape), out=out)


def window_terms(line: Tensor, side: int, step: int, spare: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Two arrays that add up to ``sum(line[q + k * step] for k in range(side))``.

    Doubling needs some log2(side) additions over contiguous memory, where a loop over the window would need `side`.
    (A running sum would need two, but loses its digits on the way.) The last addition is left to the caller, who
    knows where its result belongs.

    Args:
        line: flat; neighbours along the axis of the sum are `step` apart.
        side: number of voxels in the window.
        step: see `line`.
        spare: two arrays at least as long as `line`, overwritten.

    Returns:
        Two views of length ``len(line) - (side - 1) * step``; the second is None if the first is all.
    """
    first, second, current = line, None, line
    for turn, (length, offset, doubles) in enumerate(_additions(side)):
        if second is not None:
            current = torch.add(first, second, out=spare[turn % 2][: first.numel()])
        count = line.numel() - (length - 1) * step
        first, second = current[:count], (current if doubles else line)[offset * step :][:count]
    return first, second


def _additions(side: int) -> list[tuple[int, int, bool]]:
    """How to grow a window to `side` voxels: (length reached, offset of the second term, whether it doubles)."""
    steps, length = [], 1
    for digit in bin(side)[3:]:
        steps.append((2 * length, length, True))
        length *= 2
        if digit == "1":
            steps.append((length + 1, length, False))
            length += 1
    return steps


def window_counts(size: int, side: int, like: Tensor) -> Tensor:
    """How many voxels of the window around each voxel of an axis lie in the image; ``(size,)``."""
    place, radius = torch.arange(size, device=like.device, dtype=like.dtype), side // 2
    return place.clamp_max(radius) + (size - 1 - place).clamp_max(radius) + 1

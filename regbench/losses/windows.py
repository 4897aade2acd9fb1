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
    """By doubling, as in `window_terms`.

    Not a pooling by ``(side, 1)``: its backward is wrong on CUDA (torch 2.11, channels last: an error as large as the
    gradient), and it is slower.
    """
    shape, size = image.shape, image.shape[axis]
    rows = image.reshape(shape[:axis].numel(), size, shape[axis + 1 :].numel())
    padded = summed = F.pad(rows, (0, 0, side // 2, side // 2))
    for length, offset, doubles in _additions(side):
        count = size + side - length
        summed = summed[:, :count] + (summed if doubles else padded)[:, offset : offset + count]
    return summed.reshape(shape)


class Windows:
    """Window sums of a few slabs of planes ``(K, n, Y, Z)`` at once, with room for them made once.

    The sum along the planes runs over the slabs as they are; the other two over a copy in which zeros stand between
    rows and between planes. There a window that leaves the image adds nothing, and every sum is one over a flat line:
    its voxels are `pitch` apart from row to row, `area` from plane to plane and `length` from slab to slab.
    """

    def __init__(
        self, like: Tensor, planes: int, plane: tuple[int, int], sides: tuple[int, int, int], slabs: int = 1
    ) -> None:
        self.sides, (self.rows, self.columns) = sides, plane
        self.pitch = self.columns + sides[2] // 2
        self.area = (self.rows + sides[1] // 2) * self.pitch
        self._front = (sides[1] // 2) * self.pitch + sides[2] // 2
        self.length = self._front + planes * self.area
        self._padded = like.new_zeros(slabs * self.length)
        longest = max(slabs * (planes + sides[0] - 1) * prod(plane), self._padded.numel())
        self._spare = (like.new_empty(longest), like.new_empty(longest))
        self._across = like.new_empty(self._padded.numel())

    def inner(self, line: Tensor) -> Tensor:
        """The voxels of a padded line, ``(n, Y, Z)``."""
        planes = line.numel() // self.area
        return line.as_strided((planes, self.rows, self.columns), (self.area, self.pitch, 1), line.storage_offset())

    def sum(self, slabs: Tensor, out: Tensor) -> None:
        """Write the window sums of contiguous slabs with their halo, ``(K, n + side - 1, Y, Z)``, to padded lines.

        Between the voxels, `out`, ``(K, n * area)``, is left with values of no meaning.
        """
        count, planes = slabs.shape[0], slabs.shape[1] - self.sides[0] + 1
        area, whole = prod(slabs.shape[2:]), slabs[0].numel()
        # Of several slabs, the last values of all but the last are sums across two of them, and read by nobody.
        line = self._padded[: (count - 1) * self.length + self._front + planes * self.area]
        within = line.as_strided(
            (count, planes, self.rows, self.columns), (self.length, self.area, self.pitch, 1), self._front
        )
        terms = window_terms(slabs.view(-1), self.sides[0], area, self._spare)
        _add(*terms, (whole, area, self.columns, 1), within)
        across = self._across[: line.numel() - self.sides[2] + 1]
        _add(*window_terms(line, self.sides[2], 1, self._spare), (1,), across)
        terms = window_terms(across, self.sides[1], self.pitch, self._spare)
        _add(*terms, (self.length, 1), out[:, : planes * self.area - self._front])


def _add(first: Tensor, second: Tensor | None, strides: tuple[int, ...], out: Tensor) -> None:
    """Write the sum of two flat arrays, seen with strides of their own, to `out`."""
    one = first.as_strided(out.shape, strides, first.storage_offset())
    if second is None:
        out.copy_(one)
    else:
        torch.add(one, second.as_strided(out.shape, strides, second.storage_offset()), out=out)


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

"""Joint histogram of two images with Gaussian Parzen windows, and its gradient, compiled.

A voxel adds the products of the few bins that its two windows reach to a histogram that stays in the cache.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regbench.system.numba_loops import in_parts, jit

# Histograms that each map's is the sum of, whatever the number of threads: the order of a sum must not depend on it.
_PARTS = 16


def joint(
    fixed: Tensor, moved: Tensor, weights: Tensor | None, ranges: Tensor, bins: int, sigma: float, half: int
) -> Tensor:
    """Joint histograms ``(N, bins, bins)`` float64, sums of the weights.

    Args:
        fixed: ``(N, n)`` float32.
        moved: ``(N, n)`` float32.
        weights: ``(N, n)`` float32, or None: 1 each.
        ranges: low, high and bins per unit of each image, ``(N, 2, 3)`` float64.
        bins: of each image.
        sigma: of the window, in bins.
        half: bins that it reaches on either side.
    """
    histograms = np.empty((fixed.shape[0], bins, bins))
    for n, arguments in enumerate(_arguments(fixed, moved, weights, ranges, sigma, half)):
        sums = np.zeros((_PARTS, bins + 2 * half, bins + 2 * half))
        in_parts(_joint, _PARTS, fixed.shape[1], lambda: (np.empty((2, 2 * half)),), *arguments, bins, sums)
        histograms[n] = sums.sum(0)[half : half + bins, half : half + bins]
    return torch.from_numpy(histograms)


def gradients(
    slope: Tensor,
    fixed: Tensor,
    moved: Tensor,
    weights: Tensor | None,
    wanted: tuple[bool, ...],
    ranges: Tensor,
    sigma: float,
    half: int,
) -> list[Tensor | None]:
    """Gradients ``(N, n)`` to the images, None where not wanted.

    Args:
        slope: ``(N, bins, bins)``: gradient to the sums that `joint` returns.
        fixed: ``(N, n)`` float32.
        moved: ``(N, n)`` float32.
        weights: ``(N, n)`` float32, or None: 1 each.
        wanted: whether the fixed and the moved image need one.
        ranges: low, high and bins per unit of each image, ``(N, 2, 3)`` float64.
        sigma: of the window, in bins.
        half: bins that it reaches on either side.
    """
    bins, gradients = slope.shape[1], [torch.empty_like(fixed) if want else None for want in wanted]
    margin = np.pad(slope.double().numpy(), [(0, 0), (half, half), (half, half)])
    for n, arguments in enumerate(_arguments(fixed, moved, weights, ranges, sigma, half)):
        targets = tuple(np.empty(0, np.float32) if x is None else x[n].numpy() for x in gradients)
        in_parts(
            _gradients, _PARTS, fixed.shape[1], lambda: (np.empty((2, 2 * half)),), *arguments, bins, margin[n], targets
        )
    return gradients


def _arguments(
    fixed: Tensor, moved: Tensor, weights: Tensor | None, ranges: Tensor, sigma: float, half: int
) -> Iterator[tuple[Any, ...]]:
    """What both kernels take, for each map."""
    offsets = np.arange(0.5 - half, half)
    # Of each tap, what does not depend on where between two bins a voxel lies.
    constants = np.exp(-0.5 * (offsets**2 - 0.25) / sigma**2)
    given = ranges.double().contiguous().numpy()
    for n in range(fixed.shape[0]):
        mass = np.empty(0, np.float32) if weights is None else weights[n].contiguous().numpy()
        yield fixed[n].numpy(), moved[n].numpy(), mass, given[n], offsets, constants, 1 / sigma**2


@jit
def _taps(value, given, constants, scale, bins, out):
    """Weights of the bins that a voxel's window reaches, with sum 1, to `out`; returns the bin below the voxel.

    Args:
        value: intensity.
        given: low, high and bins per unit of the image, ``(3,)``.
        constants: ``(2 * half,)``, of each tap what does not depend on where between two bins the voxel lies.
        scale: one over the squared width of the window.
        bins: their number.
        out: ``(2 * half,)``; 0 outside the histogram.
    """
    half = len(out) // 2
    place = (min(max(value, given[0]), given[1]) - given[0]) * given[2]
    if np.isnan(value) or np.isnan(place):  # so is all that comes of it
        out[:] = np.nan
        return 0
    below = min(int(place), bins - 1)
    ratio = np.exp((place - below - 0.5) * scale)
    back = 1 / ratio
    up, down, total = ratio, 1.0, 0.0
    for step in range(half):  # the two bins around the voxel, then the next ones
        low, high = half - 1 - step, half + step
        out[low] = constants[low] * down if below >= step else 0.0
        out[high] = constants[high] * up if below + step + 1 < bins else 0.0
        total += out[low] + out[high]
        up, down = up * ratio, down * back
    share = 1 / total
    for k in range(2 * half):
        out[k] *= share
    return below


@jit
def _change(patch, own, other, offsets):
    """The derivative of normalised exp(-(t - b)^2 / 2 sigma^2), times sigma^2: a covariance over the bins.

    Args:
        patch: ``(2 * half, 2 * half)``, gradient to the bins of the image itself and of the other one.
        own: ``(2 * half,)`` weights of the image itself.
        other: ``(2 * half,)`` weights of the other one.
        offsets: ``(2 * half,)`` of the bins from half a bin above the one below the voxel.
    """
    total, moment, mean = 0.0, 0.0, 0.0
    for i in range(len(own)):
        pull = 0.0
        for j in range(len(other)):
            pull += patch[i, j] * other[j]
        pull *= own[i]
        total += pull
        moment += pull * offsets[i]
        mean += own[i] * offsets[i]
    return moment - total * mean


@jit
def _joint(start, stop, taps, fixed, moved, mass, given, _, constants, scale, bins, sums):
    """Parts of the voxels, each to a histogram of its own.

    Args:
        taps: ``(2, 2 * half)``, of this thread.
        fixed, moved: ``(n,)`` float32.
        mass: ``(n,)`` float32 weights, or ``(0,)``: 1 each.
        given: ``(2, 3)``, low, high and bins per unit.
        constants, scale, bins: as in `_taps`.
        sums: ``(_PARTS, bins + 2 * half, bins + 2 * half)``: a margin of `half` bins receives what lies outside.
    """
    own, other = taps[0], taps[1]
    for part in range(start, stop):
        histogram = sums[part]
        for x in range(len(fixed) * part // len(sums), len(fixed) * (part + 1) // len(sums)):
            row = _taps(fixed[x], given[0], constants, scale, bins, own) + 1
            column = _taps(moved[x], given[1], constants, scale, bins, other) + 1
            if len(mass) > 0:
                for k in range(len(own)):
                    own[k] *= mass[x]
            for i in range(len(own)):
                line = histogram[row + i, column : column + len(other)]
                for j in range(len(line)):
                    line[j] += own[i] * other[j]


@jit
def _gradients(start, stop, taps, fixed, moved, mass, given, offsets, constants, scale, bins, slope, targets):
    """Parts of the voxels; arrays as in `_joint`.

    Args:
        offsets: ``(2 * half,)``, as in `_change`.
        slope: ``(bins + 2 * half, bins + 2 * half)``, gradient to the histogram, with a margin of zeros.
        targets: gradients ``(n,)`` to the fixed and the moved image, or ``(0,)`` where not wanted.
    """
    own, other = taps[0], taps[1]
    for part in range(start, stop):
        for x in range(len(fixed) * part // _PARTS, len(fixed) * (part + 1) // _PARTS):
            row = _taps(fixed[x], given[0], constants, scale, bins, own) + 1
            column = _taps(moved[x], given[1], constants, scale, bins, other) + 1
            factor = scale * (mass[x] if len(mass) > 0 else 1.0)
            patch = slope[row : row + len(own), column : column + len(other)]
            if len(targets[0]) > 0:
                change = _change(patch, own, other, offsets) * factor * given[0, 2]
                targets[0][x] = 0.0 if fixed[x] < given[0, 0] or fixed[x] > given[0, 1] else change
            if len(targets[1]) > 0:
                change = _change(patch.T, other, own, offsets) * factor * given[1, 2]
                targets[1][x] = 0.0 if moved[x] < given[1, 0] or moved[x] > given[1, 1] else change

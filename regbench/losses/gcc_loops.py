"""Global cross-correlation and its gradient, compiled: one pass each."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from regbench.system.numba_loops import in_parts, jit

f64 = np.float64

# Voxels of an item of work: their order of summation must not depend on the number of threads.
_PART = 1 << 15


def sums_of_products(maps: list[Tensor], means: list[Tensor]) -> Tensor:
    """Sums over each map of a^2, b^2, a b, a and b, where a and b are the maps less their means; ``(5, N)`` float64.

    Args:
        maps: ``(N, n)`` float32.
        means: ``(N, 1)``, any.
    """
    one, two = (x.detach().contiguous().numpy() for x in maps)
    parts = -(-one.shape[1] // _PART)
    sums = np.zeros((5, one.shape[0], parts))
    in_parts(_sums, one.shape[0] * parts, one.size, tuple, one, two, *(x[:, 0].numpy() for x in means), sums)
    return torch.from_numpy(sums.sum(2))


def gradient(own: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    """``left + own_factor (own - mean) - slope (other - other mean)``.

    Args:
        own: ``(N, n)`` float32.
        other: ``(N, n)`` float32.
        factors: mean, other mean, own factor, slope and left, ``(5, N)`` float64.
    """
    gradient = torch.empty(own.shape, dtype=own.dtype)
    arrays = [x.detach().contiguous().numpy() for x in (own, other)]
    parts = -(-own.shape[1] // _PART)
    in_parts(_gradient, own.shape[0] * parts, own.numel(), tuple, *arrays, factors.numpy(), gradient.numpy())
    return gradient


@partial(jit, reorder=True)
def _sums_of(one, two, mean, other_mean, out):
    """Sums of a^2, b^2, a b, a and b of two lines ``(n,)`` less their means, to `out`, ``(5,)``."""
    ff, mm, fm, f_left, m_left = 0.0, 0.0, 0.0, 0.0, 0.0
    for x in range(len(one)):
        a, b = f64(one[x]) - mean, f64(two[x]) - other_mean
        ff += a * a
        mm += b * b
        fm += a * b
        f_left += a
        m_left += b
    out[0], out[1], out[2], out[3], out[4] = ff, mm, fm, f_left, m_left


@jit
def _gradient_of(own, other, factors, out):
    """Gradient of a line; `own`, `other` and `out` ``(n,)``, `factors` ``(5,)`` as `gradient` takes them."""
    mean, other_mean, factor, slope, left = factors[0], factors[1], factors[2], factors[3], factors[4]
    for x in range(len(out)):
        out[x] = left + factor * (f64(own[x]) - mean) - slope * (f64(other[x]) - other_mean)


@jit
def _sums(start, stop, one, two, means, other_means, sums):
    """Items of `_PART` voxels of maps ``(N, n)`` with means ``(N,)``; `sums` is ``(5, N, parts)``."""
    parts = sums.shape[2]
    for item in range(start, stop):
        n, part = item // parts, item % parts
        low, high = part * _PART, min((part + 1) * _PART, one.shape[1])
        _sums_of(one[n, low:high], two[n, low:high], f64(means[n]), f64(other_means[n]), sums[:, n, part])


@jit
def _gradient(start, stop, own, other, factors, out):
    """Items of `_PART` voxels; `own`, `other` and `out` ``(N, n)``, `factors` ``(5, N)``."""
    parts = (own.shape[1] + _PART - 1) // _PART
    for item in range(start, stop):
        n, part = item // parts, item % parts
        low, high = part * _PART, min((part + 1) * _PART, own.shape[1])
        _gradient_of(own[n, low:high], other[n, low:high], factors[:, n], out[n, low:high])

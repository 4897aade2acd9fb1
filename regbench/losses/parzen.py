"""Joint histogram of two images with Gaussian Parzen windows, some thousand voxels at a time."""

from collections.abc import Iterator
from math import ceil, log, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from regbench.losses.analytic import Gradients, Wanted
from regbench.losses.rooms import Rooms

# Voxels that go through at once, with a row of `bins` numbers each; a GPU wants fewer and larger kernels.
CHUNK_VOXELS = {"cpu": 8_192}
CHUNK_VOXELS_ELSEWHERE = 1_000_000


class Settings(NamedTuple):
    """Number of bins, width of the Parzen window in bins, and the range (None: each image's own)."""

    bins: int
    sigma: float
    ends: tuple[float, float] | None


class Window(NamedTuple):
    """Bins and the windows on them; intensity x of image k lies at bin ``(x - low[k]) * per_unit[k]``."""

    bins: int
    sigma: float
    low: tuple[Tensor, Tensor]  # (B, C, 1)
    high: tuple[Tensor, Tensor]  # (B, C, 1)
    per_unit: tuple[Tensor, Tensor]  # (B, C, 1); 0 for a constant image


def window(settings: Settings, fixed: Tensor, moved: Tensor) -> Window:
    """Bins from each image's minimum to its maximum, or between two given ends."""
    bins, sigma, ends = settings
    low, high, per_unit = [], [], []
    for image in (fixed.detach().flatten(2), moved.detach().flatten(2)):
        if ends is None:
            first, last = image.aminmax(dim=2, keepdim=True)
        else:
            first, last = (torch.full_like(image[..., :1], end) for end in ends)
        extent = last - first
        low.append(first)
        high.append(last)
        per_unit.append(torch.where(extent > 0, (bins - 1) / torch.where(extent > 0, extent, 1), 0))
    return Window(bins, sigma, (low[0], low[1]), (high[0], high[1]), (per_unit[0], per_unit[1]))


def joint(weights: Tensor | None, window: Window, fixed: Tensor, moved: Tensor) -> Tensor:
    """Joint histogram ``(B, C, bins, bins)`` that sums to 1; differentiable, and with all weights in memory."""
    shares = []
    for k, image in enumerate((fixed.flatten(2), moved.flatten(2))):
        # Clamped before it is scaled: rounding must not push an end, and its gradient, beyond the range.
        place = (image.clamp(window.low[k], window.high[k]) - window.low[k]) * window.per_unit[k]
        offset = place[..., None] - torch.arange(window.bins, device=image.device, dtype=image.dtype)
        shares.append(torch.softmax(offset.square() * (-0.5 / window.sigma**2), -1))
    mass = 1 / fixed[0, 0].numel() if weights is None else weights[..., None]
    return (shares[0] * mass).transpose(-1, -2) @ shares[1]


def _maps(weights: Tensor | None, *images: Tensor) -> Iterator[tuple[tuple[int, int], Tensor | None, list[Tensor]]]:
    for sample in range(images[0].shape[0]):
        for channel in range(images[0].shape[1]):
            at = (sample, channel)
            yield at, None if weights is None else weights[at], [image[at].reshape(-1) for image in images]


def _chunks(line: Tensor) -> Iterator[slice]:
    step = CHUNK_VOXELS.get(line.device.type, CHUNK_VOXELS_ELSEWHERE)
    return (slice(start, min(start + step, line.numel())) for start in range(0, line.numel(), step))


class _Taps(NamedTuple):
    """The bins that a voxel's window reaches; beyond, its weight is less than the rounding of the largest."""

    bins: Tensor  # (n, K), some of them outside the histogram
    weights: Tensor  # (n, K), 0 there, sum 1
    offsets: Tensor  # (K,), of the bins from the one below the voxel


def _taps(line: Tensor, k: int, at: tuple[int, int], window: Window, rooms: Rooms) -> _Taps:
    half = _reach(window, line)
    place = line.clamp(window.low[k][at], window.high[k][at]).sub_(window.low[k][at]).mul_(window.per_unit[k][at])
    below = place.floor()
    steps = torch.arange(1 - half, half + 1, device=line.device)
    bins = below.long()[:, None] + steps
    offsets = steps.to(line.dtype)
    weights = torch.sub(place.sub_(below)[:, None], offsets, out=rooms.get(f"taps {k}", bins.shape))
    weights.mul_(weights).mul_(-0.5 / window.sigma**2).exp_()
    weights.masked_fill_((bins < 0) | (bins >= window.bins), 0)
    return _Taps(bins, weights.div_(weights.sum(1, keepdim=True)), offsets)


def _reach(window: Window, line: Tensor) -> int:
    return ceil(window.sigma * sqrt(-2 * log(torch.finfo(line.dtype).eps)))


def _shares(taps: _Taps, k: int, window: Window, rooms: Rooms) -> Tensor:
    """How much of each voxel falls into each bin, ``(n, bins)``."""
    margin = taps.bins.shape[1]
    room = rooms.get(f"shares {k}", torch.Size((len(taps.bins), window.bins + 2 * margin))).zero_()
    return room.scatter_(1, taps.bins + margin, taps.weights)[:, margin : margin + window.bins]


def joint_in_chunks(weights: Tensor | None, window: Window, fixed: Tensor, moved: Tensor) -> Tensor:
    """The same as `joint` in little memory, not differentiable."""
    rooms, total = Rooms(fixed), fixed.new_zeros(*fixed.shape[:2], window.bins, window.bins)
    for at, mass, lines in _maps(weights, fixed, moved):
        for chunk in _chunks(lines[0]):
            taps = [_taps(line[chunk], k, at, window, rooms) for k, line in enumerate(lines)]
            f_share, m_share = (_shares(each, k, window, rooms) for k, each in enumerate(taps))
            if mass is not None:
                f_share.mul_(mass[chunk, None])
            total[at].addmm_(f_share.T, m_share)
    return total if weights is not None else total.div_(fixed[0, 0].numel())


def gradients(slope: Tensor, weights: Tensor | None, window: Window, wanted: Wanted, *images: Tensor) -> Gradients:
    """Gradient to each image, given `slope`, that to the joint histogram."""
    rooms = Rooms(images[0])
    found = [torch.empty(x.shape, dtype=x.dtype, device=x.device) if want else None
             for x, want in zip(images, wanted, strict=True)]  # fmt: skip
    scale = 1 / (window.sigma**2 * (images[0][0, 0].numel() if weights is None else 1))
    for at, mass, lines in _maps(weights, *images):
        for chunk in _chunks(lines[0]):
            taps = [_taps(line[chunk], k, at, window, rooms) for k, line in enumerate(lines)]
            for k, out in enumerate(found):
                if out is None:
                    continue
                other = _shares(taps[1 - k], 1 - k, window, rooms)
                to_bins = slope[at] if k == 1 else slope[at].T
                change = _change(taps[k], torch.mm(other, to_bins, out=rooms.get("pull", other.shape))).mul_(scale)
                if mass is not None:
                    change.mul_(mass[chunk])
                line = lines[k][chunk]
                outside = (line < window.low[k][at]) | (line > window.high[k][at])
                out[at].view(-1)[chunk] = change.mul_(window.per_unit[k][at]).masked_fill_(outside, 0)
    return tuple(found)


def _change(taps: _Taps, to_bins: Tensor) -> Tensor:
    """The derivative of normalised exp(-(t - b)^2 / 2 sigma^2), times sigma^2: a covariance over the bins."""
    pull = to_bins.gather(1, taps.bins.clamp(0, to_bins.shape[1] - 1)).mul_(taps.weights)
    return (pull @ taps.offsets).sub_((taps.weights @ taps.offsets).mul_(pull.sum(1)))

"""Joint histogram of two images with Gaussian Parzen windows, some thousand voxels at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from regbench.losses.analytic import Gradients, Wanted
from regbench.losses.rooms import Rooms

# Voxels whose Parzen weights are made at once, a row of `bins` numbers each; a GPU wants fewer and larger kernels.
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


def _shares(line: Tensor, k: int, at: tuple[int, int], window: Window, rooms: Rooms) -> Tensor:
    """How much of each voxel falls into each bin, ``(n, bins)``."""
    shape = torch.Size((line.numel(), window.bins))
    place = line.clamp(window.low[k][at], window.high[k][at]).sub_(window.low[k][at]).mul_(window.per_unit[k][at])
    centres = torch.arange(window.bins, device=line.device, dtype=line.dtype)
    offset = torch.sub(place[:, None], centres, out=rooms.get("offset", shape))
    offset.mul_(offset).mul_(-0.5 / window.sigma**2)
    return torch.softmax(offset, -1, out=rooms.get(f"shares {k}", shape))


def joint_in_chunks(weights: Tensor | None, window: Window, fixed: Tensor, moved: Tensor) -> Tensor:
    """The same as `joint` in little memory, not differentiable."""
    rooms, total = Rooms(fixed), fixed.new_zeros(*fixed.shape[:2], window.bins, window.bins)
    for at, mass, (f, m) in _maps(weights, fixed, moved):
        for chunk in _chunks(f):
            f_share, m_share = (_shares(line[chunk], k, at, window, rooms) for k, line in enumerate((f, m)))
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
    centres = torch.arange(window.bins, device=images[0].device, dtype=images[0].dtype)
    for at, mass, lines in _maps(weights, *images):
        for chunk in _chunks(lines[0]):
            shares = [_shares(line[chunk], k, at, window, rooms) for k, line in enumerate(lines)]
            for k, out in enumerate(found):
                if out is None:
                    continue
                to_bins = slope[at] if k == 1 else slope[at].T
                pull = torch.mm(shares[1 - k], to_bins, out=rooms.get("pull", shares[k].shape)).mul_(shares[k])
                # The derivative of a softmax of -(t - b)^2 / 2 sigma^2: a covariance of pull and bin over the bins.
                change = (pull @ centres).sub_((shares[k] @ centres).mul_(pull.sum(1))).mul_(scale)
                if mass is not None:
                    change.mul_(mass[chunk])
                out[at].view(-1)[chunk] = _inside(lines[k][chunk], k, at, window, change)
    return tuple(found)


def _inside(line: Tensor, k: int, at: tuple[int, int], window: Window, change: Tensor) -> Tensor:
    """The gradient to the bin becomes that to the intensity; 0 where the intensity lies beyond the range."""
    outside = (line < window.low[k][at]) | (line > window.high[k][at])
    return change.mul_(window.per_unit[k][at]).masked_fill_(outside, 0)

"""Joint histogram of two images with Gaussian Parzen windows, some thousand voxels at a time."""

from collections.abc import Iterator
from math import ceil, log, sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.losses.autograd import Gradients, Wanted
from regbench.losses.scratch import Rooms
from regbench.system import numba_loops

# Voxels that go through at once, with a row of `bins` numbers each; a GPU wants fewer and larger kernels.
CHUNK_VOXELS = {"cpu": 16_384}
CHUNK_VOXELS_ELSEWHERE = 1_000_000
# Products that a chunk's histogram is the sum of: on a CPU a thread takes one, on a GPU a multiprocessor.
PRODUCTS = {"cpu": 2}
PRODUCTS_ELSEWHERE = 256


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
    given: bool  # the range, so that intensities may lie beyond


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
    return Window(bins, sigma, (low[0], low[1]), (high[0], high[1]), (per_unit[0], per_unit[1]), ends is not None)


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

    below: Tensor  # (n,) integers, the bin below the voxel
    weights: Tensor  # (K, n), of the bins from ``below - K / 2 + 1`` on; 0 outside the histogram, sum 1
    offsets: Tensor  # (K, 1), of those bins from half a bin above `below`


def _taps(line: Tensor, k: int, at: tuple[int, int], window: Window, rooms: Rooms) -> _Taps:
    low, room = window.low[k][at], rooms.get(f"place {k}", line.shape)
    if window.given:
        torch.clamp(line, low, window.high[k][at], out=room).sub_(low)
    else:
        torch.sub(line, low, out=room)
    place = room.mul_(window.per_unit[k][at])
    below = torch.floor(place, out=rooms.get(f"below {k}", line.shape))
    half, scale = _reach(window, line), 1 / window.sigma**2
    offsets = torch.arange(0.5 - half, half, device=line.device, dtype=line.dtype)[:, None]
    # Without the square of the place, which all taps have in common: the sum divides it out.
    weights = torch.addcmul(
        offsets.square() * (-0.5 * scale),
        offsets * scale,
        place.sub_(below).sub_(0.5)[None],
        out=rooms.get(f"taps {k}", torch.Size((2 * half, *line.shape))),
    ).exp_()
    above = torch.neg(below, out=rooms.get("above", line.shape))
    for step in range(1, half + 1):  # outside the histogram: 0 where the place is at most a threshold
        for row, side, threshold in ((half - 1 - step, below, step), (half - 1 + step, above, step + 1 - window.bins)):
            if row >= 0:
                _zero_up_to(weights[row], side, threshold - 0.5)
    weights.div_(torch.sum(weights, 0, out=place))
    # NaN is no bin, and makes its weights NaN anyhow.
    return _Taps(below.long().clamp_(0, window.bins - 1), weights, offsets)


def _zero_up_to(values: Tensor, where: Tensor, threshold: float) -> None:
    """Zero the values where another array is at most a threshold, in one pass; a mask would take three."""
    torch.ops.aten.threshold_backward.grad_input(values, where, threshold, grad_input=values)


def _reach(window: Window, line: Tensor) -> int:
    return ceil(window.sigma * sqrt(-2 * log(torch.finfo(line.dtype).eps)))


def _by_voxel(taps: _Taps, k: int, rooms: Rooms) -> Tensor:
    """Weights ``(n, K)``."""
    return rooms.get(f"by voxel {k}", taps.weights.T.shape).copy_(taps.weights.T)


def _rows(first: Tensor, count: int, steps: int, taps: int) -> Tensor:
    """``first[:, None] + steps * range(taps)``, for `first` below `count`."""
    after = steps * torch.arange(taps, device=first.device)
    if first.device.type != "cpu":
        return first[:, None] + after
    # Looked up: a CPU adds slowly to rows so short, a GPU looks them up slowly.
    return (torch.arange(count)[:, None] + after).index_select(0, first)


def _shares(taps: _Taps, k: int, window: Window, rooms: Rooms) -> Tensor:
    """How much of each voxel falls into each bin, ``(products, n / products, bins)``; the last rows may be nothing."""
    reach, count = taps.weights.shape
    products = PRODUCTS.get(taps.weights.device.type, PRODUCTS_ELSEWHERE)
    each = ceil(count / products)
    room = rooms.get(f"shares {k}", torch.Size((products * each, window.bins + reach - 1))).zero_()
    room[:count].scatter_(1, _rows(taps.below, window.bins, 1, reach), _by_voxel(taps, k, rooms))
    return room.view(products, each, -1)[..., reach // 2 - 1 : reach // 2 - 1 + window.bins]


def _lines(weights: Tensor | None, window: Window, *images: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Images and weights ``(N, n)``, and each image's low, high and bins per unit, ``(N, 2, 3)``."""
    fixed, moved = (x.flatten(2).flatten(0, 1).contiguous() for x in images)
    masses = None if weights is None else weights.flatten(0, 1)
    low, high = (torch.stack([x.flatten() for x in ends], 1).double() for ends in (window.low, window.high))
    # Anew, in double precision: rounded to float32 it moves a voxel by 1e-6 bins, and the value by as much.
    per_unit = torch.where(high > low, (window.bins - 1) / torch.where(high > low, high - low, 1), 0)
    return fixed, moved, masses, torch.stack([low, high, per_unit], 2)


def joint_in_chunks(weights: Tensor | None, window: Window, fixed: Tensor, moved: Tensor) -> Tensor:
    """The same as `joint` in little memory, not differentiable; float64 from the compiled loops."""
    if numba_loops.serves(fixed, moved):
        from regbench.losses import mi_loops  # noqa: PLC0415 - starts Numba

        given = _lines(weights, window, fixed, moved)
        found = mi_loops.joint(*given, window.bins, window.sigma, _reach(window, fixed))
        found /= fixed[0, 0].numel() if weights is None else 1
        return found.view(*fixed.shape[:2], window.bins, window.bins)
    rooms, total = Rooms(fixed), fixed.new_zeros(*fixed.shape[:2], window.bins, window.bins)
    for at, mass, lines in _maps(weights, fixed, moved):
        for chunk in _chunks(lines[0]):
            taps = [_taps(line[chunk], k, at, window, rooms) for k, line in enumerate(lines)]
            if mass is not None:
                taps[0].weights.mul_(mass[chunk])
            f_share, m_share = (_shares(each, k, window, rooms) for k, each in enumerate(taps))
            total[at].add_(torch.bmm(f_share.transpose(1, 2), m_share).sum(0))
    return total if weights is not None else total.div_(fixed[0, 0].numel())


def gradients(slope: Tensor, weights: Tensor | None, window: Window, wanted: Wanted, *images: Tensor) -> Gradients:
    """Gradient to each image, given `slope`, that to the joint histogram."""
    if numba_loops.serves(*images):
        from regbench.losses import mi_loops  # noqa: PLC0415 - starts Numba

        slope = slope.flatten(0, 1) / (images[0][0, 0].numel() if weights is None else 1)
        fixed, moved, masses, ranges = _lines(weights, window, *images)
        reach = _reach(window, fixed)
        flat = mi_loops.gradients(slope, fixed, moved, masses, wanted, ranges, window.sigma, reach)
        return tuple(None if each is None else each.view(images[0].shape) for each in flat)
    rooms = Rooms(images[0])
    found = [torch.empty(x.shape, dtype=x.dtype, device=x.device) if want else None
             for x, want in zip(images, wanted, strict=True)]  # fmt: skip
    scale = 1 / (window.sigma**2 * (images[0][0, 0].numel() if weights is None else 1))
    for at, mass, lines in _maps(weights, *images):
        patches = [_patches(slope[at].T if k == 0 else slope[at], _reach(window, lines[k])) for k in (0, 1)]
        for chunk in _chunks(lines[0]):
            taps = [_taps(line[chunk], k, at, window, rooms) for k, line in enumerate(lines)]
            for k, out in enumerate(found):
                if out is None:
                    continue
                change = _change(taps[k], _pull(taps[k], taps[1 - k], 1 - k, patches[k], rooms), rooms).mul_(scale)
                if mass is not None:
                    change.mul_(mass[chunk])
                torch.mul(change, window.per_unit[k][at], out=out[at].view(-1)[chunk])
                if window.given:
                    line = lines[k][chunk]
                    outside = (line < window.low[k][at]) | (line > window.high[k][at])
                    out[at].view(-1)[chunk].masked_fill_(outside, 0)
    return tuple(found)


def _patches(slope: Tensor, half: int) -> Tensor:
    """``(bins + K - 1, bins, K)``: from each bin of the other image to the K bins that a voxel's window reaches."""
    margin = (half - 1, half)
    return F.pad(slope, margin + margin).unfold(1, 2 * half, 1).contiguous()


def _pull(own: _Taps, other: _Taps, k: int, patches: Tensor, rooms: Rooms) -> Tensor:
    """Gradient to each of a voxel's own bins, ``(n, K)``: the patches summed over the other image's taps."""
    bins, reach = patches.shape[1:]
    rows = _rows(other.below * bins + own.below, bins * bins, bins, reach)
    return F.embedding_bag(rows, patches.view(-1, reach), per_sample_weights=_by_voxel(other, k, rooms), mode="sum")


def _change(taps: _Taps, to_bins: Tensor, rooms: Rooms) -> Tensor:
    """The derivative of normalised exp(-(t - b)^2 / 2 sigma^2), times sigma^2: a covariance over the bins."""
    pull = torch.mul(to_bins.T, taps.weights, out=rooms.get("pull", taps.weights.shape))
    total = pull.sum(0)
    mean = torch.mul(taps.weights, taps.offsets, out=rooms.get("moment", taps.weights.shape)).sum(0)
    return pull.mul_(taps.offsets).sum(0).sub_(total.mul_(mean))

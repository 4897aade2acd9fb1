"""Global cross-correlation."""

from collections.abc import Iterator
from functools import partial
from math import ceil

import torch
from torch import Tensor

from regbench.losses.autograd import Gradients, Wanted, analytic
from regbench.losses.checks import image_pair, map_weights
from regbench.losses.scratch import Rooms
from regbench.system import numba_loops

# Voxels that go through all steps while they are in the cache; a GPU wants fewer and larger kernels.
CHUNK_VOXELS = {"cpu": 600_000}
CHUNK_VOXELS_ELSEWHERE = 64_000_000
SAMPLE_VOXELS = 20_000


def gcc(fixed: Tensor, moved: Tensor, /, *, mask: Tensor | None = None) -> Tensor:
    """One minus the correlation coefficient of the two images; in [0, 2], 0 for a linear relation of positive slope.

    An image that is constant to within rounding has coefficient 0 and gradient 0.

    Args:
        fixed: ``(B, C, *S)``, any intensity unit.
        moved: warped moving image, same shape.
        mask: correlation over its voxels only.

    Returns:
        Scalar: mean over channels and batch (for a batch of one, the number of the usual ``1 - cross / sqrt(...)``,
        which elsewhere takes a whole batch for one image).

    Raises:
        ValueError: if the shapes differ.
    """
    fixed, moved = image_pair(fixed, moved)
    weights = map_weights(mask, fixed)
    definition = partial(_definition, weights)
    if weights is not None:
        return definition(fixed, moved)
    return analytic(_forward, _backward, definition, fixed, moved)


def _flat_level(centre: Tensor) -> Tensor:
    """Variance that rounding alone gives an image of this mean."""
    return (16 * torch.finfo(centre.dtype).eps * centre) ** 2


def _chunks(maps: Tensor) -> Iterator[slice]:
    most = CHUNK_VOXELS.get(maps.device.type, CHUNK_VOXELS_ELSEWHERE)
    step = max(ceil(most / maps.shape[0]), 1)
    return (slice(start, start + step) for start in range(0, maps.shape[1], step))


def _sum(maps: Tensor) -> Tensor:
    """Sum of each row, in float64 above the first 256 terms: a loss near 0 is one minus a number near 1."""
    even = maps.shape[1] // 256 * 256
    return maps[:, :even].view(maps.shape[0], -1, 256).sum(2).double().sum(1) + maps[:, even:].double().sum(1)


def _sums(maps: list[Tensor], means: list[Tensor]) -> Tensor:
    """Of the squares, the products and the values of what the means leave; ``(5, maps)``."""
    rooms, sums = Rooms(maps[0]), []
    for chunk in _chunks(maps[0]):
        a, b = (
            torch.sub(x[:, chunk], mean, out=rooms.get(name, x[:, chunk].shape))
            for name, x, mean in zip("ab", maps, means, strict=True)
        )
        room = rooms.get("product", a.shape)
        products = [_sum(torch.mul(one, two, out=room)) for one, two in ((a, a), (b, b), (a, b))]
        sums.append(torch.stack([*products, _sum(a), _sum(b)]))
    return torch.stack(sums).sum(0)


def _forward(_: Wanted, fixed: Tensor, moved: Tensor) -> tuple[Tensor, Gradients]:
    """One pass: the sums of what an approximate mean leaves, of its squares and of its products."""
    maps = [x.flatten(2).flatten(0, 1) for x in (fixed, moved)]
    # Any centre near the mean keeps the squares small, and what it misses is found again below: some voxels will do.
    means = [x[:, :: max(x.shape[1] // SAMPLE_VOXELS, 1)].mean(1, keepdim=True) for x in maps]
    if numba_loops.serves(fixed, moved):
        from regbench.losses import gcc_loops as loops  # noqa: PLC0415 - starts Numba

        sums = loops.sums_of_products(maps, means)
    else:
        sums = _sums(maps, means)
    ff, mm, fm, a_left, b_left = (sums / maps[0].shape[1]).unbind()
    # Also of the mean of all voxels: that is rounded, at an offset of 1000 to a ten-thousandth.
    ff, mm, fm = ff - a_left**2, mm - b_left**2, fm - a_left * b_left
    flat = (ff <= _flat_level(means[0][:, 0])) | (mm <= _flat_level(means[1][:, 0]))
    root = torch.where(flat, torch.inf, (ff * mm).sqrt())
    # Of the coefficient with respect to J: slope (I - mean I) - own (J - mean J), and likewise to I.
    slope = 1 / (root * maps[0].numel())
    own = [slope * fm / torch.where(flat, 1, power) for power in (ff, mm)]
    left = [slope * b_left - own[0] * a_left, slope * a_left - own[1] * b_left]
    value = 1 - (fm / root).clamp(-1, 1).mean()
    return value.to(fixed.dtype), (torch.stack(means), torch.stack([slope, *own, *left]))


def _backward(upstream: Tensor, kept: Gradients, wanted: Wanted, fixed: Tensor, moved: Tensor) -> Gradients:
    means, factors = kept
    assert means is not None  # as _forward leaves them
    assert factors is not None
    maps = [x.flatten(2).flatten(0, 1) for x in (fixed, moved)]
    slope, *others = (factors * upstream)[..., None]
    gradients: list[Tensor | None] = [None, None]
    if numba_loops.serves(fixed, moved):
        from regbench.losses import gcc_loops as loops  # noqa: PLC0415 - starts Numba

        for k in (k for k in (0, 1) if wanted[k]):
            terms = torch.stack(
                [
                    means[k][:, 0].double(),
                    means[1 - k][:, 0].double(),
                    others[k][:, 0],
                    slope[:, 0],
                    others[2 + k][:, 0],
                ]
            )
            gradients[k] = loops.gradient(maps[k], maps[1 - k], terms).view(fixed.shape)
        return tuple(gradients)
    slope, *others = (each.to(fixed.dtype) for each in (slope, *others))
    rooms = Rooms(fixed)
    for k in (k for k in (0, 1) if wanted[k]):
        gradient = torch.empty_like(maps[k], memory_format=torch.contiguous_format)
        gradients[k] = gradient.view(fixed.shape)
        own, left = others[k], others[2 + k]
        for chunk in _chunks(gradient):
            target = torch.sub(maps[1 - k][:, chunk], means[1 - k], out=gradient[:, chunk]).mul_(-slope)
            centred = torch.sub(maps[k][:, chunk], means[k], out=rooms.get("a", target.shape))
            target.addcmul_(centred, own).add_(left)
    return tuple(gradients)


def _definition(weights: Tensor | None, fixed: Tensor, moved: Tensor) -> Tensor:
    f, m = fixed.flatten(2), moved.flatten(2)
    w = torch.full_like(f[:1, :1], 1 / f.shape[2]) if weights is None else weights
    f_mean, m_mean = (w * f).sum(2, keepdim=True), (w * m).sum(2, keepdim=True)
    a, b = f - f_mean, m - m_mean
    a, b = a - (w * a).sum(2, keepdim=True), b - (w * b).sum(2, keepdim=True)
    ff, mm, fm = (w * a * a).sum(2), (w * b * b).sum(2), (w * a * b).sum(2)
    flat = (ff <= _flat_level(f_mean[..., 0])) | (mm <= _flat_level(m_mean[..., 0]))
    root = torch.where(flat, 1, ff).sqrt() * torch.where(flat, 1, mm).sqrt()
    return 1 - torch.where(flat, 0, fm / root).mean()

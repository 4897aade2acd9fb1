"""Local cross-correlation and its gradient in one pass over the image, a slab of planes at a time.

Memory traffic, not arithmetic, is what this loss costs: a slab goes through all steps while it is in the cache, and the
only full-size array is the gradient. With window sums S, means m = S / n, variances v and covariance c, the squared
correlation is ``c t`` with ``t = c / (v_I v_J + eps)``, and its gradient with respect to the image J is
``2 (I B[t] - J B[b] - B[t m_I - b m_J])``, where ``b = t^2 v_I`` and B sums over the window. The signed one has
``t = 1 / sqrt(v_I v_J + eps)``, ``b = c t^3 v_I`` and no factor 2.
"""

from dataclasses import dataclass
from math import ceil, inf, prod

import torch
from torch import Tensor

from regbench.losses.autograd import Gradients, Wanted
from regbench.losses.windows import Windows, window_counts

# Voxels of a slab: on a CPU its arrays should stay in the last cache level; a GPU wants fewer and larger kernels.
SLAB_VOXELS = {"cpu": 900_000}
SLAB_VOXELS_ELSEWHERE = 16_000_000
# Voxels up to which the five windowed products go through together: calling torch then takes longer than adding.
TOGETHER_VOXELS = {"cpu": 20_000}
TOGETHER_VOXELS_ELSEWHERE = 2_000_000
# A window is flat where its variance is all rounding: this many units in the last place of its sum of squares.
FLAT_ULPS = 16


@dataclass(frozen=True)
class Options:
    """The hyper-parameters of the loss, checked; `sides` along the axes of a volume ``(A, Y, Z)``."""

    sides: tuple[int, int, int]
    eps: float
    zero_border: bool
    signed: bool
    clamp: bool


def sum_and_gradients(
    fixed: Tensor, moved: Tensor, weights: Tensor | None, wanted: Wanted, options: Options
) -> tuple[Tensor, Gradients]:
    """Sum of the (weighted) local correlations, and its gradients (half of them where squared).

    Args:
        fixed: ``(B, C, *S)`` float32 or float64.
        moved: same shape and type.
        weights: same shape, or None.
        wanted: whether the fixed and the moved image need a gradient.
        options: the hyper-parameters.
    """
    spatial = tuple(range(2, fixed.ndim))
    pair = [_volumes(x) for x in (fixed, moved)]
    centres = [_volumes(x.mean(spatial, keepdim=True).expand(x.shape))[..., :1, :1] for x in (fixed, moved)]
    masses = None if weights is None else _volumes(weights)
    gradients = [fixed.new_empty(pair[0].shape) if want else None for want in wanted]
    totals = []
    for index in range(pair[0].shape[0]):
        sweep = _Sweep([x[index] for x in pair], [c[index] for c in centres], options)
        mass = None if masses is None else masses[index]
        totals += sweep.run(mass, [None if g is None else g[index] for g in gradients])
    return torch.stack(totals).sum(), tuple(None if g is None else g.view(fixed.shape) for g in gradients)


def _volumes(image: Tensor) -> Tensor:
    """``(M, A, Y, Z)``: 2D images are the planes of one volume whose window is one plane thick; 1D ones likewise."""
    if image.ndim == 5:
        return image.flatten(0, 1)
    return image.flatten(0, 1).view(1, -1, *(image.shape[2:] if image.ndim == 4 else (1, image.shape[2])))


class _Sweep:
    """One pair of volumes ``(A, Y, Z)``, and the arrays that its slabs share."""

    def __init__(self, pair: list[Tensor], centres: list[Tensor], options: Options) -> None:
        self.pair, self.centres, self.options = pair, centres, options
        like, self.radius = pair[0], options.sides[0] // 2
        self.depth, rows, columns = like.shape
        # The gradient lags `radius` planes behind the correlation, so the sweep is that much longer than the volume.
        self.span = self.depth + self.radius
        most = SLAB_VOXELS.get(like.device.type, SLAB_VOXELS_ELSEWHERE)
        self.planes = ceil(self.span / ceil(self.span * rows * columns / most))
        few = TOGETHER_VOXELS.get(like.device.type, TOGETHER_VOXELS_ELSEWHERE)
        self.together = self.planes * rows * columns <= few
        self.windows = Windows(like, self.planes, (rows, columns), options.sides, 5 if self.together else 1)
        self.slabs = like.new_empty((5 if self.together else 3) * (self.planes + 2 * self.radius) * rows * columns)
        self.lines = like.new_empty(8, self.planes * self.windows.area)
        self.flat = torch.empty_like(self.lines[:2], dtype=torch.bool)
        counts = [window_counts(n, side, like) for n, side in zip(like.shape, options.sides, strict=True)]
        self.eps = like.new_full((), 0.0 if options.clamp else options.eps)
        self.depth_count, self.plane_count = counts[0][:, None], like.new_ones(self.windows.area)
        self.windows.inner(self.plane_count).copy_(counts[1][:, None] * counts[2])

    def run(self, mass: Tensor | None, gradients: list[Tensor | None]) -> list[Tensor]:
        """Fill `gradients` and return the sum of each slab's correlations."""
        radius, totals = self.radius, []
        # t, then b and the mean term for each gradient; with a halo of the previous slab's last planes.
        active = [k for k, gradient in enumerate(gradients) if gradient is not None]
        factors = self.pair[0].new_zeros(1 + 2 * len(active), self.planes + 2 * radius, *self.pair[0].shape[1:])
        for start in range(0, self.span if active else self.depth, self.planes):
            stop = min(start + self.planes, self.span if active else self.depth)
            here = factors[:, 2 * radius : 2 * radius + stop - start]
            here[:, max(self.depth - start, 0) :] = 0
            if start < self.depth:
                last = min(stop, self.depth)
                totals.append(self._correlate(start, last, mass, here[:, : last - start], active))
            for place, k in enumerate(active):
                rows = [0, 1 + 2 * place, 2 + 2 * place]
                self._gradient(start - radius, stop - radius, [factors[row] for row in rows], k, gradients[k])
            if radius and active and stop < self.span:
                factors[:, : 2 * radius] = factors[:, stop - start : stop - start + 2 * radius].clone()
        return totals

    def _slabs(self, count: int, planes: int) -> Tensor:
        """Room for slabs of so many planes, contiguous."""
        plane = self.pair[0].shape[1:]
        return self.slabs[: count * planes * plane.numel()].view(count, planes, *plane)

    def _centred(self, k: int, start: int, stop: int, out: Tensor) -> Tensor:
        """Planes of an image less its mean; zeros beyond the volume."""
        low, high = max(start, 0), min(stop, self.depth)
        if start < low:
            out[: low - start] = 0
        if high < stop:
            out[high - start :] = 0
        torch.sub(self.pair[k][low:high], self.centres[k][low:high], out=out[low - start : high - start])
        return out

    def _correlate(self, start: int, stop: int, mass: Tensor | None, factors: Tensor, active: list[int]) -> Tensor:
        """Sum of the correlations of some planes; their `factors` for the gradients."""
        options, inner = self.options, self.windows.inner
        lines = self.lines[:, : (stop - start) * self.windows.area]
        f_sum, m_sum, f_var, m_var, cross, spare, f_mean, m_mean = lines
        self._window_sums(start, stop, lines)
        inverse = self._inverse_count(start, stop, lines)
        torch.mul(f_sum, inverse, out=f_mean)
        torch.mul(m_sum, inverse, out=m_mean)
        cross.addcmul_(f_sum, m_mean, value=-1)
        # The sums of squares become variances, and must exceed their own rounding.
        tiny = FLAT_ULPS * torch.finfo(cross.dtype).eps
        flat, other = self.flat[:, : cross.numel()]
        for power, total, mean, verdict in ((f_var, f_sum, f_mean, flat), (m_var, m_sum, m_mean, other)):
            torch.mul(power, tiny, out=spare)
            power.addcmul_(total, mean, value=-1)
            torch.le(power, spare, out=verdict)
        flat.logical_or_(other)
        if options.clamp:
            f_var.clamp_(min=options.eps)
            m_var.clamp_(min=options.eps)
        product = torch.addcmul(self.eps, f_var, m_var, out=spare).masked_fill_(flat, inf)
        ratio = product.rsqrt_() if options.signed else torch.div(cross, product, out=spare)
        local = cross.mul_(ratio)
        square = torch.mul(ratio, ratio, out=f_sum)
        if options.signed:
            square.mul_(local)
        within = inner(local)
        if mass is not None:
            for each in (within, inner(ratio), inner(square)):
                each.mul_(mass[start:stop])
        if active:
            factors[0].copy_(inner(ratio))
        means, variances = (inner(f_mean), inner(m_mean)), (inner(f_var), inner(m_var))
        for place, k in enumerate(active):
            b, rest = factors[1 + 2 * place], factors[2 + 2 * place]
            torch.mul(inner(square), variances[1 - k], out=b)
            if options.clamp:
                b.masked_fill_(variances[k] <= options.eps, 0)
            torch.mul(inner(ratio), means[1 - k], out=rest)
            rest.addcmul_(b, means[k], value=-1)
        # Rows, then their sums in float64: a loss near 0 is one minus a number near 1.
        return within.sum(2).double().sum()

    def _window_sums(self, start: int, stop: int, lines: Tensor) -> None:
        """Sums over the windows of I, J, I^2, J^2, I J, into the first five lines."""
        span = (start - self.radius, stop + self.radius)
        slabs = self._slabs(5 if self.together else 3, stop - start + 2 * self.radius)
        f, m = (self._centred(k, *span, slabs[k]) for k in (0, 1))
        if self.together:
            for slab, (one, two) in zip(slabs[2:], ((f, f), (m, m), (f, m)), strict=True):
                torch.mul(one, two, out=slab)
            self.windows.sum(slabs, lines[:5])
        else:
            self.windows.sum(slabs[:1], lines[:1])
            self.windows.sum(slabs[1:2], lines[1:2])
            for row, (one, two) in enumerate(((f, f), (m, m), (f, m)), start=2):
                torch.mul(one, two, out=slabs[2])
                self.windows.sum(slabs[2:], lines[row : row + 1])
        if self.options.zero_border:
            # A zero outside the image is minus the mean after centring.
            count = self.depth_count[start:stop] * self.plane_count
            outside = (prod(self.options.sides) - count).view(stop - start, -1)
            values = [-self.centres[k][start:stop].reshape(-1, 1) for k in (0, 1)]
            f_out, m_out = values
            for row, value in enumerate((f_out, m_out, f_out**2, m_out**2, f_out * m_out)):
                lines[row].view(stop - start, -1).addcmul_(outside, value)

    def _inverse_count(self, start: int, stop: int, lines: Tensor) -> Tensor:
        """One over the number of voxels in each window; in the spare line."""
        if self.options.zero_border:
            return lines[5].fill_(1 / prod(self.options.sides))
        spare = lines[5].view(stop - start, -1)
        return torch.mul(self.depth_count[start:stop], self.plane_count, out=spare).reciprocal_().view(-1)

    def _gradient(self, start: int, stop: int, factors: list[Tensor], k: int, out: Tensor | None) -> None:
        """Gradient to image `k` on planes ``start .. stop`` as far as they exist."""
        low = max(start, 0)
        if out is None or low >= stop:
            return
        lines = self.lines[:3, : (stop - low) * self.windows.area]
        parts = [factor[low - start : stop - start + 2 * self.radius] for factor in factors]
        if self.together:
            self.windows.sum(torch.stack(parts), lines)
        else:
            for row, part in enumerate(parts):
                self.windows.sum(part[None], lines[row : row + 1])
        cross, variance, rest = (self.windows.inner(line) for line in lines)
        target, slabs = out[low:stop], self._slabs(2, stop - low)
        torch.mul(self._centred(1 - k, low, stop, slabs[0]), cross, out=target)
        target.addcmul_(self._centred(k, low, stop, slabs[1]), variance, value=-1).sub_(rest)

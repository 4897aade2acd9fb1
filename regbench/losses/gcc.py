"""Global cross-correlation."""

from functools import partial

import torch
from torch import Tensor

from regbench.losses.checks import covered, image_pair, map_weights
from regbench.system.compiled_or_formula import Gradients, Wanted, compiled_or_formula

# Voxels from which the kernels take an approximate mean.
SAMPLE_VOXELS = 20_000


def gcc(fixed: Tensor, moved: Tensor, /, *, mask: Tensor | None = None, expected: Tensor | None = None) -> Tensor:
    """One minus the correlation coefficient of the two images; in [0, 2], 0 for a linear relation of positive slope.

    An image that is constant to within rounding has coefficient 0 and gradient 0.

    Args:
        fixed: ``(B, C, *S)``, any intensity unit.
        moved: warped moving image, same shape.
        mask: correlation over its voxels only, by weighted moments.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 2.

    Returns:
        Scalar: mean over channels and batch (for a batch of one, the number of the usual ``1 - cross / sqrt(...)``,
        which elsewhere takes a whole batch for one image).

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> round(float(gcc(image, 2 * image + 1)), 3), round(float(gcc(image, -image)), 3)
        (0.0, 2.0)
    """
    fixed, moved = image_pair(fixed, moved)
    weights = map_weights(mask, fixed)
    formula = partial(_formula, weights, covered(mask, fixed, expected))
    if weights is not None:
        return formula(fixed, moved)
    return compiled_or_formula(_forward, _backward, formula, fixed, moved)


def _flat_level(centre: Tensor, eps: float) -> Tensor:
    """Variance that rounding alone gives an image of this mean, whose type has this `eps`."""
    return (16 * eps * centre) ** 2


def _formula(weights: Tensor | None, share: Tensor | None, fixed: Tensor, moved: Tensor) -> Tensor:
    """In float64: at an offset of 1000 the products of float32 would leave no digit."""
    eps = torch.finfo(fixed.dtype).eps
    f, m = fixed.flatten(2).double(), moved.flatten(2).double()
    w = torch.full_like(f[:1, :1], 1 / f.shape[2]) if weights is None else weights
    f_mean, m_mean = (w * f).sum(2, keepdim=True), (w * m).sum(2, keepdim=True)
    a, b = f - f_mean, m - m_mean
    # Also of what the means left: they, and a mask's weights, are rounded.
    a, b = a - (w * a).sum(2, keepdim=True), b - (w * b).sum(2, keepdim=True)
    ff, mm, fm = (w * a * a).sum(2), (w * b * b).sum(2), (w * a * b).sum(2)
    flat = (ff <= _flat_level(f_mean[..., 0], eps)) | (mm <= _flat_level(m_mean[..., 0], eps))
    root = torch.where(flat, 1, ff).sqrt() * torch.where(flat, 1, mm).sqrt()
    coefficient = torch.where(flat, 0, fm / root).clamp(-1, 1)
    if share is not None:
        coefficient = share[:, None] * (coefficient + 1) - 1
    return (1 - coefficient.mean()).to(fixed.dtype)


def _forward(_: Wanted, fixed: Tensor, moved: Tensor) -> tuple[Tensor, Gradients]:
    """One pass of compiled loops: the sums of what an approximate mean leaves, of its squares and of its products."""
    from regbench.losses import gcc_loops  # noqa: PLC0415 - starts Numba

    maps = [image.flatten(2).flatten(0, 1) for image in (fixed, moved)]
    # Any centre near the mean keeps the squares small, and what it misses is subtracted below: some voxels will do.
    means = [x[:, :: max(x.shape[1] // SAMPLE_VOXELS, 1)].mean(1, keepdim=True) for x in maps]
    ff, mm, fm, a_left, b_left = (gcc_loops.sums_of_products(maps, means) / maps[0].shape[1]).unbind()
    # Also of the mean of all voxels: that is rounded, at an offset of 1000 to a ten-thousandth.
    ff, mm, fm = ff - a_left**2, mm - b_left**2, fm - a_left * b_left
    f_level, m_level = (_flat_level(mean[:, 0], torch.finfo(mean.dtype).eps) for mean in means)
    flat = (ff <= f_level) | (mm <= m_level)
    root = torch.where(flat, torch.inf, (ff * mm).sqrt())
    # Of the coefficient with respect to J: slope (I - mean I) - own (J - mean J), and likewise to I.
    slope = 1 / (root * maps[0].numel())
    own = [slope * fm / torch.where(flat, 1, power) for power in (ff, mm)]
    left = [slope * b_left - own[0] * a_left, slope * a_left - own[1] * b_left]
    value = 1 - (fm / root).clamp(-1, 1).mean()
    return value.to(fixed.dtype), (torch.stack(means), torch.stack([slope, *own, *left]))


def _backward(upstream: Tensor, saved: Gradients, wanted: Wanted, fixed: Tensor, moved: Tensor) -> Gradients:
    from regbench.losses import gcc_loops  # noqa: PLC0415 - starts Numba

    means, factors = saved
    assert means is not None  # as _forward leaves them
    assert factors is not None
    maps = [image.flatten(2).flatten(0, 1) for image in (fixed, moved)]
    centres, (slope, *others) = means[..., 0].double(), factors * upstream
    gradients: list[Tensor | None] = [None, None]
    for k in (k for k in (0, 1) if wanted[k]):
        terms = torch.stack([centres[k], centres[1 - k], others[k], slope, others[2 + k]])
        gradients[k] = gcc_loops.gradient(maps[k], maps[1 - k], terms).view(fixed.shape)
    return tuple(gradients)

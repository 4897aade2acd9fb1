"""Local (windowed) cross-correlation."""

from dataclasses import asdict
from functools import partial
from math import prod
from typing import Literal

import torch
from torch import Tensor

from regbench.losses.autograd import Gradients, Wanted, analytic
from regbench.losses.checks import Mean, image_pair, mean_weights, window_sides
from regbench.losses.lcc_slabs import FLAT_ULPS, Options, sum_and_gradients
from regbench.losses.windows import box_sum
from regbench.system import numba_loops


def lcc(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    window: tuple[int, ...] | int = 9,
    eps: float = 1e-5,
    border: Literal["valid", "zero"] = "valid",
    signed: bool = False,
    denominator: Literal["add", "clamp"] = "add",
) -> Tensor:
    """One minus the squared local normalised cross-correlation, averaged over voxels; in [0, 1].

    With I and J less their means over the window, ``cc = (sum I J)^2 / (sum I^2 sum J^2 + eps)``. A window in which an
    image is constant to within rounding counts as cc = 0 with gradient 0.

    Args:
        fixed: ``(B, C, *S)``, scaled to order one: `eps` is absolute, so an image scaled to 0..0.01 correlates with
            nothing.
        moved: warped moving image, same shape.
        mask: mean over its voxels only; the windows around them are whole.
        window: side of the window in voxels, odd; one number or one for each axis.
        eps: added to the product of the two sums of squares, fourth power of the intensity.
        border: ``valid`` takes the window's voxels that lie in the image; ``zero`` pads with zeros, which correlate
            (two constant images of 0.7 score 0.42): the number of VoxelMorph.
        signed: the correlation itself instead of its square; in [0, 2]. An inverted contrast then is a mismatch.
        denominator: ``clamp`` raises each sum of squares to at least `eps` instead: with ``border="zero"`` one plus
            the number of MONAI.

    Returns:
        Scalar, mean over voxels, channels and batch.

    Raises:
        ValueError: if the shapes differ, `window` is even or exceeds the image, or `eps` is not positive.

    Reference:
        Avants et al. 2008, doi:10.1016/j.media.2007.06.004.
    """
    fixed, moved = image_pair(fixed, moved)
    sides = window_sides(window, tuple(fixed.shape[2:]))
    if not eps > 0:
        raise ValueError(f"eps must be positive, but got {eps}. Give a small one: 1e-5 for intensities of order one.")
    mean = mean_weights(mask, fixed)
    thick, rows, columns = (1, 1, 1)[len(sides) :] + sides
    options = Options((thick, rows, columns), eps, border == "zero", signed, denominator == "clamp")
    return analytic(
        partial(_forward, mean, options),
        partial(_backward, (-1 if signed else -2) / mean[1]),
        partial(_definition, mean, options),
        fixed,
        moved,
    )


def _forward(mean: Mean, options: Options, wanted: Wanted, fixed: Tensor, moved: Tensor) -> tuple[Tensor, Gradients]:
    """The value, and the gradients of the sum of the correlations."""
    weights, count = mean
    if numba_loops.serves(fixed, moved):
        from regbench.losses import lcc_loops as loops  # noqa: PLC0415 - starts Numba

        total, gradients = loops.value_and_gradients(fixed, moved, weights, wanted, **asdict(options))
    else:
        total, gradients = sum_and_gradients(fixed, moved, weights, wanted, options)
    # Rounding may carry a perfect match a hair beyond 1.
    return (1 - total / count).clamp_min(0).to(fixed.dtype), gradients


def _backward(scale: float, upstream: Tensor, kept: Gradients, wanted: Wanted, *images: Tensor) -> Gradients:
    return tuple(None if gradient is None else gradient.mul_(upstream * scale) for gradient in kept)


def _definition(mean: Mean, options: Options, fixed: Tensor, moved: Tensor) -> Tensor:
    """The same by differentiable operations on the whole image at once."""
    weights, count = mean
    sides = options.sides[3 - (fixed.ndim - 2) :]
    dims, full = tuple(range(2, fixed.ndim)), float(prod(sides))
    inside = box_sum(torch.ones_like(fixed[:1, :1]), sides)
    number = full if options.zero_border else inside
    # A zero outside the image is minus the mean after centring.
    outside = full - inside if options.zero_border else torch.zeros_like(inside)
    f_mean, m_mean = (x.detach().mean(dims, keepdim=True) for x in (fixed, moved))
    f, m = fixed - f_mean, moved - m_mean
    f_sum = box_sum(f, sides) - outside * f_mean
    m_sum = box_sum(m, sides) - outside * m_mean
    f_power = box_sum(f * f, sides) + outside * f_mean**2
    m_power = box_sum(m * m, sides) + outside * m_mean**2
    cross = box_sum(f * m, sides) + outside * f_mean * m_mean - f_sum * m_sum / number
    f_var, m_var = f_power - f_sum**2 / number, m_power - m_sum**2 / number
    tiny = FLAT_ULPS * torch.finfo(f.dtype).eps
    flat = (f_var <= tiny * f_power) | (m_var <= tiny * m_power)
    if options.clamp:
        product = f_var.clamp_min(options.eps) * m_var.clamp_min(options.eps)
    else:
        product = f_var * m_var + options.eps
    product = torch.where(flat, 1, product)
    local = torch.where(flat, 0, cross / product.sqrt() if options.signed else cross * cross / product)
    total = local.sum() if weights is None else (local * weights).sum()
    return (1 - total / count).clamp_min(0)

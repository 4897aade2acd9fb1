"""Local (windowed) cross-correlation."""

from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.losses.checks import Mean, broadcast, image_pair, lacking, mean_weights, window_sides
from regbench.losses.windows import FLAT, Kernel, Lines, kernel_lines, weighted_sum, window_padding
from regbench.system.compiled_or_formula import Gradients, Wanted, compiled_or_formula
from regbench.system.errors import one_of

DEFAULT_SIDE = 9  # of a window, in voxels


@dataclass(frozen=True)
class Options:
    """The hyper-parameters of the loss, checked; `sides` of a volume ``(A, Y, Z)``, `lines` of the image's own axes."""

    sides: tuple[int, int, int]
    eps: float
    zero_border: bool
    signed: bool
    clamp: bool
    lines: Lines | None


def lcc(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    window: tuple[int, ...] | int = DEFAULT_SIDE,
    eps: float = 1e-5,
    border: Literal["valid", "zero"] = "valid",
    signed: bool = False,
    denominator: Literal["add", "clamp"] = "add",
    kernel: Kernel = "box",
    sigma: float | None = None,
    windows: tuple[int, ...] | None = None,
) -> Tensor:
    """One minus the squared local normalised cross-correlation, averaged over voxels; in [0, 1].

    With I and J less their means over the window, ``cc = (sum I J)^2 / (sum I^2 sum J^2 + eps)``. A window in which an
    image is constant to within rounding counts as cc = 0 with gradient 0.

    Args:
        fixed: ``(B, C, *S)``, scaled to order one: `eps` is absolute, so an image scaled to 0..0.01 correlates with
            nothing.
        moved: warped moving image, same shape.
        mask: mean over its voxels only, by its weights; in the sums of a window each voxel counts by its weight too, so
            that a voxel of weight 0 changes nothing.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar (1, or 2 where
            `signed`).
        window: side of the window in voxels, odd; one number or one for each axis.
        eps: added to the product of the two sums of squares, fourth power of the intensity.
        border: ``valid`` takes the window's voxels that lie in the image; ``zero`` pads with zeros, which correlate
            (two constant images of 0.7 score 0.42): the number of VoxelMorph.
        signed: the correlation itself instead of its square; in [0, 2]. An inverted contrast then is a mismatch.
        denominator: ``clamp`` raises each sum of squares to at least `eps` instead: with ``border="zero"`` one plus
            the number of MONAI.
        kernel: weight of a voxel in the sums of a window, 1 at its centre: ``box`` everywhere; ``gaussian`` by its
            distance; ``triangular`` falls linearly along each axis, to 0 beyond the window. The sums, and so what `eps`
            means, shrink with the weights.
        sigma: of the Gaussian in voxels; None for a third of each side of the window, which cuts it off.
        windows: several cubic windows instead of `window`: the mean of the losses of each.

    Returns:
        Scalar, mean over voxels, channels and batch.

    Raises:
        ValueError: if the shapes differ, a window is even or exceeds the image, `eps` or `sigma` is not positive, or a
            keyword is given that another one leaves without effect.

    Reference:
        Avants et al. 2008, doi:10.1016/j.media.2007.06.004; Gaussian: Cachier & Pennec 2000,
        doi:10.1109/MMBIA.2000.852376.

    Example:
        >>> import torch
        >>> image = torch.arange(144.0).reshape(1, 1, 12, 12) / 144
        >>> round(float(lcc(image, 2 * image + 1)), 3)
        0.0
    """
    fixed, moved = image_pair(fixed, moved)
    one_of("border", border, "valid", "zero")
    one_of("denominator", denominator, "add", "clamp")
    if windows is not None:
        if not windows or window != DEFAULT_SIDE:
            raise ValueError(f"windows must hold sides and stand without `window`, but got {windows} and {window}.")
        same: Any = {"eps": eps, "border": border, "signed": signed, "denominator": denominator}
        same |= {"kernel": kernel, "sigma": sigma, "mask": mask, "expected": expected}
        return torch.stack([lcc(fixed, moved, window=side, **same) for side in windows]).mean()
    sides = window_sides(window, tuple(fixed.shape[2:]))
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps must be positive, but got {eps}. Give a small one: 1e-5 for intensities of order one.")
    thick, rows, columns = (1, 1, 1)[len(sides) :] + sides
    lines = kernel_lines(kernel, sides, sigma)
    options = Options((thick, rows, columns), eps, border == "zero", signed, denominator == "clamp", lines)
    if mask is not None:
        return _masked(broadcast(mask, fixed), mean_weights(mask, fixed, expected), options, fixed, moved) + (
            lacking(mask, fixed, expected) if signed else 0.0
        )
    if lines is not None:
        return _formula(options, fixed, moved)
    return compiled_or_formula(
        partial(_forward, options),
        partial(_backward, (-1 if signed else -2) / fixed.numel()),
        partial(_formula, options),
        fixed,
        moved,
    )


def _formula(options: Options, fixed: Tensor, moved: Tensor) -> Tensor:
    """In float64: a variance is the small difference of two large sums, of which float32 would leave no digit."""
    sides = options.sides[3 - (fixed.ndim - 2) :]
    images, padding = torch.stack([fixed, moved]).double(), window_padding(sides)
    centre = images.detach().mean(tuple(range(3, images.ndim)), keepdim=True)
    if options.zero_border:
        number: Tensor | float = prod(sides) if options.lines is None else prod(map(sum, options.lines))
        images = F.pad(images, padding) - centre
    else:
        number = weighted_sum(F.pad(torch.ones_like(images[0, :1, :1]), padding), sides, options.lines)
        images = F.pad(images - centre, padding)
    f, m = images
    sums = weighted_sum(torch.stack([f, m, f * f, m * m, f * m]), sides, options.lines)
    # Rounding may carry a perfect match a hair beyond 1.
    return (1 - _correlations(options, number, sums).sum() / fixed.numel()).clamp_min(0).to(fixed.dtype)


def _masked(weights: Tensor, mean: Mean, options: Options, fixed: Tensor, moved: Tensor) -> Tensor:
    """As `_formula`, with each voxel of a window counted by its weight, ``(B, C, *S)``."""
    sides, count = options.sides[3 - (fixed.ndim - 2) :], mean[1]
    images, padding = torch.stack([fixed, moved]).double(), window_padding(sides)
    inner = weights.double()
    axes, total = tuple(range(2, fixed.ndim)), inner.detach().sum(tuple(range(2, fixed.ndim)), keepdim=True)
    centre = (images.detach() * inner.detach()).sum(tuple(axis + 1 for axis in axes), keepdim=True)
    centre = centre / torch.where(total > 0, total, 1)
    if options.zero_border:  # the zeros beyond a border belong to the mask where the border does
        w, images = F.pad(inner, padding, mode="replicate"), F.pad(images, padding) - centre
    else:
        w, images = F.pad(inner, padding), F.pad(images - centre, padding)
    f, m = torch.where(w > 0, images, 0)
    wf, wm = w * f, w * m
    number, *sums = weighted_sum(torch.stack([w, wf, wm, wf * f, wm * m, wf * m]), sides, options.lines)
    local = _correlations(options, torch.where(number > 0, number, 1), torch.stack(sums))
    assert mean[0] is not None  # of a mask
    return (1 - (local * mean[0]).sum() / count).clamp_min(0).to(fixed.dtype)


def _correlations(options: Options, number: Tensor | float, sums: Tensor) -> Tensor:
    """Local correlations ``(B, C, *S)`` from window sums of I, J, I^2, J^2 and I J, ``(5, B, C, *S)``."""
    f_sum, m_sum, f_power, m_power, product = sums
    covariance = product - f_sum * m_sum / number
    f_var, m_var = f_power - f_sum * f_sum / number, m_power - m_sum * m_sum / number
    flat = (f_var <= FLAT * f_power) | (m_var <= FLAT * m_power)
    if options.clamp:
        scale = f_var.clamp_min(options.eps) * m_var.clamp_min(options.eps)
    else:
        scale = f_var * m_var + options.eps
    scale = torch.where(flat, 1, scale)
    return torch.where(flat, 0, covariance / scale.sqrt() if options.signed else covariance * covariance / scale)


def _forward(options: Options, wanted: Wanted, fixed: Tensor, moved: Tensor) -> tuple[Tensor, Gradients]:
    """The value, and the gradients of the sum of the correlations, by compiled loops."""
    from regbench.losses import lcc_loops  # noqa: PLC0415 - starts Numba

    given = {name: value for name, value in asdict(options).items() if name != "lines"}  # which are those of a box
    total, gradients = lcc_loops.value_and_gradients(fixed, moved, wanted, **given)
    return (1 - total / fixed.numel()).clamp_min(0).to(fixed.dtype), gradients


def _backward(scale: float, upstream: Tensor, gradients: Gradients, _: Wanted, *__: Tensor) -> Gradients:
    return tuple(None if gradient is None else gradient.mul_(upstream * scale) for gradient in gradients)

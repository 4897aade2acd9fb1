"""Structural similarity."""

from typing import Literal

import torch
from torch import Tensor

from regbench.losses.checks import broadcast, covered, image_pair, lacking, mean_weights, window_sides
from regbench.losses.windows import Lines, kernel_lines, weighted_sum

WANGS_SIGMA = 1.5  # voxels


def ssim(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    window: tuple[int, ...] | int = 7,
    kernel: Literal["gaussian", "box"] = "gaussian",
    sigma: float | None = None,
    data_range: float = 1.0,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """One minus the structural similarity of the windows, averaged over voxels; in [0, 2].

    With means, variances and covariance by the window's weights, ``(2 mI mJ + c1) (2 vIJ + c2) / ((mI^2 + mJ^2 + c1)
    (vI + vJ + c2))``, ``c = (k data_range)^2``: brightness times contrast and structure. Unlike `lcc` it changes under
    a change of contrast or offset. Only windows that lie in the image count.

    Args:
        fixed: ``(B, C, *S)``, scaled to order one, or `data_range` given.
        moved: warped moving image, same shape.
        mask: mean over the windows around its voxels, by their weights; in a window each voxel counts by its weight
            too, so that a voxel of weight 0 changes nothing.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 2.
        window: side of the window in voxels, odd; one number or one for each axis. Wang et al. take 11 in 2D.
        kernel: weights of a window's voxels: a Gaussian, or all alike.
        sigma: of the Gaussian in voxels; None for 1.5.
        data_range: what intensities span, of which `k1` and `k2` are shares.
        k1: keeps the quotient of dark windows from noise.
        k2: keeps the quotient of flat windows from noise.

    Returns:
        Scalar, mean over windows, channels and batch.

    Raises:
        ValueError: if the shapes differ, `window` is even or exceeds the image, or a number is not positive.

    Reference:
        Wang et al. 2004, doi:10.1109/TIP.2003.819861.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> abs(round(float(ssim(image, image)), 3))
        0.0
    """
    fixed, moved = image_pair(fixed, moved)
    sides = window_sides(window, tuple(fixed.shape[2:]))
    lines = kernel_lines(kernel, sides, WANGS_SIGMA if sigma is None and kernel == "gaussian" else sigma)
    if not (data_range > 0 and k1 > 0 and k2 > 0):
        raise ValueError(f"data_range, k1 and k2 must be positive, but got {data_range}, {k1} and {k2}.")
    limits = ((k1 * data_range) ** 2, (k2 * data_range) ** 2)
    if mask is None:
        return (1 - _local(None, sides, lines, limits, fixed, moved).mean()).to(fixed.dtype)
    weights = broadcast(mask, fixed)
    local = _local(weights, sides, lines, limits, fixed, moved)
    share, inner = covered(mask, fixed, expected), weights
    for axis, side in enumerate(sides, start=2):
        inner = inner.narrow(axis, side // 2, inner.shape[axis] - side + 1)
    by_voxel, samples = mean_weights(inner, local)
    assert by_voxel is not None  # of a mask
    means = (local * by_voxel).flatten(1).sum(1)
    similarity = (means if share is None else means * share).sum() / samples
    return (1 - similarity).to(fixed.dtype) + lacking(mask, fixed, expected)


def _local(
    weights: Tensor | None, sides: tuple[int, ...], lines: Lines | None, limits: tuple[float, float], *pair: Tensor
) -> Tensor:
    """Of each window that lies in the image, ``(B, C, *R)``; in float64, as variances are small differences."""
    images = torch.stack(pair).double()
    if weights is None:
        inner = torch.ones_like(images[0, :1, :1])
    else:
        inner = weights.double()
        images = torch.where(inner > 0, images, 0)
    axes = tuple(range(3, images.ndim))
    mass = (inner.detach().expand(images.shape[1:])).sum(tuple(axis - 1 for axis in axes), keepdim=True)
    centre = (images.detach() * inner.detach()).sum(axes, keepdim=True) / torch.where(mass > 0, mass, 1)
    f, m = torch.where(inner > 0, images - centre, 0)
    number = weighted_sum(inner, sides, lines)
    number = torch.where(number > 0, number, 1)
    sums = weighted_sum(inner * torch.stack([f, m, f * f, m * m, f * m]), sides, lines) / number
    f_mean, m_mean, f_power, m_power, product = sums
    covariance = product - f_mean * m_mean
    variances = (f_power - f_mean * f_mean) + (m_power - m_mean * m_mean)
    f_mean, m_mean = f_mean + centre[0], m_mean + centre[1]
    brightness: Tensor = (2 * f_mean * m_mean + limits[0]) / (f_mean.square() + m_mean.square() + limits[0])
    structure: Tensor = (2 * covariance + limits[1]) / (variances + limits[1])
    return brightness * structure

"""Mutual information of the two images' intensities."""

from collections.abc import Callable
from functools import partial
from math import ceil, inf, log, sqrt

import torch
from torch import Tensor

from regbench.losses.checks import covered, image_pair, map_weights
from regbench.losses.mi_histogram import Settings, joint, ranges
from regbench.system.compiled_or_formula import Gradients, Wanted, compiled_or_formula

Score = Callable[[Tensor], Tensor]

# Of a window, in bins: of one far narrower float32 cannot hold the weights, and hardly a voxel has a gradient.
NARROWEST = 0.05
MOST_BINS = 1024  # of which the joint histogram has the square


def mi(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    bins: int = 32,
    sigma: float = 0.5,
    intensity_range: tuple[float, float] | None = None,
    smooth: float = 0.0,
) -> Tensor:
    """Minus the mutual information of the intensities, in nats; in [-log bins, 0], 0 for a constant image.

    The joint histogram has Gaussian Parzen windows on both images, scaled so that each voxel counts once.

    Args:
        fixed: ``(B, C, *S)``, any intensity unit.
        moved: warped moving image, same shape.
        mask: histogram over its voxels only, by their weights; so is the range of the intensities.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 0.
        bins: number of bins of each image, their centres evenly from the lower to the upper end of the range.
        sigma: of the window, in bins; at least 0.05.
        intensity_range: lower and upper end; intensities beyond count as the end. None takes each image's own minimum
            and maximum, which count as constants in the gradient.
        smooth: ``1e-7`` with ``bins=23`` and ``intensity_range=(0, 1)`` gives the number of MONAI, which adds it in
            three places.

    Returns:
        Scalar, mean over channels and batch.

    Raises:
        ValueError: if the shapes differ, or `bins`, `sigma`, `smooth` or the range are not usable.

    Reference:
        Wells et al. 1996, doi:10.1016/S1361-8415(01)80004-9.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> bool(mi(image, 1 - image) < mi(image, image.roll(5, dims=2)))
        True
    """
    if not 0 <= smooth < inf:
        raise ValueError(f"smooth must be 0 or more, but got {smooth}.")
    score = partial(_mutual, smooth)
    return from_histogram(score, Settings(bins, sigma, intensity_range), 0, (mask, expected), (fixed, moved))


def nmi(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    bins: int = 32,
    sigma: float = 0.5,
    intensity_range: tuple[float, float] | None = None,
) -> Tensor:
    """Two minus the normalised mutual information ``(H(I) + H(J)) / H(I, J)``; in [0, 1], 1 for a constant image.

    Less sensitive than `mi` to how much of the image the overlap holds.

    Args:
        fixed: ``(B, C, *S)``, any intensity unit.
        moved: warped moving image, same shape.
        mask: histogram over its voxels only, by their weights; so is the range of the intensities.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 1.
        bins: number of bins of each image.
        sigma: of the Parzen window, in bins; at least 0.05.
        intensity_range: as in `mi`.

    Returns:
        Scalar, mean over channels and batch.

    Raises:
        ValueError: if the shapes differ, or `bins`, `sigma` or the range are not usable.

    Reference:
        Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> bool(nmi(image, 1 - image) < nmi(image, image.roll(5, dims=2)))
        True
    """
    return from_histogram(_normalised, Settings(bins, sigma, intensity_range), 1, (mask, expected), (fixed, moved))


def _mutual(smooth: float, joint: Tensor) -> Tensor:
    apart = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    if smooth:
        return -(joint * ((joint + smooth) / (apart + smooth) + smooth).log()).sum((-1, -2))
    return -(_plogp(joint) - _plogp(joint.sum(-1)[..., None]) - _plogp(joint.sum(-2)[..., None]))


def _normalised(joint: Tensor) -> Tensor:
    together = _plogp(joint)
    apart = _plogp(joint.sum(-1)[..., None]) + _plogp(joint.sum(-2)[..., None])
    flat = together > -16 * torch.finfo(torch.float32).eps  # one value in both images: nothing to share
    return 2 - torch.where(flat, 1, apart / torch.where(flat, 1, together))


def _plogp(p: Tensor) -> Tensor:
    empty = p <= 0  # not of NaN, which must be seen
    return torch.where(empty, 0, p * torch.where(empty, 1, p).log()).sum((-1, -2))


def from_histogram(
    score: Score, settings: Settings, worst: float, masked: tuple[Tensor | None, Tensor | None],
    images: tuple[Tensor, Tensor],
) -> Tensor:  # fmt: skip
    """The mean of a score ``(B, C)`` of joint histograms, whose value is `worst` where images share nothing."""
    bins, sigma, ends = settings
    fixed, moved = image_pair(*images)
    ordered = ends is None or -inf < ends[0] < ends[1] < inf
    if not (2 <= bins <= MOST_BINS and NARROWEST <= sigma < inf and ordered):
        raise ValueError(
            f"bins must be from 2 to {MOST_BINS}, sigma at least {NARROWEST} and intensity_range two finite numbers, "
            f"the lower one first, but got {bins}, {sigma} and {ends}."
        )
    mask, expected = masked
    weights, share = map_weights(mask, fixed), covered(mask, fixed, expected)
    if share is not None or (weights is not None and weights.requires_grad):
        # The loops know no gradient to a weight.
        return _formula(partial(_of_share, score, worst, share), weights, settings, fixed, moved)
    return compiled_or_formula(
        partial(_forward, score, weights, settings),
        partial(_backward, weights, settings),
        partial(_formula, score, weights, settings),
        fixed,
        moved,
    )


def _of_share(score: Score, worst: float, share: Tensor | None, joint: Tensor) -> Tensor:
    value = score(joint)
    return value if share is None else worst + share[:, None] * (value - worst)


def _formula(score: Score, weights: Tensor | None, settings: Settings, fixed: Tensor, moved: Tensor) -> Tensor:
    return score(joint(weights, settings, fixed, moved)).mean().to(fixed.dtype)


def _forward(
    score: Score, weights: Tensor | None, settings: Settings, wanted: Wanted, *images: Tensor
) -> tuple[Tensor, Gradients]:
    """The value, and the gradient to the histogram, by compiled loops."""
    from regbench.losses import mi_loops  # noqa: PLC0415 - starts Numba

    (f, m), masses, ends = _by_map(weights, settings, *images)
    histogram = mi_loops.joint(f, m, masses, ends, settings.bins, settings.sigma, _reach(settings))
    histogram /= 1 if weights is not None else f.shape[1]
    with torch.enable_grad():  # bins^2 numbers: autograd may have them
        leaf = histogram.view(*images[0].shape[:2], settings.bins, settings.bins).requires_grad_()
        value = score(leaf).mean()
        slope = torch.autograd.grad(value, leaf)[0] if any(wanted) else None
    return value.detach().to(images[0].dtype), (slope,)


def _backward(
    weights: Tensor | None, settings: Settings, upstream: Tensor, saved: Gradients, wanted: Wanted, *images: Tensor
) -> Gradients:
    from regbench.losses import mi_loops  # noqa: PLC0415 - starts Numba

    (slope,) = saved
    assert slope is not None  # _forward leaves it wherever a gradient is wanted
    (f, m), masses, ends = _by_map(weights, settings, *images)
    slope = (slope * upstream).flatten(0, 1) / (1 if weights is not None else f.shape[1])
    gradients = mi_loops.gradients(slope, f, m, masses, wanted, ends, settings.sigma, _reach(settings))
    return tuple(None if gradient is None else gradient.view(images[0].shape) for gradient in gradients)


def _by_map(
    weights: Tensor | None, settings: Settings, fixed: Tensor, moved: Tensor
) -> tuple[list[Tensor], Tensor | None, Tensor]:
    """Images and weights ``(N, n)``, N = B x C, and the `ranges` ``(N, 2, 3)``."""
    lines = [image.flatten(2).flatten(0, 1).contiguous() for image in (fixed, moved)]
    masses = None if weights is None else weights.flatten(0, 1)
    return lines, masses, ranges(settings, weights, fixed, moved).flatten(0, 1)


def _reach(settings: Settings) -> int:
    """Bins on either side of a voxel; beyond, a weight is less than float32's rounding of the largest."""
    return min(ceil(settings.sigma * sqrt(-2 * log(torch.finfo(torch.float32).eps))), settings.bins)

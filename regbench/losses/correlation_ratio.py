"""Correlation ratio of the two images' intensities."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from regbench.losses.mi import from_histogram
from regbench.losses.mi_histogram import Settings
from regbench.system.errors import one_of

NO_VARIANCE = 1e-12  # squared bins


def correlation_ratio(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    bins: int = 32,
    sigma: float = 0.5,
    intensity_range: tuple[float, float] | None = None,
    given: Literal["fixed", "moved", "both"] = "fixed",
) -> Tensor:
    """One minus the share of an image's variance that the other's intensity explains; in [0, 1], 1 for a constant one.

    ``eta = Var(E[J | I]) / Var(J)``: near 1 where J is any function of I, of another contrast too. Unlike `mi` it asks
    for a function, not for any dependence. Not symmetric by itself. From the joint histogram of `mi`, whose Parzen
    windows blur both intensities: identical images score near 0, not 0.

    Args:
        fixed: I, ``(B, C, *S)``, any intensity unit.
        moved: J, warped moving image, same shape.
        mask: histogram over its voxels only, by their weights; so is the range of the intensities.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts as fully dissimilar, 1.
        bins: number of bins of each image, as in `mi`.
        sigma: of the Parzen window, in bins; at least 0.05.
        intensity_range: as in `mi`.
        given: which image explains the other: ``fixed`` the moved one; ``moved`` the fixed one; ``both`` takes the mean
            of the two, which is symmetric.

    Returns:
        Scalar, mean over channels and batch.

    Raises:
        ValueError: if the shapes differ, or `bins`, `sigma` or the range are not usable.

    Reference:
        Roche et al. 1998, doi:10.1007/BFb0056301.

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> bool(correlation_ratio(image, image.square()) < correlation_ratio(image, image.roll(5, dims=2)))
        True
    """
    one_of("given", given, "fixed", "moved", "both")
    settings = Settings(bins, sigma, intensity_range)
    return from_histogram(partial(_score, given), settings, 1, (mask, expected), (fixed, moved))


def _score(given: str, joint: Tensor) -> Tensor:
    """Of joint histograms ``(..., bins of I, bins of J)``."""
    if given == "both":
        return (_unexplained(joint) + _unexplained(joint.mT)) / 2
    return _unexplained(joint if given == "fixed" else joint.mT)


def _unexplained(joint: Tensor) -> Tensor:
    """One minus the ratio, of what the last axis has explained by the one before."""
    place = torch.arange(joint.shape[-1], device=joint.device, dtype=joint.dtype)
    mean = (joint.sum(-2) * place).sum(-1)[..., None]  # an empty histogram has 0, and no variance
    offset = place - mean
    variance = (joint.sum(-2) * offset.square()).sum(-1)
    mass = joint.sum(-1)
    within = (joint * offset[..., None, :]).sum(-1)  # mass times the mean of a bin's offsets
    empty = mass <= torch.finfo(joint.dtype).tiny ** 0.5  # whose square would be 0 in the gradient
    between = torch.where(empty, 0, within.square() / torch.where(empty, 1, mass)).sum(-1)
    flat = variance <= NO_VARIANCE
    return 1 - torch.where(flat, 0, between / torch.where(flat, 1, variance))

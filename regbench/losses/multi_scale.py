"""A similarity on an image pyramid."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import JsonValue
from torch import Tensor

from regbench.losses.checks import broadcast, covered, image_pair
from regbench.spatial.fixed_order import along_axes
from regbench.study.components import bind
from regbench.system.errors import UsageError

POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}
MOST_LEVELS = 8


def multi_scale(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    similarity: str,
    parameters: Mapping[str, JsonValue] | None = None,
    levels: int = 3,
    weights: tuple[float, ...] | None = None,
) -> Tensor:
    """Weighted mean of a similarity of the images and of the same images on coarser grids; its range is that one's.

    Level l has blocks of 2^l voxels along each axis, and takes the mean of each: coarse levels see far, the finest sees
    edges. At the far end of an axis a block may be smaller.

    Args:
        fixed: ``(B, C, *S)``; 2D or 3D.
        moved: warped moving image, same shape.
        mask: weights of the voxels: an image's block is the mean of its voxels by their weights, so that a voxel of
            weight 0 changes nothing, and weighs the mean of its voxels' weights.
        expected: ``(B,)`` weight that the mask should have at the finest level; every level counts the share that it
            lacks there as fully dissimilar.
        similarity: name of the similarity on every level, or ``file.py:function``, which must take `mask` and
            `expected`.
        parameters: its own.
        levels: how many, the images themselves among them; from 1.
        weights: of the levels, from the finest; 0 leaves one out. None for all alike.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes differ, the images are 1D or too small for the levels, the weights do not fit, or the
            similarity refuses what it gets.

    Reference:
        Burt & Adelson 1983, doi:10.1109/TCOM.1983.1095851 (pyramid); Mok & Chung 2020,
        doi:10.1007/978-3-030-59716-0_21 (as a loss).

    Example:
        >>> import torch
        >>> image = torch.arange(256.0).reshape(1, 1, 16, 16) / 256
        >>> round(float(multi_scale(image, image + 0.5, similarity="mse", levels=2)), 3)
        0.25
    """
    fixed, moved = image_pair(fixed, moved)
    shares = (1.0,) * levels if weights is None else weights
    if not 1 <= levels <= MOST_LEVELS or len(shares) != levels or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise ValueError(
            f"levels must be from 1 to {MOST_LEVELS} and weights one number of 0 or more for each, not all 0, but got "
            f"{levels} and {weights}."
        )
    if fixed.ndim < 4 or min(fixed.shape[2:]) <= 2 ** (levels - 1):
        raise ValueError(
            f"levels must leave two voxels along each axis of a 2D or 3D image, but got {levels} levels of "
            f"{tuple(fixed.shape)}. Choose fewer."
        )
    compare = _similarity(similarity, parameters or {})
    total = torch.zeros((), dtype=fixed.dtype, device=fixed.device)
    for level, share in enumerate(shares):
        if share:
            value = compare(*_at(fixed, moved, mask, expected, 2**level))
            total = total + share / sum(shares) * value.to(fixed.dtype)
    return total


def _similarity(name: str, parameters: Mapping[str, JsonValue]) -> Callable[..., Tensor]:
    """``(fixed, moved, mask, expected) -> value`` of a similarity by name."""
    from regbench.losses import SIMILARITIES  # noqa: PLC0415 - which holds this one too

    try:
        bound = bind(SIMILARITIES, name, parameters)
    except UsageError as error:
        raise ValueError(f"similarity: {error}") from error
    takes = inspect.signature(bound).parameters
    if name == "multi_scale" or not {"mask", "expected"} <= set(takes):
        raise ValueError(
            f"similarity must be another than `multi_scale`, with the keywords `mask` and `expected`, but got `{name}`."
        )
    return lambda fixed, moved, mask, expected: bound(fixed, moved, mask=mask, expected=expected)


def _at(
    fixed: Tensor, moved: Tensor, mask: Tensor | None, expected: Tensor | None, factor: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Images, mask and its expected weight on a coarser grid; in float64, as means of large numbers need it."""
    if factor == 1:
        return fixed, moved, mask, expected
    images = [image.double() for image in (fixed, moved)]
    if mask is None:
        one, two = (_blocks(image, factor) for image in images)
        return one, two, None, None
    inner = broadcast(mask, fixed).double()
    weight = _blocks(inner, factor)
    some = torch.where(weight > 0, weight, 1)
    # A voxel of weight 0 may hold anything, NaN too, so it is no part of a product.
    one, two = (_blocks(torch.where(inner > 0, image, 0) * inner, factor) / some for image in images)
    share = covered(mask, fixed, expected)
    if share is None or expected is None:
        return one, two, weight, None
    total = weight[:, 0].flatten(1).sum(1)
    # The weight of which this level lacks the same share as the finest.
    wanted = torch.where(share > 0, total / torch.where(share > 0, share, 1), expected.to(total))
    return one, two, weight, wanted


def _blocks(values: Tensor, factor: int) -> Tensor:
    """Means of blocks of ``(B, C, *S)``; of a block at the far end, of what lies in the image."""
    pool = partial(POOL[values.ndim - 2], kernel_size=factor, ceil_mode=True, count_include_pad=False)
    line = partial(F.avg_pool1d, kernel_size=factor, ceil_mode=True, count_include_pad=False)
    return along_axes(pool, lambda unit, _: line(unit), values)

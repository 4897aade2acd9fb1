"""What every loss asks of its arguments, in one place; shapes only, so that no device has to be waited for."""

from math import prod

import torch
from torch import Tensor

SINGLE_OR_BETTER = (torch.float32, torch.float64)
# Weights (None: all equal) and a count: the mean of values is (weights * values).sum() / count.
Mean = tuple[Tensor | None, int]


def real(image: Tensor) -> Tensor:
    """float32, or float64 if given: half precision and integers are too coarse to sum squares in."""
    return image if image.dtype in SINGLE_OR_BETTER else image.float()


def image_pair(fixed: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
    """Both images in the wider of their two types, at least float32.

    Args:
        fixed: ``(B, C, *S)`` with one to three spatial axes.
        moved: same shape.

    Raises:
        ValueError: if the shapes differ or are no images.
    """
    if fixed.shape != moved.shape or not 3 <= fixed.ndim <= 5 or fixed.numel() == 0:
        raise ValueError(
            "fixed and moved must have one shape (B, C, *S) with voxels in it, "
            f"but got {tuple(fixed.shape)} and {tuple(moved.shape)}. Resample, crop or pad one onto the other."
        )
    wide = torch.promote_types(real(fixed).dtype, real(moved).dtype)
    return fixed.to(wide), moved.to(wide)


def mean_weights(mask: Tensor | None, image: Tensor, expected: Tensor | None = None) -> Mean:
    """Weights w and a count n with which ``(w * values).sum() / n`` is the mean over a mask's voxels, batch by batch.

    Args:
        mask: None, or what broadcasts to the image, ``(*S)`` or ``(B, 1, *S)``: bool, or weights of 0 and more.
        image: ``(B, C, *S)``.
        expected: see `covered`.

    Returns:
        None and the number of values; or weights ``(B, C, *S)`` that sum to `covered` in each sample (to 0 where its
        mask is empty) and B.

    Raises:
        ValueError: if the mask does not broadcast to the image.
    """
    if mask is None:
        return None, image.numel()
    weights = _to_sum_one(broadcast(mask, image), tuple(range(1, image.ndim)))
    share = covered(mask, image, expected)
    return weights if share is None else weights * share.view(-1, *(1,) * (image.ndim - 1)), image.shape[0]


def map_weights(mask: Tensor | None, image: Tensor) -> Tensor | None:
    """Weights ``(B, C, N)`` of the N voxels that sum to 1 in each channel of each sample; None for no mask.

    Raises:
        ValueError: if the mask does not broadcast to the image.
    """
    return None if mask is None else _to_sum_one(broadcast(mask, image).flatten(2), (2,))


def covered(mask: Tensor | None, image: Tensor, expected: Tensor | None) -> Tensor | None:
    """Which share of the weight that is expected a mask has, ``(B,)`` from 0 to 1; None where nothing is expected.

    The rest has left the mask, and a similarity counts it as fully dissimilar: else a displacement that moves a mask
    out of sight would be the best of all.

    Args:
        mask: as in `mean_weights`.
        image: ``(B, C, *S)``.
        expected: ``(B,)`` sum of the weights of a channel; None for whatever the mask has.
    """
    if mask is None or expected is None:
        return None
    weight = broadcast(mask, image)[:, 0].flatten(1).sum(1)
    return weight / torch.maximum(weight, torch.where(expected > 0, expected, 1).to(weight))


def lacking(mask: Tensor | None, image: Tensor, expected: Tensor | None) -> Tensor | float:
    """One less `covered`, a mean over the batch; 0 where nothing is expected."""
    share = covered(mask, image, expected)
    return 0.0 if share is None else 1 - share.mean()


def check_unmatched(unmatched: float) -> None:
    """Demand a cost of a voxel without a partner.

    Raises:
        ValueError: if it is below 0, which would reward a displacement that leaves the mask.
    """
    if not 0 <= unmatched < float("inf"):
        raise ValueError(f"unmatched must be 0 or more, but got {unmatched}: less would reward leaving the mask.")


def _to_sum_one(weights: Tensor, dims: tuple[int, ...]) -> Tensor:
    total = weights.sum(dims, keepdim=True)
    return weights / torch.where(total > 0, total, 1)


def broadcast(mask: Tensor, image: Tensor) -> Tensor:
    """A mask in type and shape of an image.

    Raises:
        ValueError: if it does not broadcast to the image.
    """
    try:
        return mask.to(image.dtype).expand(image.shape)
    except RuntimeError:
        raise ValueError(
            f"mask must broadcast to the image's shape {tuple(image.shape)}, but got {tuple(mask.shape)}. "
            "Give it as (*S) or (B, 1, *S)."
        ) from None


def masked_mean(values: Tensor, mask: Tensor | None, expected: Tensor | None = None) -> Tensor:
    """Mean over the mask's voxels of each sample, then over the batch; what is `lacking` counts 0, as an empty mask."""
    weights, count = mean_weights(mask, values, expected)
    return values.mean() if weights is None else (values * weights).sum() / count


def neighbours(mask: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The product of the weights of the voxels that a forward difference along each of `axes` in turn looks at.

    Args:
        mask: ``(B, 1, *S)``.
        axes: of the array; one that stands twice is that of a second difference.
    """
    weights = mask
    for axis in axes:
        size = weights.shape[axis] - 1
        weights = weights.narrow(axis, 1, size) * weights.narrow(axis, 0, size)
    return weights


def window_sides(window: tuple[int, ...] | int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The window's side along each axis.

    Raises:
        ValueError: if a side is even or not positive, exceeds the image, or there is not one for each axis.
    """
    sides = (window,) * len(shape) if isinstance(window, int) else tuple(window)
    if len(sides) != len(shape) or any(side < 1 or side % 2 == 0 for side in sides):
        raise ValueError(
            f"window must be odd and positive, one number or one for each of the {len(shape)} axes, but got {window}."
        )
    if any(side > size for side, size in zip(sides, shape, strict=True)):
        raise ValueError(
            f"window must fit into the image, but got {sides} in an image of {tuple(shape)}. Choose a smaller window."
        )
    if prod(sides) == 1:
        raise ValueError(f"window must hold at least two voxels, but got {sides}: one voxel has no correlation.")
    return sides


def voxel_spacing(spacing: tuple[float, ...] | None, displacement: Tensor) -> tuple[float, ...]:
    """Spacing of each axis in mm, 1 where none is given.

    Args:
        spacing: None, or one positive number for each axis.
        displacement: ``(B, d, *S)``.

    Raises:
        ValueError: if the displacement has not one component for each axis, or the spacing not one number.
    """
    dims = displacement.ndim - 2
    if dims < 1 or displacement.shape[1] != dims:
        raise ValueError(
            f"displacement must be (B, d, *S) with one component for each axis, but got {tuple(displacement.shape)}."
        )
    if spacing is None:
        return (1.0,) * dims
    if len(spacing) != dims or not all(0 < step < float("inf") for step in spacing):
        raise ValueError(f"spacing must be {dims} positive numbers in mm, one for each axis, but got {spacing}.")
    return tuple(float(step) for step in spacing)


def in_mm(field: Tensor, steps: tuple[float, ...]) -> Tensor:
    """The displacement ``(B, d, *S)`` with each component multiplied with its voxel's side; itself where all are 1."""
    if all(step == 1 for step in steps):
        return field
    return torch.stack([field[:, k] * step for k, step in enumerate(steps)], 1)


def at_least(voxels: int, displacement: Tensor) -> None:
    """Demand so many voxels along each spatial axis.

    Raises:
        ValueError: if there are fewer.
    """
    if min(displacement.shape[2:]) < voxels or displacement.shape[0] == 0:
        raise ValueError(
            f"displacement must have at least {voxels} voxels along each axis, but got {tuple(displacement.shape)}. "
            "Drop that axis or choose another regularizer."
        )

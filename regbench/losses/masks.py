"""Masks of the two images of a pair: how they move and shrink with the images, and what they make of a similarity."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.spatial.displacement import warp
from regbench.study.config import MaskUse
from regbench.system.errors import RegbenchError

POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}


class Masks(NamedTuple):
    """Weights ``(B, 1, *S)`` from 0 to 1 of the voxels of both images; None of an image that has no mask."""

    fixed: Tensor | None = None
    moving: Tensor | None = None


class Weighted(NamedTuple):
    """A moved image with what a similarity needs to count by masks.

    Attributes:
        moved: ``(B, C, *S)``.
        mask: ``(B, 1, *S)`` weights of the fixed voxels.
        expected: ``(B,)`` what the weights should sum to; None where they cannot fall.
    """

    moved: Tensor
    mask: Tensor
    expected: Tensor | None


def needed(masks: Masks | None, use: MaskUse) -> Masks:
    """Those masks that `use` names, and no other.

    Raises:
        RegbenchError: if one is missing.
    """
    given = masks or Masks()
    chosen = Masks(
        given.fixed if use in ("fixed", "both") else None, given.moving if use in ("moving", "both") else None
    )
    for name, mask in zip(("fixed", "moving"), chosen, strict=True):
        if mask is None and use in (name, "both"):
            raise RegbenchError(
                f"`training.mask: {use}` must have a mask of the {name} image, but there is none. Give every subject a "
                "mask, or set `training.mask: none`."
            )
    return chosen


def weighted(moving: Tensor, displacement: Tensor, masks: Masks) -> Weighted:
    """The moved image and the weights of its voxels.

    The moving mask is warped with the image, which is interpolated from voxels inside the mask alone. Weight that is
    moved out of sight is missed: as much as both masks can share is expected, or what the moving one has.

    Args:
        moving: ``(B, C, *S)``.
        displacement: ``(B, d, *S)`` in voxels.
        masks: those that count; at least one.
    """
    if masks.moving is None:
        assert masks.fixed is not None  # one of both is there
        return Weighted(warp(moving, displacement), masks.fixed, None)
    channels = moving.shape[1]
    parts = warp(torch.cat([moving * masks.moving, moving, masks.moving], 1), displacement)
    inside, plain, share = parts[:, :channels], parts[:, channels:-1], parts[:, -1:]
    moved = torch.where(share > 0, inside / torch.where(share > 0, share, 1), plain)
    weight = warp(masks.moving, displacement, padding="zeros")
    # Beside the mask a weight of 0 has a slope, by which what lies outside would pull.
    mask = torch.where(weight > 0, weight, 0)
    expected = masks.moving.flatten(1).sum(1)
    if masks.fixed is not None:
        mask, expected = mask * masks.fixed, torch.minimum(expected, masks.fixed.flatten(1).sum(1))
    return Weighted(moved, mask, expected)


def shrunk(image: Tensor, mask: Tensor | None, factor: int) -> tuple[Tensor, Tensor | None]:
    """An image and its mask on a coarser grid: means of blocks, of the image over the voxels inside the mask alone.

    Args:
        image: ``(B, C, *S)``.
        mask: ``(B, 1, *S)``, or None.
        factor: side of a block in voxels.
    """
    if factor == 1:
        return image, mask
    pool = POOL[image.ndim - 2]
    if mask is None:
        return pool(image, factor), None
    share, inside = pool(mask, factor), pool(image * mask, factor)
    return torch.where(share > 0, inside / torch.where(share > 0, share, 1), pool(image, factor)), share

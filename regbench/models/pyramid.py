"""A pyramid of two streams: features of both images, warped and compared from coarse to fine; 2D and 3D alike."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise, product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regbench.models.affine import AfterAffine
from regbench.models.blocks import LEVEL, check_settings, convolution, flow_head
from regbench.spatial.displacement import compose, integrate, resize_displacement, warp


def pyramid(
    dims: int,
    /,
    *,
    channels: tuple[int, ...] = (16, 32, 32, 32, 32),
    flow: Literal["full", "half", "quarter"] = "half",
    norm: Literal["none", "instance"] = "none",
    diffeomorphic: bool = False,
    squarings: int = 5,
    affine: bool = False,
) -> nn.Module:
    """Dual-stream pyramid: at each level the moving features are warped by the coarser levels, then corrected.

    One encoder sees each image by itself. From the coarsest level on, the moving features are warped by the
    displacement so far, correlated with the fixed ones over all shifts of one voxel, and a few convolutions predict
    what is left; the levels are composed. A shift of one voxel of the coarsest level is many of the image.

    Args:
        dims: 2 or 3.
        channels: of the encoder's levels, finest first; the image is halved between two. The decoder has the same.
        flow: the finest level at which a displacement is predicted; it is resampled linearly to the image's grid.
        norm: `instance` normalises the features of each block over the voxels of an image; the correlation is one of
            directions of features, and needs none.
        diffeomorphic: each level predicts a stationary velocity field, which is integrated; the composition of
            diffeomorphic maps is one.
        squarings: steps of that integration.
        affine: an affine stage first; the regularizer then sees the deformable part alone.

    Returns:
        A module: fixed, moving ``(B, 1, *S)`` -> displacement ``(B, d, *S)`` in voxels. Any image size.

    Raises:
        ValueError: if a level has no channel, or the flow is coarser than the coarsest level.

    Reference:
        Sun et al. 2018, arXiv:1709.02371 (warping and correlation in a pyramid); Hu et al. 2019,
        doi:10.1007/978-3-030-32245-8_43 (two streams); Ulyanov et al. 2016, arXiv:1607.08022 (instance normalisation).
    """
    if not channels or min(channels) < 1:
        raise ValueError(f"channels must have entries, each at least 1, but got {list(channels)}")
    check_settings(flow=flow, norm=norm, squarings=squarings)
    if len(channels) <= LEVEL[flow]:
        raise ValueError(
            f"channels must have more than {LEVEL[flow]} levels for flow `{flow}`, but got {list(channels)}"
        )
    network = Pyramid(dims, channels, LEVEL[flow], squarings if diffeomorphic else None, norm=norm)
    return AfterAffine(dims, network) if affine else network


class Pyramid(nn.Module):
    """See `pyramid`."""

    def __init__(
        self, dims: int, channels: Sequence[int], level: int, squarings: int | None, *, norm: str = "none"
    ) -> None:
        super().__init__()
        self.dims, self.depth, self.level, self.squarings = dims, len(channels) - 1, level, squarings
        block = partial(convolution, dims, normalise=norm == "instance")
        self.encoder = nn.ModuleList([block(1, channels[0])])
        for fine, coarse in pairwise(channels):
            self.encoder.append(nn.Sequential(block(fine, coarse, stride=2), block(coarse, coarse)))
        # Coarsest first. Each level sees both images' features, their correlation, and what the coarser level saw.
        self.decoder, self.heads = nn.ModuleList(), nn.ModuleList()
        context = 0
        for width in reversed(channels[level:]):
            inputs = 2 * width + 3**dims + context
            self.decoder.append(nn.Sequential(block(inputs, width), block(width, width)))
            self.heads.append(flow_head(dims, width))
            context = width

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Displacement ``(B, d, *S)`` in voxels from fixed and moving ``(B, 1, *S)``."""
        shape = fixed.shape[2:]
        levels = self._features(_pad(torch.cat([fixed, moving]), 2**self.depth))
        padded = [2**self.depth * (n - 1) + 1 for n in levels[-1].shape[2:]]
        displacement = fixed.new_zeros((len(fixed), self.dims, *levels[-1].shape[2:]), dtype=torch.float32)
        context: Tensor | None = None
        for features, block, head in zip(reversed(levels), self.decoder, self.heads, strict=False):
            of_fixed, of_moving = features.chunk(2)
            here = of_fixed.shape[2:]
            # Sixteen bits would round positions to a share of a voxel.
            with torch.autocast(fixed.device.type, enabled=False):
                displacement = resize_displacement(displacement, here)
                of_moving = warp(of_moving.float(), displacement).to(of_fixed.dtype)
            inputs = [of_fixed, of_moving, correlation(of_fixed, of_moving)]
            if context is not None:
                inputs.append(F.interpolate(context, size=here, mode="nearest"))
            context = block(torch.cat(inputs, 1))
            with torch.autocast(fixed.device.type, enabled=False):
                change = head(context.float()).contiguous()
                if self.squarings is not None:
                    change = integrate(change, squarings=self.squarings)
                # What is left was seen in the image that had been moved: it acts first.
                displacement = compose(displacement, change)
        displacement = resize_displacement(displacement, padded)
        return displacement[(slice(None), slice(None), *(slice(n) for n in shape))]

    def _features(self, images: Tensor) -> list[Tensor]:
        """Features of each level ``(B, C, *S)``, finest first."""
        levels = []
        for block in self.encoder:
            images = block(images)
            levels.append(images)
        return levels


def correlation(fixed: Tensor, moving: Tensor) -> Tensor:
    """Correlation of the features of each voxel with those of each neighbour; in [-1, 1].

    Args:
        fixed: ``(B, C, *S)``.
        moving: the same shape.

    Returns:
        ``(B, 3**d, *S)``: the cosine between fixed at p and moving at p + s, for s in {-1, 0, 1}^d, the last axis
        fastest; 0 outside.
    """
    shape = fixed.shape[2:]
    fixed, moving = (F.normalize(features.float(), dim=1, eps=1e-3) for features in (fixed, moving))
    moving = F.pad(moving, [1, 1] * len(shape))
    maps = []
    for shift in product(range(3), repeat=len(shape)):
        window = (slice(start, start + n) for start, n in zip(shift, shape, strict=True))
        maps.append((fixed * moving[(slice(None), slice(None), *window)]).sum(1))
    return torch.stack(maps, 1)


def _pad(x: Tensor, multiple: int) -> Tensor:
    """Repeat the far edges until every axis is one more than divisible.

    Then the first and the last voxel of an axis are the same points on every level, and a displacement goes from one
    level to the next without a shift.
    """
    short = [(1 - n) % multiple for n in x.shape[2:]]
    return F.pad(x, [amount for n in reversed(short) for amount in (0, n)], mode="replicate")

"""The U-Net of VoxelMorph, 2D and 3D by the same code."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regbench.models.affine import AfterAffine
from regbench.models.blocks import LEVEL, check_settings, convolution, flow_head
from regbench.spatial.displacement import integrate, resize_displacement

POOL = {2: F.max_pool2d, 3: F.max_pool3d}


def voxelmorph(
    dims: int,
    /,
    *,
    encoder: tuple[int, ...] = (16, 32, 32, 32),
    decoder: tuple[int, ...] = (32, 32, 32, 32, 32, 16, 16),
    flow: Literal["full", "half", "quarter"] = "half",
    norm: Literal["none", "instance"] = "none",
    diffeomorphic: bool = False,
    squarings: int = 5,
    affine: bool = False,
) -> nn.Module:
    """VoxelMorph U-Net: one displacement per voxel, at full, half or quarter resolution.

    Args:
        dims: 2 or 3.
        encoder: channels of each encoder level; the image is halved after each.
        decoder: channels of the decoder: one for each encoder level (levels finer than the flow are left out), then
            any number at the resolution of the flow.
        flow: resolution at which the displacement is predicted; it is resampled linearly to the image's grid.
        norm: `instance` normalises the features of each block over the voxels of an image, as most U-Nets since nnU-Net
            do; VoxelMorph has none. Trainings then need a quarter of the steps and depend far less on their seed.
        diffeomorphic: what is predicted is a stationary velocity field, integrated in the voxels of its own grid. The
            regularizer sees the displacement all the same, so that lambda means one thing.
        squarings: steps of that integration.
        affine: an affine stage first; the regularizer then sees the deformable part alone.

    Returns:
        A module: fixed, moving ``(B, 1, *S)`` -> displacement ``(B, d, *S)`` in voxels. Any image size.

    Raises:
        ValueError: if a level has no channel, the decoder is shorter than the encoder, or the flow coarser than the
            coarsest level; with `norm` also if an image has one voxel on the coarsest level.

    Reference:
        Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538; Dalca et al. 2019, doi:10.1016/j.media.2019.07.006;
        Ulyanov et al. 2016, arXiv:1607.08022 (instance normalisation).
    """
    for name, widths in (("encoder", encoder), ("decoder", decoder)):
        if any(width < 1 for width in widths):
            raise ValueError(f"{name} must have numbers of channels from 1, but got {list(widths)}")
    check_settings(flow=flow, norm=norm, squarings=squarings)
    network = VoxelMorph(dims, encoder, decoder, LEVEL[flow], squarings if diffeomorphic else None, norm=norm)
    return AfterAffine(dims, network) if affine else network


class VoxelMorph(nn.Module):
    """See `voxelmorph`."""

    def __init__(
        self,
        dims: int,
        encoder: Sequence[int],
        decoder: Sequence[int],
        level: int,
        squarings: int | None,
        *,
        norm: str = "none",
    ) -> None:
        super().__init__()
        depth = len(encoder)
        if len(decoder) < depth:
            raise ValueError(
                f"decoder must have at least {depth} entries, one for each of encoder, but got {len(decoder)}"
            )
        if level >= depth:
            raise ValueError(f"flow must be finer than the {depth} levels of encoder allow; use a deeper encoder")
        self.dims, self.depth, self.level, self.squarings = dims, depth, level, squarings
        block = partial(convolution, dims, normalise=norm == "instance")
        inputs = [2, *encoder[:-1]]
        self.down = nn.ModuleList(block(i, o) for i, o in zip(inputs, encoder, strict=True))
        # Going up, level by level, each convolution sees the coarser features beside the skip of its own level.
        self.up = nn.ModuleList()
        channels = encoder[-1]
        for k in range(depth):
            self.up.append(block(channels, decoder[k]))
            channels = decoder[k]
            here = depth - 1 - k
            if here >= level:
                channels += encoder[here]
            if here == level:
                break
        self.tail = nn.Sequential()
        for width in decoder[depth:]:
            self.tail.append(block(channels, width))
            channels = width
        self.head = flow_head(dims, channels)

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Displacement ``(B, d, *S)`` in voxels from fixed and moving ``(B, 1, *S)``."""
        shape = fixed.shape[2:]
        x = _pad(torch.cat([fixed, moving], 1), 2**self.depth)
        padded = x.shape[2:]
        if self.dims == 2:
            x = x.contiguous(memory_format=torch.channels_last)
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = POOL[self.dims](x, 2)
        for block, skip in zip(self.up, reversed(skips), strict=False):
            x = F.interpolate(block(x), scale_factor=2.0, mode="nearest")
            x = torch.cat([x, skip], 1)
        x = self.tail(x)
        # Sixteen bits would round a displacement of ten voxels to a sixteenth of a voxel.
        with torch.autocast(x.device.type, enabled=False):
            field = self.head(x.float()).contiguous()
            if self.squarings is not None:
                field = integrate(field, squarings=self.squarings)
            displacement = resize_displacement(field, padded)
        return displacement[(slice(None), slice(None), *(slice(n) for n in shape))]


def _pad(x: Tensor, multiple: int) -> Tensor:
    """Repeat the far edges until every axis is divisible; cropping them off again needs no shift."""
    short = [-n % multiple for n in x.shape[2:]]
    if not any(short):
        return x
    return F.pad(x, [amount for n in reversed(short) for amount in (0, n)], mode="replicate")

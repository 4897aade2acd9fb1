"""A U-Net with large kernels beside small ones, 2D and 3D by the same code."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regbench.models.affine import AfterAffine
from regbench.models.blocks import CONV, LEVEL, check_settings, convolution, flow_head
from regbench.spatial.displacement import integrate, resize_displacement


def lkunet(
    dims: int,
    /,
    *,
    channels: int = 8,
    depth: int = 4,
    kernel: int = 5,
    flow: Literal["full", "half", "quarter"] = "half",
    diffeomorphic: bool = False,
    squarings: int = 5,
    affine: bool = False,
) -> nn.Module:
    """LKU-Net: each encoder level has convolutions of sides 1, 3 and `kernel` and a shortcut side by side.

    Args:
        dims: 2 or 3.
        channels: of the finest level; doubled by each level down to eight times.
        depth: how often the image is halved.
        kernel: side of the large convolutions; odd.
        flow: resolution at which the displacement is predicted; it is resampled linearly to the image's grid.
        diffeomorphic: predict a stationary velocity field and integrate it.
        squarings: steps of that integration.
        affine: an affine stage first; the regularizer then sees the deformable part alone.

    Returns:
        A module: fixed, moving ``(B, 1, *S)`` -> displacement ``(B, d, *S)`` in voxels. Any image size.

    Raises:
        ValueError: if there is no channel, the kernel is even, or the flow coarser than the coarsest level.

    Reference:
        Jia et al. 2022, doi:10.1007/978-3-031-21014-3_26.
    """
    if channels < 1 or kernel < 1 or kernel % 2 == 0:
        name, value, what = ("channels", channels, "at least 1") if channels < 1 else ("kernel", kernel, "odd, from 1")
        raise ValueError(f"{name} must be {what}, but got {value}")
    check_settings(flow=flow, squarings=squarings)
    if depth <= LEVEL[flow]:
        raise ValueError(f"depth must exceed the {LEVEL[flow]} halvings of flow `{flow}`, but got {depth}")
    widths = [channels * min(2**k, 8) for k in range(depth + 1)]
    network = LargeKernelUNet(dims, widths, kernel, LEVEL[flow], squarings if diffeomorphic else None)
    return AfterAffine(dims, network) if affine else network


class LargeKernelUNet(nn.Module):
    """See `lkunet`."""

    def __init__(self, dims: int, widths: list[int], kernel: int, level: int, squarings: int | None) -> None:
        super().__init__()
        self.squarings, depth = squarings, len(widths) - 1
        self.entry = convolution(dims, 2, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(convolution(dims, fine, coarse, stride=2), LargeKernel(dims, coarse, kernel))
            for fine, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(
            convolution(dims, widths[k + 1] + widths[k], widths[k]) for k in reversed(range(level, depth))
        )
        self.head = flow_head(dims, widths[level])

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Displacement ``(B, d, *S)`` in voxels from fixed and moving ``(B, 1, *S)``."""
        shape = fixed.shape[2:]
        skips = [self.entry(torch.cat([fixed, moving], 1))]
        for block in self.down:
            skips.append(block(skips[-1]))
        x = skips.pop()
        for block in self.up:
            # To the size of the skip, whatever that is: an odd side needs no padding.
            skip = skips.pop()
            x = block(torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], 1))
        with torch.autocast(x.device.type, enabled=False):
            field = self.head(x.float())
            if self.squarings is not None:
                field = integrate(field, squarings=self.squarings)
            return resize_displacement(field, shape)


class LargeKernel(nn.Module):
    """Convolutions of sides 1, 3 and `kernel` side by side, and the input itself, summed."""

    def __init__(self, dims: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.sides = nn.ModuleList(
            CONV[dims](channels, channels, side, padding=side // 2) for side in dict.fromkeys((1, 3, kernel))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return F.leaky_relu(x + sum(convolution(x) for convolution in self.sides), 0.2)

"""A network that predicts one affine map for a pair; alone, or in front of a deformable model."""

import torch
from torch import Tensor, nn

from regbench.models.blocks import convolution
from regbench.spatial.displacement import affine_displacement, compose, identity_grid, warp
from regbench.spatial.registration import Registration, parts
from regbench.system.device import vector


def affine(dims: int, /, *, channels: tuple[int, ...] = (16, 32, 32, 32)) -> nn.Module:
    """Affine network: strided convolutions, moments of the features, one linear layer.

    Args:
        dims: 2 or 3.
        channels: of each convolution; each halves the image.

    Returns:
        A module: fixed, moving ``(B, 1, *S)`` -> displacement ``(B, d, *S)`` in voxels, and the matrix
        ``(B, d, d + 1)`` that its regularizer sees: linear part about the image's centre, and translation as a share
        of half the image's mean side, so that both parts are of one size. Any image size.

    Raises:
        ValueError: if a level has no channels, or there is no level.
    """
    if not channels or min(channels) < 1:
        raise ValueError(f"channels must have entries, each at least 1, but got {list(channels)}")
    return Affine(dims, channels)


class Affine(nn.Module):
    """See `affine`."""

    def __init__(self, dims: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims
        self.features = nn.Sequential()
        for inputs, outputs in zip((2, *channels[:-1]), channels, strict=True):
            self.features.append(convolution(dims, inputs, outputs, stride=2))
        self.head = nn.Linear(channels[-1] * (dims + 1), dims * (dims + 1))
        # Training starts from (almost) the identity.
        nn.init.normal_(self.head.weight, std=1e-5)
        nn.init.zeros_(self.head.bias)

    def forward(self, fixed: Tensor, moving: Tensor) -> Registration:
        """Displacement ``(B, d, *S)`` and matrix ``(B, d, d + 1)`` from fixed and moving ``(B, 1, *S)``."""
        shape = fixed.shape[2:]
        matrix = self.matrix(fixed, moving)
        half = (sum(shape) / len(shape) - 1) / 2
        in_voxels = torch.cat([matrix[:, :, :-1], matrix[:, :, -1:] * half], 2)
        return Registration(affine_displacement(in_voxels, shape), matrix)

    def matrix(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """``(B, d, d + 1)``; translation in half mean sides."""
        x = self.features(torch.cat([fixed, moving], 1))
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            # The mean of a feature does not say where it is; its first moments do, for any image size.
            grid = identity_grid(x.shape[2:], device=x.device)
            sides = vector(x.shape[2:], x).view(-1, *[1] * self.dims)
            where = (2 * grid - (sides - 1)) / sides
            moments = [x.flatten(2).mean(2), *((x * axis).flatten(2).mean(2) for axis in where)]
            change: Tensor = self.head(torch.cat(moments, 1)).view(-1, self.dims, self.dims + 1)
            return change + torch.eye(self.dims, self.dims + 1, device=x.device)


class AfterAffine(nn.Module):
    """An affine stage, then a deformable model on what is left; the regularizer sees the deformable part alone."""

    def __init__(self, dims: int, deformable: nn.Module) -> None:
        super().__init__()
        self.affine, self.deformable = affine(dims), deformable

    def forward(self, fixed: Tensor, moving: Tensor) -> Registration:
        """Total displacement ``(B, d, *S)``, and the deformable part."""
        outer = self.affine(fixed, moving).displacement
        inner, penalised = parts(self.deformable(fixed, warp(moving, outer)))
        return Registration(compose(outer, inner), penalised)

"""Smooth images with structure everywhere, pairs of them, and a model whose answer is known."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from regbench.data.cache import Pair


def blobs(shape, seed=0):
    """A smooth image with structure everywhere and a dark border."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.5)
    inside = np.zeros(shape)
    inside[tuple(slice(6, -6) for _ in shape)] = 1
    noise = (noise - noise.min()) / np.ptp(noise)
    return (noise * gaussian_filter(inside, 2)).astype(np.float32)


def pair(fixed, moving, spacing):
    labels = np.zeros(fixed.shape, np.int32)
    return Pair(fixed, moving, labels, labels, None, spacing)


class Constant(nn.Module):
    """Moves everything by so many voxels of the model's grid along its first axis."""

    def __init__(self, voxels: float = 0.0) -> None:
        super().__init__()
        self.voxels = nn.Parameter(torch.tensor(voxels))

    def forward(self, fixed, moving):
        u = torch.zeros(1, fixed.ndim - 2, *fixed.shape[2:])
        u[:, 0] = self.voxels.detach()
        return u

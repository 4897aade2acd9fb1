"""Smooth images with structure everywhere, and pairs of them."""

import numpy as np
from scipy.ndimage import gaussian_filter

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

"""A registered pair with folds, made by hand, for the tests of its pictures."""

import numpy as np
from scipy.ndimage import gaussian_filter

from regbench.data.cache import Pair
from regbench.evaluation.measure import Registered
from regbench.report.view.shown_pair import BODY, ShownPair


def shown_pair(shape=(14, 12, 10), spacing_mm=(1.0, 2.0, 0.5), fixed="f", moving="m", labelled=True) -> ShownPair:
    """Smooth noise with two labels, a displacement of up to some two voxels, and one fold at voxel 5 of each axis."""
    random, dims = np.random.default_rng(3), len(shape)
    images = [gaussian_filter(random.random(shape), 1).astype(np.float32) for _ in range(2)]
    labels = [np.zeros(shape, np.uint8) for _ in range(2)]
    if labelled:
        for values, shift in zip(labels, (0, 1), strict=True):
            values[tuple(slice(2 + shift, n - 4 + shift) for n in shape)] = 7
            values[tuple(slice(3 + shift, 5 + shift) for n in shape)] = 200
    field = np.stack([gaussian_filter(random.normal(size=shape), 3) for _ in shape]).astype(np.float32)
    field *= 2 / np.abs(field).max()
    at = (5,) * (dims - 1)
    field[(0, 4, *at)], field[(0, 6, *at)] = 3, -3
    pair = Pair(*images, *labels, None, spacing_mm)
    registered = Registered(fixed, moving, pair, field)
    return ShownPair(registered, BODY[:dims] if dims == 3 else None, (7, 200) if labelled else (), "a study: a run")

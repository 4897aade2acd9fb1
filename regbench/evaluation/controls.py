"""Rows that say what a table is worth: a registration that cannot fail, and one that means nothing.

`control_self` registers each fixed image with itself, by no displacement: the best that a metric can say.
`control_sort` moves voxels by the order of their intensities alone, blind to where they lie: whatever gets better by it
can be fooled, on these very images.

Reference:
    Rohlfing 2012, Image similarity and tissue overlaps as surrogates for image registration accuracy: widely used but
    unreliable, doi:10.1109/TMI.2011.2163944, whose "completely useless registration tool" sorts likewise.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch, which the analysis need not load
    from regbench.data.cache import Dataset, Pair

Field = NDArray[np.float32]
MOST = 30  # pairs of a control: what it says is plain, and scattered labels take three times as long to measure


def no_displacement(pair: "Pair") -> Field:
    """Zeros ``(d, *S)``."""
    return np.zeros((pair.fixed.ndim, *pair.fixed.shape), np.float32)


def sort_intensities(pair: "Pair") -> Field:
    """The displacement by which each fixed voxel takes the moving voxel of its own intensity rank.

    Equal intensities are ranked by their place in the array (NaN last), so a constant image is left where it is. Every
    moving voxel is taken once: the moved image is a rearrangement of the moving one, and both directions are inverse.

    Args:
        pair: two images of one shape.

    Returns:
        ``(d, *S)`` float32 of whole voxels.
    """
    shape = pair.fixed.shape
    fixed, moving = (np.argsort(image, axis=None, kind="stable") for image in (pair.fixed, pair.moving))
    taken = np.empty_like(moving)
    taken[fixed] = moving
    ends = np.stack(np.unravel_index(taken, shape)).reshape(len(shape), *shape)
    field: Field = (ends - np.indices(shape)).astype(np.float32)
    return field


CONTROLS: Mapping[str, Callable[["Pair"], Field]] = {"control_self": no_displacement, "control_sort": sort_intensities}


def control_pairs(control: str, data: "Dataset") -> tuple[tuple[str, str], ...]:
    """The (fixed, moving) pairs of a control: each fixed test image with itself, or the first test pairs."""
    pairs = data.pairs("test")
    if CONTROLS[control] is no_displacement:
        return tuple((name, name) for name in dict.fromkeys(fixed for fixed, _ in pairs))[:MOST]
    return pairs[:MOST]

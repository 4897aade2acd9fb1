"""Label maps warped linearly: each label as an image of 0 and 1 that is interpolated, then the largest of them."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOXELS = 1 << 20  # that are looked at together: a dozen arrays of so many numbers fit in any memory


def warp_labels_linearly(labels: NDArray[Any], displacement: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Warp of a label map by one-hot images and argmax; bit for bit the input under a zero field.

    Background takes part as any label does. A voxel that is sent outside the moving image is background, as in
    `regbench.spatial.warp_labels`, whose nearest neighbour is what the study's own numbers rest on. Of labels with the
    same weight the lowest wins, as argmax over channels in their order has it.

    Args:
        labels: ``(*M)`` integers.
        displacement: ``(d, *S)`` in voxels.

    Returns:
        ``(*S)``, dtype of `labels`.

    Raises:
        ValueError: if the displacement has not one component and one axis for each axis of the labels.
    """
    dims = labels.ndim
    if displacement.shape[:1] != (dims,) or displacement.ndim != dims + 1:
        raise ValueError(
            f"a displacement of {dims}D labels must be ({dims}, *S), components first and without a batch, but got "
            f"{displacement.shape} for labels {labels.shape}"
        )
    warped = np.zeros(displacement.shape[1:], labels.dtype)
    rows = max(VOXELS // max(int(np.prod(warped.shape[1:])), 1), 1)
    for start in range(0, len(warped), rows):
        part = displacement[:, start : start + rows].astype(np.float64)
        axes = [np.arange(start, start + part.shape[1]), *map(np.arange, part.shape[2:])]
        warped[start : start + rows] = _sampled(labels, part + np.stack(np.meshgrid(*axes, indexing="ij")))
    return warped


def _sampled(labels: NDArray[Any], positions: NDArray[np.float64]) -> NDArray[Any]:
    """The label of the largest weight at positions ``(d, *S)``: only the corners of a voxel's cell have any."""
    last = np.array(labels.shape).reshape(-1, *[1] * (positions.ndim - 1)) - 1
    inside = ((positions >= 0) & (positions <= last)).all(0)  # False of NaN
    known = np.where(inside, positions, 0)
    below = np.minimum(np.floor(known).astype(np.int64), np.maximum(last - 1, 0))
    share = known - below
    corners, weights = [], []
    for corner in product((0, 1), repeat=labels.ndim):
        corners.append(
            labels[tuple(np.minimum(b + k, n - 1) for b, k, n in zip(below, corner, labels.shape, strict=True))]
        )
        weights.append(np.prod([part if k else 1 - part for part, k in zip(share, corner, strict=True)], axis=0))
    best, most = corners[0].copy(), np.full(inside.shape, -1.0)
    for label in corners:
        # Summed in one order for every corner: corners of one label have the same sum to the bit.
        total = np.sum([np.where(other == label, w, 0) for other, w in zip(corners, weights, strict=True)], axis=0)
        wins = (total > most) | ((total == most) & (label < best))
        best, most = np.where(wins, label, best), np.where(wins, total, most)
    return np.where(inside, best, 0)

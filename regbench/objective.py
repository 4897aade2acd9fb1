"""Similarity plus lambda times regularizer."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from regbench.components import bind
from regbench.losses import REGULARIZERS, SIMILARITIES
from regbench.spatial import warp


class Terms(NamedTuple):
    """The objective and what it is made of; scalars."""

    loss: Tensor
    similarity: Tensor
    regularizer: Tensor


def objective(
    similarity: Mapping[str, Any], regularizer: Mapping[str, Any], lam: float
) -> Callable[[Tensor, Tensor, Tensor], Terms]:
    """The objective of one cell at one lambda.

    Args:
        similarity: ``{"name": ..., "parameters": {...}}``.
        regularizer: likewise.
        lam: weight of the regularizer.

    Returns:
        ``(fixed, moving, displacement) -> Terms`` for images ``(B, C, *S)`` and displacement ``(B, d, *S)`` in voxels.
    """
    compare = bind(SIMILARITIES, similarity["name"], similarity["parameters"])
    penalise = bind(REGULARIZERS, regularizer["name"], regularizer["parameters"])

    def terms(fixed: Tensor, moving: Tensor, displacement: Tensor) -> Terms:
        data = compare(fixed, warp(moving, displacement))
        smooth = penalise(displacement)
        return Terms(data + lam * smooth, data, smooth)

    return terms

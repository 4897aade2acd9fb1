"""Similarity plus lambda times regularizer, and, where training is semi-supervised, the overlap of labels."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from regbench.losses import AFFINE_REGULARIZERS, REGULARIZERS, SIMILARITIES, dice_loss
from regbench.spatial.displacement import warp
from regbench.spatial.registration import Registration, parts
from regbench.study.components import bind


class Terms(NamedTuple):
    """The objective and what it is made of; scalars."""

    loss: Tensor
    similarity: Tensor
    regularizer: Tensor


def objective(
    similarity: Mapping[str, Any], regularizer: Mapping[str, Any], lam: float
) -> Callable[[Tensor, Tensor, Tensor | Registration], Terms]:
    """The objective of one cell at one lambda.

    Args:
        similarity: ``{"name": ..., "parameters": {...}}``.
        regularizer: likewise; of displacements, or of matrices for a model that gives one.
        lam: weight of the regularizer.

    Returns:
        ``(fixed, moving, output of the model) -> Terms`` for images ``(B, C, *S)`` and displacements ``(B, d, *S)`` in
        voxels.
    """
    compare = bind(SIMILARITIES, similarity["name"], similarity["parameters"])
    penalise = bind({**REGULARIZERS, **AFFINE_REGULARIZERS}, regularizer["name"], regularizer["parameters"])

    def terms(fixed: Tensor, moving: Tensor, output: Tensor | Registration) -> Terms:
        displacement, penalised = parts(output)
        data = compare(fixed, warp(moving, displacement))
        smooth = penalise(penalised)
        return Terms(data + lam * smooth, data, smooth)

    return terms


def supervision(output: Tensor | Registration, fixed_labels: Tensor, moving_labels: Tensor) -> Tensor:
    """Soft Dice loss of labels ``(B, L, *S)``, one-hot without background, warped linearly."""
    return dice_loss(fixed_labels, warp(moving_labels, parts(output).displacement))

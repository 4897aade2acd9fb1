"""Similarity plus lambda times regularizer, and, where training is semi-supervised, the overlap of labels."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from regbench.losses import AFFINE_REGULARIZERS, REGULARIZERS, SIMILARITIES, dice_loss
from regbench.spatial.displacement import warp
from regbench.spatial.registration import Registration, parts
from regbench.study.components import bind
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError


class Terms(NamedTuple):
    """The objective and what it is made of; scalars."""

    loss: Tensor
    similarity: Tensor
    regularizer: Tensor


def objective(
    similarity: ComponentSpec, regularizer: ComponentSpec, lam: float
) -> Callable[[Tensor, Tensor, Tensor | Registration], Terms]:
    """The objective of one cell at one lambda.

    Args:
        similarity: name and parameters.
        regularizer: name and parameters; of displacements, or of matrices for a model that gives one.
        lam: weight of the regularizer.

    Returns:
        ``(fixed, moving, output of the model) -> Terms`` for images ``(B, C, *S)`` and displacements ``(B, d, *S)`` in
        voxels. It raises a `RegbenchError` where a loss refuses its arguments; names the loss.
    """
    compare = bind(SIMILARITIES, similarity.name, similarity.parameters)
    penalise = bind({**REGULARIZERS, **AFFINE_REGULARIZERS}, regularizer.name, regularizer.parameters)

    def terms(fixed: Tensor, moving: Tensor, output: Tensor | Registration) -> Terms:
        displacement, penalised = parts(output)
        moved = warp(moving, displacement)
        try:
            component = similarity.name
            dissimilarity = compare(fixed, moved)
            component = regularizer.name
            penalty = penalise(penalised)
        except ValueError as error:  # of its parameters, or of the images' size
            raise RegbenchError(f"`{component}` of this method: {error}") from error
        return Terms(dissimilarity + lam * penalty, dissimilarity, penalty)

    return terms


def supervision(output: Tensor | Registration, fixed_labels: Tensor, moving_labels: Tensor) -> Tensor:
    """Soft Dice loss of labels ``(B, L, *S)``, one-hot without background, warped linearly."""
    return dice_loss(fixed_labels, warp(moving_labels, parts(output).displacement))

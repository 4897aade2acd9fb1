"""Similarity plus lambda times regularizer, and, where training is semi-supervised, the overlap of labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from regbench.losses import AFFINE_REGULARIZERS, REGULARIZERS, SIMILARITIES, dice_loss
from regbench.losses.masks import Masks, Weighted, needed, weighted
from regbench.spatial.displacement import warp
from regbench.spatial.registration import Registration, parts
from regbench.study.components import bind
from regbench.study.config import MaskUse
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError


class Terms(NamedTuple):
    """The objective and what it is made of; scalars."""

    loss: Tensor
    similarity: Tensor
    regularizer: Tensor


class MaskRule(NamedTuple):
    """Which masks an objective counts by, and whether its regularizer does too."""

    use: MaskUse = "none"
    regularizer: bool = False


@dataclass(frozen=True)
class Objective:
    """``(fixed, moving, output of the model) -> Terms``; see `objective`."""

    similarity: ComponentSpec
    regularizer: ComponentSpec
    lam: float
    rule: MaskRule
    compare: Callable[..., Tensor]
    penalise: Callable[..., Tensor]

    def __call__(
        self, fixed: Tensor, moving: Tensor, output: Tensor | Registration, masks: Masks | None = None
    ) -> Terms:
        """The terms of a batch.

        Args:
            fixed: ``(B, C, *S)``.
            moving: the same shape.
            output: displacements ``(B, d, *S)`` in voxels, or with what the regularizer sees instead.
            masks: of the images; those that the rule names.

        Raises:
            RegbenchError: if a loss refuses its arguments (names the loss), or a mask that counts is missing.
        """
        displacement, penalised = parts(output)
        seen = self._seen(moving, displacement, masks)
        try:
            component = self.similarity.name
            dissimilarity = self._compare(fixed, seen)
            component = self.regularizer.name
            if self.rule.regularizer and isinstance(seen, Weighted):  # no gradient: or a mask would flee from a penalty
                penalty = self.penalise(penalised, mask=seen.mask.detach())
            else:
                penalty = self.penalise(penalised)
        except ValueError as error:  # of its parameters, or of the images' size
            raise RegbenchError(f"`{component}` of this method: {error}") from error
        return Terms(dissimilarity + self.lam * penalty, dissimilarity, penalty)

    def dissimilarity(self, fixed: Tensor, moving: Tensor, displacement: Tensor, masks: Masks | None = None) -> Tensor:
        """The first of the terms alone, as in a call."""
        return self._compare(fixed, self._seen(moving, displacement, masks))

    def _seen(self, moving: Tensor, displacement: Tensor, masks: Masks | None) -> Tensor | Weighted:
        """The moved image, with its weights where masks count."""
        if self.rule.use == "none":
            return warp(moving, displacement)
        return weighted(moving, displacement, needed(masks, self.rule.use))

    def _compare(self, fixed: Tensor, seen: Tensor | Weighted) -> Tensor:
        if not isinstance(seen, Weighted):
            return self.compare(fixed, seen)
        missed = {} if seen.expected is None else {"expected": seen.expected}
        return self.compare(fixed, seen.moved, mask=seen.mask, **missed)


def objective(
    similarity: ComponentSpec, regularizer: ComponentSpec, lam: float, rule: MaskRule | None = None
) -> Objective:
    """The objective of one cell at one lambda.

    Args:
        similarity: name and parameters.
        regularizer: name and parameters; of displacements, or of matrices for a model that gives one.
        lam: weight of the regularizer.
        rule: which masks count; none unless given.
    """
    compare = bind(SIMILARITIES, similarity.name, similarity.parameters)
    penalise = bind({**REGULARIZERS, **AFFINE_REGULARIZERS}, regularizer.name, regularizer.parameters)
    return Objective(similarity, regularizer, lam, rule or MaskRule(), compare, penalise)


def supervision(output: Tensor | Registration, fixed_labels: Tensor, moving_labels: Tensor) -> Tensor:
    """Soft Dice loss of labels ``(B, L, *S)``, one-hot without background, warped linearly."""
    return dice_loss(fixed_labels, warp(moving_labels, parts(output).displacement))

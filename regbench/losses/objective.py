"""Similarity plus lambda times regularizer, plus the weighted sum of further terms; in one direction, or in both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from regbench.losses import AFFINE_REGULARIZERS, CONSISTENCIES, REGULARIZERS, SIMILARITIES, SUPERVISIONS
from regbench.losses.masks import Masks, Weighted, needed, weighted
from regbench.spatial.displacement import warp
from regbench.spatial.registration import Registration, parts
from regbench.study.components import bind
from regbench.study.config import Directions, MaskUse
from regbench.study.specs import ComponentSpec, TermSpec
from regbench.study.terms import SUPERVISED, TWO_WAY, passes
from regbench.system.errors import RegbenchError

Registry = dict[str, Callable[..., Tensor]]
JUDGES_OF_ONE: Registry = {**REGULARIZERS, **AFFINE_REGULARIZERS}


class Terms(NamedTuple):
    """The objective and what it is made of; scalars, a mean over the directions that count."""

    loss: Tensor
    similarity: Tensor
    regularizer: Tensor
    further: tuple[Tensor, ...] = ()

    def values(self) -> tuple[Tensor, ...]:
        """All, in the order of `study.specs.TrainSpec.term_names`."""
        return (self.loss, self.similarity, self.regularizer, *self.further)


class MaskRule(NamedTuple):
    """Which masks an objective counts by, and whether its regularizer and its consistency terms do too."""

    use: MaskUse = "none"
    regularizer: bool = False


class Supervision(NamedTuple):
    """What is known of both images of a batch, as far as terms need it.

    Attributes:
        fixed_labels, moving_labels: ``(B, L, *S)``, one-hot without background.
        fixed_points, moving_points: ``(B, N, d)`` landmarks in voxels, NaN where there is none.
    """

    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    fixed_points: Tensor | None = None
    moving_points: Tensor | None = None

    def turned(self) -> "Supervision":
        """With fixed and moving changed about."""
        return Supervision(self.moving_labels, self.fixed_labels, self.moving_points, self.fixed_points)


class Scene(NamedTuple):
    """A batch as one direction sees it: what is fixed, what moves, and how."""

    fixed: Tensor
    moving: Tensor
    output: Registration
    backward: Registration | None
    masks: Masks
    known: Supervision

    def turned(self) -> "Scene":
        """The other direction; masks and what is known go with their images."""
        assert self.backward is not None  # `Objective` asks for it
        masks = Masks(self.masks.moving, self.masks.fixed)
        return Scene(self.moving, self.fixed, self.backward, self.output, masks, self.known.turned())


class Term(NamedTuple):
    """A term behind the similarity, with its function bound to its parameters."""

    name: str
    weight: float
    function: Callable[..., Tensor]


@dataclass(frozen=True)
class Objective:
    """``(fixed, moving, output of the model) -> Terms``; see `objective`."""

    similarity: ComponentSpec
    compare: Callable[..., Tensor]
    terms: tuple[Term, ...]  # the regularizer first, its weight is lambda
    rule: MaskRule
    directions: Directions

    @property
    def two_way(self) -> bool:
        """Whether the displacement of the other direction is needed."""
        return passes(self.directions, (term.name for term in self.terms)) > 1

    @property
    def mask_use(self) -> MaskUse:
        """The masks of a pair that must be given: the fixed image of one direction is the moving one of the other."""
        return "both" if self.directions == "both" and self.rule.use != "none" else self.rule.use

    def __call__(
        self,
        fixed: Tensor,
        moving: Tensor,
        output: Tensor | Registration,
        masks: Masks | None = None,
        *,
        backward: Tensor | Registration | None = None,
        known: Supervision | None = None,
    ) -> Terms:
        """The terms of a batch.

        Args:
            fixed: ``(B, C, *S)``.
            moving: the same shape.
            output: displacements ``(B, d, *S)`` in voxels, or with what the regularizer sees instead.
            masks: of the images; those that the rule names.
            backward: of the model for moving and fixed, where the objective is `two_way`.
            known: of the images, where terms need it.

        Raises:
            RegbenchError: if a loss refuses its arguments (names the loss), or a mask, the other direction, labels or
                landmarks are missing that count.
        """
        if self.two_way and backward is None:
            raise RegbenchError(
                "this objective must have the displacements of both directions, but the model gave one. Leave out "
                "consistency terms and `training.directions: both`, or take a model that registers both ways."
            )
        other = None if backward is None else parts(backward)
        scene = Scene(fixed, moving, parts(output), other, masks or Masks(), known or Supervision())
        values = self._values(scene)
        if self.directions == "both":
            values = [(there + back) / 2 for there, back in zip(values, self._values(scene.turned()), strict=True)]
        loss, *of_terms = values
        for term, value in zip(self.terms, of_terms, strict=True):
            loss = loss + term.weight * value
        return Terms(loss, values[0], values[1], tuple(values[2:]))

    def dissimilarity(self, fixed: Tensor, moving: Tensor, displacement: Tensor, masks: Masks | None = None) -> Tensor:
        """The similarity of one direction alone."""
        return self._compare(fixed, self._seen(moving, displacement, masks))

    def _values(self, scene: Scene) -> list[Tensor]:
        """The similarity and each term in one direction, unweighted."""
        seen = self._seen(scene.moving, scene.output.displacement, scene.masks)
        component = self.similarity.name
        try:
            values = [self._compare(scene.fixed, seen)]
            for term in self.terms:
                component = term.name
                values.append(self._judged(term, scene, seen))
        except ValueError as error:  # of its parameters, or of the images' size
            raise RegbenchError(f"`{component}` of this method: {error}") from error
        return values

    def _judged(self, term: Term, scene: Scene, seen: Tensor | Weighted) -> Tensor:
        displacement, known = scene.output.displacement, scene.known
        if term.name == "dice":
            fixed, moving = _both(term, known.fixed_labels, known.moving_labels)
            return term.function(fixed, warp(moving, displacement))
        if term.name == "landmark_distance":
            return term.function(displacement, *_both(term, known.fixed_points, known.moving_points))
        # No gradient: or a mask would flee from a penalty.
        counted = self.rule.regularizer and isinstance(seen, Weighted)
        given = {"mask": seen.mask.detach()} if counted and isinstance(seen, Weighted) else {}
        if term.name not in TWO_WAY:
            return term.function(scene.output.penalised, **given)
        assert scene.backward is not None  # asked for in the call
        return term.function(displacement, scene.backward.displacement, **given)

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
    similarity: ComponentSpec,
    regularizer: ComponentSpec,
    lam: float,
    rule: MaskRule | None = None,
    *,
    terms: Sequence[TermSpec] = (),
    directions: Directions = "one",
) -> Objective:
    """The objective of one cell at one lambda: similarity + lambda * regularizer + sum of weight * term.

    Args:
        similarity: name and parameters.
        regularizer: name and parameters; of displacements, of matrices for a model that gives one, or of the
            displacements of both directions.
        lam: weight of the regularizer.
        rule: which masks count; none unless given.
        terms: further ones, with their weights.
        directions: both: every value is the mean of both directions.

    Raises:
        RegbenchError: if a term has no weight yet.
    """
    compare = bind(SIMILARITIES, similarity.name, similarity.parameters)
    bound = (Term(regularizer.name, lam, bound_term(regularizer)), *map(_weighted, terms))
    return Objective(similarity, compare, bound, rule or MaskRule(), directions)


def bound_term(term: ComponentSpec) -> Callable[..., Tensor]:
    """The function of a term with its parameters fixed."""
    registries: tuple[Registry, ...] = (dict(CONSISTENCIES), dict(SUPERVISIONS))
    registry = next((registry for registry in registries if term.name in registry), JUDGES_OF_ONE)
    return bind(registry, term.name, term.parameters)


def judged_shapes(name: str, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes of what a term judges, of one pair of images `shape`."""
    dims = len(shape)
    if name in AFFINE_REGULARIZERS:
        return [(1, dims, dims + 1)]
    of_points = [(1, dims, *shape), (1, 1, dims), (1, 1, dims)]
    of_labels = [(1, 1, *shape)] * 2
    supervised = {"labels": of_labels, "landmarks": of_points}
    return supervised.get(SUPERVISED.get(name, ""), [(1, dims, *shape)] * (2 if name in TWO_WAY else 1))


def _weighted(term: TermSpec) -> Term:
    if term.weight is None:
        raise RegbenchError(f"the term `{term.id}` must have a weight, but has none. Run `select`, or give one.")
    return Term(term.name, term.weight, bound_term(term))


def _both(term: Term, fixed: Tensor | None, moving: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is known of both images.

    Raises:
        RegbenchError: if a term needs it and it is missing.
    """
    if fixed is None or moving is None:
        raise RegbenchError(f"`{term.name}` must have what is known of both images, but the pair has none of it.")
    return fixed, moving

"""The objective: what it sums, which direction each term sees, and what it asks for; values by numpy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from regbench.losses import CONSISTENCIES, SUPERVISIONS
from regbench.losses.masks import Masks
from regbench.losses.objective import MaskRule, Supervision, judged_shapes, objective
from regbench.spatial.registration import Registration
from regbench.study.specs import ComponentSpec, TermSpec
from regbench.study.terms import SUPERVISED, TWO_WAY
from regbench.system.errors import RegbenchError

SHAPE, LAM = (7, 9), 0.3


def part(name, **parameters):
    return ComponentSpec(name=name, parameters=parameters)


def term(name, weight, **parameters):
    return TermSpec(id=f"my-{name}", name=name, parameters=parameters, weight=weight)


def draw(seed, *sizes):
    return torch.rand(sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


FIXED, MOVING = draw(0, 2, 1, *SHAPE), draw(1, 2, 1, *SHAPE)
FORTH, BACK = 2 * draw(2, 2, 2, *SHAPE) - 1, 2 * draw(3, 2, 2, *SHAPE) - 1


def moved(image, field):
    """``image(p + u(p))`` of arrays ``(*S)`` and ``(2, *S)``, linearly, the edge repeated."""
    return map_coordinates(image, np.indices(image.shape) + field, order=1, mode="nearest")


def mse(fixed, moving, field):
    pairs = zip(fixed.numpy()[:, 0], moving.numpy()[:, 0], field.numpy(), strict=True)
    return np.mean([(f - moved(m, u)) ** 2 for f, m, u in pairs])


def grad_l2(field):
    u = field.numpy()
    return np.mean([(np.diff(u, axis=axis) ** 2).mean() for axis in (2, 3)])


def inverse_consistency(forth, back):
    """Of each pixel: the squared length of there and back again."""
    squares = []
    for u, v in zip(forth.numpy(), back.numpy(), strict=True):
        there_and_back = u + np.stack([moved(component, u) for component in v])
        squares.append((there_and_back**2).sum(0))
    return np.mean(squares)


def test_the_names_of_terms_are_those_of_the_registries():
    assert set(CONSISTENCIES) == TWO_WAY
    assert set(SUPERVISIONS) == set(SUPERVISED)


def test_the_first_term_has_lambda_and_each_further_one_its_own_weight():
    of = objective(
        part("mse"), part("grad_l2"), LAM, terms=[term("displacement_l2", 2.0), term("inverse_consistency", 0.5)]
    )
    found = of(FIXED, MOVING, FORTH, backward=BACK)
    wanted = [
        mse(FIXED, MOVING, FORTH),
        grad_l2(FORTH),
        (FORTH.numpy() ** 2).mean(),
        inverse_consistency(FORTH, BACK),
    ]
    assert [float(value) for value in found.values()[1:]] == pytest.approx(wanted, rel=1e-9)
    # Weights are absolute: lambda multiplies the first term alone.
    assert float(found.loss) == pytest.approx(np.dot(wanted, [1, LAM, 2.0, 0.5]), rel=1e-9)


def test_both_directions_are_averaged():
    terms = [term("displacement_l1", 2.0), term("inverse_consistency", 0.5)]
    found = objective(part("mse"), part("grad_l2"), LAM, terms=terms, directions="both")(
        FIXED, MOVING, FORTH, backward=BACK
    )
    wanted = [
        (mse(FIXED, MOVING, FORTH) + mse(MOVING, FIXED, BACK)) / 2,
        (grad_l2(FORTH) + grad_l2(BACK)) / 2,
        (FORTH.abs().mean() + BACK.abs().mean()) / 2,
        (inverse_consistency(FORTH, BACK) + inverse_consistency(BACK, FORTH)) / 2,
    ]
    assert [float(value) for value in found.values()[1:]] == pytest.approx([float(w) for w in wanted], rel=1e-9)
    assert float(found.loss) == pytest.approx(float(np.dot(wanted, [1, LAM, 2.0, 0.5])), rel=1e-9)


def test_a_consistency_term_may_be_the_regularizer():
    of = objective(part("mse"), part("inverse_consistency"), LAM)
    assert of.two_way
    assert float(of(FIXED, MOVING, FORTH, backward=BACK).regularizer) == pytest.approx(inverse_consistency(FORTH, BACK))
    assert not objective(part("mse"), part("grad_l2"), LAM).two_way


def test_masks_go_with_their_images():
    """By the fixed mask, each direction counts by the mask of the image that is fixed in it."""
    masks = Masks(draw(4, 2, 1, *SHAPE), draw(5, 2, 1, *SHAPE))
    rule = MaskRule("fixed", regularizer=True)
    terms = [term("inverse_consistency", 0.5)]
    one = objective(part("mse"), part("displacement_l2"), LAM, rule, terms=terms)
    both = objective(part("mse"), part("displacement_l2"), LAM, rule, terms=terms, directions="both")
    assert (one.mask_use, both.mask_use) == ("fixed", "both")
    there = one(FIXED, MOVING, FORTH, masks, backward=BACK).values()
    back = one(MOVING, FIXED, BACK, Masks(masks.moving, masks.fixed), backward=FORTH).values()
    found = both(FIXED, MOVING, FORTH, masks, backward=BACK).values()
    assert [float(value) for value in found] == pytest.approx(
        [float(a + b) / 2 for a, b in zip(there, back, strict=True)]
    )
    weights = masks.fixed.numpy()
    squares = (FORTH.numpy() ** 2).mean(1, keepdims=True)
    by_hand = np.mean([(w * s).sum() / w.sum() for w, s in zip(weights, squares, strict=True)])
    assert float(there[2]) == pytest.approx(by_hand)
    assert abs(float(there[0]) - float(back[0])) > 1e-3


def test_labels_and_landmarks_are_terms():
    labels = [(draw(seed, 2, 3, *SHAPE) > 0.5).double() for seed in (6, 7)]
    points = [8 * draw(seed, 2, 4, 2).clamp(0.1, 0.7) for seed in (8, 9)]
    points[0][1, 2:] = float("nan")
    of = objective(part("mse"), part("grad_l2"), LAM, terms=[term("dice", 0.5), term("landmark_distance", 0.1)])
    known = Supervision(*labels, *points)
    similarity, penalty, dice, distance = of(FIXED, MOVING, FORTH, known=known).values()[1:]
    overlaps = []
    for b in range(2):
        for k in range(3):
            fixed = labels[0][b, k].numpy()
            warped = moved(labels[1][b, k].numpy(), FORTH[b].numpy())
            overlaps.append(2 * (fixed * warped).sum() / (fixed.sum() + warped.sum()))
    assert float(dice) == pytest.approx(1 - np.mean(overlaps), rel=1e-4)  # but for the eps of the overlap
    of_pairs = []
    for b, count in ((0, 4), (1, 2)):
        p, q = points[0][b, :count].numpy(), points[1][b, :count].numpy()
        u = np.stack([map_coordinates(component, p.T, order=1, mode="nearest") for component in FORTH[b].numpy()], 1)
        of_pairs.append(np.linalg.norm(p + u - q, axis=1).mean())
    assert float(distance) == pytest.approx(np.mean(of_pairs), rel=1e-9)
    total = float(similarity) + LAM * float(penalty) + 0.5 * float(dice) + 0.1 * float(distance)
    loss = of(FIXED, MOVING, FORTH, known=known).loss
    assert float(loss) == pytest.approx(total, rel=1e-9)
    # In the other direction fixed and moving change places.
    both = objective(part("mse"), part("grad_l2"), LAM, terms=[term("landmark_distance", 0.1)], directions="both")
    turned = objective(part("mse"), part("grad_l2"), LAM, terms=[term("landmark_distance", 0.1)])(
        MOVING, FIXED, BACK, known=Supervision(fixed_points=points[1], moving_points=points[0])
    )
    mean = (float(distance) + float(turned.further[0])) / 2
    assert float(both(FIXED, MOVING, FORTH, backward=BACK, known=known).further[0]) == pytest.approx(mean)


def test_a_regularizer_sees_what_the_model_says_and_a_consistency_the_displacement():
    matrix = draw(10, 2, 2, 3)
    of = objective(part("mse"), part("affine_identity_l2"), LAM, terms=[term("inverse_consistency", 1.0)])
    found = of(FIXED, MOVING, Registration(FORTH, matrix), backward=Registration(BACK, matrix + 1))
    assert float(found.regularizer) == pytest.approx(((matrix.numpy() - np.eye(2, 3)) ** 2).mean())
    assert float(found.further[0]) == pytest.approx(inverse_consistency(FORTH, BACK))


@pytest.mark.parametrize(
    ("terms", "more", "words"),
    [
        ([term("gradicon", 1.0)], {}, "must have the displacements of both directions"),
        ([term("dice", 1.0)], {}, "`dice` must have what is known of both images"),
        ([term("landmark_distance", 1.0)], {}, "`landmark_distance` must have what is known"),
        ([term("bending", 1.0)], {"image": draw(0, 1, 1, 2, 2)}, "`bending` of this method: .*at least 3"),
    ],
)
def test_what_is_missing_is_said(terms, more, words):
    image = more.get("image", FIXED)
    field = torch.zeros(len(image), 2, *image.shape[2:], dtype=torch.double)
    with pytest.raises(RegbenchError, match=words):
        objective(part("mse"), part("grad_l2"), LAM, terms=terms)(image, image, field)


def test_a_weight_that_is_still_searched_is_none():
    with pytest.raises(RegbenchError, match="the term `my-bending` must have a weight"):
        objective(part("mse"), part("grad_l2"), LAM, terms=[term("bending", None)])


@pytest.mark.parametrize("name", ["grad_l2", "affine_identity_l1", "gradicon", "dice", "landmark_distance"])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 8)])
def test_the_shapes_that_a_term_judges(name, shape):
    from regbench.losses.objective import bound_term

    judged = [torch.zeros(sizes, dtype=torch.double) for sizes in judged_shapes(name, shape)]
    assert bound_term(part(name))(*judged).ndim == 0

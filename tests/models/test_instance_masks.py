"""`instance` by masks: what lies outside changes nothing, and no mask is moved out of sight."""

import numpy as np
import pytest
import torch

from regbench.losses.masks import Masks
from regbench.losses.objective import MaskRule, objective
from regbench.models.instance import instance
from regbench.models.predict import register
from regbench.spatial import warp
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError

SIMILAR = {"lcc": {"window": 5}, "gcc": {}, "mse": {}, "mi": {}, "nmi": {}, "ngf": {}, "mind": {}}
EACH = pytest.mark.parametrize("name", SIMILAR)


def blobs(shape, shift):
    """Smooth content in the middle, moved along the first axis, float32 ``(*S)``."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float64)
    grid[0] -= shift
    image = np.zeros(shape)
    for place, width in (((0.42, 0.4), 3.0), ((0.58, 0.62), 4.0), ((0.45, 0.66), 2.5)):
        centre = np.array([p * (n - 1) for p, n in zip((*place, 0.5), shape, strict=False)])
        image += np.exp(-((grid - centre.reshape(-1, *[1] * len(shape))) ** 2).sum(0) / (2 * width**2))
    return image.astype(np.float32)


def box(shape, shift, margin=8):
    mask = np.zeros(shape, np.uint8)
    mask[(slice(margin + shift, shape[0] - margin + shift), *[slice(margin, n - margin) for n in shape[1:]])] = 1
    return mask


def model(name, use, dims, lam=0.1, *, regularizer_too=False):
    losses = (ComponentSpec(name=name, parameters=SIMILAR[name]), ComponentSpec(name="grad_l2", parameters={}))
    return instance(
        dims, objective=objective(*losses, lam, MaskRule(use, regularizer_too)), shrink=(2, 1), steps=(25, 15)
    )


@EACH
@pytest.mark.parametrize(
    ("use", "shape"), [("fixed", (44, 40)), ("moving", (44, 40)), ("both", (44, 40)), ("both", (34, 32, 32))]
)
def test_what_lies_outside_the_masks_changes_nothing(name, use, shape):
    if len(shape) == 3 and name in {"mi", "nmi"}:
        pytest.skip("by the formula in 3D it takes long, and the formula is the one of 2D")
    fixed, moving = blobs(shape, 0), blobs(shape, 2)
    masks = (box(shape, 0), box(shape, 2))
    random = np.random.default_rng(0)
    spoiled = [image.copy() for image in (fixed, moving)]
    for image, mask, which in zip(spoiled, masks, ("fixed", "moving"), strict=True):
        if use in (which, "both"):
            image[mask == 0] = random.uniform(-5, 5, int((mask == 0).sum()))
    registers = model(name, use, len(shape))
    clean, same = (register(registers, *pair, masks) for pair in ((fixed, moving), spoiled))
    assert np.abs(clean).max() > 0.5, "it moved"
    # Sums in another order, of float32, over forty steps.
    assert np.abs(clean - same).max() < 0.05 * np.abs(clean).max()
    unmasked = model(name, "none", len(shape))
    assert np.abs(register(unmasked, fixed, moving) - register(unmasked, *spoiled)).max() > 0.3


@EACH
@pytest.mark.parametrize("use", ["moving", "both"])
def test_an_optimisation_does_not_move_the_mask_out(name, use):
    """Images that share nothing, and hardly a price on motion: to flee would be the cheapest."""
    random = np.random.default_rng(0)
    fixed, moving = (random.random((40, 36), dtype=np.float32) for _ in range(2))
    masks = (box((40, 36), 0, 12), box((40, 36), 0, 12))
    u = register(model(name, use, 2, lam=1e-6), fixed, moving, masks)
    moved = warp(torch.from_numpy(masks[1].astype(np.float32))[None, None], torch.from_numpy(u)[None])
    kept = (moved[0, 0].numpy() * (masks[0] if use == "both" else 1)).sum() / masks[1].sum()
    assert kept > 0.7  # without the weight that is expected lcc keeps a third


def test_masks_help_where_they_should():
    """A bright artefact outside the masks pulls the unmasked optimisation, and not the masked one."""
    shape = (44, 40)
    fixed, moving = blobs(shape, 0), blobs(shape, 2)
    masks = (box(shape, 0), box(shape, 2))
    moving[2:6, 10:30] = fixed[36:42, 10:30] = 3
    errors = {}
    for use in ("none", "both"):
        u = register(model("mse", use, 2), fixed, moving, masks)
        errors[use] = np.abs(u[0] - 2)[fixed > 0.3][: (fixed > 0.3).sum() // 2].mean()
    assert errors["both"] < 0.4


def test_a_mask_that_counts_must_be_given():
    image = np.zeros((20, 20), np.float32)
    with pytest.raises(RegbenchError, match=r"`training.mask: moving` must have a mask of the moving image"):
        register(model("mse", "moving", 2), image, image, (image, None))


def test_pairs_of_a_batch_are_registered_as_if_alone():
    shape = (44, 40)
    fixed = torch.from_numpy(np.stack([blobs(shape, 0), blobs(shape, 1)]))[:, None]
    moving = torch.from_numpy(np.stack([blobs(shape, 2), blobs(shape, -1)]))[:, None]
    inside = torch.from_numpy(np.stack([box(shape, 0, 6), box(shape, 0, 12)]).astype(np.float32))[:, None]
    registers = model("mse", "both", 2, regularizer_too=True)
    with torch.no_grad():
        together = registers(fixed, moving, Masks(inside, inside))
        alone = [
            registers(fixed[k : k + 1], moving[k : k + 1], Masks(inside[k : k + 1], inside[k : k + 1]))
            for k in range(2)
        ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-3, atol=1e-3)

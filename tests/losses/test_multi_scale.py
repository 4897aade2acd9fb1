"""A similarity on a pyramid: level by level, weights, masks, what does not fit."""

from typing import Any

import numpy as np
import pytest
import torch
from loss_references import images

from regbench.losses import SIMILARITIES
from regbench.losses.masks import shrunk
from regbench.study import components

multi_scale = SIMILARITIES["multi_scale"]


@pytest.mark.parametrize("shape", [(24, 32), (16, 12, 20)])
@pytest.mark.parametrize(
    ("similarity", "parameters"),
    [("lcc", {"window": 3}), ("gcc", {}), ("mi", {"bins": 16}), ("ngf", None), ("ssim", {"window": [3, 3, 3][:2]})],
)
@pytest.mark.parametrize("masked", [False, True])
def test_is_the_weighted_mean_of_its_levels(
    shape: tuple[int, ...], similarity: str, parameters: dict[str, Any] | None, masked: bool
) -> None:
    """On sides that blocks of four divide, where the pyramid of `instance` is the same."""
    given = dict(parameters or {})
    if similarity == "ssim" and len(shape) == 3:
        given["window"] = [3, 3, 3]
    f, m = (x.double() for x in images(shape))
    mask = (
        torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.double) if masked else None
    )
    expected = 0.0
    bound = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    for factor, weight in ((1, 0.5), (2, 0.2), (4, 0.3)):
        (one, share), (two, _) = (shrunk(x, mask, factor) for x in (f, m))
        expected += weight * SIMILARITIES[similarity](one, two, mask=share, **bound).item()
    found = multi_scale(f, m, mask=mask, similarity=similarity, parameters=given, weights=(5.0, 2.0, 3.0))
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_a_weight_of_zero_leaves_a_level_out() -> None:
    f, m = images((12, 13))
    assert multi_scale(f, m, similarity="mse", levels=1).item() == SIMILARITIES["mse"](f, m).item()
    coarse = multi_scale(f, m, similarity="lcc", parameters={"window": 9}, levels=2, weights=(1, 0))
    assert coarse.item() == SIMILARITIES["lcc"](f, m).item()


@pytest.mark.parametrize("shape", [(13, 15), (9, 11, 10)])
def test_every_level_lacks_the_share_of_the_finest(shape: tuple[int, ...]) -> None:
    """Also where blocks at the far end are cut; nothing is lacking where all of the weight is there."""
    f, m = images(shape)
    mask = torch.zeros(1, 1, *shape)
    mask[..., 3:] = 1
    total = mask.sum()[None]
    alone, whole, half = (
        multi_scale(f, m, mask=mask, similarity="gcc", expected=wanted).item() for wanted in (None, total, 2 * total)
    )
    assert whole == pytest.approx(alone, rel=1e-6)
    assert half == pytest.approx(alone / 2 + 1, rel=1e-6)


def test_float32_at_a_large_offset() -> None:
    """Means of blocks keep the digits that their images have."""
    f, m = images((33, 41), "offset 1000")
    for similarity in ("lcc", "gcc", "nmi"):
        given: dict[str, Any] = {"similarity": similarity, "levels": 2}
        one = multi_scale(f, m, **given).item()
        assert one == pytest.approx(multi_scale(f.double(), m.double(), **given).item(), rel=1e-5)


components.allow(["encoders"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"similarity": "lccc"}, "similarity: `lccc` is unknown; did you mean `lcc`"),
        ({"similarity": "lcc", "parameters": {"windoww": 3}}, "has no parameter `windoww`"),
        ({"similarity": "lcc", "levels": 2}, "fit into the image"),
        ({"similarity": "mse", "levels": 5}, "levels must leave two voxels"),
        ({"similarity": "mse", "levels": 0}, "levels must be from 1"),
        ({"similarity": "mse", "weights": (1.0,)}, "weights one number"),
        ({"similarity": "mse", "weights": (1.0, -1.0, 1.0)}, "weights one number of 0 or more"),
        ({"similarity": "mse", "weights": (0.0, 0.0, 0.0)}, "not all 0"),
        ({"similarity": "multi_scale", "parameters": {"similarity": "mse"}}, "must be another than `multi_scale`"),
        ({"similarity": "encoders:difference"}, "with the keywords `mask` and `expected`"),
        ({"similarity": "elsewhere:f"}, "must be allowed"),
    ],
)
def test_mistakes_are_explained(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multi_scale(torch.rand(1, 1, 12, 12), torch.rand(1, 1, 12, 12), **given)


def test_one_dimension_has_no_pyramid() -> None:
    with pytest.raises(ValueError, match="2D or 3D"):
        multi_scale(torch.rand(1, 1, 40), torch.rand(1, 1, 40), similarity="mse")


def test_blocks_at_the_far_end_are_means_of_what_is_there() -> None:
    f = torch.arange(25.0).view(1, 1, 5, 5)
    value = multi_scale(f, torch.zeros_like(f), similarity="mae", levels=2, weights=(0, 1)).item()
    expected = np.mean([f[0, 0, i : i + 2, j : j + 2].mean().item() for i in (0, 2, 4) for j in (0, 2, 4)])
    assert value == pytest.approx(expected)

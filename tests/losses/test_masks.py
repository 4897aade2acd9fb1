"""Losses by masks: weighted formulas voxel by voxel, gradients to the weights, and no gain from a mask that flees."""

import inspect
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from loss_references import (
    HISTOGRAMS,
    MODES,
    Array,
    correlation_ratio_of,
    curvature_loops,
    determinant_numpy,
    elastic_energy,
    entropy,
    features_loops,
    huber_loops,
    images,
    joint_loops,
    multi_scale_loops,
    of_cells,
    row_of,
    small,
    ssim_loops,
)
from torch import Tensor

from regbench.losses import REGULARIZERS, SIMILARITIES
from regbench.losses.masks import Masks, needed, shrunk, weighted
from regbench.losses.objective import MaskRule, objective
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError

SHAPES = [(7, 8), (6, 7, 6)]
TAKES = [name for name, function in SIMILARITIES.items() if "expected" in inspect.signature(function).parameters]
EACH = pytest.mark.parametrize("name", TAKES)
MASKED = {name: function for name, function in REGULARIZERS.items() if "mask" in inspect.signature(function).parameters}


def pair_and_mask(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Two images and weights of 0, 1 and between, float64."""
    f, m = (x.double() for x in images(shape))
    generator = torch.Generator().manual_seed(3)
    w = torch.rand((1, 1, *shape), generator=generator, dtype=torch.double)
    return f, m, torch.where(w < 0.3, 0, torch.where(w > 0.7, 1, w))


def around(p: tuple[int, ...], radius: int, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    ranges = [range(max(i - radius, 0), min(i + radius, n - 1) + 1) for i, n in zip(p, shape, strict=True)]
    return list(product(*ranges))


def lcc_masked(f: Array, m: Array, w: Array) -> float:
    total = 0.0
    for p in np.ndindex(f.shape):
        q = tuple(np.array(around(p, 1, f.shape)).T)
        n = w[q].sum()
        if n == 0 or w[p] == 0:
            continue
        a, b = f[q] - (w[q] * f[q]).sum() / n, m[q] - (w[q] * m[q]).sum() / n
        va, vb, c = (w[q] * a * a).sum(), (w[q] * b * b).sum(), (w[q] * a * b).sum()
        if (w[q] > 0).sum() > 1:
            total += w[p] * c * c / (va * vb + 1e-5)
    return float(1 - total / w.sum())


def gcc_masked(f: Array, m: Array, w: Array) -> float:
    covariance = np.cov(f.ravel(), m.ravel(), aweights=w.ravel())
    return float(1 - covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def joint_masked(f: Array, m: Array, w: Array) -> Array:
    inside = w > 0
    ends = [(x[inside].min(), x[inside].max()) for x in (f, m)]
    scaled = [(x - low) / (high - low) for x, (low, high) in zip((f, m), ends, strict=True)]
    joint = np.zeros((32, 32))
    for p in np.argwhere(inside):
        one, two = (np.full((1,), x[tuple(p)]) for x in scaled)
        joint += w[tuple(p)] * joint_loops(one, two, 32, 0.5, (0.0, 1.0))
    return joint / w.sum()


def mi_masked(f: Array, m: Array, w: Array) -> float:
    joint = joint_masked(f, m, w)
    return entropy(joint) - entropy(joint.sum(0)) - entropy(joint.sum(1))


def nmi_masked(f: Array, m: Array, w: Array) -> float:
    joint = joint_masked(f, m, w)
    return 2 - (entropy(joint.sum(0)) + entropy(joint.sum(1))) / entropy(joint)


def ngf_masked(f: Array, m: Array, w: Array) -> float:
    def gradient(x: Array, p: tuple[int, ...]) -> Array:
        slopes = []
        for axis in range(x.ndim):
            steps = []
            for sign in (-1, 1):
                q = tuple(i + sign * (k == axis) for k, i in enumerate(p))
                if 0 <= q[axis] < x.shape[axis] and w[q] > 0:
                    steps.append(sign * (x[q] - x[p]))
            slopes.append(np.mean(steps) if steps else 0.0)
        return np.array(slopes)

    total = 0.0
    for p in np.argwhere(w > 0):
        u, v = gradient(f, tuple(p)), gradient(m, tuple(p))
        total += w[tuple(p)] * (u @ v) ** 2 / ((u @ u + 1e-4) * (v @ v + 1e-4))
    return float(1 - total / w.sum())


def mind_masked(f: Array, m: Array, w: Array) -> float:
    def place(p: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(min(max(i + k, 0), n - 1) for i, k, n in zip(p, step, w.shape, strict=True))

    steps = [tuple(s * (k == axis) for k in range(w.ndim)) for axis in range(w.ndim) for s in (-1, 1)]
    pairs = [(s, t) for s, t in combinations(steps, 2) if tuple(-k for k in s) != t]
    known = {}

    def descriptors(x: Array) -> tuple[Array, Array]:
        distances = np.full((*w.shape, len(pairs)), np.nan)
        for p in np.ndindex(w.shape):
            for k, (s, t) in enumerate(pairs):
                ends = [(place(q, s), place(q, t)) for q in around(p, 1, w.shape)]
                values = [(x[a] - x[b]) ** 2 for a, b in ends if w[a] > 0 and w[b] > 0]
                if values:
                    distances[(*p, k)] = np.mean(values)
        known["map"] = ~np.isnan(distances)
        some = known["map"].any(-1)
        distances[some] -= np.nanmin(distances[some], axis=-1, keepdims=True)
        mean = np.where(some, np.nansum(distances, -1) / np.maximum(known["map"].sum(-1), 1), 0)
        typical = mean[w > 0].mean()
        return np.exp(-distances / np.clip(mean, 0.001 * typical, 1000 * typical)[..., None])

    squares = (descriptors(f) - descriptors(m)) ** 2
    local = np.nansum(squares, -1) / np.maximum(known["map"].sum(-1), 1)
    return float((w * local).sum() / w.sum())


LOOPS = {
    "lcc": lcc_masked, "gcc": gcc_masked, "mi": mi_masked, "nmi": nmi_masked, "ngf": ngf_masked, "mind": mind_masked,
    "mse": lambda f, m, w: float((w * (f - m) ** 2).sum() / w.sum()),
    "mae": lambda f, m, w: float((w * np.abs(f - m)).sum() / w.sum()), "huber": huber_loops, "ssim": ssim_loops,
    "multi_scale": multi_scale_loops, "features": features_loops,
    "correlation_ratio": lambda f, m, w: correlation_ratio_of(joint_masked(f, m, w)),
}  # fmt: skip
WORST = {
    "lcc": 1, "gcc": 2, "mse": 1, "mae": 1, "huber": 0.095, "mi": 0, "nmi": 1, "correlation_ratio": 1, "ngf": 1,
    "mind": 1, "ssim": 2, "multi_scale": 1, "features": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_is_its_weighted_formula(name: str, shape: tuple[int, ...]) -> None:
    f, m, w = pair_and_mask(shape)
    expected = LOOPS[name](*(x[0, 0].numpy() for x in (f, m, w)))
    assert small(name, mask=w)(f, m).item() == pytest.approx(expected, rel=1e-9)
    # In float32 too, by whatever form serves it.
    single = small(name, mask=w.float())(f.float(), m.float()).item()
    assert single == pytest.approx(expected, rel=2e-3 if name == "mind" else 2e-5)


@pytest.mark.parametrize(
    "options",
    [{"signed": True}, {"border": "zero"}, {"denominator": "clamp"}, {"kernel": "gaussian"}, {"kernel": "triangular"}],
    ids=str,
)
def test_variants_of_lcc_with_ones_are_unmasked(options: dict[str, Any]) -> None:
    f, m = (x.double() for x in images((9, 10)))
    ones = torch.ones(1, 1, 9, 10)
    masked, plain = (small("lcc", **options, **more)(f, m).item() for more in ({"mask": ones}, {}))
    assert masked == pytest.approx(plain, rel=1e-12)


@EACH
@pytest.mark.parametrize("shape", [(2, 1, 5, 6), (1, 1, 5, 5, 5)])
def test_gradients_to_the_weights(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    f, m = (torch.rand(shape, dtype=torch.double, requires_grad=True) for _ in range(2))
    w = (0.2 + 0.8 * torch.rand(shape, dtype=torch.double)).requires_grad_()
    ends = {"intensity_range": (-0.5, 1.5)} if name in HISTOGRAMS else {}
    expected = 2 * w.detach().flatten(1).sum(1)
    assert torch.autograd.gradcheck(lambda a, b, c: small(name, **ends)(a, b, mask=c, expected=expected), (f, m, w))


@EACH
def test_what_the_mask_lacks_counts_as_fully_dissimilar(name: str) -> None:
    f, m, w = pair_and_mask((7, 8))
    alone = small(name, mask=w)(f, m).item()
    nothing = small(name)(f, m, mask=torch.zeros_like(w), expected=w.sum()[None]).item()
    assert nothing == pytest.approx(WORST.get(name, nothing), abs=1e-12)
    for share in (1.0, 0.8, 0.25):
        found = small(name)(f, m, mask=w, expected=w.sum()[None] / share).item()
        assert found == pytest.approx(share * alone + (1 - share) * nothing, rel=1e-9)
    more = small(name)(f, m, mask=w, expected=w.sum()[None] / 2).item()
    assert more == pytest.approx(alone, rel=1e-12), "more weight than expected is no reward"
    # Each sample of a batch by its own share.
    batch = small(name)(
        f.repeat(2, 1, 1, 1),
        m.repeat(2, 1, 1, 1),
        mask=w,
        expected=w.sum() / torch.tensor([1, 0.25], dtype=torch.double),
    )
    assert batch.item() == pytest.approx(0.625 * alone + 0.375 * nothing, rel=1e-9)


def test_signed_lcc_at_its_worst() -> None:
    f, m, w = pair_and_mask((7, 8))
    assert small("lcc", signed=True)(f, m, mask=0 * w, expected=w.sum()[None]).item() == pytest.approx(2)


def scene(shape: tuple[int, ...], shift: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two images whose content differs by a shift along the first axis, and masks of that content, float32."""
    torch.manual_seed(1)
    wide = torch.nn.functional.interpolate(
        torch.rand(1, 1, *[9] * len(shape)), size=[n + shift for n in shape], mode=MODES[len(shape)]
    )  # fmt: skip
    inside = torch.zeros_like(wide)
    inside[(..., slice(12, shape[0] - 8), *[slice(5, n - 5) for n in shape[1:]])] = 1
    parts = [
        x[:, :, k : k + shape[0]][(..., *[slice(n) for n in shape[1:]])] for x in (wide, inside) for k in (shift, 0)
    ]
    f, m, fixed, moving = (part.clone() for part in parts)
    return f, m, fixed, moving


def specs(name: str) -> tuple[ComponentSpec, ComponentSpec]:
    given = {"window": 5} if name == "lcc" else dict(row_of(name).needs)
    return ComponentSpec(name=name, parameters=given), ComponentSpec(name="grad_l2", parameters={})


@EACH
@pytest.mark.parametrize("use", ["moving", "both"])
@pytest.mark.parametrize("shape", [(32, 28), (28, 22, 20)])
def test_nothing_is_won_by_moving_the_mask_out(name: str, use: Any, shape: tuple[int, ...]) -> None:
    """At the right displacement, at none, half out and out: in this order."""
    f, m, fixed, moving = scene(shape, 3)
    score = objective(*specs(name), 1.0, MaskRule(use)).dissimilarity
    masks = Masks(fixed, moving)

    def at(step: float) -> float:
        u = torch.zeros(1, len(shape), *shape)
        u[:, 0] = step
        return score(f, m, u, masks).item()

    right, still, half, out = at(3), at(0), at(shape[0] - 20 + 8), at(4 * shape[0])
    assert right < still < out
    assert right < half <= out
    assert out == pytest.approx(WORST.get(name, out), abs=1e-6)


@pytest.mark.parametrize("shape", [(32, 28), (28, 22, 20)])
def test_a_mask_that_touches_the_edge_leaves_with_it(shape: tuple[int, ...]) -> None:
    """Beyond the image there is no mask, though the image goes on there; half a side out, half of it is left."""
    whole, u = torch.ones(1, 1, *shape), torch.zeros(1, len(shape), *shape)
    for step, share in ((0, 1.0), (shape[0] // 2, 0.5), (2 * shape[0], 0.0)):
        u[:, 0] = step
        assert weighted(whole, u, Masks(None, whole)).mask.mean().item() == pytest.approx(share)


@EACH
def test_the_gradient_pulls_the_mask_back(name: str) -> None:
    """Where half of the mask has left, the loss falls on the way back."""
    f, m, fixed, moving = scene((32, 28), 3)
    score = objective(*specs(name), 1.0, MaskRule("both")).dissimilarity
    step = torch.tensor(12.5, requires_grad=True)
    u = torch.stack([step.expand(32, 28), torch.zeros(32, 28)])[None]
    (slope,) = torch.autograd.grad(score(f, m, u, Masks(fixed, moving)), step)
    assert slope > 0


def test_a_moved_image_comes_from_inside_the_mask_alone() -> None:
    _, m, fixed, moving = scene((32, 28), 3)
    u = 0.7 * torch.randn(1, 2, 32, 28)
    spoiled = torch.where(moving > 0, m, 1e4)
    one, two = (weighted(x, u, Masks(None, moving)) for x in (m, spoiled))
    inside = one.mask > 1e-6
    torch.testing.assert_close(one.moved[inside], two.moved[inside], rtol=1e-4, atol=1e-5)
    assert one.expected is not None
    assert one.expected.item() == moving.sum().item()
    both = weighted(m, u, Masks(fixed, moving))
    torch.testing.assert_close(both.mask, one.mask * fixed)
    assert weighted(m, u, Masks(fixed, None)).expected is None
    ones = torch.ones_like(m)
    torch.testing.assert_close(weighted(m, 0 * u, Masks(None, ones)).moved, m)
    coarse, share = shrunk(spoiled, moving, 4)
    assert share is not None
    assert coarse[share > 0].max() <= 1
    for k in np.argwhere(share[0, 0].numpy() > 0):
        block = tuple(slice(4 * i, 4 * i + 4) for i in k)
        expected = (m[0, 0][block] * moving[0, 0][block]).sum() / moving[0, 0][block].sum()
        assert coarse[0, 0][tuple(k)].item() == pytest.approx(expected.item(), rel=1e-5)
    assert shrunk(m, moving, 1)[0] is m


def test_masks_that_are_missing_are_named() -> None:
    mask = torch.ones(1, 1, 4, 4)
    with pytest.raises(RegbenchError, match=r"`training.mask: both` must have a mask of the moving image"):
        needed(Masks(mask, None), "both")
    assert needed(Masks(mask, mask), "fixed") == Masks(mask, None)
    assert needed(None, "none") == Masks()


def test_without_a_rule_masks_change_no_bit() -> None:
    f, m, fixed, moving = scene((32, 28), 3)
    u = torch.randn(1, 2, 32, 28)
    plain = objective(*specs("lcc"), 1.0)
    assert torch.equal(plain(f, m, u).loss, plain(f, m, u, Masks(fixed, moving)).loss)


WEIGHTED: dict[str, Callable[[Array, Array], float]] = {
    "elastic": lambda u, w: of_cells(u, w, elastic_energy),
    "tv": lambda u, w: of_cells(u, w, np.linalg.norm),
    "curvature": curvature_loops,
}


def penalty_loops(name: str, u: Array, w: Array) -> float:
    """``u`` is ``(d, *S)``, ``w`` ``(*S)``."""

    def shifted(x: Array, steps: tuple[int, ...]) -> Array:
        return x[(..., *[slice(k, x.shape[x.ndim - len(steps) + a] - 2 + k) for a, k in enumerate(steps)])]

    d, total = len(u), 0.0
    if name.startswith("displacement"):
        power = 1 if name.endswith("l1") else 2
        return float((w * np.abs(u) ** power).sum() / (d * w.sum()))
    if name == "jacobian":
        return float((w * np.maximum(0.9 - determinant_numpy(u), 0)).sum() / w.sum())
    if name in WEIGHTED:
        return WEIGHTED[name](u, w)
    if name.startswith("grad"):
        power = 1 if name.endswith("l1") else 2
        for axis in range(d):
            pairs = np.moveaxis(w, axis, 0)
            both = pairs[1:] * pairs[:-1]
            slope = np.abs(np.diff(np.moveaxis(u, 1 + axis, 1), axis=1)) ** power
            total += (both * slope).sum() / (d * both.sum())
        return float(total / d)
    for i, j in product(range(d), repeat=2):
        values, weights = [], []
        for p in np.ndindex(w.shape):
            q = [tuple(n + a * (k == i) + b * (k == j) for k, n in enumerate(p)) for a, b in product((0, 1), repeat=2)]
            if all(x < n for x, n in zip(q[3], w.shape, strict=True)):
                second = (
                    u[(slice(None), *q[3])]
                    - u[(slice(None), *q[2])]
                    - u[(slice(None), *q[1])]
                    + u[(slice(None), *q[0])]
                )
                weights.append(w[q[0]] * w[q[1]] * w[q[2]] * w[q[3]])
                values.append((second**2).mean())
        total += np.average(values, weights=weights)
    return float(total)


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("shape", [(6, 7), (5, 6, 5)])
def test_regularizers_by_masks(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    u = torch.randn(1, len(shape), *shape, dtype=torch.double, requires_grad=True)
    w = (torch.rand(1, 1, *shape, dtype=torch.double) > 0.25).double()
    loss = partial(MASKED[name], margin=0.9) if name == "jacobian" else MASKED[name]
    expected = penalty_loops(name, u.detach()[0].numpy(), w[0, 0].numpy())
    assert loss(u, mask=w).item() == pytest.approx(expected, rel=1e-9)
    assert loss(u, mask=torch.ones_like(w)).item() == pytest.approx(loss(u).item(), rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: loss(x, mask=w), (u,))
    batch = loss(torch.cat([u, 2 * u]), mask=torch.cat([w, torch.ones_like(w)]))
    assert batch.item() == pytest.approx((loss(u, mask=w) + loss(2 * u)).item() / 2, rel=1e-9)


def test_central_bending_by_a_mask() -> None:
    torch.manual_seed(0)
    u = torch.randn(1, 2, 7, 8, dtype=torch.double)
    central = partial(REGULARIZERS["bending"], stencil="central")
    ones = torch.ones(1, 1, 7, 8, dtype=torch.double)
    assert central(u, mask=ones).item() == pytest.approx(central(u).item(), rel=1e-12)
    half = ones.clone()
    half[..., 4:, :] = 0
    spoiled = torch.where(half > 0, u, 1e6)
    assert central(u, mask=half).item() == central(spoiled, mask=half).item()
    assert central(u, mask=half).item() != pytest.approx(central(u).item(), rel=1e-3)


def test_the_regularizer_takes_the_weights_without_a_gradient() -> None:
    """A mask must not flee from a penalty on the displacement."""
    f, m, fixed, moving = scene((32, 28), 3)
    u = torch.randn(1, 2, 32, 28, requires_grad=True)
    rule = objective(*specs("mse"), 1.0, MaskRule("both", regularizer=True))
    found = rule(f, m, u, Masks(fixed, moving)).regularizer
    weights = weighted(m, u, Masks(fixed, moving)).mask.detach()
    direct = REGULARIZERS["grad_l2"](u, mask=weights)
    assert found.item() == direct.item()
    assert torch.equal(*(torch.autograd.grad(x, u)[0] for x in (found, direct)))
    assert abs(found.item() - REGULARIZERS["grad_l2"](u).item()) > 1e-3


def test_mi_of_nothing_is_nothing() -> None:
    f, m, w = pair_and_mask((7, 8))
    assert -log(32) < small("mi")(f, m, mask=w).item() < small("mi")(f, m, mask=0 * w).item() == 0

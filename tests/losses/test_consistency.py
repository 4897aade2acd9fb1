"""Every consistency, in 2D and 3D: point by point in float64, exact inverses, units, masks, mistakes."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from loss_references import Array
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from regbench.losses import CONSISTENCIES
from regbench.metrics import inverse_consistency_mm
from regbench.spatial import affine_displacement

SHAPES = [(5, 6), (4, 5, 3)]
EACH = pytest.mark.parametrize("name", CONSISTENCIES)


def fields(shape: tuple[int, ...], batch: int = 1, size: float = 1.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pair = size * torch.randn((2, batch, len(shape), *shape), generator=generator, dtype=torch.double)
    return pair[0], pair[1]


def at(v: Array, point: Array) -> Array:
    """``(d, *S)`` at one point, linearly between the corners of its cell, the nearest point of the box beyond it."""
    place = np.array([min(max(x, 0), n - 1) for x, n in zip(point, v.shape[1:], strict=True)])
    base = np.minimum(np.floor(place), np.array(v.shape[1:]) - 2).astype(int)
    total = np.zeros(len(v))
    for corner in product((0, 1), repeat=len(v)):
        share = np.prod([1 - abs(x - b - c) for x, b, c in zip(place, base, corner, strict=True)])
        total += share * v[(slice(None), *(base + corner))]
    return total


def residual_loops(u: Array, v: Array) -> Array:
    r = np.zeros_like(u)
    for p in np.ndindex(u.shape[1:]):
        here = (slice(None), *p)
        r[here] = u[here] + at(v, np.array(p) + u[here])
    return r


def inverse_loops(u: Array, v: Array, w: Array, steps: Array) -> float:
    r, total = residual_loops(u, v), 0.0
    for p in np.ndindex(w.shape):
        total += w[p] * ((r[(slice(None), *p)] * steps) ** 2).sum()
    return float(total / w.sum())


def gradicon_loops(u: Array, v: Array, w: Array, steps: Array) -> float:
    r, total = residual_loops(u, v), 0.0
    for axis in range(len(u)):
        values, weights = [], []
        for p in np.ndindex(w.shape):
            q = tuple(i + (k == axis) for k, i in enumerate(p))
            if q[axis] < w.shape[axis]:
                values.append((((r[(slice(None), *q)] - r[(slice(None), *p)]) * steps / steps[axis]) ** 2).sum())
                weights.append(w[p] * w[q])
        total += np.average(values, weights=weights)
    return float(total)


LOOPS: dict[str, Callable[..., float]] = {"inverse_consistency": inverse_loops, "gradicon": gradicon_loops}


@EACH
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing", [None, (1.5, 0.7, 2.0)])
@pytest.mark.parametrize("masked", [False, True])
def test_is_its_formula(name: str, shape: tuple[int, ...], spacing: tuple[float, ...] | None, masked: bool) -> None:
    u, v = fields(shape)
    steps = spacing and spacing[: len(shape)]
    w = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.double)
    w = torch.where(w < 0.3, 0, w)
    given = {"mask": w} if masked else {}
    weights = w[0, 0].numpy() if masked else np.ones(shape)
    expected = LOOPS[name](u[0].numpy(), v[0].numpy(), weights, np.array(steps or [1.0] * len(shape)))
    assert CONSISTENCIES[name](u, v, spacing=steps, **given).item() == pytest.approx(expected, rel=1e-9)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_to_both_directions(name: str, shape: tuple[int, ...]) -> None:
    """Away from whole voxels, where an interpolation has a corner."""
    torch.manual_seed(0)
    u, v = (x.round() + 0.2 + 0.6 * torch.rand_like(x) for x in fields(shape, batch=2))
    assert torch.autograd.gradcheck(CONSISTENCIES[name], (u.requires_grad_(), v.requires_grad_()))


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_is_a_mean(name: str, shape: tuple[int, ...]) -> None:
    u, v = fields(shape, batch=3)
    each = [CONSISTENCIES[name](u[k : k + 1], v[k : k + 1]) for k in range(3)]
    assert CONSISTENCIES[name](u, v).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)


@EACH
@pytest.mark.parametrize("shape", [(16, 17), (12, 13, 14)])
def test_inverses_cost_nothing(name: str, shape: tuple[int, ...]) -> None:
    """Translations and identities; an affine map and its inverse, away from the edge where one of them ends."""
    dims = len(shape)
    still = torch.zeros(1, dims, *shape, dtype=torch.double)
    assert CONSISTENCIES[name](still, still).item() == 0
    assert CONSISTENCIES[name](still + 1.7, still - 1.7).item() == pytest.approx(0, abs=1e-24)
    linear = torch.eye(dims, dtype=torch.double) + 0.1 * torch.randn(dims, dims, dtype=torch.double)
    shift = torch.rand(dims, 1, dtype=torch.double)
    back = torch.linalg.inv(linear)
    u = affine_displacement(torch.cat([linear, shift], 1)[None], shape)
    v = affine_displacement(torch.cat([back, -back @ shift], 1)[None], shape)
    middle = torch.zeros(1, 1, *shape)
    middle[(..., *[slice(4, n - 4) for n in shape])] = 1
    assert CONSISTENCIES[name](u, v, mask=middle).item() == pytest.approx(0, abs=1e-20)
    assert CONSISTENCIES[name](u, u, mask=middle).item() > 1e-3


def test_a_translation_that_is_not_undone_is_seen_by_one_alone() -> None:
    still = torch.zeros(1, 2, 8, 9)
    assert CONSISTENCIES["inverse_consistency"](still + 2, still).item() == pytest.approx(2 * 2**2)
    assert CONSISTENCIES["gradicon"](still + 2, still).item() == 0


def test_beside_the_metric() -> None:
    """Of a residual of one length everywhere, the square of what the metric says."""
    u, v = torch.zeros(1, 2, 8, 9, dtype=torch.double), torch.zeros(1, 2, 8, 9, dtype=torch.double)
    v[:, 0], v[:, 1] = 0.3, -0.4
    mm = inverse_consistency_mm(u[0].numpy(), v[0].numpy(), (1.5, 2.5))
    assert CONSISTENCIES["inverse_consistency"](u, v, spacing=(1.5, 2.5)).item() == pytest.approx(mm**2)


def test_moving_out_is_no_way_to_win() -> None:
    """Beyond the edge the way back goes on as at the edge."""
    torch.manual_seed(0)
    v = 0.1 * torch.randn(1, 2, 16, 17) - 2
    costs = [CONSISTENCIES["inverse_consistency"](torch.full_like(v, step), v).item() for step in (2, 8, 40)]
    assert costs[0] < costs[1] < costs[2]


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", [(33, 41), (14, 13, 15)])
def test_float32_is_float64(name: str, shape: tuple[int, ...]) -> None:
    u, v = (x.float() for x in fields(shape, batch=2))
    u = u.round() + 0.3  # that rounding does not carry a point into the next cell, where the slope is another
    results = []
    for pair in ((u, v), (u.double(), v.double())):
        leaves = [x.clone().requires_grad_() for x in pair]
        value = CONSISTENCIES[name](*leaves)
        results.append((value.detach(), *torch.autograd.grad(value, leaves)))
    for one, two in zip(*results, strict=True):
        assert (one - two).norm() <= 1e-5 * two.norm()


@EACH
def test_half_precision_autocast_and_nan(name: str) -> None:
    u, v = (x.float() for x in fields((12, 13)))
    expected = CONSISTENCIES[name](u.half().float(), v.half().float())
    half = CONSISTENCIES[name](u.half(), v.half())
    assert (half.dtype, half.item()) == (torch.float32, expected.item())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert CONSISTENCIES[name](u, v).item() == CONSISTENCIES[name](u.clone(), v.clone()).item()
    v[0, 0, 3, 4] = torch.nan
    assert CONSISTENCIES[name](0 * u, v).isnan()
    assert CONSISTENCIES[name](v, 0 * u).isnan()


@EACH
@pytest.mark.parametrize("shape", [(9, 11), (9, 10, 9)])
def test_waits_for_no_device_and_compiles(name: str, shape: tuple[int, ...]) -> None:
    with FakeTensorMode():
        u, v = (torch.empty(2, len(shape), *shape, requires_grad=True) for _ in range(2))
        value = CONSISTENCIES[name](u, v, mask=torch.empty(2, 1, *shape))
        assert [g.shape for g in torch.autograd.grad(value, (u, v))] == [u.shape, v.shape]
    torch._dynamo.reset()
    compiled = torch.compile(CONSISTENCIES[name], fullgraph=True, backend="aot_eager")
    pair = fields(shape, batch=2)
    assert compiled(*pair).item() == pytest.approx(CONSISTENCIES[name](*pair).item(), rel=1e-9)


@EACH
def test_in_mm_the_value_does_not_depend_on_the_grid(name: str) -> None:
    """Two smooth motions in mm of a 64 mm box on three grids."""
    in_mm, in_voxels = [], []
    for steps in ((0.5, 0.5), (1.0, 1.0), (0.5, 1.0)):
        shape = [round(64 / step) for step in steps]
        p = torch.meshgrid(*[(torch.arange(n, dtype=torch.double) + 0.5) for n in shape], indexing="ij")
        mm = [x * step * (2 * torch.pi / 64) for x, step in zip(p, steps, strict=True)]
        u = torch.stack([3 * mm[0].sin() * mm[1].cos() / steps[0], 2 * (mm[0] + mm[1]).cos() / steps[1]])[None]
        v = torch.stack([2 * mm[1].cos() / steps[0], mm[0].sin() / steps[1]])[None]
        in_mm.append(CONSISTENCIES[name](u, v, spacing=steps).item())
        in_voxels.append(CONSISTENCIES[name](u, v).item())
    assert in_mm == pytest.approx([in_mm[0]] * 3, rel=0.02)
    if name == "inverse_consistency":
        assert in_voxels[0] == pytest.approx(4 * in_voxels[1], rel=0.02)


@EACH
def test_mistakes_are_explained(name: str) -> None:
    with pytest.raises(ValueError, match="one shape"):
        CONSISTENCIES[name](torch.zeros(1, 2, 5, 6), torch.zeros(1, 2, 5, 7))
    with pytest.raises(ValueError, match="one component for each axis"):
        CONSISTENCIES[name](torch.zeros(1, 3, 5, 6), torch.zeros(1, 3, 5, 6))
    with pytest.raises(ValueError, match="2 positive numbers"):
        CONSISTENCIES[name](torch.zeros(1, 2, 5, 6), torch.zeros(1, 2, 5, 6), spacing=(1.0, -1.0))
    if name == "gradicon":
        with pytest.raises(ValueError, match="voxels along each axis"):
            CONSISTENCIES[name](torch.zeros(1, 2, 1, 6), torch.zeros(1, 2, 1, 6))

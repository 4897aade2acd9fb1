"""The schemes and measures of the Jacobian penalty: simplex by simplex, the metric's zeros, that descent unfolds."""

from collections.abc import Callable
from functools import partial
from itertools import product
from math import factorial, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_references import Array, determinant_numpy
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from regbench.losses import REGULARIZERS
from regbench.metrics import ndv_percent
from regbench.spatial import identity_grid
from regbench.system import numba_loops

jacobian = REGULARIZERS["jacobian"]
digital = partial(jacobian, scheme="digital")
SHAPES = [(5, 6), (4, 5, 3)]
VARIANTS = [
    {"scheme": scheme, "measure": measure, "margin": margin}
    for scheme, (measure, margin) in product(
        ("central", "digital"), (("below", 0.0), ("below", 0.4), ("absolute", 0.0), ("log", 0.0))
    )
]
EACH = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: " ".join(map(str, v.values())))


def field(shape: tuple[int, ...], batch: int = 1, seed: int = 0, size: float = 0.6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn((batch, len(shape), *shape), generator=generator, dtype=torch.double)


def cost(determinant: float, measure: str, margin: float) -> float:
    if measure == "below":
        return max(0.0, margin - determinant)
    if measure == "absolute":
        return abs(determinant - 1)
    return (log(determinant) if determinant > 0.1 else log(0.1) + (determinant - 0.1) / 0.1) ** 2


def simplices(dims: int) -> list[Array]:
    """Steps from a voxel to the other corners: each cut of each cell around it leaves one there."""
    corners = [np.diag(signs) for signs in product((1, -1), repeat=dims)]
    if dims == 2:
        return corners
    return [*corners, 1 - np.eye(3), np.eye(3) - 1]


def digital_loops(u: Array, w: Array, measure: str, margin: float) -> float:
    """Volumes of simplices by their corners, inner voxel by inner voxel."""
    total = weight = 0.0
    d = len(u)
    for p in np.ndindex(w.shape):
        if any(i in (0, n - 1) for i, n in zip(p, w.shape, strict=True)):
            continue
        local = 0.0
        for steps in simplices(d):
            before = np.linalg.det(steps)
            ends = [u[(slice(None), *(np.array(p) + step).astype(int))] - u[(slice(None), *p)] + step for step in steps]
            local += abs(before) * cost(np.linalg.det(np.array(ends)) / before, measure, margin)
        total += w[p] * local / factorial(d) / 2
        weight += w[p]
    return total / weight


def central_loops(u: Array, w: Array, measure: str, margin: float) -> float:
    costs = np.vectorize(lambda d: cost(d, measure, margin))(determinant_numpy(u))
    return float((w * costs).sum() / w.sum())


@EACH
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_is_its_formula(variant: dict[str, object], shape: tuple[int, ...], masked: bool, engine: str) -> None:
    u = field(shape, batch=2)
    w = torch.rand((2, 1, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.double)
    w = torch.where(w < 0.3, 0, w) if masked else torch.ones_like(w)
    loops = digital_loops if variant["scheme"] == "digital" else central_loops
    measure, margin = variant["measure"], variant["margin"]
    expected = np.mean([loops(u[k].numpy(), w[k, 0].numpy(), measure, margin) for k in range(2)])
    given_mask = {"mask": w} if masked else {}
    assert jacobian(u, **variant, **given_mask).item() == pytest.approx(expected, rel=1e-9)
    assert jacobian(u.float(), **variant, **given_mask).item() == pytest.approx(expected, rel=1e-5)


@EACH
@pytest.mark.parametrize("shape", [(4, 5), (3, 3, 3)])
def test_gradients(variant: dict[str, object], shape: tuple[int, ...]) -> None:
    u = field(shape, batch=2).requires_grad_()
    w = torch.rand((2, 1, *shape), dtype=torch.double)
    assert torch.autograd.gradcheck(partial(jacobian, **variant), (u,))
    assert torch.autograd.gradcheck(partial(jacobian, **variant, mask=w), (u,))
    if variant["measure"] == "log" and len(shape) == 2:
        assert torch.autograd.gradgradcheck(partial(jacobian, **variant), (u[:1].detach().requires_grad_(),), atol=1e-4)


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", [(33, 41), (14, 13, 15), (3, 3, 3), (5, 3, 40)])
def test_float32_is_float64(
    variant: dict[str, object], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a large translation, on three threads."""
    before = torch.get_num_threads()
    monkeypatch.setattr(numba_loops, "VOXELS_A_THREAD", 1)
    u = field(shape, batch=2).float() + 100
    results = []
    try:
        torch.set_num_threads(3)
        for x in (u, u.double()):
            leaf = x.clone().requires_grad_()
            value = 3 * jacobian(leaf, **variant)
            results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert (one - two).norm() <= 1e-5 * two.norm()


@pytest.mark.usefixtures("engine")
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.floats(0.02, 1.5),
    shape=st.sampled_from([(3, 3), (9, 8), (3, 3, 3), (6, 5, 7)]),
    step=st.sampled_from([None, 0.25, 1.0]),
    kind=st.tuples(st.booleans(), st.booleans()),
)
def test_digital_is_the_metric(
    seed: int, size: float, shape: tuple[int, ...], step: float | None, kind: tuple[bool, bool]
) -> None:
    """Zero exactly where it is zero: also where simplices collapse, as with displacements of whole voxels."""
    smooth, masked = kind
    u = field(shape, seed=seed, size=size).float()
    if smooth:
        for axis in range(2, u.ndim):
            u = (u + u.roll(1, axis)) / 2
    if step:
        u = (u / step).round() * step
    w = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(seed)) > 0.4 if masked else None
    percent = ndv_percent(u[0].numpy(), None if w is None else w[0, 0].numpy())
    if np.isnan(percent):  # of a mask without inner voxels
        percent = 0.0
    found = digital(u, mask=w).item()
    assert (found == 0) == (percent == 0)
    assert 100 * found == pytest.approx(percent, rel=1e-5)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("seed", range(4))
def test_a_map_onto_a_plane_has_no_negative_volume(seed: int) -> None:
    """Of determinants that float32 would round to either side of zero."""
    columns = torch.randint(-3000, 3000, (3, 2), generator=torch.Generator().manual_seed(seed)).double()
    onto_a_plane = torch.cat([columns, columns.sum(1, keepdim=True)], 1)
    p = identity_grid((5, 6, 7), dtype=torch.double)
    u = (torch.einsum("kj,j...->k...", onto_a_plane, p) - p).float()[None]
    assert ndv_percent(u[0].numpy()) == 0
    assert digital(u).item() == 0


def checkerboard(shape: tuple[int, ...]) -> Tensor:
    """Neighbours change places: every cell folds, and no central difference sees one."""
    p = identity_grid(shape)
    u = torch.zeros(1, len(shape), *shape)
    u[:, 0] = 0.6 * (1 - 2 * (p.sum(0) % 2))
    return u


@pytest.mark.parametrize("shape", [(8, 9), (6, 7, 8)])
def test_a_checkerboard_is_seen(shape: tuple[int, ...]) -> None:
    u = checkerboard(shape).requires_grad_()
    inner = torch.zeros(1, 1, *shape)
    inner[(..., *[slice(1, -1)] * len(shape))] = 1  # one-sided differences at the border do see it
    assert jacobian(u, mask=inner).item() == 0
    value = digital(u)
    assert value.item() > 0.01
    assert torch.autograd.grad(value, u)[0].abs().max() > 0


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("shape", [(12, 13), (8, 9, 10)])
@pytest.mark.parametrize("start", ["checkerboard", "noise", "waves"])
def test_descent_unfolds(shape: tuple[int, ...], start: str) -> None:
    """To less than a hundredth, by the metric."""
    u = {
        "checkerboard": lambda: checkerboard(shape),
        "noise": lambda: field(shape, size=0.5).float(),
        "waves": lambda: 2 * torch.sin(2 * torch.pi * identity_grid(shape) / 6)[None],
    }[start]()
    before = ndv_percent(u[0].numpy())
    leaf = u.clone().requires_grad_()
    optimizer = torch.optim.Adam([leaf], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        digital(leaf, margin=0.1).backward()
        optimizer.step()
    assert before > 1
    assert ndv_percent(leaf.detach()[0].numpy()) < before / 100


@EACH
@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6)])
def test_a_uniform_scaling_by_hand(variant: dict[str, object], shape: tuple[int, ...]) -> None:
    p, dims = identity_grid(shape, dtype=torch.double)[None], len(shape)
    for factor in (0.5, 1.0, 2.0):
        expected = cost(factor**dims, str(variant["measure"]), float(variant["margin"]))
        assert jacobian((factor - 1) * p, **variant).item() == pytest.approx(expected, rel=1e-9, abs=1e-20)
    mirrored = p.clone()
    mirrored[:, 1:], mirrored[:, 0] = 0, -2 * p[:, 0]
    expected = {"below": 1 + float(variant["margin"]), "absolute": 2, "log": (log(0.1) - 11) ** 2}
    assert jacobian(mirrored, **variant).item() == pytest.approx(expected[str(variant["measure"])])


def test_the_logarithm_weighs_shrinking_and_growing_alike() -> None:
    p = identity_grid((5, 6), dtype=torch.double)[None]
    halved, doubled = (jacobian((factor - 1) * p, measure="log").item() for factor in (0.5, 2.0))
    assert halved == pytest.approx(doubled)


@EACH
@pytest.mark.parametrize("shape", [(9, 11), (9, 10, 9)])
def test_forms(variant: dict[str, object], shape: tuple[int, ...]) -> None:
    """A batch, a translation, half precision, NaN, fake tensors."""
    loss: Callable[..., Tensor] = partial(jacobian, **variant)
    u = field(shape, batch=3)
    assert loss(u).item() == pytest.approx(np.mean([loss(u[k : k + 1]).item() for k in range(3)]), rel=1e-12)
    assert loss(torch.full_like(u, 0.3).float()).item() == 0
    assert loss(u.half()).item() == pytest.approx(loss(u.half().float()).item(), rel=1e-5)
    broken = u.float()
    broken[1, 0, 4, 4] = torch.nan
    leaf = broken.requires_grad_()
    value = loss(leaf)
    assert value.isnan()
    assert torch.autograd.grad(value, leaf)[0].isnan().any()
    with FakeTensorMode():
        leaf = torch.empty(2, len(shape), *shape, requires_grad=True)
        assert torch.autograd.grad(loss(leaf), leaf)[0].shape == leaf.shape


def test_compile() -> None:
    torch._dynamo.reset()
    compiled, u = torch.compile(digital, fullgraph=True, backend="aot_eager"), field((5, 6, 7), batch=3)
    assert compiled(u).item() == pytest.approx(digital(u).item(), rel=1e-9)


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match="margin must be 0 with `measure: log`"):
        jacobian(torch.zeros(1, 2, 5, 6), measure="log", margin=0.1)
    for scheme in ("central", "digital"):
        with pytest.raises(ValueError, match="measure must be `below`, `absolute` or `log`, but got `abs`"):
            jacobian(torch.zeros(1, 2, 5, 6), scheme=scheme, measure="abs")
    for shape in ((1, 2, 2, 6), (1, 1, 9), (1, 3, 2, 5, 6)):
        with pytest.raises(ValueError, match="three voxels along each axis"):
            digital(torch.zeros(shape))

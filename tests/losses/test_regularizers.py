"""Every regularizer, in 2D and 3D: the written-out formula, gradients, units, what it is zero for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_references import bending_loops, curvature_loops, determinant_numpy, elastic_energy, grad_loops, of_cells

from regbench.losses import REGULARIZERS
from regbench.spatial import identity_grid

LOOPS: dict[str, Callable[..., float]] = {
    "grad_l1": lambda u: grad_loops(u, 1),
    "grad_l2": lambda u: grad_loops(u, 2),
    "bending": bending_loops,
    "curvature": curvature_loops,
    "elastic": lambda u: of_cells(u, None, elastic_energy),
    "tv": lambda u: of_cells(u, None, np.linalg.norm),
    "displacement_l1": lambda u: float(np.abs(u).mean()),
    "displacement_l2": lambda u: float((u**2).mean()),
    "jacobian": lambda u: float(np.maximum(0, -determinant_numpy(u)).mean()),
}
SHAPES = [(5, 6), (4, 5, 3)]
EACH = pytest.mark.parametrize("name", REGULARIZERS)


def field(shape: tuple[int, ...], batch: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn((batch, len(shape), *shape), generator=generator, dtype=torch.double)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_is_its_formula(name: str, shape: tuple[int, ...]) -> None:
    if name not in LOOPS:
        pytest.skip(f"{name} has no entry in LOOPS of tests/losses/test_regularizers.py")
    u = field(shape)
    assert REGULARIZERS[name](u).item() == pytest.approx(LOOPS[name](u[0].numpy()), rel=1e-12)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_is_a_mean(name: str, shape: tuple[int, ...]) -> None:
    u = field(shape, batch=3)
    each = [REGULARIZERS[name](u[k : k + 1]) for k in range(3)]
    assert REGULARIZERS[name](u).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)


@EACH
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing", [None, (1.5, 0.7, 2.0)])
def test_gradient(name: str, shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
    u = field(shape, batch=2).requires_grad_()
    steps = spacing and spacing[: len(shape)]
    assert torch.autograd.gradcheck(lambda x: REGULARIZERS[name](x, spacing=steps), (u,))


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", [(33, 41), (14, 13, 15)])
def test_float32_is_float64(name: str, shape: tuple[int, ...]) -> None:
    u = field(shape).float() + 100  # a large translation must not drown the differences
    results = []
    for x in (u, u.double()):
        x.requires_grad_()
        value = REGULARIZERS[name](x)
        results.append((value.detach(), torch.autograd.grad(value, x)[0]))
    for one, two in zip(*results, strict=True):
        assert (one - two).norm() <= 1e-5 * two.norm()


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_translation_costs_nothing(name: str, shape: tuple[int, ...]) -> None:
    u = torch.full((1, len(shape), *shape), 0.3, requires_grad=True)
    value = REGULARIZERS[name](u)
    value.backward()
    assert u.grad is not None
    if name.startswith("displacement"):
        assert value.item() == pytest.approx(0.3 if name.endswith("l1") else 0.09)
    else:
        assert value.item() == 0
        assert u.grad.abs().max() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_bending_of_an_affine_map_is_zero(shape: tuple[int, ...]) -> None:
    p = identity_grid(shape, dtype=torch.double)
    u = torch.stack([p.sum(0) * 0.3 + 1, *(-0.2 * p[k] for k in range(1, len(shape)))])[None]
    assert REGULARIZERS["bending"](u).item() == pytest.approx(0, abs=1e-20)


def wave(spacing: tuple[float, ...]) -> torch.Tensor:
    """One smooth displacement in mm of a 64 mm box, sampled at a spacing; in voxels."""
    shape = tuple(round(64 / step) for step in spacing)
    p = identity_grid(shape, dtype=torch.double)
    mm = [(p[k] + 0.5) * step * (2 * torch.pi / 64) for k, step in enumerate(spacing)]
    moves = [3 * torch.sin(mm[0]) * torch.cos(mm[1]) / spacing[0], 2 * torch.cos(mm[0] + mm[1]) / spacing[1]]
    return torch.stack(moves)[None]


@EACH
def test_in_mm_the_value_does_not_depend_on_the_grid(name: str) -> None:
    """Voxels of 0.5, 1 and 0.5 x 1 mm."""
    steps = [(0.5, 0.5), (1.0, 1.0), (0.5, 1.0)]
    scale = 20 if name == "jacobian" else 1  # so that it folds
    in_mm = [REGULARIZERS[name](scale * wave(s), spacing=s).item() for s in steps]
    assert in_mm == pytest.approx([in_mm[0]] * 3, rel=0.02)
    if name in {"bending", "curvature", "displacement_l1", "displacement_l2"}:
        in_voxels = [REGULARIZERS[name](wave(s)).item() for s in steps]
        assert in_voxels[1] != pytest.approx(in_voxels[0], rel=0.5)


def test_mm_by_hand() -> None:
    """u_0 grows by 1 voxel of 2 mm along axis 1 of 0.5 mm: a slope of 4."""
    u = torch.zeros(1, 2, 4, 3)
    u[0, 0] = torch.tensor([0.0, 1.0, 2.0])
    assert REGULARIZERS["grad_l1"](u, spacing=(2.0, 0.5)).item() == pytest.approx((0 + 4 / 2) / 2)
    assert REGULARIZERS["grad_l2"](u, spacing=(2.0, 0.5)).item() == pytest.approx((0 + 16 / 2) / 2)
    u[0, 0] = torch.tensor([0.0, 1.0, 4.0])  # second difference 2: 2 * 2 mm / 0.25 mm^2 = 16 per mm
    assert REGULARIZERS["bending"](u, spacing=(2.0, 0.5)).item() == pytest.approx(16**2 / 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_further_forms_are_their_formulas(shape: tuple[int, ...]) -> None:
    """In mm, and with parameters that are not the defaults."""
    u, steps = field(shape), np.array((1.5, 0.7, 2.0)[: len(shape)])
    array, spacing = u[0].numpy(), tuple(float(step) for step in steps)
    by_component = lambda g: float(np.mean([np.linalg.norm(row) for row in g]))  # noqa: E731
    expected = {
        "curvature": curvature_loops(array, steps=steps),
        "elastic": of_cells(array, None, lambda g: elastic_energy(g, 0.3, 2.5), steps),
        "tv": of_cells(array, None, by_component, steps),
    }
    parameters = {"curvature": {}, "elastic": {"mu": 0.3, "lam": 2.5}, "tv": {"vectorial": False}}
    for name, value in expected.items():
        assert REGULARIZERS[name](u, spacing=spacing, **parameters[name]).item() == pytest.approx(value, rel=1e-9)


@EACH
@pytest.mark.parametrize("dims", [2, 3])
def test_every_axis_counts_alike(name: str, dims: int) -> None:
    """A field that varies along one axis alone, and moves along that axis, costs the same whichever it is."""
    line, costs = 2 * torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.double), []
    for axis in range(dims):
        u = torch.zeros(1, dims, *[6] * dims, dtype=torch.double)
        u[:, axis] = line.view(*[-1 if k == axis else 1 for k in range(dims)])
        costs.append(REGULARIZERS[name](u).item())
    assert costs[0] > 0
    assert costs == pytest.approx([costs[0]] * dims, rel=1e-12)


@EACH
def test_every_component_and_axis_is_seen(name: str) -> None:
    """A step of any component along any axis changes the cost; of a volume that it alone does not fold."""
    torch.manual_seed(0)
    u = torch.randn(1, 3, 4, 5, 6, dtype=torch.double)
    before = REGULARIZERS[name](u).item()
    for component in range(3):
        for axis in range(3):
            changed = u.clone()
            changed[:, component].select(1 + axis, 2).add_(0.3)
            assert abs(REGULARIZERS[name](changed).item() - before) > 1e-6


def test_curvature_beside_bending() -> None:
    """The same along one axis; a saddle is harmonic."""
    u = torch.zeros(1, 2, 7, 7, dtype=torch.double)
    p = identity_grid((7, 7), dtype=torch.double)
    u[:, 1] = p[0] ** 2
    assert REGULARIZERS["curvature"](u).item() == pytest.approx(REGULARIZERS["bending"](u).item()) == 2
    u[:, 1] = p[0] ** 2 - p[1] ** 2
    assert REGULARIZERS["curvature"](u).item() == pytest.approx(0, abs=1e-20)
    assert REGULARIZERS["bending"](u).item() == pytest.approx(4)


@pytest.mark.parametrize("shape", SHAPES)
def test_elastic_by_hand(shape: tuple[int, ...]) -> None:
    """A rotation is free; a uniform stretch, a shear and a squeeze cost what the textbook says."""
    p, dims = identity_grid(shape, dtype=torch.double)[None], len(shape)
    elastic = REGULARIZERS["elastic"]
    turned = torch.zeros_like(p)
    turned[:, 0], turned[:, 1] = 0.3 * p[:, 1], -0.3 * p[:, 0]
    assert elastic(turned).item() == pytest.approx(0, abs=1e-20)
    stretch = elastic(0.1 * p, mu=2.0, lam=3.0).item()
    assert stretch == pytest.approx(2 * dims * 0.01 + 1.5 * (dims * 0.1) ** 2)
    sheared = torch.zeros_like(p)
    sheared[:, 0] = 0.4 * p[:, 1]
    assert elastic(sheared, mu=2.0, lam=3.0).item() == pytest.approx(2 * 2 * 0.2**2)
    for mu, lam in ((0.0, 1.0), (1.0, -0.1), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="mu must be positive and lam 0 or more"):
            elastic(p, mu=mu, lam=lam)


def test_tv_of_a_step_does_not_depend_on_its_direction() -> None:
    """Along an axis and along the diagonal, of the same length; grad_l1 counts the oblique one for more."""
    p = identity_grid((400, 400), dtype=torch.double) - 199.3
    ball = p.square().sum(0) < 90**2

    def of_step(mask: torch.Tensor, name: str) -> float:
        u = torch.zeros(1, 2, 400, 400, dtype=torch.double)
        u[:, 0] = torch.nn.functional.avg_pool2d(mask.double()[None, None], 9, 1, 4)[:, 0]
        return REGULARIZERS[name](u).item() * 399**2

    square = p.abs().amax(0) < 90
    turned = p.abs().sum(0) < 90 * 2**0.5
    assert of_step(turned, "tv") == pytest.approx(of_step(square, "tv"), rel=0.03)
    assert of_step(ball, "tv") == pytest.approx(2 * np.pi * 90, rel=0.03)
    assert of_step(turned, "grad_l1") > 1.3 * of_step(square, "grad_l1")


def test_jacobian_sees_a_fold_and_a_margin() -> None:
    p = identity_grid((6, 7))
    folded = torch.stack([-2 * p[0], 0 * p[1]])[None]  # p + u = -p along axis 0: determinant -1 everywhere
    assert REGULARIZERS["jacobian"](folded).item() == pytest.approx(1)
    still = torch.zeros(1, 2, 6, 7)
    assert REGULARIZERS["jacobian"](still, margin=1.5).item() == pytest.approx(0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_scaling(seed: int, factor: float) -> None:
    """The squared ones grow with the square of the field, the absolute ones with the field."""
    u = field((5, 4), seed=seed)
    for name in ("grad_l1", "displacement_l1", "grad_l2", "displacement_l2", "bending"):
        power = 1 if name.endswith("l1") else 2
        assert REGULARIZERS[name](factor * u).item() == pytest.approx(factor**power * REGULARIZERS[name](u).item())


@EACH
def test_autocast_and_half_precision(name: str) -> None:
    u = field((12, 13)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert REGULARIZERS[name](u).item() == REGULARIZERS[name](u.clone()).item()
        assert REGULARIZERS[name](u).dtype == torch.float32
    assert REGULARIZERS[name](u.half()).item() == pytest.approx(REGULARIZERS[name](u.half().float()).item())


@EACH
def test_mistakes_are_explained(name: str) -> None:
    with pytest.raises(ValueError, match="one component for each axis"):
        REGULARIZERS[name](torch.zeros(1, 3, 5, 6))
    with pytest.raises(ValueError, match="2 positive numbers"):
        REGULARIZERS[name](torch.zeros(1, 2, 5, 6), spacing=(1.0, -1.0))
    choice = {"bending": "stencil", "jacobian": "scheme"}.get(name)
    if choice:
        with pytest.raises(ValueError, match=f"{choice} must be `\\w+` or `\\w+`, but got `wide`"):
            REGULARIZERS[name](torch.zeros(1, 2, 5, 6), **{choice: "wide"})
    if not name.startswith("displacement"):
        with pytest.raises(ValueError, match="voxels along each axis"):
            REGULARIZERS[name](torch.zeros(1, 2, 1, 6))

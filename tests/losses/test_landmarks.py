"""The distance of landmarks: against the metric, absent ones, gradients, mistakes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from regbench.losses import landmark_distance
from regbench.metrics import tre_mm

SHAPES = [(7, 9), (6, 7, 5)]


def case(shape: tuple[int, ...], batch: int = 1, count: int = 11) -> tuple[Tensor, Tensor, Tensor]:
    """Some landmarks lie beyond the border."""
    generator = torch.Generator().manual_seed(0)
    sides = torch.tensor(shape, dtype=torch.double)
    u = 2 * torch.randn((batch, len(shape), *shape), generator=generator, dtype=torch.double)
    p, q = torch.rand((2, batch, count, len(shape)), generator=generator, dtype=torch.double) * (sides + 1) - 1
    return u, p, q


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing", [None, (1.5, 0.7, 2.0)])
def test_is_the_metric(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
    u, p, q = case(shape)
    steps = spacing and spacing[: len(shape)]
    expected = tre_mm(u[0].numpy(), p[0].numpy(), q[0].numpy(), steps or (1.0,) * len(shape))
    assert landmark_distance(u, p, q, spacing=steps).item() == pytest.approx(expected, rel=1e-9)
    single = landmark_distance(u.float(), p, q, spacing=steps)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-5)
    assert landmark_distance(u.half(), p, q).dtype == torch.float32


@pytest.mark.parametrize("shape", SHAPES)
def test_absent_ones_are_left_out(shape: tuple[int, ...]) -> None:
    """One in the fixed image, two in the moving one; a sample with none."""
    u, p, q = case(shape, batch=3)
    p[0, 2, 1] = np.nan
    q[0, 5], q[1, 0, 0] = np.nan, np.nan
    q[2] = np.nan
    u.requires_grad_()
    kept = [i for i in range(11) if i not in (2, 5)]
    steps = (1.0,) * len(shape)
    field = u.detach().numpy()
    first = tre_mm(field[0], p[0, kept].numpy(), q[0, kept].numpy(), steps)
    second = tre_mm(field[1], p[1, 1:].numpy(), q[1, 1:].numpy(), steps)
    value = landmark_distance(u, p, q)
    assert value.item() == pytest.approx((first + second) / 2, rel=1e-9)
    (slope,) = torch.autograd.grad(value, u)
    assert slope.isfinite().all()
    assert slope[2].abs().max() == 0
    assert slope[0].abs().max() > 0
    nothing = landmark_distance(u, p * np.nan, q)
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, u)[0].abs().max() == 0
    assert landmark_distance(u, p[:, :0], q[:, :0]).item() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient(shape: tuple[int, ...]) -> None:
    u, p, q = case(shape, batch=2)
    steps = (1.5, 0.7, 2.0)[: len(shape)]
    assert torch.autograd.gradcheck(lambda x: landmark_distance(x, p, q, spacing=steps), (u.requires_grad_(),))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_landmark_that_is_hit_has_no_slope(shape: tuple[int, ...]) -> None:
    u = torch.zeros(1, len(shape), *shape, requires_grad=True)
    p = torch.ones(1, 1, len(shape))
    value = landmark_distance(u, p, p)
    assert value.item() == 0
    assert torch.autograd.grad(value, u)[0].abs().max() == 0


def test_a_diverged_displacement_is_seen() -> None:
    u, p, q = case((7, 9))
    assert landmark_distance(torch.full_like(u, torch.nan), p, q).isnan()
    far = torch.full_like(p, 1e30)
    assert landmark_distance(u, far, far).isfinite()


def test_mistakes_are_explained() -> None:
    u, p, q = case((7, 9), batch=2)
    for one, two in ((p, q[:, 1:]), (p[:1], q[:1]), (p[..., :1], q[..., :1]), (p[0], q[0])):
        with pytest.raises(ValueError, match=r"both be \(B, N, d\) with B = 2 and d = 2"):
            landmark_distance(u, one, two)
    with pytest.raises(ValueError, match="2 positive numbers"):
        landmark_distance(u, p, q, spacing=(1.0,))
    with pytest.raises(ValueError, match="one component for each axis"):
        landmark_distance(u[:, :1], p, q)

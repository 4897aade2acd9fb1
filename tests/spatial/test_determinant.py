"""The Jacobian determinant against numpy.gradient, and its own gradient."""

from itertools import product

import numpy as np
import pytest
import torch
from loss_references import determinant_numpy

from regbench.spatial import identity_grid, jacobian_determinant

SHAPES = [(9,), (7, 8), (2, 3), (5, 6, 7), (2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_is_numpy_gradient(shape: tuple[int, ...]) -> None:
    u = torch.randn(2, len(shape), *shape, dtype=torch.double)
    for determinant, field in zip(jacobian_determinant(u), u, strict=True):
        np.testing.assert_allclose(determinant.numpy(), determinant_numpy(field.numpy()), atol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 3)])
def test_gradients(shape: tuple[int, ...]) -> None:
    u = torch.randn(2, len(shape), *shape, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(jacobian_determinant, (u,))
    assert torch.autograd.gradgradcheck(jacobian_determinant, (u[:1].detach().requires_grad_(),), fast_mode=True)


def test_linear_maps_by_hand() -> None:
    p = identity_grid((5, 6, 4))
    for a, b, c in product((-0.5, 0, 1), repeat=3):
        u = torch.stack([a * p[0] + p[1], b * p[1], c * p[2] - p[0]])[None]
        found = jacobian_determinant(u)
        assert torch.allclose(found, torch.full_like(found, (1 + a) * (1 + b) * (1 + c)), atol=1e-5)


def test_layout_and_precision() -> None:
    u = torch.randn(2, 5, 6, 7, 3).movedim(-1, 1)  # as a channels-last network leaves it
    assert torch.equal(jacobian_determinant(u), jacobian_determinant(u.contiguous()))
    assert jacobian_determinant(u.half()).dtype == torch.float32
    assert torch.func.vmap(jacobian_determinant)(u[None]).shape == (1, 2, 5, 6, 7)


def test_mistakes_are_explained() -> None:
    for shape in ((1, 3, 5, 6), (1, 2, 1, 6), (1, 4, 3, 3, 3, 3)):
        with pytest.raises(ValueError, match="displacement must be"):
            jacobian_determinant(torch.zeros(shape))

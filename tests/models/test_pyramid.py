"""The pyramid: correlation by loops, exact levels at any size, composition by scipy, shifts found along each axis."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from regbench.losses.objective import objective
from regbench.models import MODELS
from regbench.models.adam import Adam
from regbench.models.pyramid import correlation
from regbench.spatial import identity_grid, warp
from regbench.study.specs import ComponentSpec

SHAPES = [(20, 33), (11, 14, 9)]


def small(dims, **given):
    torch.manual_seed(0)
    return MODELS["pyramid"](dims, **{"channels": (4, 6, 8), **given})


def moving_much(model):
    """Heads of a trained network: displacements of voxels, that differ from place to place."""
    for head in model.heads:
        torch.nn.init.normal_(head.weight, std=0.1)
    return model


def blobs(shape):
    """A smooth image without a symmetry, dark at its edges."""
    grid = identity_grid(shape)
    image = torch.zeros(shape)
    for number, (share, width) in enumerate(((0.35, 3.0), (0.6, 4.0), (0.5, 2.5))):
        middle = [(share + 0.12 * ((axis + number) % 3 - 1)) * (n - 1) for axis, n in enumerate(shape)]
        middle = torch.tensor(middle).view(-1, *[1] * len(shape))
        image += (1 - 0.25 * number) * torch.exp(-(((grid - middle) / width) ** 2).sum(0))
    return image[None, None]


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 5)])
def test_the_correlation_is_the_cosine_with_each_neighbour(shape):
    torch.manual_seed(0)
    fixed, moving = torch.randn(2, 2, 6, *shape)
    ours = correlation(fixed, moving).numpy()
    assert ours.shape == (2, 3 ** len(shape), *shape)
    f, m = fixed.double().numpy(), moving.double().numpy()
    for b, p in product(range(2), np.ndindex(*shape)):
        for channel, shift in enumerate(product((-1, 0, 1), repeat=len(shape))):
            q = tuple(a + s for a, s in zip(p, shift, strict=True))
            inside = all(0 <= a < n for a, n in zip(q, shape, strict=True))
            expected = 0.0
            if inside:
                x, y = f[(b, slice(None), *p)], m[(b, slice(None), *q)]
                expected = x @ y / np.sqrt((x @ x) * (y @ y))
            assert ours[(b, channel, *p)] == pytest.approx(expected, abs=1e-5)


def test_flat_features_correlate_with_nothing_and_have_a_gradient():
    features = torch.zeros(1, 3, 4, 4, requires_grad=True)
    values = correlation(features, torch.ones(1, 3, 4, 4))
    assert torch.equal(values, torch.zeros_like(values))
    values.sum().backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("shape", [*SHAPES, (64, 48), (17, 33), (2, 3)])
@pytest.mark.parametrize("flow", ["full", "half", "quarter"])
def test_a_constant_of_a_level_is_its_voxels_in_the_image(shape, flow):
    """At any size a voxel of level k is 2**k voxels of the image, without a shift and without a stretch."""
    dims = len(shape)
    constant = torch.arange(1.0, dims + 1) / 8
    for level in range(3 - {"full": 0, "half": 1, "quarter": 2}[flow]):
        model = small(dims, flow=flow)
        for head in model.heads:
            torch.nn.init.zeros_(head.weight)
        with torch.no_grad():
            model.heads[level].bias.copy_(constant)
            displacement = model(*torch.rand(2, 1, 1, *shape))
        expected = (constant * 2 ** (2 - level)).view(1, -1, *[1] * dims).expand_as(displacement)
        assert torch.allclose(displacement, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(17, 21), (9, 13, 17)])
def test_levels_are_warped_and_composed_as_scipy_does(shape):
    """fixed(p) is like moved(p + fine(p)), and moved(q) is moving(q + coarse(q))."""
    torch.manual_seed(0)
    dims = len(shape)
    model = moving_much(MODELS["pyramid"](dims, channels=(4, 6), flow="full"))
    heads, inputs = [], []
    for head in model.heads:
        head.register_forward_hook(lambda _, __, output: heads.append(output[0].numpy()))
    for block in model.decoder:
        block.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0].numpy()))
    fixed, moving = torch.rand(2, 1, 1, *shape)
    with torch.no_grad():
        displacement = model(fixed, moving)[0].numpy()
        features = model.encoder[0](moving)[0].numpy()
    coarse, fine = heads
    grid = np.indices(shape, dtype=np.float64)
    on_image = np.stack([2 * map_coordinates(c, grid / 2, order=1, mode="nearest") for c in coarse.astype(float)])
    warped = [map_coordinates(c, grid + on_image, order=1, mode="nearest") for c in features.astype(float)]
    assert np.abs(on_image).max() > 0.5
    np.testing.assert_allclose(inputs[1][4:8], warped, atol=1e-4)  # behind the four features of the fixed image
    total = fine + np.stack([map_coordinates(c, grid + fine, order=1, mode="nearest") for c in on_image])
    np.testing.assert_allclose(displacement, total, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", ["none", "instance"])
def test_pairs_of_a_batch_do_not_see_each_other(shape, norm):
    model = moving_much(small(len(shape), norm=norm))
    fixed, moving = torch.rand(2, 3, 1, *shape)
    with torch.no_grad():
        together = model(fixed, moving)
        for k in range(3):
            alone = model(fixed[k : k + 1], moving[k : k + 1])[0]
            assert alone.abs().max() > 0.1
            assert torch.allclose(together[k], alone, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_the_first_step_reaches_every_level(shape, diffeomorphic):
    model = small(len(shape), flow="full", norm="none", diffeomorphic=diffeomorphic)
    fixed, moving = torch.rand(2, 2, 1, *shape)
    (fixed - warp(moving, model(fixed, moving))).square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_sixteen_bits_in_the_network_leave_the_displacement_exact(shape):
    model = moving_much(small(len(shape)))
    fixed, moving, kinds = blobs(shape), blobs(shape).flip(2), []
    for head in model.heads:
        head.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    with torch.no_grad():
        exact = model(fixed, moving)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(fixed, moving)
    assert {rounded.dtype, *kinds} == {torch.float32}
    assert exact.abs().max() > 0.5
    # A field of bfloat16 would have few values: one in 256 of its size apart.
    assert len(rounded.unique()) > 0.9 * rounded.numel()
    assert (rounded - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize("shape", [(33, 30), (20, 17, 19)])
def test_a_shift_is_found_along_each_axis(shape, device):
    dims = len(shape)
    mse, smooth = (ComponentSpec(name=name, parameters={}) for name in ("mse", "grad_l2"))
    loss_of = objective(mse, smooth, 0.01)
    for axis, voxels in zip(range(dims), (3.0, -3.0, 2.0), strict=False):
        model = small(dims, channels=(8, 8, 8)).to(device)
        moving = blobs(shape).to(device)
        shift = torch.zeros(1, dims, *shape, device=device)
        shift[:, axis] = voxels
        fixed = warp(moving, shift)
        optimiser = Adam(model.parameters())
        for _ in range(60):
            loss_of(fixed, moving, model(fixed, moving)).loss.backward()
            optimiser.step(5e-3)
        with torch.no_grad():
            error = model(fixed, moving) - shift
        assert error[0][:, fixed[0, 0] > 0.3].abs().mean() < 0.3

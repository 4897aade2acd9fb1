"""Refinement: it begins at the network's displacement, goes down the objective, and keeps what the network promised."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from regbench.losses.masks import Masks
from regbench.losses.objective import MaskRule, objective
from regbench.metrics import ndv_percent
from regbench.models.predict import build_model, mask_use, optimises, register
from regbench.models.refined import Refined, refined
from regbench.spatial import compose, identity_grid
from regbench.spatial.registration import Registration, parts
from regbench.study.grid_config import Refine
from regbench.study.specs import ComponentSpec

SHAPES = [(20, 27), (11, 14, 9)]
NETWORK = {"encoder": [4, 8], "decoder": [8, 8, 4]}


def part(name, **parameters):
    return ComponentSpec(name=name, parameters=parameters)


def goal(lam=0.05, use="none"):
    return objective(part("mse"), part("grad_l2"), lam, MaskRule(use))


def images(shape, count=1, seed=0):
    """Smooth, without a symmetry."""
    generator = torch.Generator().manual_seed(seed)
    grid, dims = identity_grid(shape), len(shape)
    sides = torch.tensor(shape).view(-1, *[1] * dims)
    waves = torch.rand(count, 2, 6, dims, generator=generator) * 8
    planes = (waves.view(count, 2, 6, dims, *[1] * dims) * grid / sides).sum(3)
    return torch.sin(planes).mean(2, keepdim=False)[:, :, None].unbind(1)


def network(dims, spread=0.1, **parameters):
    """A network that moves by a voxel or so, as if it had been trained."""
    torch.manual_seed(0)
    spec = part("voxelmorph", **NETWORK, **parameters)
    model = build_model(spec, dims)
    for module in (model, getattr(model, "deformable", model)):
        if hasattr(module, "head"):
            torch.nn.init.normal_(module.head.weight, std=spread)
    if parameters.get("affine"):
        torch.nn.init.normal_(model.affine.head.weight, std=0.02)
    return spec, model


def refine(spec, model, steps=20, rate=0.05, **given):
    return refined(model, spec, goal(**given), Refine(steps=steps, learning_rate=rate))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parameters", [{}, {"diffeomorphic": True}, {"affine": True}])
def test_it_begins_at_the_network_and_goes_down_the_objective(shape, parameters):
    spec, model = network(len(shape), **parameters)
    fixed, moving = images(shape)
    with torch.no_grad():
        start = parts(model(fixed, moving))
    still = parts(refine(spec, model, steps=1, rate=1e-7)(fixed, moving))
    for before, after in zip(start, still, strict=True):
        assert torch.allclose(before, after, atol=1e-4)
    end = refine(spec, model)(fixed, moving)
    losses = [float(goal()(fixed, moving, output).loss) for output in (start, end)]
    assert start.displacement.abs().max() > 0.3
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_added_acts_before_the_network(shape):
    """phi(p + v(p)), by scipy; v lies on a grid of every second voxel, in its voxels."""
    spec, model = network(len(shape))
    torch.manual_seed(1)
    fixed, moving = images(shape)
    coarse = [max(-(-n // 2), 2) for n in shape]
    field = torch.randn(1, len(shape), *coarse) / 2
    with torch.no_grad():
        start = model(fixed, moving)
    result = refine(spec, model)._changed(Registration(start, start), field).displacement[0].numpy()
    grid = np.indices(shape, dtype=np.float64)
    ratio = np.array([(n - 1) / (m - 1) for n, m in zip(shape, coarse, strict=True)])
    ratio = ratio.reshape(-1, *[1] * len(shape))
    first = ratio * np.stack([map_coordinates(c, grid / ratio, order=1, mode="nearest") for c in field[0].numpy()])
    whole = [map_coordinates(c, grid + first, order=1, mode="nearest") for c in start[0].double().numpy()]
    np.testing.assert_allclose(result, first + np.stack(whole), atol=1e-4)


def test_behind_an_affine_stage_the_deformable_part_is_refined():
    spec, model = network(2, affine=True)
    fixed, moving = images((20, 27))
    with torch.no_grad():
        outer = model.affine(fixed, moving).displacement
        before = model(fixed, moving)
        total, deformable = refine(spec, model)(fixed, moving)
    assert not torch.allclose(deformable, before.penalised, atol=0.05)
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    assert torch.allclose(total[inner], compose(outer, deformable)[inner], atol=0.02)


def test_a_diffeomorphic_network_stays_one():
    shape, folds = (28, 28), {}
    fixed, moving = torch.rand(2, 1, 1, *shape, generator=torch.Generator().manual_seed(0))
    for diffeomorphic in (True, False):
        spec, model = network(2, spread=0.01, diffeomorphic=diffeomorphic)
        with torch.no_grad():
            assert ndv_percent(model(fixed, moving)[0].numpy()) == 0
        found = refine(spec, model, steps=40, rate=0.2, lam=1e-3)(fixed, moving).displacement
        folds[diffeomorphic] = ndv_percent(found[0].numpy())
    assert folds[False] > 3
    assert folds[True] < folds[False] / 5  # the digits of a field that is sampled, not folds of the map


@pytest.mark.parametrize("shape", SHAPES)
def test_pairs_of_a_batch_are_refined_as_if_alone(shape):
    spec, model = network(len(shape))
    fixed, moving = images(shape, count=2)
    model = refine(spec, model, steps=8)
    together = model(fixed, moving).displacement
    for k in range(2):
        alone = model(fixed[k : k + 1], moving[k : k + 1]).displacement[0]
        assert torch.allclose(together[k], alone, atol=0.02)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_weights_stay_as_they_were():
    spec, model = network(2)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    fixed, moving = images((20, 27))
    displacement = register(refine(spec, model), fixed[0, 0].numpy(), moving[0, 0].numpy())
    assert displacement.dtype == np.float32
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_masks_of_the_training_count():
    shape = (24, 32)
    spec, model = network(2, spread=1e-6)
    fixed, moving = images(shape)
    mask = torch.zeros(1, 1, *shape)
    mask[..., :12] = 1
    model = refine(spec, model, use="fixed", lam=1e-4)
    assert mask_use(model) == "fixed"
    assert optimises(model)
    masked = model(fixed, moving, Masks(mask, None)).displacement.abs()
    whole = refine(spec, model.network, lam=1e-4)(fixed, moving).displacement.abs()
    assert masked[..., :10].mean() > 0.8 * whole[..., :10].mean()
    assert masked[..., 20:].mean() < 0.3 * whole[..., 20:].mean()


def test_what_has_no_displacement_is_refused():
    class Matrix(torch.nn.Module):
        def forward(self, fixed, moving):
            return Registration(torch.zeros(1, 2, *fixed.shape[2:]), torch.eye(2, 3)[None])

    model = Refined(Matrix(), goal(), Refine(steps=1))
    with pytest.raises(ValueError, match=r"must be a displacement \(1, 2, 8, 8\), but .* sees \(1, 2, 3\)"):
        model(*torch.rand(2, 1, 1, 8, 8))

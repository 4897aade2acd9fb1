"""The network: reference parameter counts, any image size, 2D and 3D, near-zero start."""

import pytest
import torch

from regbench.models import MODELS
from regbench.spatial import resize_displacement


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(32, 48), (37, 21), (16, 18, 23)])
def test_any_size_and_a_near_zero_start(name, shape, device):
    torch.manual_seed(0)
    model = MODELS[name](len(shape)).to(device)
    fixed, moving = torch.rand(2, 2, 1, *shape, device=device)
    displacement = model(fixed, moving)
    assert displacement.shape == (2, len(shape), *shape)
    assert displacement.abs().max() < 1e-2
    displacement.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(("dims", "count"), [(2, 109_170), (3, 327_331)])
def test_full_resolution_has_the_reference_parameter_count(dims, count):
    model = MODELS["voxelmorph"](dims, flow="full")
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("flow", ["half", "quarter"])
def test_a_coarse_flow_is_smooth_between_its_points(flow):
    model = MODELS["voxelmorph"](2, flow=flow)
    torch.nn.init.normal_(model.head.weight)
    displacement = model(*torch.rand(2, 1, 1, 32, 32))
    step = {"half": 16, "quarter": 8}[flow]
    # A field that was predicted on the coarse grid survives the way down to it and back.
    again = resize_displacement(resize_displacement(displacement, (step, step)), (32, 32))
    assert not torch.allclose(displacement, torch.zeros_like(displacement), atol=1e-3)
    exact = (displacement[..., ::31, ::31] - again[..., ::31, ::31]).abs().max()
    assert exact < 1e-4


def test_the_seed_fixes_the_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in MODELS["voxelmorph"](2).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("given", [{"decoder": (8,)}, {"encoder": (4,), "decoder": (4,), "flow": "quarter"}])
def test_impossible_networks_are_refused(given):
    with pytest.raises(ValueError, match="must"):
        MODELS["voxelmorph"](2, **given)

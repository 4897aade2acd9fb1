"""The models: reference parameter counts, any image size, 2D and 3D, near-zero start, what each is for."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from monai.networks.blocks import DVF2DDF

from regbench.losses import AFFINE_REGULARIZERS, REGULARIZERS
from regbench.losses.objective import objective
from regbench.metrics import ndv_percent
from regbench.models import AFFINE_MODELS, MODELS
from regbench.models.adam import Adam
from regbench.orchestration.registries import check_component
from regbench.spatial import affine_displacement, compose, identity_grid, integrate, resize_displacement, warp
from regbench.spatial.registration import parts
from regbench.study.specs import ComponentSpec

neurite_only = pytest.mark.skipif(find_spec("voxelmorph") is None, reason="voxelmorph is no dependency of the tests")
SHAPES = [(32, 48), (37, 21), (16, 18, 23)]
NETWORKS = {
    **{name: (name, {}) for name in (*MODELS, *AFFINE_MODELS) if name != "instance"},
    "diffeomorphic": ("voxelmorph", {"diffeomorphic": True}),
    "normalised": ("voxelmorph", {"norm": "instance"}),
    "lkunet diffeomorphic": ("lkunet", {"diffeomorphic": True, "flow": "quarter"}),
    "affine first": ("voxelmorph", {"affine": True}),
    "pyramid diffeomorphic": ("pyramid", {"diffeomorphic": True, "flow": "quarter"}),
    "pyramid normalised, affine first": ("pyramid", {"norm": "instance", "flow": "full", "affine": True}),
}


def blob(shape, centre, width):
    grid = identity_grid(shape)
    middle = torch.tensor([c * (n - 1) for c, n in zip(centre, shape, strict=True)]).view(-1, *[1] * len(shape))
    spread = torch.tensor(width).view(-1, *[1] * len(shape))
    return torch.exp(-(((grid - middle) / spread) ** 2).sum(0))[None, None]


def scene(shape):
    """Three blobs: no symmetry, so that one affine map is right."""
    places = [(0.3, 0.4, 0.5), (0.65, 0.6, 0.4), (0.55, 0.25, 0.6)]
    widths = [(4.0, 6.0, 5.0), (5.0, 3.0, 4.0), (3.0, 3.0, 6.0)]
    return sum(blob(shape, p[: len(shape)], w[: len(shape)]) for p, w in zip(places, widths, strict=True))


def terms(similarity="mse", regularizer="grad_l2", lam=0.01):
    return objective(*(ComponentSpec(name=name, parameters={}) for name in (similarity, regularizer)), lam)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_and_a_near_zero_start(name, shape, device):
    torch.manual_seed(0)
    function, given = NETWORKS[name]
    model = {**MODELS, **AFFINE_MODELS}[function](len(shape), **given).to(device)
    fixed, moving = torch.rand(2, 2, 1, *shape, device=device)
    displacement, penalised = parts(model(fixed, moving))
    assert displacement.shape == (2, len(shape), *shape)
    assert displacement.abs().max() < 1e-2
    (displacement.square().sum() + penalised.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("shape", [(30, 26), (20, 18, 16)])
def test_the_affine_network_recovers_a_known_affine(shape):
    torch.manual_seed(0)
    dims = len(shape)
    linear = torch.eye(dims) + 0.08 * torch.tensor([[1.0, -1, 0], [1, -0.5, 1], [0, 1, 0.5]])[:dims, :dims]
    truth = torch.cat([linear, torch.tensor([[1.5], [-1.0], [0.5]])[:dims]], 1)[None]
    moving = scene(shape)
    fixed = warp(moving, affine_displacement(truth, shape))
    model = AFFINE_MODELS["affine"](dims)
    optimiser, loss_of = Adam(model.parameters()), terms("mse", "affine_identity_l2", 1e-6)
    for _ in range(250):
        loss_of(fixed, moving, model(fixed, moving)).loss.backward()
        optimiser.step(3e-3)
    error = (model(fixed, moving).displacement - affine_displacement(truth, shape)).norm(dim=1)
    inside = fixed[0, 0] > 0.2
    assert error[0][inside].mean() < 0.3
    assert affine_displacement(truth, shape).norm(dim=1)[0][inside].mean() > 1.4


def test_an_affine_displacement_is_what_the_matrix_says():
    matrix = torch.tensor([[[1.1, 0.2, 1.0], [-0.1, 0.9, -2.0]]])
    u = affine_displacement(matrix, (5, 7))
    for p in [(0, 0), (2, 3), (4, 1)]:
        away = np.array(p) - np.array([2.0, 3.0])
        expected = matrix[0, :, :2].numpy() @ away + matrix[0, :, 2].numpy() - away
        assert u[0, :, p[0], p[1]].numpy() == pytest.approx(expected, abs=1e-5)


def test_an_affine_stage_is_followed_by_the_deformable_one():
    torch.manual_seed(0)
    model = MODELS["voxelmorph"](2, affine=True)
    torch.nn.init.normal_(model.deformable.head.weight, std=0.02)
    torch.nn.init.normal_(model.affine.head.weight, std=0.02)
    fixed, moving = torch.rand(2, 1, 1, 32, 32)
    total, seen = model(fixed, moving)
    outer = model.affine(fixed, moving).displacement
    assert torch.equal(seen, model.deformable(fixed, warp(moving, outer)))
    assert torch.allclose(total, compose(outer, seen))
    assert not torch.allclose(total, seen)


@pytest.mark.filterwarnings("ignore:monai:UserWarning")
@pytest.mark.parametrize("shape", [(24, 32), (12, 16, 14)])
def test_a_velocity_field_is_integrated_as_monai_does_and_inverts(shape):
    torch.manual_seed(0)
    coarse = torch.randn(1, len(shape), *[4] * len(shape)) / 2
    velocity = torch.nn.functional.interpolate(coarse, size=shape, mode="bilinear" if len(shape) == 2 else "trilinear")
    there, back = integrate(velocity, squarings=7), integrate(-velocity, squarings=7)
    theirs = DVF2DDF(num_steps=7, mode="bilinear", padding_mode="border")(velocity)
    assert torch.allclose(there, theirs, atol=1e-4)
    inner = (slice(None), slice(None), *[slice(4, -4)] * len(shape))
    left_over = compose(there, back)[inner].norm(dim=1)
    assert left_over.mean() < 0.08 * there[inner].norm(dim=1).mean()


def test_the_exponential_of_a_linear_field_is_known():
    rate = torch.tensor([0.05, -0.03])
    centred = identity_grid((41, 41)) - 20
    displacement = integrate((rate.view(2, 1, 1) * centred)[None], squarings=8)
    expected = (torch.exp(rate) - 1).view(2, 1, 1) * centred
    inner = (slice(None), slice(5, -5), slice(5, -5))
    assert torch.allclose(displacement[0][inner], expected[inner], atol=2e-3)


@pytest.mark.parametrize("shape", [(33, 30), (20, 17, 18)])
@pytest.mark.parametrize("diffeomorphic", [True, False])
def test_instance_undoes_a_shift(shape, diffeomorphic, device):
    moving = scene(shape).to(device)
    shift = torch.zeros(1, len(shape), *shape, device=device)
    shift[:, 0] = 2.0
    fixed = warp(moving, shift)
    model = MODELS["instance"](
        len(shape), objective=terms(lam=1e-4), steps=(20, 40, 40), diffeomorphic=diffeomorphic
    ).to(device)
    with torch.no_grad():
        found = model(fixed, moving)
        twice = model(fixed.expand(2, -1, *shape), moving.expand(2, -1, *shape))
    before, after = (fixed - moving).square().mean(), (fixed - warp(moving, found)).square().mean()
    assert after < 0.05 * before
    assert not found.requires_grad
    # Pairs that go together are registered as if alone.
    assert torch.allclose(twice[1], found[0], atol=0.02)
    if device.type == "cpu":
        with torch.no_grad():
            assert torch.equal(found, model(fixed, moving))


def test_instance_on_shrunk_images_alone_finds_the_whole_shift():
    """Blocks of voxels have their centres between voxels, not at the image's outermost ones."""
    torch.manual_seed(0)
    texture = torch.nn.functional.interpolate(torch.rand(1, 1, 12, 12), size=(96, 96), mode="bicubic")
    fixed, moving = texture[..., 16:81, 16:80], texture[..., 10:75, 16:80]  # by six voxels along the first axis
    model = MODELS["instance"](2, objective=terms(lam=0.01), shrink=(4,), steps=(80,), diffeomorphic=False)
    found = model(fixed, moving)
    assert found.shape == (1, 2, 65, 64)
    assert found[0, 0, 20:44, 20:44].mean().item() == pytest.approx(6, abs=0.1)  # by the outermost voxels: 6.4


def test_strong_regularisation_leaves_no_fold_and_weak_does():
    torch.manual_seed(0)
    fixed, moving = torch.rand(2, 1, 1, 32, 32)
    folds = {}
    for lam, diffeomorphic in ((1e-4, False), (10.0, True)):
        given = {"objective": terms(lam=lam), "steps": (30, 30, 30), "diffeomorphic": diffeomorphic}
        folds[lam] = ndv_percent(MODELS["instance"](2, **given)(fixed, moving)[0].numpy())
    assert folds[10.0] == 0
    assert folds[1e-4] > 1


@pytest.mark.parametrize("given", [{"shrink": (2, 1)}, {"steps": (1, 0, 1)}, {"learning_rate": 0.0}, {"squarings": -1}])
def test_impossible_optimisations_are_refused(given):
    with pytest.raises(ValueError, match="must"):
        MODELS["instance"](2, objective=terms(), **given)


def test_regularizers_fit_models():
    for model in MODELS:
        assert all(not check_component("pairing", name, {"model": model}) for name in REGULARIZERS)
        assert all(check_component("pairing", name, {"model": model}) for name in AFFINE_REGULARIZERS)
    for model in AFFINE_MODELS:
        assert all(check_component("pairing", name, {"model": model}) for name in REGULARIZERS)
        assert all(not check_component("pairing", name, {"model": model}) for name in AFFINE_REGULARIZERS)
    assert not check_component("pairing", "mine:loss", {"model": "affine"})


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


@neurite_only
@pytest.mark.parametrize("shape", [(24, 31), (12, 17, 14)])
def test_a_velocity_field_is_integrated_as_voxelmorph_does(shape):
    from voxelmorph.nn.modules import IntegrateVelocityField

    torch.manual_seed(0)
    coarse = torch.randn(2, len(shape), *[4] * len(shape))
    velocity = resize_displacement(coarse, shape) / 4
    # Theirs pads with zeros, ours with the border: they agree wherever no path leaves the image.
    window = torch.ones(shape)
    for axis, n in enumerate(shape):
        line = torch.sin(torch.pi * torch.arange(n) / (n - 1)) ** 2
        window = window * line.view([-1 if k == axis else 1 for k in range(len(shape))])
    velocity = velocity * window
    ours, theirs = integrate(velocity, squarings=6), IntegrateVelocityField(steps=6)(velocity)
    assert ours.abs().max() > 0.5
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("shape", [(48, 40), (24, 30, 26)])
def test_a_diffeomorphic_network_inverts_where_the_field_is_smooth(shape):
    torch.manual_seed(0)
    model = MODELS["voxelmorph"](len(shape), diffeomorphic=True, squarings=7)
    optimiser, loss_of = Adam(model.parameters()), terms(lam=5.0)
    fixed = scene(shape)
    shift = torch.zeros(1, len(shape), *shape)
    shift[:, 0] = 2.0
    moving = warp(fixed, shift)
    for _ in range(25):
        loss_of(fixed, moving, model(fixed, moving)).loss.backward()
        optimiser.step(3e-3)
    with torch.no_grad():
        there = model(fixed, moving)
    assert ndv_percent(there[0].numpy()) == 0
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.neg_()  # exp(-v)
        back = model(fixed, moving)
    inner = (slice(None), slice(None), *[slice(5, -5)] * len(shape))
    left_over = compose(there, back)[inner].norm(dim=1)
    assert there[inner].norm(dim=1).mean() > 0.01
    assert left_over.mean() < 0.05 * there[inner].norm(dim=1).mean()


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("voxelmorph", {"encoder": (4, 0), "decoder": (4, 4)}, "encoder must have numbers of channels from 1"),
        ("voxelmorph", {"encoder": (4, 4), "decoder": (4, 0)}, "decoder must have numbers of channels from 1"),
        ("voxelmorph", {"encoder": (4, 4), "decoder": (4, 4, -1)}, "decoder must have numbers of channels from 1"),
        ("lkunet", {"channels": 0}, "channels must be at least 1, but got 0"),
        ("lkunet", {"kernel": -1}, "kernel must be odd, from 1, but got -1"),
        ("pyramid", {"channels": (8, 0, 8)}, "channels must have entries, each at least 1"),
        ("pyramid", {"channels": ()}, "channels must have entries, each at least 1"),
        ("pyramid", {"channels": (8, 8), "flow": "quarter"}, "more than 2 levels for flow `quarter`"),
        ("affine", {"channels": (8, 0)}, "channels must have entries, each at least 1"),
        ("voxelmorph", {"norm": "batch"}, "norm must be `none` or `instance`, but got `batch`"),
        ("pyramid", {"norm": "batch"}, "norm must be `none` or `instance`, but got `batch`"),
        *((name, {"flow": "eighth"}, "flow must be `full`, `half` or `quarter`, but got `eighth`")
          for name in ("voxelmorph", "lkunet", "pyramid")),
        *((name, {"diffeomorphic": True, "squarings": -3}, "squarings must be 0 or more, but got -3")
          for name in ("voxelmorph", "lkunet", "pyramid")),
    ],
)  # fmt: skip
def test_a_level_without_channels_is_refused(name, parameters, words):
    """torch makes such a network, with a warning, and nothing passes through it."""
    with pytest.raises(ValueError, match=words):
        {**MODELS, **AFFINE_MODELS}[name](2, **parameters)

"""What a step asks torch for on a GPU: no sum in no order, and nothing that it waits for; shown without a GPU."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_operations import Operations, as_on_a_gpu

from regbench.losses import AFFINE_REGULARIZERS, CONSISTENCIES, REGULARIZERS, SIMILARITIES, SUPERVISIONS
from regbench.losses.masks import Masks
from regbench.losses.objective import MaskRule, Supervision, objective
from regbench.models import AFFINE_MODELS, MODELS
from regbench.models.adam import Adam
from regbench.models.predict import build_model
from regbench.spatial import fixed_order, warp
from regbench.study import components
from regbench.study.config import Augmentation
from regbench.study.specs import ComponentSpec, TermSpec
from regbench.training.augment import augment
from regbench.training.batches import Batch

SHAPES = [(20, 18), (12, 9, 10)]
PARAMETERS = {"multi_scale": {"similarity": "lcc", "parameters": {"window": 3}, "levels": 2}}
NETWORKS = [name for name in (*MODELS, *AFFINE_MODELS) if name != "instance"]


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    as_on_a_gpu(monkeypatch)
    components.allow(["encoders:made_2d", "encoders:made_3d"])


def part(name: str, dims: int = 2) -> ComponentSpec:
    encoder = {"features": {"encoder": f"encoders:made_{dims}d"}}
    return ComponentSpec(name=name, parameters=({**PARAMETERS, **encoder}).get(name, {}))


def step(
    shape: tuple[int, ...],
    *,
    similarity: str = "mse",
    regularizer: str = "grad_l2",
    model: ComponentSpec | None = None,
    terms: tuple[str, ...] = (),
    mask: bool = False,
    both: bool = False,
) -> Operations:
    """Forward pass, backward pass and Adam, twice: what is looked at once may wait once. The second is recorded."""
    generator = torch.Generator().manual_seed(0)
    fixed, moving = (torch.rand(2, 1, *shape, generator=generator) for _ in range(2))
    masks = Masks(*(torch.rand(2, 1, *shape, generator=generator).round() for _ in range(2))) if mask else Masks()
    dims = len(shape)
    points = [5 + torch.rand(2, 4, dims, generator=generator) for _ in range(2)]
    labels = [(torch.rand(2, 3, *shape, generator=generator) > 0.5).float() for _ in range(2)]
    goal = objective(
        part(similarity, dims), part(regularizer), 0.1, MaskRule("both", regularizer=True) if mask else None,
        terms=[TermSpec(id=name, name=name, parameters={}, weight=0.1) for name in terms],
        directions="both" if both else "one",
    )  # fmt: skip
    network = build_model(model or part("voxelmorph"), dims, goal)
    optimiser = Adam(network.parameters())

    def once() -> None:
        output = network(fixed, moving)
        backward = network(moving, fixed) if goal.two_way else None
        known = Supervision(labels[0], labels[1], points[0], points[1])
        values = goal(fixed, moving, output, masks, backward=backward, known=known)
        values.loss.backward()
        optimiser.step(0.01)
        torch.stack([value.detach().float() for value in values.values()])

    once()
    with Operations() as seen:
        once()
    return seen


def sound(seen: Operations) -> None:
    assert seen.unordered == set()
    assert seen.waiting == set()
    assert "_fused_adam_" in seen.names


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("name", SIMILARITIES)
def test_similarities(name, mask, shape):
    sound(step(shape, similarity=name, mask=mask))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizers(name, shape):
    sound(step(shape, regularizer=name, mask=True))
    sound(step(shape, regularizer=name))


@pytest.mark.parametrize("shape", SHAPES)
def test_further_terms_in_both_directions(shape):
    sound(step(shape, terms=(*SUPERVISIONS, *CONSISTENCIES), both=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("more", [{}, {"diffeomorphic": True, "affine": True, "norm": "instance"}, {"flow": "full"}])
def test_networks(name, more, shape):
    taken = {**MODELS, **AFFINE_MODELS}[name].__kwdefaults__
    model = ComponentSpec(name=name, parameters={key: value for key, value in more.items() if key in taken})
    regularizer = next(iter(AFFINE_REGULARIZERS)) if name in AFFINE_MODELS else "grad_l2"
    sound(step(shape, model=model, regularizer=regularizer))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("diffeomorphic", [True, False])
def test_the_optimisation_of_a_pair(shape, diffeomorphic):
    goal = objective(part("lcc"), part("bending"), 0.1)
    parameters = {"shrink": [2, 1], "steps": [2, 2], "diffeomorphic": diffeomorphic}
    model = build_model(ComponentSpec(name="instance", parameters=parameters), len(shape), goal)
    images = [torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    with Operations() as seen:
        model(*images)
    sound(seen)


@pytest.mark.parametrize("shape", SHAPES)
def test_augmentation_is_in_order(shape):
    """And no GPU waits for it, landmarks included; how the draws reach it is counted in test_batches."""
    images = [torch.rand(2, 1, *shape) for _ in range(2)]
    points = [torch.rand(2, 3, len(shape)) for _ in range(2)]
    wanted = Augmentation(flips=(0,), rotation_degrees=5, scaling=0.1, translation_voxels=1, gamma=0.1, noise=0.1)
    batch = Batch(*images, fixed_points=points[0], moving_points=points[1])
    with Operations() as seen:
        augment(batch, wanted, np.random.default_rng(0))
    assert seen.unordered == set()
    assert seen.waiting <= {"lift_fresh"}


def test_the_recorder_sees_what_is_wrong(monkeypatch):
    """By torch's own forms a field that is warped by itself has a gradient in no order; and a number makes it wait."""
    monkeypatch.setattr(fixed_order, "wanted", lambda tensor: False)
    field: Tensor = torch.rand(1, 2, 8, 8, requires_grad=True)
    with Operations() as seen:
        warp(field, field).sum().backward()
        float(field.detach().sum())
        field.detach()[field.detach() > 0.5]
        torch.tensor([1.0])
    assert seen.unordered == {"grid_sampler_2d_backward"}
    assert seen.waiting == {"_local_scalar_dense", "index by a mask", "lift_fresh"}

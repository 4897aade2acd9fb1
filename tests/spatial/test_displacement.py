"""The conventions: voxels, array axes, pull; each test goes red when one of them is broken."""

import numpy as np
import plain_forms
import pytest
import torch
from monai.networks.blocks import DVF2DDF, Warp
from scipy.ndimage import map_coordinates

from regbench.spatial import (
    compose,
    identity_grid,
    integrate,
    jacobian_determinant,
    resize_displacement,
    warp,
    warp_labels,
)
from regbench.spatial.displacement import enlarge_displacement

SHAPES = [(7, 5), (6, 5, 4)]


def field(shape, scale=1.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn((2, len(shape), *shape), generator=generator)


def image(shape, seed=1):
    return torch.rand((2, 1, *shape), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_component_k_moves_along_axis_k_and_pulls(shape, device):
    picture = image(shape).to(device)
    for axis in range(len(shape)):
        displacement = torch.zeros(2, len(shape), *shape, device=device)
        displacement[:, axis] = 1
        moved = warp(picture, displacement)
        inside = [slice(None)] * len(shape)
        inside[axis] = slice(0, -1)
        expected = picture.roll(-1, 2 + axis)[(..., *inside)]
        assert torch.allclose(moved[(..., *inside)], expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("padding", "mode"), [("border", "nearest"), ("zeros", "grid-constant")])
def test_warp_agrees_with_scipy(shape, padding, mode):
    picture, displacement = image(shape), field(shape)
    moved = warp(picture, displacement, padding=padding)
    for b in range(2):
        where = (displacement[b] + identity_grid(shape)).numpy()
        expected = map_coordinates(picture[b, 0].numpy(), where, order=1, mode=mode)
        assert np.allclose(moved[b, 0].numpy(), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:monai:UserWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_warp_agrees_with_monai(shape):
    picture, displacement = image(shape), field(shape)
    theirs = Warp(mode="bilinear", padding_mode="border")(picture, displacement)
    assert torch.allclose(warp(picture, displacement), theirs, atol=1e-5)


@pytest.mark.filterwarnings("ignore:monai:UserWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_integration_agrees_with_monai(shape):
    velocity = field(shape, scale=0.5)
    theirs = DVF2DDF(num_steps=5, mode="bilinear", padding_mode="border")(velocity)
    assert torch.allclose(integrate(velocity, squarings=5), theirs, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30, 1e6])
def test_a_broken_displacement_does_not_crash(shape, padding, value, device):
    """torch.grid_sample ends the process (segmentation fault) in the backward pass of a NaN coordinate."""
    picture = image(shape).to(device)
    displacement = torch.zeros(2, len(shape), *shape, device=device)
    displacement[0] = value
    displacement.requires_grad_()
    moved = warp(picture, displacement, padding=padding)
    moved.sum().backward()
    assert torch.allclose(moved[1], picture[1], atol=1e-5)
    assert moved[0].isnan().all() if np.isnan(value) else moved[0].isfinite().all()
    assert displacement.grad is not None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_zero_field_leaves_labels_bit_for_bit(shape, dtype):
    labels = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    moved = warp_labels(labels, np.zeros((len(shape), *shape), np.float32))
    assert moved.dtype == dtype
    assert np.array_equal(moved, labels)


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_warped_as_the_learn2reg_evaluator_does(shape):
    generator = np.random.default_rng(0)
    labels = generator.integers(1, 9, shape)
    # Halves and borders included: ties and the edge of the image are where implementations differ.
    displacement = generator.integers(-8, 9, (len(shape), *shape)) / 4
    where = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) + displacement
    expected = map_coordinates(labels, where, order=0)
    assert np.array_equal(warp_labels(labels, displacement), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, ">i2"])
def test_the_compiled_warp_of_labels_gives_the_same_bits(dtype):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 200, (6, 7, 5)).astype(dtype)
    for size in (0.0, 0.5, 3.0, 1e30):
        displacement = generator.normal(scale=size, size=(3, 5, 7, 6)).astype(np.float32)
        displacement[:, 0, :, 0] = np.round(displacement[:, 0, :, 0]) + 0.5
        displacement[0, 1, 1, :3] = np.nan, np.inf, -np.inf
        for field_of_memory in (displacement, np.asfortranarray(displacement)):
            found = warp_labels(labels, field_of_memory)
            with plain_forms.without_loops():
                plain = warp_labels(labels, field_of_memory)
            assert found.dtype == plain.dtype
            assert np.array_equal(found, plain)


def test_labels_warp_between_grids_of_two_sizes():
    labels = np.arange(12).reshape(3, 4)
    assert np.array_equal(warp_labels(labels, np.zeros((2, 2, 2))), labels[:2, :2])


def test_tensors_stay_tensors(device):
    labels = torch.arange(12, device=device).reshape(3, 4)
    moved = warp_labels(labels, torch.zeros(2, 3, 4, device=device))
    assert torch.equal(moved, labels)


@pytest.mark.parametrize("dims", [2, 3])
def test_composition_of_two_scalings(dims):
    shape = (9,) * dims
    centred = (identity_grid(shape, dtype=torch.float64) - 4)[None]
    # p -> 0.9 p, then p -> 0.8 p about the centre: together 0.72 p.
    both = compose(-0.2 * centred, -0.1 * centred)
    assert torch.allclose(both, -0.28 * centred, atol=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
def test_exp_of_a_linear_field(dims):
    shape = (17,) * dims
    centred = (identity_grid(shape, dtype=torch.float64) - 8)[None]
    displacement = integrate(-0.3 * centred, squarings=12)
    assert torch.allclose(displacement, (np.exp(-0.3) - 1) * centred, atol=1e-3)


@pytest.mark.parametrize("shape", [(24, 20), (14, 12, 13)])
def test_exp_of_minus_v_undoes_exp_of_v(shape):
    phase = sum(identity_grid(shape, dtype=torch.float64)[k] / (3 + k) for k in range(len(shape)))
    velocity = torch.stack([torch.sin(phase + k) for k in range(len(shape))])[None]
    there, back = integrate(velocity, squarings=8), integrate(-velocity, squarings=8)
    inside = (..., *[slice(4, -4)] * len(shape))
    assert there[inside].abs().max() > 0.5
    assert compose(back, there)[inside].abs().max() < 0.03


@pytest.mark.parametrize("dims", [2, 3])
def test_resizing_keeps_an_affine_map(dims):
    coarse, fine = (5, 6, 4)[:dims], (11, 9, 13)[:dims]
    matrix = 0.1 * torch.randn(dims, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def affine(shape):
        # The same map of the unit box, in each grid's own voxels.
        unit = identity_grid(shape, dtype=torch.float64) / (torch.tensor(shape).view(-1, *[1] * dims) - 1)
        moved = torch.einsum("ij,j...->i...", matrix, unit)
        return (moved * (torch.tensor(shape).view(-1, *[1] * dims) - 1))[None]

    assert torch.allclose(resize_displacement(affine(coarse), fine), affine(fine), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_determinant_of_a_scaling(shape, device):
    grid = identity_grid(shape, device=device)[None]
    assert torch.allclose(jacobian_determinant(0.5 * grid), torch.tensor(1.5 ** len(shape), device=device), atol=1e-4)
    assert (jacobian_determinant(-2 * grid[:, :1].expand_as(grid) * 0) - 1).abs().max() < 1e-6


@pytest.mark.parametrize("dims", [2, 3])
def test_a_displacement_of_shrunk_images_is_that_of_their_blocks(dims):
    """Block b of three voxels lies around voxel 3 b + 1; what is left over at the far end is in none."""
    shape, factor = (17, 13, 9)[:dims], 3
    coarse = tuple(n // factor for n in shape)
    matrix = 0.1 * torch.randn(dims, dims + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def affine(points):
        return torch.einsum("ij,j...->i...", matrix[:, :dims], points) + matrix[:, dims].view(-1, *[1] * dims)

    blocks = affine(factor * identity_grid(coarse, dtype=torch.float64) + 1)[None] / factor
    outer = torch.tensor([factor * (n - 1) + 1 for n in coarse], dtype=torch.float64).view(-1, *[1] * dims)
    points = identity_grid(shape, dtype=torch.float64).clamp(min=1).minimum(outer)
    assert torch.allclose(enlarge_displacement(blocks, factor, shape), affine(points)[None], atol=1e-12)


def test_a_number_of_squarings_below_none_is_refused():
    with pytest.raises(ValueError, match="squarings must be 0 or more, but got -1"):
        integrate(torch.zeros(1, 2, 5, 6), squarings=-1)


@pytest.mark.parametrize("shape", SHAPES)
def test_determinant_agrees_with_numpy(shape):
    displacement = field(shape).double()
    for b in range(2):
        rows = [np.stack(np.gradient(component), -1) for component in displacement[b].numpy()]
        expected = np.linalg.det(np.stack(rows, -2) + np.eye(len(shape)))
        assert np.allclose(jacobian_determinant(displacement)[b].numpy(), expected)

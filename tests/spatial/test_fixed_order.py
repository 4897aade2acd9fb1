"""Sampling in a fixed order: torch's values and gradients, and the same bits whatever order the sums have."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from regbench.losses.features import _on_grid
from regbench.losses.landmarks import landmark_distance
from regbench.losses.multi_scale import _blocks
from regbench.spatial import fixed_order, resize_displacement, warp

SHAPES = [(7, 9), (5, 6, 4)]


@pytest.fixture
def ordered(monkeypatch):
    """As on a GPU whose sums must be in order; elsewhere the forms are torch's own."""
    monkeypatch.setattr(fixed_order, "wanted", lambda tensor: True)


def random(*shape: int, seed: int = 0, device: torch.device | str = "cpu") -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(device)


def gradients(image: Tensor, grid: Tensor, weights: Tensor, **how: str) -> list[Tensor]:
    """The value, and the gradients of image and grid."""
    leaves = [image.clone().requires_grad_(), grid.clone().requires_grad_()]
    value = fixed_order.grid_sample(*leaves, **how)
    return [value.detach(), *torch.autograd.grad((value * weights).sum(), leaves)]


def both(monkeypatch: pytest.MonkeyPatch, *given: Tensor, **how: str) -> tuple[list[Tensor], list[Tensor]]:
    """Ours in fixed order, and torch's on the CPU in float64."""
    with monkeypatch.context() as patch:
        patch.setattr(fixed_order, "wanted", lambda tensor: True)
        ours = gradients(*given, **how)
    return ours, gradients(*(tensor.cpu().double() for tensor in given), **how)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "how", [{"mode": m, "padding": p} for m in ("bilinear", "nearest") for p in ("border", "zeros")]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_gradients_are_torchs(shape, how, dtype, device, monkeypatch):
    """Far outside, on the border and on voxels too; the grid has another size than the image."""
    image = random(2, 3, *shape, device=device).to(dtype)
    grid = (1.2 * random(2, *(n + 2 for n in shape), len(shape), seed=1, device=device)).to(dtype)
    grid.view(-1)[:6] = torch.tensor([-1, 1, 0, 4, -4, 1 - 2 / 8], dtype=dtype, device=device)
    weights = random(2, 3, *grid.shape[1:-1], seed=2, device=device).to(dtype)
    ours, theirs = both(monkeypatch, image, grid, weights, **how)
    for one, two in zip(ours, theirs, strict=True):
        assert one.dtype == dtype
        assert one.device.type == device.type
        torch.testing.assert_close(one.cpu().double(), two, rtol=0, atol=1e-11 if dtype == torch.float64 else 3e-5)
    assert theirs[1].abs().max() > 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_float32_gradient_is_nearer_to_the_truth_than_torchs(shape, ordered, monkeypatch):
    """Thousands of points on few voxels: sums of float32 lose digits, sums of whole numbers do not."""
    image, count = random(1, 1, *shape).float(), 60
    grid = (0.5 * random(1, *([count] * 2 if len(shape) == 2 else [count, count, 4]), len(shape), seed=1)).float()
    weights = random(1, 1, *grid.shape[1:-1], seed=2).float()
    ours = gradients(image, grid, weights)[1].double()
    with monkeypatch.context() as patch:
        patch.setattr(fixed_order, "wanted", lambda tensor: False)
        torchs, exact = (
            gradients(image, grid, weights)[1].double(),
            gradients(image.double(), grid.double(), weights.double())[1],
        )
    # What is left is the weights, which torch's kernel has in float32 too, and one rounding of the sum.
    assert (ours - exact).abs().max() <= 1.05 * (torchs - exact).abs().max()


def test_any_order_gives_the_same_bits(ordered, device):
    """The points of an image in another order are the same sums in another order."""
    image = random(1, 2, 5, 6, 4).float().to(device)
    grid = random(1, 4000, 1, 1, 3, seed=1).float().to(device)
    weights = (random(1, 2, 4000, 1, 1, seed=2) * torch.logspace(-6, 6, 4000)[:, None, None]).float().to(device)
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(3)).to(device)
    one = gradients(image, grid, weights)[1]
    two = gradients(image, grid[:, order], weights[:, :, order])[1]
    assert torch.equal(one, two)


@pytest.mark.parametrize("size", [1e-45, 1e-30, 1.0, 1e30, 1e37])
def test_gradients_of_any_size(size, ordered):
    """The unit follows the largest of a channel: none overflows, none is lost; a channel of zeros stays zero."""
    image, grid = random(1, 2, 5, 6).float(), (0.5 * random(1, 4, 4, 2, seed=1)).float()
    weights = torch.full((1, 2, 4, 4), size)
    weights[:, 1] = 0
    found = gradients(image, grid, weights)[1].double()
    assert found[0, 0].sum() == pytest.approx(16 * float(torch.tensor(size)), rel=1e-6 if size > 1e-40 else 1)
    assert (found[0, 1] == 0).all()


def test_all_points_on_one_voxel_do_not_overflow(ordered):
    image, grid = torch.zeros(1, 1, 3, 3), torch.full((1, 700, 700, 2), -4.0)
    weights = torch.full((1, 1, 700, 700), torch.finfo(torch.float32).max)
    weights[..., 0] = -weights[..., 0] / 2
    found = gradients(image.double(), grid.double(), weights.double())[1]
    expected = weights.double().sum()
    assert found[0, 0, 0, 0].item() == pytest.approx(expected.item(), rel=1e-12)
    assert found.count_nonzero() == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_is_seen_and_stays_in_its_channel(bad, ordered):
    image, grid = random(2, 2, 5, 6), 0.5 * random(2, 4, 4, 2, seed=1)
    weights = random(2, 2, 4, 4, seed=2)
    sound = gradients(image, grid, weights)[1]
    weights[1, 0, 2, 2] = bad
    found = gradients(image, grid, weights)[1]
    assert found[1, 0].isnan().all()
    keep = torch.tensor([[True, True], [False, True]])
    assert torch.equal(found[keep], sound[keep])


def test_a_grid_that_is_no_number_or_far_away_is_safe(ordered):
    image, grid = random(1, 1, 5, 6), torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    grid.view(-1)[:6] = torch.tensor([float("nan"), 0.0, 1e300, -1e300, float("inf"), 0.0], dtype=torch.float64)
    leaf = image.requires_grad_()
    corners = list(fixed_order._corners(grid, (5, 6), "bilinear", "zeros"))
    assert all(0 <= int(c.voxel.min()) <= int(c.voxel.max()) < 30 for c in corners)
    fixed_order.grid_sample(leaf, grid[:, 1:], padding="border").sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype, ordered):
    """The gradient comes in the image's type, summed without its roundings."""
    image, grid = random(1, 2, 5, 6), 0.5 * random(1, 9, 9, 2, seed=1)
    grid = grid.to(dtype)
    try:
        found = gradients(image.to(dtype), grid, torch.ones(1, 2, 9, 9, dtype=dtype))
    except RuntimeError as error:  # torch's own kernel has no such type here
        pytest.skip(str(error).splitlines()[0])
    exact = gradients(image, grid.double(), torch.ones(1, 2, 9, 9).double())
    assert found[1].dtype == dtype
    torch.testing.assert_close(found[1].double(), exact[1], rtol=4e-2, atol=4e-2)


def test_only_what_is_asked_for_is_computed(ordered, monkeypatch):
    image, grid = random(1, 1, 5, 6), random(1, 4, 4, 2, seed=1).requires_grad_()
    monkeypatch.setattr(fixed_order, "_summed", lambda *given: pytest.fail("the image needs no gradient"))
    fixed_order.grid_sample(image, grid).sum().backward()
    assert grid.grad is not None


@pytest.mark.parametrize("shape", SHAPES)
def test_warps_and_fields(shape, device, monkeypatch):
    """What the models call: the same gradients in order and as torch has them, NaN in the field included."""
    field, image = random(2, len(shape), *shape), random(2, 1, *shape, seed=1)
    field[1, :, 2, 2] = float("nan")

    def found(where: str, dtype: torch.dtype) -> list[Tensor]:
        leaves = [tensor.to(where, dtype).requires_grad_() for tensor in (field, image)]
        points = 2 + random(2, 5, len(shape), seed=2).to(where, dtype)
        total = warp(leaves[1], leaves[0]).nan_to_num(0).square().mean()
        small = resize_displacement(leaves[0].nan_to_num(0), (4,) * len(shape))
        large = resize_displacement(small, (11,) * len(shape))
        total = total + large.pow(3).mean() + landmark_distance(leaves[0].nan_to_num(0), points, points + 1)
        return list(torch.autograd.grad(total, leaves))

    expected = found("cpu", torch.float64)
    with monkeypatch.context() as patch:
        patch.setattr(fixed_order, "wanted", lambda tensor: True)
        ours = found(device.type, torch.float64), found(device.type, torch.float32)
    for gradient, exact in zip(ours[0], expected, strict=True):
        torch.testing.assert_close(gradient.cpu(), exact, rtol=1e-9, atol=1e-12)
    for gradient, exact in zip(ours[1], expected, strict=True):
        torch.testing.assert_close(gradient.cpu().double(), exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [2, 4])
def test_means_of_blocks(shape, factor, ordered, monkeypatch):
    """Of the pyramid, whose last blocks are smaller, and of a mask on the grid of features."""
    image = random(2, 3, *shape).requires_grad_()
    coarse = torch.zeros(2, 1, *(-(-n // factor) for n in shape))
    found = []
    for on in (True, False):
        monkeypatch.setattr(fixed_order, "wanted", lambda tensor, on=on: on)
        value = _blocks(image, factor).pow(3).sum() + _on_grid(image[:, :1], coarse).pow(2).sum()
        found.append(torch.autograd.grad(value, image)[0])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_torch_is_told_what_it_was_told_before(ordered):
    """Inside, torch must not sort whole numbers; afterwards its switch is as it was."""
    image, grid = random(1, 1, 5, 6).requires_grad_(), random(1, 4, 4, 2, seed=1)
    inside = []
    summed = fixed_order._summed
    try:
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                fixed_order,
                "_summed",
                lambda *given: inside.append(torch.are_deterministic_algorithms_enabled()) or summed(*given),
            )
            fixed_order.grid_sample(image, grid).sum().backward()
        assert inside == [False]
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch._C._set_deterministic_algorithms(False)


def test_a_cpu_has_torchs_own_forms():
    try:
        torch._C._set_deterministic_algorithms(True)
        assert not fixed_order.wanted(torch.zeros(1))
    finally:
        torch._C._set_deterministic_algorithms(False)
    image, grid = random(1, 1, 5, 6), random(1, 4, 4, 2, seed=1)
    theirs = F.grid_sample(image, grid, padding_mode="border", align_corners=True)
    assert torch.equal(fixed_order.grid_sample(image, grid), theirs)


def test_a_gpu_is_repeatable_where_torch_is_told_to_be():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    assert not fixed_order.wanted(torch.zeros(1, device="cuda"))
    try:
        torch._C._set_deterministic_algorithms(True)
        assert fixed_order.wanted(torch.zeros(1, device="cuda"))
    finally:
        torch._C._set_deterministic_algorithms(False)

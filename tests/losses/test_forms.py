"""What all losses share: parts change nothing, second derivatives, vmap, compile, devices, layouts."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from loss_references import HISTOGRAMS, complete, images
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from regbench.losses import REGULARIZERS, SIMILARITIES, mi_histogram, windows

Loss = Callable[..., Tensor]
SIMILAR: dict[str, Loss] = {name: complete(name) for name in SIMILARITIES} | {
    "lcc": partial(SIMILARITIES["lcc"], window=5),
    "lcc zero": partial(SIMILARITIES["lcc"], window=5, border="zero", eps=1e-3),
    "lcc signed": partial(SIMILARITIES["lcc"], window=(1, 5, 3)[-2:], signed=True),
    "lcc clamp": partial(SIMILARITIES["lcc"], window=5, denominator="clamp", eps=0.5),
    "lcc gaussian": partial(SIMILARITIES["lcc"], windows=(3, 5), kernel="gaussian"),
    "ssim": partial(SIMILARITIES["ssim"], window=3),
    "mind": partial(SIMILARITIES["mind"], radius=1, dilation=1),
    "mi with ends": partial(SIMILARITIES["mi"], intensity_range=(0.2, 0.7), smooth=1e-7),
}
BY_NAME = {"multi_scale", "features"}  # look another function up, which torch.compile does not follow
EACH = pytest.mark.parametrize("name", [*SIMILAR, *REGULARIZERS])


def loss_and_inputs(name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.double) -> tuple[Loss, list[Tensor]]:
    torch.manual_seed(0)
    if name in REGULARIZERS:
        return REGULARIZERS[name], [torch.randn(2, len(shape), *shape, dtype=dtype)]
    loss = SIMILAR[name]
    if name == "lcc signed":
        loss = partial(SIMILARITIES["lcc"], window=(1, 5, 3)[-len(shape) :], signed=True)
    return loss, [torch.rand(2, 2, *shape, dtype=dtype) for _ in range(2)]


def with_gradients(loss: Loss, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    value = 3 * loss(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


@pytest.mark.parametrize("name", [*sorted(HISTOGRAMS), "mi with ends"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("voxels", [1, 150, 1000])
def test_the_histogram_in_parts_is_the_whole_one(
    name: str, masked: bool, voxels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, inputs = loss_and_inputs(name, (13, 9))
    if masked:
        loss = partial(loss, mask=torch.rand(2, 1, 13, 9, dtype=torch.double))
    whole = with_gradients(loss, inputs)
    monkeypatch.setattr(mi_histogram, "VOXELS_AT_ONCE", voxels)
    calls, joint_of = [], mi_histogram._joint_of
    monkeypatch.setattr(mi_histogram, "_joint_of", lambda *given: calls.append(1) or joint_of(*given))
    parts = with_gradients(loss, inputs)
    assert len(calls) == {1: 2 * 117, 150: 2 * 4, 1000: 1}[voxels]  # forward, and again for the gradient
    for one, two in zip(whole, parts, strict=True):
        assert (one - two).norm() <= 1e-12 * one.norm()
    leaves = [x.clone().requires_grad_() for x in inputs]
    first = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    assert all(x.isfinite().all() for x in torch.autograd.grad(sum(x.square().sum() for x in first), leaves))


@EACH
def test_second_derivatives(name: str) -> None:
    loss, inputs = loss_and_inputs(name, (5, 6))
    if name in {*HISTOGRAMS, "mi with ends"}:
        loss = partial(loss, intensity_range=(-0.5, 1.5))
    leaves = [x[:1, : x.shape[1]].clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradgradcheck(loss, leaves, atol=1e-4)


@EACH
def test_vmap(name: str) -> None:
    loss, inputs = loss_and_inputs(name, (9, 8))
    stacked = [torch.stack([x, x.flip(0), 0.5 * x]) for x in inputs]
    each = [with_gradients(loss, list(x)) for x in zip(*stacked, strict=True)]
    assert torch.allclose(3 * torch.func.vmap(loss)(*stacked), torch.stack([x[0] for x in each]), rtol=1e-9)
    gradient = torch.func.vmap(torch.func.grad(lambda *x: 3 * loss(*x)))(*stacked)
    assert torch.allclose(gradient, torch.stack([x[1] for x in each]), rtol=1e-6, atol=1e-9)


@EACH
@pytest.mark.parametrize("shape", [(9, 11), (9, 10, 9)])
def test_layout_of_the_input_does_not_matter(name: str, shape: tuple[int, ...]) -> None:
    loss, inputs = loss_and_inputs(name, shape)
    last = [x.movedim(1, -1).contiguous().movedim(-1, 1) for x in inputs]
    copies = [x.clone() for x in last]
    for one, two in zip(with_gradients(loss, inputs), with_gradients(loss, last), strict=True):
        assert (one - two).norm() <= 1e-12 * one.norm()
    assert all(torch.equal(one, two) for one, two in zip(last, copies, strict=True))  # nothing changed in place


@EACH
def test_only_what_is_asked_gets_a_gradient(name: str) -> None:
    loss, inputs = loss_and_inputs(name, (9, 8))
    assert not loss(*inputs).requires_grad
    leaf = inputs[-1].clone().requires_grad_()
    value = loss(*inputs[:-1], leaf)
    value.backward()
    assert leaf.grad is not None
    expected = with_gradients(loss, inputs)[-1] / 3
    assert (leaf.grad - expected).norm() <= 1e-12 * expected.norm()


@EACH
@pytest.mark.parametrize("shape", [(9, 11), (9, 10, 9)])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_never_waits_for_the_device(name: str, shape: tuple[int, ...], device: str) -> None:
    """Without values, .item(), bool(), numpy() and data-dependent branches raise; meta finds CPU tensors too."""
    loss, _ = loss_and_inputs(name, shape)
    count = 1 if name in REGULARIZERS else 2
    with FakeTensorMode() if device == "cpu" else nullcontext():
        channels = len(shape) if count == 1 else 2
        inputs = [torch.empty(2, channels, *shape, device=device, requires_grad=True) for _ in range(count)]
        value = loss(*inputs)
        gradients = torch.autograd.grad(value, inputs)
    assert value.device.type == device
    assert [g.shape for g in gradients] == [x.shape for x in inputs]
    assert all(g.device.type == device for g in gradients)


@pytest.mark.parametrize("name", [name for name in [*SIMILAR, *REGULARIZERS] if name not in BY_NAME])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-9), (torch.float32, 1e-3)], ids=str)
def test_compile(name: str, dtype: torch.dtype, limit: float) -> None:
    loss, inputs = loss_and_inputs(name, (9, 11), dtype)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for one, two in zip(with_gradients(compiled, inputs), with_gradients(loss, inputs), strict=True):
        assert (one - two).norm() <= limit * two.norm()


@pytest.mark.parametrize("side", range(1, 24))
def test_window_sums(side: int) -> None:
    """Doubling reaches every window, along any axis."""
    line = torch.arange(100, dtype=torch.double) ** 2
    expected = torch.stack([line[k : k + side].sum() for k in range(100 - side + 1)])
    assert torch.equal(windows.window_sum(line, (side,)), expected)
    plane = line[:, None] * torch.tensor([1.0, 2.0, 4.0])
    assert torch.equal(windows.window_sum(plane, (side, 1)), expected[:, None] * torch.tensor([1.0, 2.0, 4.0]))


@pytest.mark.parametrize("shape", [(11, 17), (9, 11, 10)])
def test_box_sums_and_their_gradients(shape: tuple[int, ...], device: torch.device) -> None:
    """Against windows cut out and added up; torch's pooling has a wrong gradient on some devices."""
    generator = torch.Generator().manual_seed(0)
    image, weight = (torch.rand((2, 1, *shape), dtype=torch.double, generator=generator) for _ in range(2))
    for side in (1, 3, 5, 7, 9):
        sides = (side, *(5,) * (len(shape) - 1))
        cut = image.clone().requires_grad_()
        padded = torch.nn.functional.pad(cut, [n for side in reversed(sides) for n in (side // 2, side // 2)])
        for axis, length in enumerate(sides):
            padded = padded.unfold(2 + axis, length, 1)
        expected = padded.flatten(2 + len(shape)).sum(-1)
        leaf = image.to(device).requires_grad_()
        found = windows.box_sum(leaf, sides)
        assert torch.allclose(found.cpu(), expected, rtol=1e-12)
        one, two = (
            torch.autograd.grad((x * weight.to(x)).sum(), y)[0].cpu() for x, y in ((found, leaf), (expected, cut))
        )
        assert torch.allclose(one, two, rtol=1e-12)


def test_low_contrast_needs_a_smaller_eps() -> None:
    """What the docstring says of `eps`."""
    f, m = images((24, 25))
    assert SIMILARITIES["lcc"](0.003 * f, 0.003 * m).item() > 0.99
    found = SIMILARITIES["lcc"](0.003 * f, 0.003 * m, eps=1e-5 * 0.003**4).item()
    assert found == pytest.approx(SIMILARITIES["lcc"](f, m).item(), rel=1e-5)

"""A documented parameter gives the number of MONAI and of VoxelMorph (neurite) exactly."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import monai.losses
import pytest
import torch
from loss_references import images
from torch import Tensor

from regbench.losses import REGULARIZERS, SIMILARITIES, dice_loss

SHAPES = [(20, 23), (12, 13, 11)]
Loss = Callable[..., Tensor]


def agree(ours: Loss, theirs: Loss, inputs: list[Tensor], limit: float = 1e-5) -> None:
    """Value and gradients; double precision, so that only the definition counts."""
    results = []
    for loss in (ours, theirs):
        leaves = [x.double().requires_grad_() for x in inputs]
        value = loss(*leaves)
        results.append([value, *torch.autograd.grad(value, leaves)])
    for one, two in zip(*results, strict=True):
        assert (one.double() - two).norm() <= limit * two.norm()


@pytest.mark.parametrize("shape", SHAPES)
def test_monai_lncc(shape: tuple[int, ...]) -> None:
    theirs = monai.losses.LocalNormalizedCrossCorrelationLoss(len(shape), kernel_size=5, smooth_dr=1e-3)
    lcc = SIMILARITIES["lcc"]
    agree(
        lambda f, m: lcc(f, m, window=5, border="zero", denominator="clamp", eps=1e-3),
        lambda f, m: 1 + theirs(m, f),
        list(images(shape)),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kernel", "scale"), [("gaussian", 1), ("triangular", 3)])
def test_monai_kernels(shape: tuple[int, ...], kernel: str, scale: int) -> None:
    """Its triangle has sum 1, ours 1 at the centre: along each axis sums are three times as large."""
    theirs = monai.losses.LocalNormalizedCrossCorrelationLoss(
        len(shape), kernel_size=5, kernel_type=kernel, smooth_dr=1e-3
    )  # fmt: skip
    lcc = partial(SIMILARITIES["lcc"], window=5, border="zero", denominator="clamp")
    eps = 1e-3 * scale ** len(shape)
    agree(lambda f, m: lcc(f, m, kernel=kernel, eps=eps), lambda f, m: 1 + theirs(m, f), list(images(shape)), 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_monai_ssim(shape: tuple[int, ...]) -> None:
    theirs = monai.losses.SSIMLoss(len(shape), win_size=7, kernel_sigma=1.5)
    agree(SIMILARITIES["ssim"], lambda f, m: theirs(m, f), list(images(shape)), 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_monai_mutual_information(shape: tuple[int, ...]) -> None:
    theirs = monai.losses.GlobalMutualInformationLoss()
    mi = SIMILARITIES["mi"]
    agree(
        lambda f, m: mi(f, m, bins=23, intensity_range=(0.0, 1.0), smooth=1e-7),
        lambda f, m: theirs(m, f),
        [x.clamp(0.01, 0.99) for x in images(shape)],
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # inside MONAI
def test_monai_bending(shape: tuple[int, ...]) -> None:
    u = torch.randn(2, len(shape), *shape)
    agree(lambda x: REGULARIZERS["bending"](x, stencil="central"), monai.losses.BendingEnergyLoss(), [u])


neurite_only = pytest.mark.skipif(find_spec("neurite") is None, reason="voxelmorph is no dependency of the tests")


@neurite_only
@pytest.mark.parametrize("shape", SHAPES)
def test_voxelmorph(shape: tuple[int, ...]) -> None:
    from neurite.nn.modules import NCC, Dice, SpatialGradient

    lcc = SIMILARITIES["lcc"]
    agree(lambda f, m: lcc(f, m, border="zero"), lambda f, m: 1 - NCC(window_size=9)(f, m).sum(), list(images(shape)))
    u = torch.randn(2, len(shape), *shape)
    for power in ("l1", "l2"):
        agree(REGULARIZERS[f"grad_{power}"], SpatialGradient(power), [u])
    fixed, moved = ((torch.rand(1, 3, *shape) > 0.5).double() for _ in range(2))
    # Of one-hot labels: elsewhere neurite's soft Dice is another.
    assert dice_loss(fixed, moved).item() == pytest.approx(1 - Dice()(fixed, moved).item(), rel=1e-9)

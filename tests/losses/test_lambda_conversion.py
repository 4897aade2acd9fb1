"""Lambdas of papers: against losses of MONAI and neurite, and VoxelMorph's and LapIRN's typed anew."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import monai.losses
import pytest
import torch
from torch import Tensor

from regbench.losses import REGULARIZERS
from regbench.losses.lambda_conversion import OURS, OURS_IN_MM, Convention, convert_lambda
from regbench.spatial import identity_grid, resize_displacement

CUBE = (17, 17, 17)


def ramp(shape: tuple[int, ...] = CUBE) -> Tensor:
    """Slopes are the same for every stencil and on every grid; alike for all components and axes."""
    p = identity_grid(shape, dtype=torch.double)
    return torch.stack([0.03 * p.sum(0)] * len(shape))[None]


def bowl(shape: tuple[int, ...] = CUBE) -> Tensor:
    """So are second differences."""
    p = identity_grid(shape, dtype=torch.double) - 8
    return torch.stack([0.01 * p.sum(0) ** 2] * len(shape))[None]


def still(shape: tuple[int, ...] = CUBE) -> Tensor:
    """A translation, whose size is the same wherever it is looked at."""
    return torch.full((1, len(shape), *shape), 0.7, dtype=torch.double)


def normalised(u: Tensor) -> Tensor:
    sides = torch.tensor(u.shape[2:], dtype=u.dtype).view(1, -1, *[1] * (u.ndim - 2))
    return u * 2 / (sides - 1)


def half(u: Tensor) -> Tensor:
    return resize_displacement(u, [(n + 1) // 2 for n in u.shape[2:]])


def grad_of_voxelmorph(u: Tensor, penalty: str = "l2", loss_mult: float = 1) -> Tensor:
    """``Grad`` of its torch code: the mean over axes, times `loss_mult`."""
    steps = [u.diff(dim=axis).abs() for axis in range(2, u.ndim)]
    means = [(step**2 if penalty == "l2" else step).mean() for step in steps]
    return loss_mult * torch.stack(means).mean()


def smoothness_of_lapirn(u: Tensor) -> Tensor:
    """Of a field in [-1, 1]; differences per voxel, the mean over axes."""
    return torch.stack([u.diff(dim=axis).square().mean() for axis in range(2, u.ndim)]).mean()


def in_their_unit(u: Tensor, kind: str) -> Tensor:
    return {"voxels": lambda: u, "normalised": lambda: normalised(u), "half": lambda: half(u)}[kind]()


CASES: list[tuple[str, Callable[[Tensor], Tensor], str, Convention]] = [
    ("grad_l2", monai.losses.DiffusionLoss(), "voxels", Convention(axes="sum")),
    ("grad_l2", monai.losses.DiffusionLoss(), "normalised", Convention("normalised", axes="sum")),
    ("bending", monai.losses.BendingEnergyLoss(), "voxels", Convention()),
    ("bending", monai.losses.BendingEnergyLoss(), "normalised", Convention("normalised")),
    ("bending", monai.losses.BendingEnergyLoss(), "half", Convention(grid=2)),
    (
        "bending",
        lambda u: monai.losses.BendingEnergyLoss(reduction="sum")(u) * (17 / 15) ** 3,  # its border has none
        "voxels",
        Convention(components="sum", voxels="sum"),
    ),
    ("grad_l2", grad_of_voxelmorph, "voxels", Convention()),
    ("grad_l2", lambda u: grad_of_voxelmorph(u, loss_mult=2), "half", Convention(grid=2, multiplier=2)),
    ("grad_l1", lambda u: grad_of_voxelmorph(u, "l1", 2), "half", Convention(grid=2, multiplier=2)),
    ("grad_l2", smoothness_of_lapirn, "normalised", Convention("normalised")),
    ("grad_l1", lambda u: grad_of_voxelmorph(u, "l1"), "normalised", Convention("normalised")),
    ("displacement_l2", lambda u: u.square().sum(1).mean(), "voxels", Convention(components="sum")),
    ("displacement_l1", lambda u: u.abs().mean(), "normalised", Convention("normalised")),
    ("displacement_l2", lambda u: 0.5 * u.square().mean(), "half", Convention(grid=2, multiplier=0.5)),
    ("bending", lambda u: REGULARIZERS["bending"](u) / 9, "voxels", Convention(axes="mean")),
    # Per normalised unit along the differenced axis too: a slope again.
    ("grad_l2", lambda u: smoothness_of_lapirn(u) * 8**2, "normalised", Convention("normalised", "normalised")),
]


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # inside MONAI
@pytest.mark.parametrize(("name", "theirs", "kind", "convention"), CASES)
def test_both_weigh_the_same_motion_alike(
    name: str, theirs: Callable[[Tensor], Tensor], kind: str, convention: Convention
) -> None:
    u = {"b": bowl, "g": ramp, "d": still}[name[0]]()
    paper = 0.37 * theirs(in_their_unit(u, kind)).item()
    ours = convert_lambda(0.37, name, convention, shape=CUBE) * REGULARIZERS[name](u).item()
    assert ours == pytest.approx(paper, rel=1e-9)
    back = convert_lambda(convert_lambda(0.37, name, convention, shape=CUBE), name, OURS, convention, shape=CUBE)
    assert back == pytest.approx(0.37)


def test_a_sum_over_voxels() -> None:
    sums = Convention(components="sum", voxels="sum")
    u = ramp()
    theirs = u.square().sum().item()
    factor = convert_lambda(1.0, "displacement_l2", sums, shape=CUBE)
    assert factor * REGULARIZERS["displacement_l2"](u).item() == pytest.approx(theirs)


@pytest.mark.skipif(find_spec("neurite") is None, reason="voxelmorph is no dependency of the tests")
@pytest.mark.parametrize("power", ["l1", "l2"])
def test_neurite(power: str) -> None:
    from neurite.nn.modules import SpatialGradient

    u, name = ramp(), f"grad_{power}"
    paper = 0.37 * SpatialGradient(power)(half(u)).item()
    ours = convert_lambda(0.37, name, Convention(grid=2), shape=CUBE) * REGULARIZERS[name](u).item()
    assert ours == pytest.approx(paper, rel=1e-9)


@pytest.mark.parametrize("name", ["grad_l1", "grad_l2", "bending", "displacement_l1", "displacement_l2"])
def test_millimetres(name: str) -> None:
    """Of cubic voxels exactly; of others as the mean over components and axes."""
    u = bowl() if name == "bending" else ramp()
    for spacing in ((2.0, 2.0, 2.0), (1.0, 1.0, 3.0)):
        in_mm = REGULARIZERS[name](u, spacing=spacing).item()
        factor = convert_lambda(1.0, name, OURS_IN_MM, shape=CUBE, spacing=spacing)
        assert factor * REGULARIZERS[name](u).item() == pytest.approx(in_mm, rel=1e-9)


def test_by_hand() -> None:
    """VoxelMorph at half resolution with loss_mult 2: twice its lambda. MONAI's diffusion is a sum over three axes."""
    assert convert_lambda(0.01, "grad_l2", Convention(grid=2, multiplier=2), shape=(160, 192, 224)) == pytest.approx(
        0.02
    )
    assert convert_lambda(1.0, "grad_l2", Convention(axes="sum"), shape=(160, 192, 224)) == pytest.approx(3)
    normal = convert_lambda(4.0, "grad_l2", Convention("normalised"), shape=(101, 101))
    assert normal == pytest.approx(4 * 0.02**2)
    assert convert_lambda(1.0, "bending", OURS_IN_MM, shape=(9, 9), spacing=(2.0, 2.0)) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("jacobian", {"shape": (5, 5)}, "regularizer must have one form"),
        ("grad_l2", {"shape": (5, 1)}, "two voxels along each axis"),
        ("grad_l2", {"shape": (5, 5), "spacing": (1.0,)}, "spacing must be 2 positive numbers"),
        ("grad_l2", {"shape": (5, 5), "wanted": OURS_IN_MM}, "spacing must be given"),
        ("grad_l2", {"shape": (5, 5), "wanted": Convention(grid=0)}, "grid and multiplier must be positive"),
    ],
)
def test_mistakes_are_explained(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert_lambda(1.0, name, OURS, **given)


@pytest.mark.parametrize("name", ["displacement", "differences", "axes", "components", "voxels"])
def test_a_word_that_a_convention_does_not_know_is_refused(name: str) -> None:
    given: dict[str, Any] = {name: "summ"}
    with pytest.raises(ValueError, match=f"{name} must be .*, but got `summ`"):
        Convention(**given)

"""Every similarity, in 2D and 3D: the written-out formula, gradients, ranges, precision, masks, mistakes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from loss_references import (
    CASES,
    HISTOGRAMS,
    box,
    complete,
    correlation_ratio_loops,
    gaussian,
    gcc_two_pass,
    images,
    lcc_loops,
    lcc_two_pass,
    lcc_weighted_loops,
    mse_plain,
    row_of,
    small,
    triangle,
)
from skimage.metrics import structural_similarity
from torch import Tensor

from regbench.losses import SIMILARITIES
from regbench.losses.mi import _reach
from regbench.losses.mi_histogram import Settings

SHAPES = [(5, 6), (5, 6, 7)]
# Of an absolute value it need not be: torch takes its slope at NaN for 0.
NAN_IN_GRADIENT = {
    "multi_scale",
    "features",
    "lcc",
    "gcc",
    "mse",
    "mi",
    "nmi",
    "ngf",
    "mind",
    "ssim",
    "correlation_ratio",
}
EACH = pytest.mark.parametrize("name", SIMILARITIES)


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found.cpu().double() - expected).norm() / expected.norm()).item()


def value_and_gradients(loss: Callable[..., Tensor], f: Tensor, m: Tensor) -> list[Tensor]:
    f, m = f.clone().requires_grad_(), m.clone().requires_grad_()
    value = loss(f, m)
    return [value.detach(), *torch.autograd.grad(value, (f, m))]


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_is_its_formula(name: str, shape: tuple[int, ...]) -> None:
    loops = row_of(name).loops
    if loops is None:
        pytest.skip(f"{name} has no `loops` in SIMILARITY_ROWS of tests/support/loss_references.py")
    f, m = (x.double() for x in images(shape))
    assert small(name)(f, m).item() == pytest.approx(loops(f[0, 0].numpy(), m[0, 0].numpy()), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("border", "signed"), [("zero", False), ("valid", True), ("zero", True)])
def test_variants_of_lcc_are_their_formulas(shape: tuple[int, ...], border: str, signed: bool) -> None:
    f, m = (x.double() for x in images(shape))
    found = SIMILARITIES["lcc"](f, m, window=5, border=border, signed=signed, eps=1e-3)
    expected = lcc_loops(f[0, 0].numpy(), m[0, 0].numpy(), side=5, eps=1e-3, zero=border == "zero", signed=signed)
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("border", ["valid", "zero"])
@pytest.mark.parametrize(
    ("kernel", "sigma", "line"),
    [("box", None, box), ("triangular", None, triangle), ("gaussian", 1.2, gaussian(1.2)),
     ("gaussian", None, gaussian(5 / 3))],
)  # fmt: skip
def test_kernels_of_lcc_are_their_formulas(
    shape: tuple[int, ...], border: str, kernel: str, sigma: float | None, line: Any
) -> None:
    f, m = (x.double() for x in images(shape))
    for signed in (False, True):
        found = SIMILARITIES["lcc"](f, m, window=5, border=border, kernel=kernel, sigma=sigma, signed=signed)
        arrays = (f[0, 0].numpy(), m[0, 0].numpy())
        expected = lcc_weighted_loops(*arrays, side=5, eps=1e-5, zero=border == "zero", line=line, signed=signed)
        assert found.item() == pytest.approx(expected, rel=1e-9)


def test_a_wide_gaussian_is_a_box() -> None:
    f, m = images((20, 23))
    wide = SIMILARITIES["lcc"](f, m, kernel="gaussian", sigma=1e4)
    assert wide.item() == pytest.approx(SIMILARITIES["lcc"](f, m).item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 2, 9, 8), (1, 1, 7, 6, 8)])
@pytest.mark.parametrize("masked", [False, True])
def test_several_windows_are_a_mean(shape: tuple[int, ...], masked: bool) -> None:
    torch.manual_seed(0)
    f, m = torch.rand((2, *shape), dtype=torch.double).unbind()
    more: dict[str, Any] = {"kernel": "triangular", "signed": True}
    if masked:
        more |= {"mask": torch.rand(shape[0], 1, *shape[2:]) > 0.3, "expected": torch.tensor(60.0)}
    each = [SIMILARITIES["lcc"](f, m, window=side, **more) for side in (3, 5)]
    found = SIMILARITIES["lcc"](f, m, windows=(3, 5), **more)
    assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)


@pytest.mark.parametrize("shape", [(12, 13), (11, 10, 12)])
@pytest.mark.parametrize("kernel", ["gaussian", "box"])
@pytest.mark.parametrize("case", CASES)
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...], kernel: str, case: str) -> None:
    """By population covariances; its Gaussian ends at 3.5 sigma, here 3 voxels away."""
    f, m = (x.double() for x in images(shape, case))
    data_range = 4000.0 if case == "raw CT" else 1.0
    given = {"gaussian_weights": True, "sigma": 0.9} if kernel == "gaussian" else {"win_size": 7}
    expected = structural_similarity(
        f[0, 0].numpy(), m[0, 0].numpy(), data_range=data_range, use_sample_covariance=False, **given
    )  # fmt: skip
    sigma = 0.9 if kernel == "gaussian" else None
    found = SIMILARITIES["ssim"](f, m, kernel=kernel, sigma=sigma, data_range=data_range)
    assert 1 - found.item() == pytest.approx(expected, rel=1e-7)  # at an offset of 1000 theirs has lost digits


def test_ssim_sees_contrast_and_offset() -> None:
    f, _ = images((20, 21))
    for other in (f + 0.2, 0.5 * f, 1 - f):
        assert SIMILARITIES["ssim"](f, other).item() > 0.05
        assert SIMILARITIES["lcc"](f, other).item() < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_both_directions_of_the_correlation_ratio(shape: tuple[int, ...]) -> None:
    f, m = (x.double() for x in images(shape))
    ratio = SIMILARITIES["correlation_ratio"]
    one, two, both = (ratio(f, m, given=given).item() for given in ("fixed", "moved", "both"))
    assert one == pytest.approx(correlation_ratio_loops(f[0, 0].numpy(), m[0, 0].numpy()), rel=1e-9)
    assert two == pytest.approx(correlation_ratio_loops(m[0, 0].numpy(), f[0, 0].numpy()), rel=1e-9)
    assert both == pytest.approx((one + two) / 2, rel=1e-12)
    assert ratio(m, f, given="both").item() == pytest.approx(both, rel=1e-12)


def test_the_correlation_ratio_asks_for_a_function() -> None:
    """A parabola of I is a function of I, and I none of it."""
    f, m = images((40, 41))
    parabola = (2 * f - 1).square()
    ratio = SIMILARITIES["correlation_ratio"]
    assert ratio(f, f).item() < 0.02
    assert ratio(f, parabola).item() < 0.05
    assert ratio(f, parabola, given="moved").item() > 3 * ratio(f, parabola).item()
    assert ratio(f, m.flip(2)).item() > 0.5


def test_huber_is_that_of_torch_and_has_two_ends() -> None:
    f, m = images((12, 13))
    found = SIMILARITIES["huber"](f, m, delta=0.07)
    assert found.item() == pytest.approx(torch.nn.functional.huber_loss(m, f, delta=0.07).item(), rel=1e-6)
    assert SIMILARITIES["huber"](f, m, delta=1e3).item() == pytest.approx(SIMILARITIES["mse"](f, m).item() / 2)
    tiny = SIMILARITIES["huber"](f, m, delta=1e-6).item() / 1e-6
    assert tiny == pytest.approx(SIMILARITIES["mae"](f, m).item(), rel=1e-3)


def test_window_of_one_number_for_each_axis() -> None:
    f, m = (x.double() for x in images((7, 9)))
    flat = SIMILARITIES["lcc"](f, m, window=(1, 5))
    rows = [SIMILARITIES["lcc"](f[:, :, k], m[:, :, k], window=5) for k in range(7)]
    assert flat.item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-12)


@EACH
@pytest.mark.parametrize("shape", [(2, 2, 5, 6), (1, 1, 5, 5, 6)])
def test_gradients_to_both_images(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    f, m = (torch.rand(shape, dtype=torch.double, requires_grad=True) for _ in range(2))
    # The image's own minimum and maximum are constants by definition; finite differences would move them.
    fixed_range = {"intensity_range": (-0.5, 1.5)} if name in HISTOGRAMS else {}
    assert torch.autograd.gradcheck(small(name, **fixed_range), (f, m))


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", [(33, 41), (14, 13, 15)])
@pytest.mark.parametrize("case", CASES)
def test_float32_is_float64(name: str, shape: tuple[int, ...], case: str, device: torch.device) -> None:
    f, m = images(shape, case)
    single = value_and_gradients(complete(name), f.to(device), m.to(device))
    double = value_and_gradients(complete(name), f.double(), m.double())
    for one, two in zip(single, double, strict=True):
        assert relative(one, two) <= row_of(name).limit


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("shape", [(33, 41), (14, 13, 15)])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (SIMILARITIES["lcc"], partial(lcc_two_pass, side=9)),
        (partial(SIMILARITIES["lcc"], border="zero"), partial(lcc_two_pass, side=9, zero=True)),
        (partial(SIMILARITIES["lcc"], signed=True), partial(lcc_two_pass, side=9, signed=True)),
        (SIMILARITIES["gcc"], gcc_two_pass),
        (SIMILARITIES["mse"], mse_plain),
    ],
    ids=["lcc", "lcc zero", "lcc signed", "gcc", "mse"],
)
def test_against_two_passes_in_float64(
    loss: Callable[..., Tensor], reference: Callable[..., Tensor], shape: tuple[int, ...], case: str
) -> None:
    f, m = images(shape, case)
    expected = value_and_gradients(reference, f.double(), m.double())
    for images_, limit in (((f, m), 1e-6), ((f.double(), m.double()), 1e-12)):
        value, *gradients = value_and_gradients(loss, *images_)
        # The value of a correlation is one minus a number of order one: its error is that of the latter.
        assert abs(value.item() - expected[0].item()) <= limit * max(abs(expected[0].item()), 1)
        for found, exact in zip(gradients, expected[1:], strict=True):
            assert relative(found, exact) <= limit


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("shape", [(40, 41), (14, 15, 16)])
@pytest.mark.parametrize("signed", [False, True])
def test_a_dim_voxel_on_a_dark_ground_is_texture(shape: tuple[int, ...], signed: bool) -> None:
    """In float32 its window is flat to within the rounding of the ground, less the image's mean."""
    torch.manual_seed(0)
    f = torch.rand(1, 1, *shape)
    f[..., shape[-1] // 2 :] *= (
        10 ** (-1 - 3 * torch.rand(1)) * (torch.rand(1, 1, *shape) > 0.95)[..., shape[-1] // 2 :]
    )
    m = f * (0.8 + 0.4 * torch.rand(f.shape))
    expected = value_and_gradients(partial(lcc_two_pass, side=5, signed=signed), f.double(), m.double())
    for one, exact in zip(
        value_and_gradients(partial(SIMILARITIES["lcc"], window=5, signed=signed), f, m), expected, strict=True
    ):
        assert relative(one, exact) <= 5e-7


@pytest.mark.parametrize("shape", [(33, 41), (14, 13, 15)])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lcc", {}),
        ("lcc", {"window": 3, "eps": 1e-8}),
        ("lcc", {"border": "zero"}),
        ("lcc", {"signed": True}),
        ("lcc", {"denominator": "clamp", "border": "zero"}),
        ("gcc", {}),
        ("mi", {}),
        ("mi", {"intensity_range": (0.25, 0.75), "smooth": 1e-7, "bins": 23}),
        ("nmi", {}),
        ("correlation_ratio", {"given": "both"}),
        ("lcc", {"kernel": "gaussian", "sigma": 2.0}),
        ("ssim", {}),
    ],
    ids=str,
)
def test_a_formula_loses_no_digit_of_float32(
    name: str, parameters: dict[str, Any], shape: tuple[int, ...], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU computes, and a machine without Numba."""
    monkeypatch.setattr("regbench.system.numba_loops.available", lambda: False)
    f, m = images(shape, case)
    loss = complete(name, **parameters)
    single, double = value_and_gradients(loss, f, m), value_and_gradients(loss, f.double(), m.double())
    for one, two in zip(single, double, strict=True):
        assert one.dtype == torch.float32
        assert (one.double() - two).norm() <= 2e-7 * two.norm()


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype, device: torch.device) -> None:
    f, m = (x.to(device) * 255 for x in images((16, 17)))
    expected = value_and_gradients(complete(name), f, m)
    with torch.autocast(device.type, dtype=dtype):
        found = value_and_gradients(complete(name), f, m)
    for one, two in zip(found, expected, strict=True):
        assert relative(one, two.cpu().double()) <= 1e-6
    half = complete(name)(f.to(dtype), m.to(dtype))
    assert half.dtype == torch.float32
    whole = complete(name)(f.to(dtype).float(), m.to(dtype).float())
    assert relative(half, whole.cpu().double()) <= 1e-6


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", [(12, 13), (10, 11, 12)])
@pytest.mark.parametrize("level", [0.0, 0.7, -1000.0])
def test_constant_images(name: str, shape: tuple[int, ...], level: float) -> None:
    image = images(shape)[0]
    constant = torch.full_like(image, level)
    row = row_of(name)
    for f, m in ((image, constant), (constant, image), (constant, constant)):
        value, *gradients = value_and_gradients(complete(name), f, m)
        assert row.low - 1e-6 <= value.item() <= row.high + 1e-6
        assert all(gradient.isfinite().all() for gradient in gradients)
        if row.constant is not None:
            assert value.item() == pytest.approx(row.constant, abs=1e-5)
            # The histogram's is the rounding of a logarithm of 1.
            limit = 1e-5 if name in HISTOGRAMS else 1e-6
            assert all(gradient.abs().max() <= limit for gradient in gradients)


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("case", CASES)
def test_range_and_identical_images(name: str, case: str) -> None:
    f, m = images((24, 25), case)
    low, high = row_of(name).low, row_of(name).high
    same, other = complete(name)(f, f).item(), complete(name)(f, m).item()
    assert low <= same < other <= high
    # Windows without contrast match nothing, not even themselves.
    if name in {"gcc", "mse", "mae", "huber", "mind", "ssim"} or (
        name == "lcc" and case not in {"low contrast", "zero background"}
    ):
        assert same == pytest.approx(0, abs=1e-4)


@EACH
def test_batch_is_a_mean(name: str) -> None:
    torch.manual_seed(0)
    f, m = torch.rand(2, 3, 1, 11, 12, dtype=torch.double).unbind()
    each = [complete(name)(f[k : k + 1], m[k : k + 1]) for k in range(3)]
    assert complete(name)(f, m).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)


@EACH
@pytest.mark.parametrize("shape", [(12, 13), (10, 11, 12)])
def test_mask(name: str, shape: tuple[int, ...]) -> None:
    f, m = (x.double() for x in images(shape))
    everywhere = torch.ones(shape, dtype=torch.bool)
    assert small(name, mask=everywhere)(f, m).item() == pytest.approx(small(name)(f, m).item(), rel=1e-12)
    # What lies outside the mask does not matter, next to it neither.
    left = everywhere.clone()
    left[:, 5:] = False
    changed, strange = m.clone(), f.clone()
    changed[:, :, :, 5:] += 1000 * torch.rand_like(changed[:, :, :, 5:])
    strange[:, :, :, 5:] = -1000
    inside, still = (small(name, mask=left)(*pair) for pair in ((f, m), (strange, changed)))
    assert still.item() == pytest.approx(inside.item(), rel=1e-9)
    assert abs(small(name)(f, changed) - inside) > 1e-4 * abs(inside)
    gradient = value_and_gradients(small(name, mask=left), f, m)[2]
    assert gradient[:, :, :, 5:].abs().max() == 0
    assert gradient.abs().max() > 0
    empty = value_and_gradients(small(name, mask=torch.zeros(shape)), f, m)
    assert all(each.isfinite().all() for each in empty)


@EACH
def test_masks_of_different_size_weigh_alike(name: str) -> None:
    torch.manual_seed(0)
    f, m = torch.rand(2, 2, 1, 11, 12, dtype=torch.double).unbind()
    mask = torch.rand(2, 1, 11, 12) > torch.tensor([0.2, 0.8]).view(2, 1, 1, 1)
    each = [complete(name)(f[k : k + 1], m[k : k + 1], mask=mask[k : k + 1]) for k in range(2)]
    assert complete(name)(f, m, mask=mask).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)


@EACH
def test_mask_gradients(name: str) -> None:
    torch.manual_seed(0)
    f, m = (torch.rand(2, 2, 5, 6, dtype=torch.double, requires_grad=True) for _ in range(2))
    mask = torch.rand(2, 1, 5, 6) > 0.3
    ends = {"intensity_range": (-0.5, 1.5)} if name in HISTOGRAMS else {}
    assert torch.autograd.gradcheck(small(name, mask=mask, **ends), (f, m))


@pytest.mark.usefixtures("engine")
@EACH
@pytest.mark.parametrize("shape", [(12, 13), (10, 11, 12)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_diverged_image_is_seen(name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """A training whose loss is not finite ends with a row in the table: neither an exception nor a number will do."""
    for value, more in ((torch.nan, {}), (torch.inf, {}), (torch.nan, {"intensity_range": (0.0, 1.0)})):
        if more and name not in HISTOGRAMS:
            continue
        f, m = (x.to(device, dtype) for x in images(shape))
        m.view(-1)[7] = value
        for pair in ((f, m), (m, f)):
            found, *gradients = value_and_gradients(small(name, **more), *pair)
            assert not found.isfinite()
            if name in NAN_IN_GRADIENT and value != torch.inf:
                assert any(gradient.isnan().any() for gradient in gradients)


@pytest.mark.usefixtures("engine")
def test_a_window_that_reaches_all_bins_needs_no_more_room_than_they_do() -> None:
    f, m = images((12, 13))
    single = value_and_gradients(partial(SIMILARITIES["mi"], sigma=4.0, bins=5), f, m)
    double = value_and_gradients(partial(SIMILARITIES["mi"], sigma=4.0, bins=5), f.double(), m.double())
    for one, two in zip(single, double, strict=True):
        assert (one - two).abs().max() <= 1e-6
    assert _reach(Settings(32, 1e3, None)) == 32


def test_lcc_inverted_contrast() -> None:
    f, _ = images((20, 21))
    assert SIMILARITIES["lcc"](f, 1 - f).item() == pytest.approx(0, abs=1e-3)
    assert SIMILARITIES["lcc"](f, 1 - f, signed=True).item() == pytest.approx(2, abs=1e-3)


def test_zero_border_correlates_constants() -> None:
    constant = torch.full((1, 1, 20, 20), 0.7)
    assert SIMILARITIES["lcc"](constant, constant, border="zero").item() < 0.5
    assert SIMILARITIES["lcc"](constant, constant).item() == 1


@EACH
def test_shapes_must_agree(name: str) -> None:
    with pytest.raises(ValueError, match="one shape"):
        complete(name)(torch.rand(1, 1, 12, 12), torch.rand(1, 1, 12, 13))
    with pytest.raises(ValueError, match="broadcast"):
        complete(name)(torch.rand(1, 1, 12, 12), torch.rand(1, 1, 12, 12), mask=torch.ones(5, 5))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("lcc", {"window": 13}, "fit into the image"),
        ("lcc", {"window": 4}, "odd"),
        ("lcc", {"window": (3, 3, 3)}, "one for each"),
        ("lcc", {"window": 1}, "two voxels"),
        ("lcc", {"eps": 0.0}, "positive"),
        ("mi", {"bins": 1}, "bins"),
        ("mi", {"intensity_range": (1.0, 0.0)}, "lower"),
        ("nmi", {"sigma": 0.04}, "sigma at least 0.05"),
        ("ngf", {"edge": 0.0}, "edge"),
        ("mind", {"radius": 9}, "21 voxels|23 voxels"),
        ("lcc", {"sigma": 2.0}, "sigma must be positive and belong to `kernel: gaussian`"),
        ("lcc", {"sigma": 0.0, "kernel": "gaussian"}, "sigma must be positive"),
        ("lcc", {"windows": ()}, "windows must hold sides"),
        ("lcc", {"windows": (3, 5), "window": 7}, "stand without `window`"),
        ("lcc", {"windows": (3, 13)}, "fit into the image"),
        ("ssim", {"window": 13}, "fit into the image"),
        ("ssim", {"kernel": "box", "sigma": 1.0}, "sigma must be positive and belong"),
        ("ssim", {"data_range": 0.0}, "data_range"),
        ("huber", {"delta": 0.0}, "delta must be positive"),
        ("correlation_ratio", {"bins": 1}, "bins"),
        ("lcc", {"border": "zeros"}, "border must be `valid` or `zero`, but got `zeros`"),
        ("lcc", {"denominator": "clip"}, "denominator must be `add` or `clamp`"),
        ("lcc", {"kernel": "Box"}, "kernel must be `box`, `gaussian` or `triangular`"),
        ("ssim", {"kernel": "gauss"}, "kernel must be `box`, `gaussian` or `triangular`"),
        ("correlation_ratio", {"given": "moving"}, "given must be `fixed`, `moved` or `both`"),
        ("features", {"measure": "cosines"}, "measure must be `squared` or `cosine`"),
        ("mi", {"sigma": float("inf")}, "sigma at least 0.05"),
        ("nmi", {"intensity_range": (0.0, float("inf"))}, "two finite"),
        ("mi", {"smooth": -0.5}, "smooth must be 0 or more"),
        ("lcc", {"eps": float("inf")}, "eps must be positive"),
        ("mse", {"unmatched": -1.0}, "unmatched must be 0 or more"),
        ("mae", {"unmatched": -1.0}, "unmatched must be 0 or more"),
        ("features", {"unmatched": -1.0}, "unmatched must be 0 or more"),
    ],
)
def test_mistakes_are_explained(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complete(name)(torch.rand(1, 1, 12, 12), torch.rand(1, 1, 12, 12), **given)

"""The feature distance: files and functions, checksums, devices and types, encoders that give something else."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from encoders import Pyramid, made_2d, made_3d
from loss_references import images

from regbench.losses import SIMILARITIES
from regbench.study import components
from regbench.system.files import file_sha256

distance = SIMILARITIES["features"]


components.allow(["encoders"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A TorchScript file of the 2D encoder, in the state of training."""
    path = tmp_path / "encoder.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of TorchScript as such
        torch.jit.script(made_2d().train()).save(path)
    components.allow([str(path)])
    return path


@pytest.mark.parametrize(("shape", "maker"), [((12, 13), made_2d), ((10, 9, 11), made_3d)])
@pytest.mark.parametrize("measure", ["squared", "cosine"])
def test_is_its_formula(shape: tuple[int, ...], maker: Any, measure: str) -> None:
    f, m = images(shape)
    encoder = maker().eval()
    one, two = encoder(f), encoder(m)
    expected = (one - two).square().mean() if measure == "squared" else (1 - torch.cosine_similarity(one, two)).mean()
    found = distance(f, m, encoder=f"encoders:{maker.__name__}", measure=measure)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_file_is_the_module_in_it(file: Path) -> None:
    f, m = images((12, 13))
    by_file = distance(f, m, encoder=str(file))
    assert by_file.item() == pytest.approx(distance(f, m, encoder="encoders:made_2d").item(), rel=1e-6)
    assert by_file.item() == distance(f, m, encoder=str(file), sha256=file_sha256(file)).item()


def test_gradients_reach_the_image_and_not_the_encoder(file: Path) -> None:
    f, m = images((12, 13))
    leaf = m.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(f.double(), x, encoder=str(file)), (leaf,))
    loaded = features_module()._of_file(file, file.stat().st_mtime_ns, file.stat().st_size, wanted(file, torch.double))
    assert all(not weight.requires_grad and weight.grad is None for weight in loaded.parameters())
    assert not loaded.training


def features_module() -> Any:
    from importlib import import_module

    return import_module("regbench.losses.features")


def wanted(file: Path, dtype: torch.dtype) -> Any:
    return features_module()._Wanted(str(file), None, torch.device("cpu"), dtype)


def test_masks_on_a_coarser_grid() -> None:
    """A feature weighs the mean weight of its voxels; what lies outside is not seen."""
    f, m = images((12, 16))
    left = torch.zeros(1, 1, 12, 16)
    left[..., :6] = 1
    encoder = "encoders:made_2d"
    value = distance(f, m, mask=left, encoder=encoder)
    spoiled = torch.where(left > 0, m, 1e6)
    assert distance(f, spoiled, mask=left, encoder=encoder).item() == value.item()
    module = made_2d().eval()
    local = (module(f * left) - module(m * left)).square().mean(1)[0]
    assert value.item() == pytest.approx(local[:, :3].mean().item(), rel=1e-5)
    ones = distance(f, m, mask=torch.ones_like(left), encoder=encoder).item()
    assert ones == pytest.approx(distance(f, m, encoder=encoder).item(), rel=1e-6)
    lacking = distance(f, m, mask=left, expected=2 * left.sum()[None], unmatched=3.0, encoder=encoder).item()
    assert lacking == pytest.approx(value.item() / 2 + 1.5, rel=1e-6)


def test_another_file_is_another_encoder(file: Path) -> None:
    f, m = images((12, 13))
    before, digest = distance(f, m, encoder=str(file)).item(), file_sha256(file)
    torch.manual_seed(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Pyramid(2)).save(file)
    assert distance(f, m, encoder=str(file)).item() != before
    with pytest.raises(ValueError, match=f"must be {digest}, but is .* the file has changed"):
        distance(f, m, encoder=str(file), sha256=digest)


@pytest.mark.parametrize(
    ("encoder", "error", "message"),
    [
        ("encoders:vector", ValueError, r"\(B, F, \*R\) with B = 1 and 2 axes, but gave \(1, 156\)"),
        ("encoders:words", ValueError, "but gave str"),
        ("encoders:nans", ValueError, "must give finite features"),
        ("encoders:integers", ValueError, "floating-point features, but gave torch.int64"),
        ("encoders:made_nothing", ValueError, "must make a torch.nn.Module, but made int"),
        ("encoders:two_images", ValueError, "must be a function"),
        ("encoders:absent", ValueError, "must be importable"),
        ("encoders:picky", RuntimeError, r"must take images \(1, 1, 12, 13\), but raised IndexError: sides must"),
        ("no_such_module:f", ValueError, "must be allowed"),
        ("/nowhere/encoder.pt", ValueError, "must be allowed before it is loaded"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(encoder: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        distance(*images((12, 13)), encoder=encoder)


def test_files_that_are_no_encoder(tmp_path: Path) -> None:
    text = tmp_path / "text.pt"
    text.write_text("no archive")
    components.allow([str(text), str(tmp_path / "none.pt")])
    with pytest.raises(ValueError, match="must be a TorchScript file, but got"):
        distance(*images((12, 13)), encoder=str(text))
    with pytest.raises(ValueError, match="No such file"):
        distance(*images((12, 13)), encoder=str(tmp_path / "none.pt"))
    with pytest.raises(ValueError, match="sha256 must be left out"):
        distance(*images((12, 13)), encoder="encoders:vector", sha256="0")


def test_a_diverged_image_is_no_fault_of_the_encoder() -> None:
    f, m = images((15, 13))
    m[0, 0, 3, 3] = torch.nan
    assert distance(f, m, encoder="encoders:made_2d").isnan()


def test_zero_vectors_have_no_direction() -> None:
    zeros = torch.zeros(1, 1, 6, 7, requires_grad=True)
    value = distance(torch.zeros(1, 1, 6, 7), zeros, encoder="loss_references:edges", measure="cosine")
    assert value.item() == 1
    assert torch.autograd.grad(value, zeros)[0].abs().max() == 0


def test_an_encoder_that_writes_into_its_image_spoils_none() -> None:
    f, m = images((12, 13))
    before, leaf = (f.clone(), m.clone()), m.clone().requires_grad_()
    value = distance(f, leaf, encoder="encoders:in_place")
    assert value.item() == pytest.approx(4 * SIMILARITIES["mse"](*before).item(), rel=1e-6)
    assert torch.equal(f, before[0])
    assert torch.autograd.grad(value, leaf)[0].abs().max() > 0

"""What must hold on every device: exact regularizers and fields, the same registrations, a training that goes on."""

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
import torch
from loss_references import images
from specs import at
from torch import Tensor

from regbench.evaluation.timing import peak_memory_mib
from regbench.losses import REGULARIZERS
from regbench.models.predict import build_model, device_of, register
from regbench.spatial import compose, integrate, jacobian_determinant, resize_displacement, warp
from regbench.study.job_specs import train_spec
from regbench.study.load import load as load_config
from regbench.study.methods import Study
from regbench.system.errors import InterruptedTrainingError
from regbench.training.fit import fit, objective_at
from regbench.training.trainer import Trainer

SHAPES = [(33, 41), (14, 13, 15)]


@pytest.fixture
def make(tiny, device):
    def job(model=None, **training):
        tiny["training"] = {"steps": 12, "batch": 2, "device": device.type, **training}
        tiny["models"] = [model] if model else tiny["models"]
        study = Study(load_config(tiny))
        method = next(each for each in study.methods if each.model)
        return train_spec(study, method.id, seed=0, steps=12)

    return job


def gradients(loss: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [each.clone().requires_grad_() for each in inputs]
    value = loss(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found.detach().cpu().double() - expected).norm() / expected.norm()).item()


def field(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(2, len(shape), *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_regularizers_are_exact(name, shape, device):
    expected = gradients(REGULARIZERS[name], field(shape).double())
    found = gradients(REGULARIZERS[name], field(shape).to(device))
    assert all(relative(one, two) <= 3e-6 for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_fields_are_exact(shape, device):
    smooth = resize_displacement(0.3 * field((5,) * len(shape)), shape)
    picture = torch.cat(images(shape))

    def every(u: Tensor, x: Tensor) -> list[Tensor]:
        return [
            warp(x, u),
            compose(u, u),
            integrate(u),
            jacobian_determinant(u),
            resize_displacement(u, (8,) * u.shape[1]),
        ]

    expected = every(smooth.double(), picture.double())
    found = every(smooth.to(device), picture.to(device))
    for one, two in zip(found, expected, strict=True):
        assert one.device.type == device.type
        assert (one.cpu().double() - two).abs().max() < 2e-5


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("place", ["device", "stream"])
def test_a_training_learns(make, data, precision, place, device):
    found = fit(at(make(precision=precision, images=place, learning_rate=0.004), 0.1), data)
    assert found.status == "complete"
    assert device_of(found.model).type == device.type
    assert np.isfinite(found.history["loss"]).all()
    first, last = found.history["loss"][0], found.history["loss"][-1]
    assert last < first


@pytest.mark.parametrize("place", ["device", "stream"])
def test_no_step_waits_for_a_gpu(make, data, place, device):
    """Batch, augmentation and step; torch itself says where it waits."""
    if device.type != "cuda":
        pytest.skip("the CPU waits for nothing; what would wait is counted in test_batches and test_repeatable")
    augmentation = {"flips": (0,), "rotation_degrees": 5, "translation_voxels": 1, "gamma": 0.1, "noise": 0.1}
    spec = at(make(images=place, augmentation=augmentation), 0.1)
    target = objective_at(spec)
    model = build_model(spec.model, len(data.shape), target).to(device)
    trainer = Trainer(spec, data, model, target)
    for number in range(8):
        torch.cuda.set_sync_debug_mode(
            "error" if number >= 4 else "default"
        )  # then kernels are chosen, memory is there
        try:
            trainer.state.record(trainer.step(trainer.batch()))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert torch.stack(trainer.state.terms).isfinite().all()


def test_a_stopped_training_goes_on(make, data, tmp_path, monkeypatch, device):
    """To the bit on a CPU; elsewhere sums of the warp's gradient are in no fixed order."""
    state, batch = tmp_path / "state.pt", Trainer.batch

    def stopping(self):
        if self.state.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(self)

    job = make(augmentation={"flips": [0], "rotation_degrees": 5.0, "noise": 0.01})
    whole = fit(at(job, 0.1), data)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "batch", stopping)
        with pytest.raises(InterruptedTrainingError, match="step 8 of 12"):
            fit(at(job, 0.1), data, state_path=state)
    resumed = fit(at(job, 0.1), data, state_path=state)
    assert resumed.history["loss"] == pytest.approx(whole.history["loss"], abs=0 if device.type == "cpu" else 1e-3)


def test_an_optimisation_is_the_cpus(make, data, device):
    model = {"name": "instance", "parameters": {"steps": [10, 10, 10]}}
    pair = data.pair(*data.pairs("test")[0])
    found = []
    for kind in ("cpu", device.type):
        found.append(register(fit(at(make(model, device=kind), 0.1), data).model, pair.fixed, pair.moving))
    assert np.abs(found[0]).max() > 0.1
    assert np.abs(found[1] - found[0]).mean() < 0.02


def test_peak_memory_is_the_devices(device):
    def work() -> None:
        torch.ones(64, 2**18, device=device).sum().item()

    work()
    assert 60 <= peak_memory_mib(work, device) <= 90

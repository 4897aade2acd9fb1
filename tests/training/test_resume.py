"""A killed training goes on and ends the same to the bit; the options of training do what they say."""

import logging
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from specs import at
from trainings import stop_at, weights

from regbench.models.predict import build_model
from regbench.study.config import Augmentation
from regbench.study.job_specs import train_spec
from regbench.study.load import load as load_config
from regbench.study.methods import Study
from regbench.system.errors import InterruptedTrainingError, RegbenchError
from regbench.training.augment import augment
from regbench.training.batches import Batch, Batches
from regbench.training.fit import fit
from regbench.training.resume import StateFile
from regbench.training.schedule import constant
from regbench.training.validation import scoring, validate

METHOD = "voxelmorph.lcc.grad_l2"


@pytest.fixture
def make(tiny):
    def job(steps=12, **training):
        tiny["training"] = {"steps": steps, "batch": 2, "device": "cpu", **training}
        return train_spec(Study(load_config(tiny)), METHOD, seed=0, steps=steps)

    return job


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimiser": "adamw", "weight_decay": 0.01, "validate_every": 3, "keep": "best"},
        {"precision": "fp16", "augmentation": {"flips": [0], "rotation_degrees": 5.0, "noise": 0.01}},
    ],
)
def test_a_stopped_training_ends_the_same_to_the_bit(make, data, tmp_path, monkeypatch, options):
    job, state = make(**options), tmp_path / "state.pt"
    whole = fit(at(job, 0.1), data)
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(InterruptedTrainingError, match="step 8 of 12"):
            fit(at(job, 0.1), data, state_path=state)
    assert state.is_file()
    resumed = fit(at(job, 0.1), data, state_path=state)
    assert torch.equal(weights(whole.model), weights(resumed.model))
    assert whole.history == resumed.history
    assert whole.validations == resumed.validations
    assert state.is_file()  # until whoever called wrote the result


def test_it_goes_on_where_it_was_stopped(make, data, tmp_path, monkeypatch, caplog):
    """One that began again would have the same bits too, and all its work lost."""
    state = tmp_path / "state.pt"
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(InterruptedTrainingError):
            fit(at(make(), 0.1), data, state_path=state)
    with caplog.at_level(logging.INFO, "regbench.training.fit"):
        fit(at(make(), 0.1), data, state_path=state)
    assert "goes on from step 8 of 12" in caplog.text


def test_the_state_of_another_training_is_not_taken(make, data, tmp_path, monkeypatch):
    state = tmp_path / "state.pt"
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(InterruptedTrainingError):
            fit(at(make(), 0.1), data, state_path=state)
    assert torch.equal(
        weights(fit(at(make(), 0.2), data, state_path=state).model), weights(fit(at(make(), 0.2), data).model)
    )
    state.write_bytes(b"torn")
    assert StateFile(state, "any", 300.0).load() is None
    assert torch.equal(
        weights(fit(at(make(), 0.1), data, state_path=state).model), weights(fit(at(make(), 0.1), data).model)
    )


def test_kill_9_and_sigterm_on_the_command_line(tiny, tiny_file, tmp_path):
    """The verb, killed for good, then stopped politely (75), then left alone, against one left alone at once."""
    import yaml

    tiny["training"] = {"steps": 400, "batch": 2, "device": "cpu"}
    tiny_file.write_text(yaml.safe_dump(tiny))
    regbench = [sys.executable, "-c", "from regbench.cli.main import main; main()"]
    subprocess.run([*regbench, "prepare", str(tiny_file)], check=True)

    def train(name):
        out = tmp_path / name
        given = ["train", str(tiny_file), "--method", METHOD, "--seed", "0", "--lam", "0.1", "--out", str(out)]
        return out, [*regbench, *given, "--save-every", "0"]

    out, command = train("killed")
    for how, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)):
        before = (out / "state.pt").stat().st_mtime_ns if (out / "state.pt").exists() else 0
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not (out / "state.pt").exists() or (out / "state.pt").stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(how)
        process.communicate()
        assert process.returncode == status
        assert not (out / "run.json").exists()
    subprocess.run(command, check=True)
    whole, command = train("whole")
    subprocess.run(command, check=True)
    assert (out / "checkpoint.pt").read_bytes() == (whole / "checkpoint.pt").read_bytes()
    assert not (out / "state.pt").exists()


def test_an_orphan_and_its_successor_never_train_side_by_side(tiny, tiny_file, tmp_path):
    """The second waits for the first, and takes what it made."""
    import yaml

    tiny["training"] = {"steps": 1500, "batch": 2, "device": "cpu"}
    tiny_file.write_text(yaml.safe_dump(tiny))
    regbench, out = [sys.executable, "-c", "from regbench.cli.main import main; main()"], tmp_path / "run"
    subprocess.run([*regbench, "prepare", str(tiny_file)], check=True)
    given = ["train", str(tiny_file), "--method", METHOD, "--seed", "0", "--lam", "0.1", "--out", str(out)]
    first = subprocess.Popen([*regbench, *given, "--save-every", "0"])
    deadline = time.monotonic() + 60
    while not (out / "state.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = subprocess.Popen([*regbench, *given], stderr=subprocess.PIPE, text=True)
    assert first.wait() == 0
    written = (out / "run.json").stat().st_mtime_ns
    _, said = second.communicate()
    assert second.returncode == 0
    assert f"run by process {first.pid} on" in said
    assert (out / "run.json").stat().st_mtime_ns == written
    assert not (out / "state.owner").exists()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sixteen_bits_stay_near_float32(make, data, precision):
    full, half = (
        fit(at(make(20), 0.1), data).history["loss"],
        fit(at(make(20, precision=precision), 0.1), data).history["loss"],
    )
    assert np.allclose(full, half, atol=0.02)
    assert full != half


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of the compiler itself
def test_a_compiled_network_stays_near(make, data):
    plain, compiled = fit(at(make(6), 0.1), data).history, fit(at(make(6, compile=True), 0.1), data).history
    for name, values in plain.items():
        assert np.allclose(values, compiled[name], rtol=1e-3, atol=1e-5)


def test_compiling_without_a_compiler_is_refused(make, data, monkeypatch):
    monkeypatch.setattr("regbench.system.device.shutil.which", lambda name: None)
    with pytest.raises(RegbenchError, match=r"training\.compile needs a C\+\+ compiler"):
        fit(at(make(compile=True), 0.1), data)


def test_streamed_images_train_the_same(make, data):
    held, streamed = fit(at(make(images="device"), 0.1), data), fit(at(make(images="stream"), 0.1), data)
    assert torch.equal(weights(held.model), weights(streamed.model))


@pytest.mark.parametrize(("half", "place"), [("fixed", 0), ("moving", 1)])
def test_the_atlas_is_one_half_of_every_pair(make, data, half, place):
    atlas = data.split("train")[1]
    protocol = make(30, atlas=atlas, atlas_is=half).training
    batches = Batches(data, protocol, 0, torch.device("cpu"))
    expected = torch.from_numpy(data.images((atlas,)))[:, None]
    for step in range(30):
        batch = batches[step]
        assert torch.equal(batch[place], expected.expand(2, *expected.shape[1:]))
        assert not any(torch.equal(other, expected[0]) for other in batch[1 - place])
    with pytest.raises(RegbenchError, match=r"did you mean|known"):
        Batches(data, protocol.model_copy(update={"atlas": "nobody"}), 0, torch.device("cpu"))


def test_labels_guide_the_training_where_asked(make, data):
    plain, guided = fit(at(make(), 0.1), data), fit(at(make(dice_weight=1.0), 0.1), data)
    assert not torch.equal(weights(plain.model), weights(guided.model))
    terms = np.array([guided.history[name] for name in ("loss", "similarity", "regularizer")])
    overlap = terms[0] - terms[1] - 0.1 * terms[2]
    assert (overlap > 0).all()
    assert (overlap < 1).all()


def test_the_best_weights_are_kept_and_patience_ends_the_training(make, data, monkeypatch):
    scores = iter([0.2, 0.5, 0.4, 0.3, 0.1])
    monkeypatch.setattr("regbench.training.trainer.validate", lambda *_: {"dice": [next(scores)], "ndv_percent": [0.0]})
    found = fit(at(make(50, validate_every=2, keep="best", patience=2), 0.1), data)
    assert [entry["step"] for entry in found.validations] == [2, 4, 6, 8]
    assert len(found.history["loss"]) == 8
    assert not torch.equal(weights(found.model), weights(build_model(make().model, 2)))


def test_the_weights_that_are_kept_are_those_of_the_best_validation(make, data, monkeypatch):
    """Best at step 4 and ended at 8, against a training that ended at 4."""
    kept = []
    for keep, patience, dice in (("best", 2, [0.2, 0.5, 0.4, 0.3]), ("last", 1, [0.2, 0.1])):
        scores = iter(dice)
        monkeypatch.setattr(
            "regbench.training.trainer.validate",
            lambda *_, scores=scores: {"dice": [next(scores)], "ndv_percent": [0.0]},
        )
        training = fit(at(make(50, validate_every=2, keep=keep, patience=patience), 0.1), data)
        kept.append((len(training.history["loss"]), weights(training.model)))
    assert [steps for steps, _ in kept] == [8, 4]
    assert torch.equal(kept[0][1], kept[1][1])


def test_augmentation_draws_from_the_step_and_changes_what_it_says():
    fixed, moving = torch.rand(2, 3, 1, 12, 10)
    labels = (torch.rand(3, 2, 12, 10) > 0.5).float()
    batch = Batch(fixed, moving, labels, labels)

    def make(seed, **wanted):
        return augment(batch, Augmentation(**wanted), np.random.default_rng(seed))

    assert all(a is b or torch.equal(a, b) for a, b in zip(make(0), batch, strict=True))
    flipped = [make(seed, flips=(1,)) for seed in range(8)]
    assert {bool(torch.equal(f.fixed, fixed.flip(3))) for f in flipped} == {True, False}
    for f in flipped:  # both halves and the labels alike
        turned = torch.equal(f.fixed, fixed.flip(3))
        assert torch.equal(f.moving, moving.flip(3) if turned else moving)
        assert torch.equal(f.fixed_labels, labels.flip(3) if turned else labels)
    turned = make(1, rotation_degrees=20.0, scaling=0.1, translation_voxels=1.0)
    assert not torch.equal(turned.fixed, fixed)
    assert set(turned.fixed_labels.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(make(2, gamma=0.3, noise=0.1).fixed, make(2, gamma=0.3, noise=0.1).fixed)
    assert not torch.equal(make(2, noise=0.1).fixed, make(3, noise=0.1).fixed)


def test_a_constant_rate_warms_up_and_stays():
    rates = [constant(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:] == [1.0] * 91


def test_instance_is_tuned_like_any_model(tiny, data):
    tiny["models"] = [{"name": "instance", "parameters": {"shrink": [2, 1], "steps": [10, 10]}}]
    study = Study(load_config(tiny))
    job = train_spec(study, "instance.mse.grad_l2", seed=0, steps=3)
    strong, weak = (validate(fit(at(job, lam), data).model, data, scoring(job, data))["dice"] for lam in (1e3, 0.05))
    assert np.mean(weak) > np.mean(strong)
    assert study.seeds("instance.mse.grad_l2") == (0,)


def test_a_state_with_a_flipped_bit_is_none(tmp_path, caplog):
    """torch reads weights that were altered without a word."""
    file = StateFile(tmp_path / "state.pt", "key", 60.0)
    file.save({"weights": torch.arange(100.0)})
    assert torch.equal(file.load()["weights"], torch.arange(100.0))
    whole, random = file.path.read_bytes(), np.random.default_rng(0)
    for place in random.integers(len(whole), size=100):
        content = bytearray(whole)
        content[place] ^= 1 << int(random.integers(8))
        file.path.write_bytes(content)
        assert file.load() is None
    for content in (b"", whole[:20], whole[:-1], whole[: len(whole) // 2]):
        file.path.write_bytes(content)
        assert file.load() is None
    assert "state.pt` is damaged" in caplog.text
    file.path.write_bytes(whole)
    assert StateFile(file.path, "other key", 60.0).load() is None
    assert file.load() is not None

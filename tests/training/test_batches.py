"""What trainings of one process hold of their data, and how often they read it."""

import copy
import gc

import numpy as np
import pytest
import torch
from specs import at
from tiny_study import TINY
from torch_operations import Operations, as_on_a_gpu

from regbench.data.cache import Dataset
from regbench.study.config import Augmentation, Training
from regbench.study.job_specs import trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.training import batches
from regbench.training.augment import augment
from regbench.tuning.space import Point
from regbench.tuning.trial import run_trials
from regbench.tuning.trial_results import Proposal


@pytest.fixture
def reads(monkeypatch):
    """The subjects of each reading of several images: what a training holds; pairs are read one by one."""
    read, counted = Dataset.images, []

    def counting(self, names):
        if len(names) > 2:
            counted.append(names)
        return read(self, names)

    monkeypatch.setattr(Dataset, "images", counting)
    return counted


@pytest.fixture
def own(data):
    """The same data, which no other test has trained on."""
    return data.with_pairs("validation", data.pairs("validation"))


def trial(raw, data, folder, *numbers):
    study = Study(load({**raw, "results": str(folder)}))
    spec = trial_spec(study, "voxelmorph.lcc.grad_l2", 0)
    return run_trials(spec, data, [Proposal(number, Point(0.1 * (number + 1))) for number in numbers], folder)


def test_the_trials_of_a_job_read_their_data_once(own, reads, tmp_path, device):
    raw = copy.deepcopy(TINY)
    raw["training"]["device"] = device.type
    together = trial(raw, own, tmp_path / "together", 0, 1, 2)
    assert len(reads) == 1
    apart = []
    for number in range(3):
        batches._HELD.clear()
        apart += trial(raw, own, tmp_path / "apart", number)
    assert len(reads) == 4
    if device.type == "cpu":
        assert [result["scores"] for result in together] == [result["scores"] for result in apart]
        assert [result["curve"] for result in together] == [result["curve"] for result in apart]


def test_other_needs_are_read_anew_and_one_is_held(own, reads):
    def held(**training):
        raw = {**copy.deepcopy(TINY), "training": {"steps": 4, "batch": 2, "device": "cpu", **training}}
        study = Study(load(raw))
        spec = at(trial_spec(study, "voxelmorph.lcc.grad_l2", 0), 0.1)
        return batches.Batches(own, spec.training, 0, torch.device("cpu"), known=batches.needs_of(spec.further))

    assert held().held is held().held
    assert len(reads) == 1
    labelled = held(dice_weight=0.5)
    assert labelled.held is not None
    assert labelled.held.labels is not None
    assert held(images="stream").held is None
    assert held().held.labels is None
    assert len(reads) == 3
    assert len([entry for entry in batches._HELD if entry is own]) == 1


def test_landmarks_are_held_where_a_training_needs_them(own, monkeypatch):
    monkeypatch.setattr(batches, "_points", lambda _data, names, _pairs: {name: torch.zeros(1, 2) for name in names})
    protocol = trial_spec(Study(load(copy.deepcopy(TINY))), "voxelmorph.lcc.grad_l2", 0).training
    for known in ((), ("landmarks",), ()):
        made = batches.Batches(own, protocol, 0, torch.device("cpu"), known=known)
        assert made.held is not None
        assert (made.held.points is not None) == bool(known)


def test_what_is_held_goes_with_its_dataset(data):
    other = data.with_pairs("validation", data.pairs("validation"))
    study = Study(load(copy.deepcopy(TINY)))
    spec = at(trial_spec(study, "voxelmorph.lcc.grad_l2", 0), 0.1)
    batches.Batches(other, spec.training, 0, torch.device("cpu"))
    before = len(batches._HELD)
    del other
    gc.collect()
    assert len(batches._HELD) == before - 1


@pytest.mark.parametrize("images", ["device", "stream"])
@pytest.mark.parametrize("augmented", [False, True])
def test_no_batch_makes_a_gpu_wait(own, images, augmented, monkeypatch):
    """A device without memory stands for the GPU: every copy to it is seen, and must not be waited for."""
    as_on_a_gpu(monkeypatch)
    protocol = Training(steps=3, batch=2, images=images)
    feed = batches.Batches(own, protocol, 0, torch.device("meta"), known={"labels"})
    wanted = (
        Augmentation(flips=(0,), rotation_degrees=5, translation_voxels=1, gamma=0.1) if augmented else Augmentation()
    )
    with Operations() as seen:
        shown = [augment(feed[step], wanted, np.random.default_rng(step)) for step in range(3)]
    assert seen.waiting <= {"lift_fresh"}  # an array of numpy as a tensor, on the CPU
    assert all(part.device.type == "meta" for batch in shown for part in batch if part is not None)


def test_the_recorder_sees_copies_that_are_waited_for():
    place = torch.device("meta")
    with Operations() as seen:
        torch.zeros(3).to(place, non_blocking=True)
    assert seen.waiting == set()
    with Operations() as seen:
        torch.zeros(3).to(place)
    assert seen.waiting == {"_to_copy from device to device"}

"""Pairs that are optimised side by side: as many as a GPU's memory holds, and each as if it were alone."""

import numpy as np
import pytest
import torch

from regbench.losses.objective import MaskRule, objective
from regbench.models import predict
from regbench.models.instance import instance
from regbench.study.specs import ComponentSpec

SIMILAR = {"lcc": {"window": 5}, "gcc": {}, "mse": {}, "mi": {}, "nmi": {}, "ngf": {}, "mind": {}}


def optimiser(name="mse", dims=2, directions="one"):
    losses = (ComponentSpec(name=name, parameters=SIMILAR[name]), ComponentSpec(name="grad_l2", parameters={}))
    target = objective(*losses, 0.1, MaskRule("none"), directions=directions)
    return instance(dims, objective=target, shrink=(1,), steps=(4,))


class Pairs:
    """Seven pairs of noise with some structure; of voxels a multiple of 16, for torch rounds remainders otherwise."""

    def __init__(self, shape=(24, 16), count=7):
        self.shape = shape
        random = np.random.default_rng(0)
        self.images = random.random((count + 1, *shape)).astype(np.float32)
        self.images[:, 5:12, 4:9] += 1
        self.names = [(str(k), str(k + 1)) for k in range(count)]

    def pairs(self, split):
        assert split == "test"
        return self.names

    def pair(self, fixed, moving):
        return _Pair(self.images[int(fixed)], self.images[int(moving)])


class _Pair:
    fixed_mask = moving_mask = None

    def __init__(self, fixed, moving):
        self.fixed, self.moving = fixed, moving


@pytest.fixture
def sizes(monkeypatch):
    """How many pairs each call of a model is given."""
    seen = []
    whole = predict._displacements
    monkeypatch.setattr(
        predict, "_displacements", lambda model, f, *rest: seen.append(len(f)) or whole(model, f, *rest)
    )
    return seen


def fields(model, data):
    return [displacement for _, _, displacement in predict.registered(model, data, "test")]


@pytest.mark.parametrize(
    ("dims", "name", "directions"), [(2, name, "one") for name in SIMILAR] + [(2, "lcc", "both"), (3, "gcc", "both")]
)
def test_a_power_of_two_of_pairs_has_the_bits_of_each_alone(dims, name, directions):
    data = Pairs((18, 16, 14)[:dims], 4)
    model = optimiser(name, dims, directions)
    images = np.stack([data.images[:4], data.images[1:5]])
    alone = [
        predict._displacements(model, *images[:, k : k + 1], predict.masks_of([], "none"))[0].numpy() for k in range(4)
    ]
    for count in (2, 4):
        together = predict._displacements(model, *images[:, :count], predict.masks_of([], "none")).numpy()
        assert np.array_equal(together, alone[:count])
    assert np.abs(alone[0]).max() > 0.01, "it moved"


def test_a_gpu_takes_as_many_pairs_as_its_memory_holds(sizes, monkeypatch):
    monkeypatch.setattr(predict, "TOGETHER", 1)  # as of large images
    data, model = Pairs(), optimiser()
    alone = fields(model, data)
    assert sizes == [1] * 7
    sizes.clear()
    monkeypatch.setattr(predict.devices, "budget", lambda _: 650)
    monkeypatch.setattr(predict.devices, "with_peak", lambda work, _: (work(), 100))
    side_by_side = fields(model, data)
    assert sizes == [1, 4, 2]  # the first tells what a pair needs; then powers of two
    assert all(np.array_equal(one, other) for one, other in zip(alone, side_by_side, strict=True))


@pytest.mark.parametrize(
    ("budget", "expected"), [(99, [1] * 7), (100, [1] * 7), (10_000, [1, 4, 2]), (200, [1, 2, 2, 2])]
)
def test_what_does_not_fit_goes_alone(sizes, monkeypatch, budget, expected):
    monkeypatch.setattr(predict, "TOGETHER", 1)
    monkeypatch.setattr(predict.devices, "budget", lambda _: budget)
    monkeypatch.setattr(predict.devices, "with_peak", lambda work, _: (work(), 100))
    fields(optimiser(), Pairs())
    assert sizes == expected


def test_a_network_takes_one_pair_at_a_time(sizes, monkeypatch):
    monkeypatch.setattr(predict.devices, "budget", lambda _: 10_000)
    network = torch.nn.Conv2d(2, 2, 1)
    monkeypatch.setattr(network, "forward", lambda fixed, moving: torch.cat([fixed, moving], 1))
    fields(network, Pairs())
    assert sizes == [1] * 7

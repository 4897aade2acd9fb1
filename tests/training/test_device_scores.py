"""Validation pairs scored where the training computes: the CPU's own scores, and one copy back a validation."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_operations import Operations, as_on_a_gpu

from regbench.data.cache import Pair
from regbench.study.specs import NamedComponentSpec
from regbench.training import validation
from regbench.training.device_scores import measured, scores_from, wanted
from regbench.training.validation import Scoring, scores_of, validate

SIMILARITIES = tuple(NamedComponentSpec(id=f"my_{name}", name=name, parameters={}) for name in ("mse", "gcc"))
NAMES = ("dice", "ndv_percent", "similarity.my_mse", "similarity.my_gcc")
BY = Scoring(("dice",), NAMES, SIMILARITIES)
LABELS = [1, 2, 7]  # nobody has the last


def made_pair(shape=(12, 10, 9)):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(2, *shape)).astype(np.float32)
    maps = [(generator.random(shape) * 3).astype(np.uint8) for _ in range(2)]
    field = generator.normal(0, 0.4, (len(shape), *shape)).astype(np.float32)
    return Pair(*images, *maps, None, (1.5, 2.0, 0.7)[: len(shape)]), field


class Data:
    """Three pairs of noise with labels."""

    id, shape, labels = "noise", (12, 10, 9), {1: "a", 2: "b", 7: "c"}

    def pairs(self, split):
        return [("0", "1"), ("1", "2"), ("2", "0")]

    def pair(self, fixed, moving):
        pair, _ = made_pair()
        pair.fixed[:] += float(fixed) * pair.moving
        return pair


class Shifts(torch.nn.Module):
    """A network whose displacement depends on the images, with folds."""

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv3d(2, 3, 1)
        with torch.no_grad():
            self.mix.weight.normal_(0, 0.4, generator=torch.Generator().manual_seed(0))

    def forward(self, fixed, moving):
        return self.mix(torch.cat([fixed, moving], 1))


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 9)])
def test_a_device_scores_as_the_cpu_does(shape):
    pair, field = made_pair(shape)
    pair.fixed_labels[0, 0] = 7  # which the moving map has nowhere
    what = wanted(BY.metrics, LABELS, SIMILARITIES)
    found = scores_from(measured(pair, torch.from_numpy(field), what)[None].numpy(), what)
    expected = scores_of(pair, field, LABELS, BY)
    assert set(found) == set(NAMES)
    assert found["dice"] == [expected["dice"]], "counts are whole numbers"
    assert {name: score for name, (score,) in found.items()} == pytest.approx({n: expected[n] for n in NAMES}, rel=1e-6)
    assert expected["ndv_percent"] > 0


def test_a_field_that_is_no_number_has_no_folds_and_labels_that_vanish_overlap_nowhere():
    pair, field = made_pair((12, 10))
    what = wanted(BY.metrics, LABELS, ())
    for number in (np.nan, np.inf):
        broken = torch.from_numpy(field.copy())
        broken[0, 0, 0] = number  # a corner, which no triangle has
        assert np.isnan(scores_from(measured(pair, broken, what)[None].numpy(), what)["ndv_percent"]).all()
    away = scores_from(measured(pair, torch.full(field.shape, 100.0), what)[None].numpy(), what)
    assert away["dice"] == [0.0]
    nothing = wanted(BY.metrics, [7], ())
    assert np.isnan(scores_from(measured(pair, broken, nothing)[None].numpy(), nothing)["dice"]).all()


@pytest.mark.parametrize("metric", ["hd95_mm", "tre_mm", "endpoint_error_mm", "fold_central_percent"])
def test_what_a_device_does_not_measure_is_the_cpus(metric):
    assert wanted((metric, "ndv_percent"), LABELS, ()) is None
    assert wanted(("similarity.my_mse", "ndv_percent"), LABELS, SIMILARITIES).labels is None


def test_a_validation_on_a_gpu_copies_once_and_waits_for_nothing_else(monkeypatch):
    model, data = Shifts(), Data()
    expected = validate(model, data, BY)
    as_on_a_gpu(monkeypatch)
    monkeypatch.setattr(validation, "scores_of", None)  # the CPU's
    copies, whole = [], Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda self: copies.append(tuple(self.shape)) or whole(self))
    with Operations() as operations:
        found = validate(model, data, BY)
    assert copies == [(3, 1 + 4 * 3 + 2)], "all pairs together"
    assert operations.waiting <= {"lift_fresh"}, "which is an array of this machine becoming a tensor of it"
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], rel=1e-5), name
    assert list(found["dice"]) == expected["dice"]


def test_surfaces_on_a_gpu_are_scored_on_the_cpu(monkeypatch):
    by = Scoring(("hd95_mm",), ("hd95_mm", "ndv_percent"))
    as_on_a_gpu(monkeypatch)
    seen = []
    monkeypatch.setattr(
        validation, "scores_of", lambda *given: seen.append(type(given[1])) or {"hd95_mm": 1.0, "ndv_percent": 0.0}
    )
    assert validate(Shifts(), Data(), by) == {"hd95_mm": [1.0] * 3, "ndv_percent": [0.0] * 3}
    assert seen == [np.ndarray] * 3

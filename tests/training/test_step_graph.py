"""A training whose steps are replayed: the numbers of one whose steps are called, to the bit."""

import logging

import pytest
import torch
from specs import at
from torch_operations import Tapes, as_on_a_gpu
from trainings import weights

from regbench.models.adam import Adam
from regbench.study.job_specs import train_spec
from regbench.study.load import load as load_config
from regbench.study.methods import Study
from regbench.training import step_graph, trainer
from regbench.training.fit import fit

SPECS = {
    "defaults": {},
    "much": {
        "augmentation": {"flips": [0], "noise": 0.01},
        "optimiser": "adamw",
        "weight_decay": 0.01,
        "directions": "both",
        "dice_weight": 0.5,
        "validate_every": 4,
        "keep": "best",
    },
    "streamed": {"images": "stream", "precision": "bf16", "schedule": "constant"},
}


@pytest.fixture
def job(tiny):
    def made(similarity="lcc", **training):
        tiny["training"] = {"steps": 9, "batch": 2, **training}
        tiny["grid"]["similarities"] = [similarity]
        study = Study(load_config(tiny))
        method = next(each for each in study.methods if each.model)
        return at(train_spec(study, method.id, seed=0, steps=9), 0.1)

    return made


@pytest.fixture
def tapes(monkeypatch):
    """Graphs that are none, in place of a GPU's."""
    made = Tapes()
    as_on_a_gpu(monkeypatch)
    monkeypatch.setattr(trainer, "CudaGraphs", lambda: made)
    monkeypatch.setattr(trainer, "graphs", lambda spec, device: spec.training.graph)
    return made


@pytest.mark.parametrize("name", SPECS)
def test_the_same_training(name, job, data, tapes):
    called = fit(job(**SPECS[name]), data)
    replayed = fit(job(**SPECS[name], graph=True), data)
    assert [tape.replays for tape in tapes.tapes] == [9 - step_graph.WARM_UP]
    assert tapes.warm == step_graph.WARM_UP
    assert replayed.history == called.history
    assert len(set(called.history["loss"])) == 9
    assert torch.equal(weights(replayed.model), weights(called.model))
    assert replayed.validations == called.validations


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", SPECS)
def test_the_same_training_on_a_gpu(name, job, data):
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        called = fit(job(**SPECS[name], device="cuda"), data)
        replayed = fit(job(**SPECS[name], device="cuda", graph=True), data)
    finally:
        torch.use_deterministic_algorithms(False)
    assert replayed.history == called.history
    assert torch.equal(weights(replayed.model), weights(called.model))


def test_a_step_that_waits_is_called_and_the_log_says_so_once(job, data, tapes, monkeypatch, caplog):
    descend = Adam.descend

    def waiting(self):
        float(self.parameters[0].grad.sum())
        descend(self)

    monkeypatch.setattr(Adam, "descend", waiting)
    called = fit(job(), data)
    with caplog.at_level(logging.WARNING):
        replayed = fit(job(graph=True), data)
    assert caplog.text.count("cannot be a CUDA graph") == 1
    assert "not permitted when stream is capturing" in caplog.text
    assert tapes.tapes == []
    assert replayed.history == called.history


def test_a_batch_of_another_form_is_called():
    made = Tapes()
    seen = []
    graph = step_graph.StepGraph(lambda batch: seen.append(len(batch.fixed)) or batch.fixed.mean().view(1), made)
    sizes = [2, 2, 2, 2, 2, 1, 2]
    results = []
    for number, count in enumerate(sizes):
        image = torch.full((count, 1, 4, 4), float(number))
        results.append(graph(step_graph.Batch(image, image)))
    assert torch.cat(results).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert seen == [2, 2, 2, 2, 1]
    assert made.tapes[0].replays == 3


@pytest.mark.parametrize(
    "case",
    [
        ("lcc", "cuda", True, ""),
        ("lcc", "cuda", False, ""),
        ("lcc", "cpu", True, "needs a GPU"),
        ({"name": "multi_scale", "parameters": {"similarity": "lcc", "levels": 2}}, "cuda", True, ""),
        ({"name": "features", "parameters": {"encoder": "encoders:made_2d"}}, "cuda", True, "`features` is not"),
        (
            {
                "name": "multi_scale",
                "parameters": {"similarity": "features", "encoder": "encoders:made_2d", "levels": 2},
            },
            "cuda",
            True,
            "`features` is not",
        ),
    ],
)
def test_where_steps_are_replayed(case, job, caplog):
    similarity, device, asked, words = case
    caplog.set_level(logging.INFO)
    assert step_graph.graphs(job(similarity, graph=asked), torch.device(device)) == (asked and not words)
    assert words in caplog.text
    assert bool(caplog.text) == bool(words)

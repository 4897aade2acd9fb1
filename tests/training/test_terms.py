"""Trainings of several terms: their curves, both directions, resuming, what is known of the subjects."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from specs import at
from trainings import stop_at, weights

from regbench.losses.objective import Supervision
from regbench.models.predict import build_model, register
from regbench.study.config import Augmentation
from regbench.study.job_specs import train_spec
from regbench.study.load import load as load_config
from regbench.study.methods import Study
from regbench.system.errors import InterruptedTrainingError, RegbenchError
from regbench.training.augment import augment
from regbench.training.batches import Batch, Batches, needs_of
from regbench.training.checkpoint import read_checkpoint
from regbench.training.final_run import train
from regbench.training.fit import fit, objective_at
from regbench.training.training_log import read
from regbench.tuning.space import Point

TERMS = [
    "grad_l2",
    {"name": "jacobian", "weight": {"range": [0.1, 10]}, "parameters": {"margin": 1.0}},
    {"name": "inverse_consistency", "id": "ic", "weight": 0.2},
    {"name": "dice", "weight": 0.5},
]
POINT = Point(0.1, {"weight.jacobian": 3.0})


@pytest.fixture
def make(tiny):
    def job(terms=TERMS, steps=12, model="voxelmorph", point=POINT, **training):
        tiny["grid"]["regularizers"] = [{"id": "sum", "terms": terms}]
        tiny["training"] = {"steps": steps, "batch": 2, "device": "cpu", **training}
        if model == "instance":
            tiny["models"] = [{"name": "instance", "parameters": {"steps": [3], "shrink": [1]}}]
        spec = train_spec(Study(load_config(tiny)), f"{model}.lcc.sum", seed=0, steps=steps)
        return point.apply(spec)

    return job


def curves(history):
    return {name: np.array(values) for name, values in history.items()}


@pytest.mark.parametrize("directions", ["one", "both"])
def test_each_curve_times_its_weight_is_the_loss(make, data, tmp_path, directions):
    spec = make(directions=directions)
    assert spec.term_names == ("loss", "similarity", "regularizer", "term.jacobian", "term.ic", "term.dice")
    found = fit(spec, data, log_path=tmp_path / "log.jsonl")
    of = curves(found.history)
    total = of["similarity"] + 0.1 * of["regularizer"] + 3.0 * of["term.jacobian"]
    total += 0.2 * of["term.ic"] + 0.5 * of["term.dice"]
    np.testing.assert_allclose(of["loss"], total, rtol=1e-5)
    assert all((of[name] > 0).any() for name in spec.term_names)
    assert ((of["term.dice"] > 0) & (of["term.dice"] < 1)).all()
    log = read(tmp_path / "log.jsonl")
    assert log.header["terms"] == list(spec.term_names)
    assert log.curve["term.ic"] == pytest.approx(found.history["term.ic"])


def test_a_stopped_training_of_terms_ends_the_same_to_the_bit(make, data, tmp_path, monkeypatch):
    spec, state = make(directions="both", validate_every=5), tmp_path / "state.pt"
    whole = fit(spec, data)
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(InterruptedTrainingError, match="step 8 of 12"):
            fit(spec, data, state_path=state)
    resumed = fit(spec, data, state_path=state)
    assert torch.equal(weights(whole.model), weights(resumed.model))
    assert whole.history == resumed.history
    other = Point(0.1, {"weight.jacobian": 3.1}).apply(make())  # a state is of its weights alone
    assert not torch.equal(weights(fit(other, data).model), weights(whole.model))


def test_terms_of_no_weight_left_change_nothing(make, tiny, data):
    """A list of one term is the single regularizer, bit for bit."""
    one = fit(make(["grad_l2"]), data)
    tiny["grid"]["regularizers"] = ["grad_l2"]
    single = train_spec(Study(load_config(tiny)), "voxelmorph.lcc.grad_l2", seed=0, steps=12)
    assert torch.equal(weights(one.model), weights(fit(at(single, 0.1), data).model))


def test_both_directions_cost_two_passes_and_teach_the_way_back(make, data, monkeypatch):
    seen = []
    forward = type(build_model(make().model, 2)).forward
    spec = make(["grad_l2"], steps=3, directions="both")
    model_type = type(build_model(spec.model, 2))

    def counted(self, fixed, moving):
        seen.append((fixed.sum().item(), moving.sum().item()))
        return forward(self, fixed, moving)

    monkeypatch.setattr(model_type, "forward", counted)
    monkeypatch.setattr("regbench.training.trainer.validate", lambda *_: {"dice": [0.5], "ndv_percent": [0.0]})
    fit(spec, data)
    assert spec.passes == 2
    assert len(seen) == 6
    assert all(seen[2 * k] == tuple(reversed(seen[2 * k + 1])) for k in range(3))
    seen.clear()
    fit(make(["grad_l2"], steps=3), data)
    assert len(seen) == 3


def test_the_record_and_the_checkpoint_say_the_terms(make, data, tmp_path):
    train(make(directions="both"), data, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["forward_passes"] == 24
    stored = read_checkpoint(tmp_path / "checkpoint.pt")
    assert [(term.id, term.weight) for term in stored.terms] == [("jacobian", 3.0), ("ic", 0.2), ("dice", 0.5)]
    assert stored.directions == "both"
    assert [(term["id"], term["weight"]) for term in record["job"]["terms"]] == [
        ("jacobian", 3.0), ("ic", 0.2), ("dice", 0.5)
    ]  # fmt: skip


def test_a_weight_for_dice_in_the_training_is_that_term_in_every_cell(make, data):
    listed = make(["grad_l2", {"name": "dice", "weight": 0.5}], point=Point(0.1))
    short = make(["grad_l2"], point=Point(0.1), dice_weight=0.5)
    one, other = fit(listed, data), fit(short, data)
    assert one.history == other.history
    assert "term.dice" in one.history
    assert make(["grad_l2"], model="instance", point=Point(0.1), dice_weight=0.5).further == ()


def test_instance_optimises_the_fields_of_both_directions(make, data):
    """With a consistency term of great weight, its two registrations are inverse; alone they are not."""

    def inverse(weight, directions="both"):
        spec = make(["grad_l2", {"name": "inverse_consistency", "weight": weight}], model="instance", point=Point(1e-3),
                    directions=directions)  # fmt: skip
        of = objective_at(spec)
        parameters = {"steps": [40], "shrink": [1], "diffeomorphic": False, "learning_rate": 0.1}
        model = build_model(spec.model.model_copy(update={"parameters": parameters}), 2, of)
        pair = data.pair(*data.pairs("test")[0])
        return register(model, pair.fixed, pair.moving), register(model, pair.moving, pair.fixed)

    from regbench.metrics import inverse_consistency_mm

    loose, tight = (np.mean(inverse_consistency_mm(*inverse(weight), (1.0, 1.0))) for weight in (1e-6, 30.0))
    assert tight < 0.3 * loose
    # Both fields are optimised together, so the way back is the other half of the same optimisation.
    there, back = inverse(1e-6)
    assert np.abs(there).max() > 0.1
    assert np.abs(back).max() > 0.1


def test_pairs_optimised_side_by_side_are_as_if_alone(make, data):
    spec = make(["grad_l2", {"name": "gradicon", "weight": 0.5}], model="instance", point=Point(0.1), directions="both")
    model = build_model(spec.model, 2, objective_at(spec))
    images = torch.from_numpy(data.images(data.split("train")))[:, None]
    together = model(images[:2], images[2:4])
    for k in range(2):
        torch.testing.assert_close(together[k : k + 1], model(images[k : k + 1], images[2 + k : 3 + k]))


def test_landmarks_move_with_their_image():
    """A bright voxel and the landmark on it, through every change of place: they stay together."""
    place = torch.tensor([[[9.0, 20.0]], [[14.0, 12.0]]])
    image = torch.zeros(2, 1, 24, 32)
    grid = torch.stack(torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij"))
    for b in range(2):
        image[b, 0] = torch.exp(-((grid - place[b, 0].view(2, 1, 1)) ** 2).sum(0) / 8)
    wanted = Augmentation(flips=(0, 1), rotation_degrees=12.0, scaling=0.15, translation_voxels=3.0)
    for seed in range(6):
        found = augment(
            Batch(image, image.clone(), fixed_points=place, moving_points=place.clone()),
            wanted,
            np.random.default_rng(seed),
        )
        for images, points in ((found.fixed, found.fixed_points), (found.moving, found.moving_points)):
            for b in range(2):
                heavy = images[b, 0].double()
                middle = (grid.double() * heavy).sum((1, 2)) / heavy.sum()
                torch.testing.assert_close(points[b, 0].double(), middle, rtol=0, atol=0.12)
    assert found.fixed_labels is None


class Proxy(SimpleNamespace):
    """Stands for a dataset, by which what is held of it is found."""

    __hash__ = object.__hash__


def batches_of(data, known, prescribed=None, labelled=None, points=None):
    """Batches of a dataset with other landmarks and labels than it has."""
    names = data.split("train")
    proxy = Proxy(
        id=data.id, subjects=data.subjects, labels=data.labels, shape=data.shape, masked=data.masked,
        split=data.split, images=data.images, label_map=data.label_map, mask=data.mask,
        pairs=lambda split: prescribed or (), landmarks=(points or {}).get,
        record=lambda name: {} if labelled is None else {"labelled": name in labelled},
    )  # fmt: skip
    from regbench.study.config import Training

    return names, Batches(proxy, Training(steps=20, batch=3), 0, torch.device("cpu"), known=known)


def test_a_pair_with_labels_of_one_image_alone_has_none(data):
    """Its overlap would be nothing, and a gradient would push the labels out of the image."""
    _names, batches = batches_of(data, {"labels"}, labelled=set(data.split("train")[:2]))
    seen = set()
    for step in range(20):
        batch = batches[step]
        for b, (fixed, moving) in enumerate(batches.draws[step].T.tolist()):
            both = fixed < 2 and moving < 2
            seen.add(both)
            assert bool(batch.fixed_labels[b].any()) == both
            assert bool(batch.moving_labels[b].any()) == both
    assert seen == {True, False}


def test_landmarks_are_those_of_the_subjects(data):
    names = data.split("train")
    points = {name: np.full((3, 2), float(k)) for k, name in enumerate(names[:3])}
    _, batches = batches_of(data, {"landmarks"}, points=points)
    batch = batches[0]
    for half, place in ((0, batch.fixed_points), (1, batch.moving_points)):
        for b, row in enumerate(batches.draws[0][half].tolist()):
            assert place[b].isnan().all() if row == 3 else (place[b] == float(row)).all()
    assert isinstance(batch.known, Supervision)
    with pytest.raises(RegbenchError, match=r"must have landmarks of the subjects of `brains`"):
        batches_of(data, {"landmarks"})
    points[names[1]] = np.zeros((4, 2))
    with pytest.raises(RegbenchError, match=r"the same landmarks of both subjects of a pair"):
        batches_of(data, {"landmarks"}, points=points)
    pairs = ((names[0], names[2]), (names[2], names[0]))
    batches_of(data, {"landmarks"}, points=points, prescribed=pairs)  # the other one is in no pair


def test_labels_are_read_where_a_term_needs_them(make, data):
    assert needs_of(make().further) == {"labels"}
    assert needs_of(make(["grad_l2"]).further) == set()
    batches = Batches(data, make().training, 0, torch.device("cpu"))
    assert batches[0].fixed_labels is None


def test_a_network_is_refined_in_both_directions_and_without_labels(make, data, tmp_path):
    """The objective of its training, but for what a test pair must not tell; both fields go down together."""
    from regbench.models.refined import refined
    from regbench.study.grid_config import Refine
    from regbench.training.checkpoint import load_run, objective_of

    train(make(directions="both", steps=2), data, tmp_path)
    _, network = load_run(tmp_path)
    of = objective_of(read_checkpoint(tmp_path / "checkpoint.pt"))
    assert [term.name for term in of.terms] == ["grad_l2", "jacobian", "inverse_consistency"]
    assert of.two_way
    fixed, moving = (torch.from_numpy(data.images((name,)))[:, None] for name in data.pairs("test")[0])
    losses = []
    for steps in (1, 60):
        model = refined(network, make().model, of, Refine(steps=steps))
        there, back = (model(*images).displacement for images in ((fixed, moving), (moving, fixed)))
        losses.append(float(of(fixed, moving, there, backward=back).loss))
        assert there.shape == (1, 2, *data.shape)
    assert losses[1] < losses[0]

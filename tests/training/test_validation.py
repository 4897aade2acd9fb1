"""Scores of validation pairs against the evaluation's own numbers, and what a training does with them."""

import re

import numpy as np
import pytest

from regbench.data.cache import Pair
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.losses import SIMILARITIES
from regbench.metrics import GOALS, SIMILARITY
from regbench.study.config import Training
from regbench.study.specs import NamedComponentSpec
from regbench.training.validation import Scoring, is_best, means, out_of_patience, scores_of, wrong_goal


def made_pair(*, labels=True, landmarks=True, shape=(12, 10, 9), spacing=(1.5, 2.0, 0.7)):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(2, *shape)).astype(np.float32)
    maps = [(generator.random(shape) * 3).astype(np.int32) * labels for _ in range(2)]
    points = [generator.uniform(1, 8, (7, 3)) if landmarks else None for _ in range(2)]
    truth = generator.normal(size=(3, *shape)).astype(np.float32)
    field = generator.normal(0, 0.4, (3, *shape)).astype(np.float32)
    return Pair(*images, *maps, truth, spacing, *points, native_sides_mm=(30.0, 40.0, 0.0)), field


@pytest.mark.parametrize("metric", GOALS)
def test_every_goal_is_what_the_evaluation_measures(metric):
    """Two codes, one number: a validation computes no more than it is asked for."""
    pair, field = made_pair()
    rows = measure(Registered("a", "b", pair, field), Measured([1, 2], landmarks=True, tolerance_mm=0.5))
    by = Scoring((metric,), (metric, "ndv_percent"), tolerance_mm=0.5)
    assert scores_of(pair, field, [1, 2], by)[metric] == pytest.approx(rows[metric], rel=1e-12)


def test_a_similarity_is_that_of_the_warped_image():
    pair, field = made_pair(labels=False, landmarks=False)
    part = NamedComponentSpec(id="mine", name="mse", parameters={})
    by = Scoring(("similarity.mine",), ("similarity.mine", "ndv_percent"), (part,))
    moved = Registered("a", "b", pair, field).moved
    assert scores_of(pair, field, [], by)[f"{SIMILARITY}mine"] == pytest.approx(
        ((pair.fixed - moved) ** 2).mean(), rel=1e-5
    )
    assert "mse" in SIMILARITIES


def test_a_label_that_vanished_is_as_far_as_the_image_is_long():
    pair, _ = made_pair()
    field = np.full((3, *pair.fixed.shape), 100.0, np.float32)  # all is sent beyond the border
    pair.moving_labels[-1, -1, -1] = 1
    pair.moving_labels[:2] = 2
    by = Scoring(("hd95_mm",), ("hd95_mm", "nsd", "ndv_percent"))
    found = scores_of(pair, field, [2], by)
    assert found["hd95_mm"] == pytest.approx(np.linalg.norm((np.array(pair.fixed.shape) - 1) * pair.spacing_mm))
    assert found["nsd"] == 0


def test_a_pair_without_landmarks_has_no_tre_and_is_left_out_of_the_mean():
    pair, field = made_pair(landmarks=False)
    by = Scoring(("tre_mm",), ("tre_mm", "ndv_percent"))
    assert np.isnan(scores_of(pair, field, [], by)["tre_mm"])
    assert means({"tre_mm": [2.0, float("nan"), 4.0], "ndv_percent": [0.0, 1.0, 2.0]}) == {
        "tre_mm": 3.0,
        "ndv_percent": 1.0,
    }
    assert np.isnan(means({"ndv_percent": [0.0, float("nan")]})["ndv_percent"])  # a displacement that is no number


def at(*scores, metric="tre_mm"):
    return [{"step": 10 * k, "scores": {metric: score}} for k, score in enumerate(scores, 1)]


def test_the_best_validation_is_the_lowest_tre():
    assert [is_best(at(*scores), ["tre_mm"]) for scores in ((3.0,), (3.0, 2.0), (3.0, 3.0), (2.0, 3.0))] == [
        True, True, False, False,
    ]  # fmt: skip
    assert is_best(at(0.5, 0.6, metric="dice"), ["dice"])
    patient = Training(steps=1, validate_every=1, patience=2)
    assert out_of_patience(patient, at(3.0, 2.0, 2.5, 2.1), ["tre_mm"])
    assert not out_of_patience(patient, at(3.0, 2.5, 2.1), ["tre_mm"])


def test_ranks_of_validations_are_among_those_of_the_training():
    both = [{"step": k, "scores": {"tre_mm": tre, "ndv_percent": ndv}} for k, (tre, ndv) in enumerate([(3, 1), (2, 0)])]
    assert is_best(both, ["tre_mm", "ndv_percent"])
    assert not is_best(both[::-1], ["tre_mm", "ndv_percent"])


@pytest.mark.parametrize(
    ("metrics", "known", "words"),
    [
        ((), (), "must be given.*neither labels nor landmarks.*similarity.lcc"),
        (("dice",), ("landmarks",), "`dice` needs labels.*`objective: tre_mm`"),
        (("tre_mm",), ("labels",), "`tre_mm` needs landmarks.*`objective: dice`"),
        (("dice", "tre_mm"), ("labels",), "`tre_mm` needs landmarks"),
        (("dice",), (), "`dice` needs labels.*similarity.lcc"),
    ],
)
def test_a_goal_that_the_data_cannot_give(metrics, known, words):

    assert re.search(words, wrong_goal(metrics, known))
    assert wrong_goal(("similarity.lcc",), ()) == wrong_goal(("dice",), ("labels",)) == ""

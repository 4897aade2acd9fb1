"""What trials are scored by: directions as the definitions have them, merits by hand, what leads a dataset."""

import math

import pytest

from regbench.metrics import GOALS, METRICS, SIMILARITY, TOLERANCE_MM
from regbench.study import config, goals
from regbench.study.goals import base, default_goal, is_limited, lacking, leading, merits


@pytest.mark.parametrize("name", METRICS)
def test_directions_are_those_of_the_definitions(name):
    assert goals.is_higher_better(name) == (METRICS[name].direction == "higher" and name in GOALS) or name == "dice30"


def test_names_that_stand_twice_are_one():
    assert goals.SIMILARITY == SIMILARITY
    assert config.TOLERANCE_MM == TOLERANCE_MM
    assert {name for names in goals.NEEDS.values() for name in names} <= set(GOALS)
    assert not any(name.endswith("_ndv") for name in GOALS)  # or it would read as a second goal


def test_merits_of_one_metric_are_its_scores_in_its_direction():
    scores = [{"dice": 0.5, "tre_mm": 3.0}, {"dice": 0.7, "tre_mm": 4.0}]
    assert merits(["dice"], scores) == [0.5, 0.7]
    assert merits(["tre_mm"], scores) == [-3.0, -4.0]


def test_ranks_by_hand():
    """Ranks 1, 2, 3 by Dice; 3, 1.5, 1.5 by HD95: geometric means sqrt(3), sqrt(3), sqrt(4.5)."""
    scores = [{"dice": 0.9, "hd95_mm": 5.0}, {"dice": 0.8, "hd95_mm": 2.0}, {"dice": 0.7, "hd95_mm": 2.0}]
    assert merits(["dice", "hd95_mm"], scores) == pytest.approx([-math.sqrt(3), -math.sqrt(3), -math.sqrt(4.5)])
    assert merits(["dice", "hd95_mm"], []) == []


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_has_no_number_is_the_worst(nothing):
    """Of several metrics too: it shares no rank with the best."""
    scores = [{"dice": nothing, "tre_mm": nothing}, {"dice": 0.1, "tre_mm": 9.0}, {"dice": 0.2, "tre_mm": math.inf}]
    assert merits(["dice"], scores) == [-math.inf, 0.1, 0.2]
    assert merits(["tre_mm"], scores) == [-math.inf, -9.0, -math.inf]
    by_ranks = merits(["dice", "tre_mm"], scores)
    assert by_ranks == pytest.approx([-math.sqrt(3 * 2.5), -math.sqrt(2), -math.sqrt(2.5)])


def test_a_goal_and_its_limit():
    assert (base("tre_mm_ndv"), is_limited("tre_mm_ndv"), is_limited("tre_mm")) == ("tre_mm", True, False)


@pytest.mark.parametrize(
    ("declared", "known", "expected"),
    [
        ((), ("labels", "landmarks"), "dice"),
        ((), ("landmarks",), "tre_mm"),
        ((), (), "ndv_percent"),
        (("hd95_mm",), ("labels",), "hd95_mm"),
        (("hd95_mm",), ("landmarks",), "tre_mm"),  # of the test pairs
        (("similarity.lcc",), (), "similarity.lcc"),
        (("dice", "ndv_percent"), ("landmarks",), "ndv_percent"),
    ],
)
def test_what_leads_a_dataset(declared, known, expected):
    assert leading(declared, known) == expected


def test_what_is_lacking():
    assert (lacking("dice", ["landmarks"]), lacking("tre70_mm", ["labels"])) == ("labels", "landmarks")
    assert (lacking("endpoint_error_mm", []), lacking("ndv_percent", [])) == ("a true displacement", "")
    assert (default_goal(["labels"]), default_goal(["landmarks"]), default_goal([])) == (("dice",), ("tre_mm",), ())

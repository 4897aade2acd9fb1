"""Where the points of a curve lie: around the chosen lambda, along the trade-off that the trials of its search tell."""

import math

import numpy as np
import pytest

from regbench.study.specs import DimensionSpec, SelectSpec
from regbench.tuning.curve_lambdas import further_lambdas


def spec(**changes):
    values = {"method": "m", "replicate": 0, "range": (0.01, 100.0), "value": None, "ndv_limit_percent": 0.5}
    return SelectSpec(**{**values, "code": "", **changes})


def trials(lams, score, **more):
    return [
        {"number": k, "lam": lam, "status": "complete", "scores": {"dice": score(lam), "ndv_percent": 0.0}, **more}
        for k, lam in enumerate(lams)
    ]


def hill(lam):
    return 0.8 - 0.05 * (math.log10(lam) - 0.5) ** 2


def test_a_fixed_lambda_has_a_decade_to_each_side_and_stands_between():
    further = further_lambdas(spec(range=None, value=0.5), {"lam": 0.5}, [], 5)
    assert further == pytest.approx([0.05, 0.158114, 1.58114, 5.0])


def test_of_too_few_trials_the_whole_range_is_taken_and_the_nearest_place_is_left_to_the_chosen_lambda():
    further = further_lambdas(spec(), {"lam": 12.0}, trials([0.1, 12.0], hill), 5)
    assert further == pytest.approx([0.01, 0.1, 1.0, 100.0])


def test_the_part_where_the_score_has_lost_half_of_its_gain_has_no_point():
    # Over 0.02 to 60 the parabola falls from .8 at 3 to .66; it has lost half of that a decade and a half below 3.
    tried = trials([0.02, 0.2, 1.0, 4.0, 12.0, 60.0], hill)
    further = further_lambdas(spec(), {"lam": 4.0}, tried, 6)
    worst = min(hill(lam) for lam in np.geomspace(0.01, 100, 65))
    half = (0.8 + worst) / 2
    assert len(further) == 5
    assert further == sorted(further)
    assert hill(further[0]) == pytest.approx(half, abs=0.02)
    assert further[0] > 0.04
    assert further[-1] == pytest.approx(100.0, rel=0.2)


def test_points_are_even_in_log_lambda_but_for_the_chosen_one():
    further = further_lambdas(spec(), {"lam": 4.0}, trials([0.02, 0.2, 1.0, 4.0, 12.0, 60.0], hill), 7)
    places = np.log(further)
    steps = np.diff(places)
    assert np.sort(steps)[:-1] == pytest.approx(steps.min(), rel=1e-3)
    assert steps.max() == pytest.approx(2 * steps.min(), rel=1e-3)


def test_the_chosen_lambda_is_inside_even_where_the_smoothed_curve_does_not_see_its_worth():
    tried = trials([0.02, 0.2, 1.0, 4.0, 12.0, 60.0], hill)
    assert min(further_lambdas(spec(), {"lam": 4.0}, tried, 5)) > 0.04
    steps = np.diff(np.log([0.02, *further_lambdas(spec(), {"lam": 0.02}, tried, 5)]))
    assert steps == pytest.approx(steps.mean(), rel=1e-3)  # the places begin at it


def test_diverged_trials_tell_nothing():
    finished = trials([0.2, 1.0, 4.0, 12.0], hill)
    lost = [{"number": 9, "lam": 50.0, "status": "diverged", "scores": {}}]
    assert further_lambdas(spec(), {"lam": 4.0}, finished + lost, 5) == further_lambdas(
        spec(), {"lam": 4.0}, finished, 5
    )


def test_lower_is_better_where_the_goal_says_so():
    def error(lam):
        return 1 - hill(lam)

    tried = [
        {**one, "scores": {"tre_mm": error(one["lam"])}} for one in trials([0.02, 0.2, 1.0, 4.0, 12.0, 60.0], hill)
    ]
    by_error = further_lambdas(spec(selection={"metrics": ["tre_mm"]}), {"lam": 4.0}, tried, 6)
    by_dice = further_lambdas(spec(), {"lam": 4.0}, trials([0.02, 0.2, 1.0, 4.0, 12.0, 60.0], hill), 6)
    assert by_error == pytest.approx(by_dice, rel=0.3)


def test_what_else_was_searched_stays_as_chosen():
    window = DimensionSpec(name="similarity.window", type="int", range=(3, 9))
    tried = trials([0.02, 0.2, 1.0, 4.0, 12.0, 60.0], hill)
    tried = [{**one, "values": {"similarity.window": 3 + k}} for k, one in enumerate(tried)]
    further = further_lambdas(spec(search=(window,)), {"lam": 4.0, "values": {"similarity.window": 6}}, tried, 5)
    assert len(further) == 4
    assert all(0.01 <= lam <= 100 for lam in further)


def test_without_a_chosen_lambda_there_is_no_curve():
    assert further_lambdas(spec(), {"lam": None}, [], 5) == []

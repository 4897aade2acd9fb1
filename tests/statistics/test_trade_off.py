"""Scores at a level of regularity: values by hand, the jackknife that they stand for, and intervals that cover."""

import numpy as np
import pytest

from regbench.statistics import Family, Scores, judge
from regbench.statistics.trade_off import Curve, at_levels, levels_between, mean_height, reached

LAMS = np.array([0.1, 1.0, 10.0])


def of_means(regularity, scores, lams=LAMS):
    """A curve of two pairs whose means are given: one a tenth above them, one below."""
    around = np.array([0.9, 1.1])
    return Curve(lams, np.multiply.outer(regularity, around), np.multiply.outer(scores, around))


def made(rng, *, cases=24, points=6, true_at=0.3):
    """A cell of known score at a level: regularity falls with lambda as a power, the score is a parabola."""
    lams = np.geomspace(0.01, 10, points)
    regularity = true_at * (lams / 0.5)[:, None] ** -0.9 * rng.lognormal(-0.125, 0.5, cases)
    height = 0.8 - 0.01 * (np.log(lams / 0.5)) ** 2 + 0.012 * np.log(lams / 0.5)
    return Curve(lams, regularity, height[:, None] + 0.03 * rng.normal(size=cases))


def test_between_two_points_the_root_of_the_regularity_is_a_line_over_log_lambda():
    curve = of_means([4.0, 1.0], [0.6, 0.8], lams=LAMS[:2])
    # Roots 2 and 1: that of 2.25 is half way, so the score is half way too.
    np.testing.assert_allclose(at_levels(curve, [2.25]).mean(axis=1), [0.7], rtol=1e-12)
    assert reached(curve) == pytest.approx((1.0, 4.0))


def test_a_worked_example_with_the_numbers_of_each_pair():
    # docs/statistics.md has it: two pairs, lambda 0.1 and 1, NDV 1 and 7 %, then 0 and 2 %; Dice .70 and .60, then .78
    # and .70. Means: NDV 4 and 1 %, Dice .65 and .74; at 2.25 % half way: .695. Each pair counts for half of its Dice
    # at either lambda, less what its NDV above the mean shifts: slope -.09 a root, 1/(2 root) of a per cent, half each.
    curve = Curve(LAMS[:2], np.array([[1.0, 7.0], [0.0, 2.0]]), np.array([[0.70, 0.60], [0.78, 0.70]]))
    first = 0.5 * (0.70 + 0.78) + 0.09 * 0.5 * ((1 - 4) / 4 + (0 - 1) / 2)
    second = 0.5 * (0.60 + 0.70) + 0.09 * 0.5 * ((7 - 4) / 4 + (2 - 1) / 2)
    np.testing.assert_allclose(at_levels(curve, [2.25])[0], [first, second], rtol=1e-9)
    assert first + second == pytest.approx(2 * 0.695)


def test_the_points_themselves_are_on_the_curve():
    curve = of_means([4.0, 1.0, 0.25], [0.6, 0.8, 0.75])
    np.testing.assert_allclose(at_levels(curve, [4.0, 1.0, 0.25]).mean(axis=1), [0.6, 0.8, 0.75], rtol=1e-9)


def test_nothing_is_extrapolated():
    curve = of_means([4.0, 1.0, 0.25], [0.6, 0.8, 0.75])
    values = at_levels(curve, [4.1, 2.0, 0.2])
    assert np.isnan(values[[0, 2]]).all()
    assert np.isfinite(values[1]).all()
    assert np.isnan(mean_height(curve, 0.2, 1.0)).all()


def test_a_curve_does_not_leave_the_heights_of_its_neighbours():
    curve = of_means([9.0, 4.0, 1.0, 0.25], [0.6, 0.8, 0.8, 0.75], lams=np.geomspace(0.1, 100, 4))
    between = at_levels(curve, np.linspace(1.0, 4.0, 31)).mean(axis=1)
    np.testing.assert_allclose(between, 0.8, atol=1e-12)


def test_regularity_that_rises_with_lambda_is_noise_and_pooled():
    lams = np.geomspace(0.1, 100, 4)
    curve = of_means([4.0, 0.9, 1.1, 0.25], [0.6, 0.7, 0.8, 0.75], lams=lams)
    pooled = of_means([4.0, 1.0, 1.0, 0.25], [0.6, 0.7, 0.8, 0.75], lams=lams)
    np.testing.assert_allclose(at_levels(curve, [2.0, 0.5]).mean(axis=1), at_levels(pooled, [2.0, 0.5]).mean(axis=1))


def test_of_points_that_fold_nothing_the_least_lambda_counts():
    curve = of_means([4.0, 0.0, 0.0], [0.6, 0.8, 0.5])
    assert at_levels(curve, [1e-6]).mean() == pytest.approx(0.8, abs=1e-3)


def test_a_training_without_numbers_is_no_point_and_a_pair_without_is_no_case():
    curve = of_means([4.0, 1.0, 0.25], [0.6, 0.8, 0.75])
    curve.scores[0], curve.regularity[0] = np.nan, np.nan
    assert reached(curve) == pytest.approx((0.25, 1.0))
    whole = made(np.random.default_rng(0))
    without = Curve(whole.lams, np.delete(whole.regularity, 5, 1), np.delete(whole.scores, 5, 1))
    for axis, lost in (("scores", np.nan), ("regularity", np.nan), ("regularity", np.inf)):
        gap = Curve(whole.lams, whole.regularity.copy(), whole.scores.copy())
        getattr(gap, axis)[2, 5] = lost
        values = at_levels(gap, [0.3])[0]
        assert np.flatnonzero(np.isnan(values)).tolist() == [5]
        assert np.nanmean(values) == pytest.approx(at_levels(without, [0.3]).mean(), rel=1e-12)


@pytest.mark.parametrize("above", [0.0, 1e-9, 1e-4])
def test_where_the_curve_is_flat_regularity_buys_no_endless_score(above):
    """A flat part has no slope to exchange by: a quarter of the chord before it is taken."""
    spread, lams = np.array([0.5, 1.0, 1.5]), np.geomspace(0.1, 100, 4)
    curve = Curve(lams, np.outer([4.0, 1.0, 1.0, 0.25], spread), np.outer([0.6, 0.7, 0.8, 0.75], np.ones(3)))
    values = at_levels(curve, [1.0 + above])[0]
    # A decade, the chord of roots falls by 1, and the score rises by .15 at most; roots of pairs differ by .25.
    assert values.mean() == pytest.approx(0.7, abs=0.01)
    assert np.abs(values - values.mean()).max() <= 0.25 * 4 * 0.15


def test_where_the_curve_begins_flat_nothing_is_exchanged():
    spread, lams = np.array([0.5, 1.0, 1.5]), np.geomspace(0.1, 10, 3)
    curve = Curve(lams, np.outer([1.0, 1.0, 0.25], spread), np.outer([0.6, 0.7, 0.8], np.ones(3)))
    np.testing.assert_allclose(at_levels(curve, [1.0])[0], 0.6, atol=1e-12)


def test_one_point_or_none_is_no_curve():
    for points in (0, 1):
        curve = Curve(LAMS[:points], np.ones((points, 3)), np.ones((points, 3)))
        assert np.isnan(at_levels(curve, [1.0])).all()
        assert reached(curve) is None


def test_an_infinite_score_stays_infinite():
    curve = of_means([4.0, 1.0, 0.25], [6.0, 8.0, 7.0])
    curve.scores[1, 0] = np.inf
    assert np.isinf(at_levels(curve, [2.0])[0]).tolist() == [True, False]


@pytest.mark.parametrize("level", [0.05, 0.3, 1.2])
def test_the_spread_of_the_cases_is_the_jackknife_of_the_level(level):
    curve = made(np.random.default_rng(3), cases=40)
    values = at_levels(curve, [level])[0]
    left = [
        at_levels(Curve(curve.lams, np.delete(curve.regularity, k, 1), np.delete(curve.scores, k, 1)), [level]).mean()
        for k in range(40)
    ]
    jackknife = 39 / 40 * np.sum((np.array(left) - np.mean(left)) ** 2)
    assert values.var(ddof=1) / 40 == pytest.approx(jackknife, rel=0.06)
    # Without what a pair's regularity moves, it is another number.
    alone = at_levels(curve._replace(regularity=np.repeat(curve.regularity.mean(1), 40).reshape(-1, 40)), [level])[0]
    assert abs(alone.var(ddof=1) / 40 / jackknife - 1) > 0.06


def test_the_mean_height_is_the_area_by_its_width():
    curve = of_means([4.0, 1.0], [0.6, 0.8], lams=LAMS[:2])
    # Over roots 1 to 2 the score falls as a line from .8 to .6.
    assert mean_height(curve, 1.0, 4.0).mean() == pytest.approx(0.7, rel=1e-9)


def test_intervals_at_a_level_cover_the_truth():
    """Two cells that score the same at the level, by curves that come there at other lambdas; noise on both axes."""
    rng, missed, studies = np.random.default_rng(11), {"difference": 0, "cell": 0}, 100
    for _ in range(studies):
        lams, scores = np.geomspace(0.01, 10, 6), {}
        hard, folds = 0.03 * rng.normal(size=24), rng.lognormal(-0.125, 0.5, 24)  # of each subject: mean 0, mean 1
        for name, crossing, bend in (("a", 0.5, 0.012), ("b", 1.5, 0.004)):
            place = np.log(lams / crossing)
            own, runs = 0.01 * rng.normal(size=24), []
            for _ in range(3):
                regularity = 0.3 * np.exp(-0.9 * place + 0.05 * rng.normal())[:, None] * folds
                height = 0.8 - 0.005 * place**2 + bend * place + 0.003 * rng.normal()
                runs.append(at_levels(Curve(lams, regularity, height[:, None] + hard + own), [0.3])[0])
            scores[name] = Scores(np.stack(runs), (0, 1, 2))
        family = Family(np.arange(24))
        (difference,) = judge(scores, family)
        missed["difference"] += not difference.low < 0 < difference.high
        zero = Scores(np.zeros((1, 24)), ("0",), drawn=False)
        (cell,) = judge({"a": scores["a"], "0": zero}, family)
        missed["cell"] += not cell.low < 0.8 < cell.high
    assert max(missed.values()) <= 9  # of 100 at 5 %: more than that happens in 3 of 100


def test_levels_are_inside_of_their_range_and_of_two_digits():
    levels = levels_between(0.2, 1.9, 3)
    assert levels == (0.34, 0.83, 1.5)
    assert levels_between(0.0, 1.0, 1) == (0.25,)
    assert levels_between(0.501, 0.504, 4) == ()  # none of two digits lies there

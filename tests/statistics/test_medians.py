"""Medians over cases as the verdict engine takes them."""

import numpy as np
import pytest

from regbench.statistics import Family, judge, scores_of
from regbench.statistics.medians import about_median


@pytest.mark.parametrize("scores", [[3.0, 1.0, 2.0], [1.0, 4.0, 2.0, 8.0], [0.0, 0.0, 0.0, 5.0], [7.0]])
def test_the_mean_of_the_numbers_is_the_median(scores):
    assert about_median(scores).mean() == pytest.approx(np.median(scores))


def test_the_example_of_the_docs_by_hand():
    numbers = about_median([0.60, 0.62, 0.64, 0.66, 0.68, 0.70, 0.72, 0.74, 0.76])
    assert numbers == pytest.approx([0.60] * 4 + [0.68] + [0.76] * 4)
    assert numbers.std(ddof=1) / 3 == pytest.approx(0.08 / 3)


def test_cases_without_a_number_stay_so_and_infinite_ones_count_by_their_side():
    numbers = about_median([1.0, np.nan, 2.0, 3.0, np.inf])
    assert np.isnan(numbers[1])
    assert np.nanmean(numbers) == pytest.approx(2.5)
    assert np.isfinite(numbers[[0, 2, 3, 4]]).all()
    assert np.isinf(about_median([1.0, np.inf, np.inf])).all()
    assert np.isnan(about_median([np.nan, np.nan])).all()


def test_intervals_of_differences_of_medians_hold_them():
    rng, held, draws = np.random.default_rng(0), 0, 300
    for _ in range(draws):
        subjects = rng.normal(size=24)
        one, two = np.exp(subjects + rng.normal(0, 0.7, (2, 24)))  # skewed: no mean would have such an interval
        tables = {"a": scores_of(about_median(one)), "b": scores_of(about_median(two))}
        (difference,) = judge(tables, Family(np.arange(24)))
        held += difference.low <= 0 <= difference.high
    assert 0.93 <= held / draws <= 0.995


def test_an_interval_is_as_wide_as_the_median_moves():
    rng = np.random.default_rng(1)
    medians, half = [], []
    for _ in range(300):
        scores = rng.normal(size=40)
        tables = {"a": scores_of(about_median(scores)), "0": scores_of(np.zeros(40))}
        (judged,) = judge(tables, Family(np.arange(40)))
        medians.append(judged.difference)
        half.append(judged.se_subjects)
    assert np.mean(half) == pytest.approx(np.std(medians), rel=0.25)

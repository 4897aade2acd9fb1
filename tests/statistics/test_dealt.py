"""Folds that were dealt several times: told apart from the subjects that they test, by hand and with a known truth."""

from itertools import permutations

import numpy as np
import pytest

from regbench.statistics import Design, components
from regbench.statistics.dealt import fold_squares

ONE_SEARCH = Design({0: 0, 1: 0}, {0: 0, 1: 0})
TRUE = {"split + tuning": 4.0, "seed": 3.0, "residual": 0.25}


def dealt(random, deals, methods=3, people=20, folds=5):
    """``(methods, 2 runs, cases)``, the fold and the (fixed, moving) of each case; a subject counts as one or other."""
    fold, pairs = [], []
    for deal in range(deals):
        of = random.permutation(np.arange(people) % folds)
        for number in range(folds):
            chosen = list(permutations(np.flatnonzero(of == number), 2))
            pairs += chosen
            fold += [deal * folds + number] * len(chosen)
    subjects, fold = np.array(pairs), np.array(fold)
    own = random.standard_normal((2, methods, 1, people)) * 3
    table = own[0][..., subjects[:, 0]] + own[1][..., subjects[:, 1]]
    for variance, runs in ((TRUE["split + tuning"], 1), (TRUE["seed"], 2)):
        table = table + (random.standard_normal((methods, runs, deals * folds)) * variance**0.5)[..., fold]
    return table + random.standard_normal((methods, 2, len(fold))) * TRUE["residual"] ** 0.5, fold, subjects


def of_folds(table, fold, subjects, of, seeds=True):
    parts = [fold == number for number in dict.fromkeys(fold)]
    tables, tested = [table[..., part] for part in parts], [subjects[part] for part in parts]
    runs = range(table.shape[1])
    return {part.source: part for part in components(tables, runs, ONE_SEARCH, of, seeds=seeds, tested=tested)}


def test_nothing_is_told_where_subjects_and_folds_leave_nothing_over():
    """Three cases, and three numbers to explain them: a level, a subject against the other, a fold too."""
    values, folds, subjects = np.array([[0.7, 0.8, 0.6]]), np.array([0, 0, 1]), np.array([[0], [1], [0]])
    assert fold_squares(values, folds, subjects) is None
    assert (
        fold_squares(np.array([[0.7, 0.8, 0.6, 0.9]]), np.array([0, 0, 1, 1]), np.array([[0], [1], [0], [1]]))
        is not None
    )


def test_two_deals_of_two_folds_by_hand():
    """The example of docs/statistics.md: four subjects, one case each; folds 0 and 1 are a deal, 2 and 3 the next."""
    fold, subjects = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([[k] for k in (0, 1, 2, 3, 0, 2, 1, 3)])
    values = np.array([[0.010, 0.016, 0.032, 0.038, 0.018, 0.032, 0.016, 0.034]])
    found = fold_squares(values, fold, subjects)
    assert (found.between[0], found.rest[0]) == (pytest.approx(38e-6), pytest.approx(2e-6))
    assert (found.df, found.df_rest, found.size) == (3, 1, pytest.approx(4 / 3))
    tables = [np.stack([values, 0 * values])[..., fold == number] for number in range(4)]
    tested = [subjects[fold == number] for number in range(4)]
    (split, _) = components(tables, (0,), Design({0: 0}, {0: 0}), "difference", tested=tested)
    assert split.source == "split + tuning + seed"
    assert split.variance == pytest.approx((38e-6 / 3 - 2e-6) / (4 / 3))


def test_folds_of_one_deal_cannot_be_told_from_their_subjects():
    table, fold, subjects = dealt(np.random.default_rng(0), 1)
    assert fold_squares(table.mean(axis=1), fold, subjects) is None
    assert "split + tuning" not in of_folds(table, fold, subjects, "score")


@pytest.mark.parametrize(("of", "factor"), [("score", 1), ("difference", 2)])
def test_the_components_are_those_that_the_numbers_were_made_with(of, factor):
    random = np.random.default_rng(1)
    found = [of_folds(*dealt(random, 3), of) for _ in range(30)]
    assert list(found[0]) == ["split + tuning", "seed", "subject", "residual"]
    means = {name: np.mean([one[name].variance for one in found]) / factor for name in TRUE}
    assert means == {name: pytest.approx(value, rel=0.15) for name, value in TRUE.items()}
    held = [one["split + tuning"] for one in found]
    assert sum(one.low <= factor * 4 <= one.high for one in held) >= 26


def test_of_one_training_the_fold_is_split_tuning_and_seed_in_one():
    table, fold, subjects = dealt(np.random.default_rng(2), 3)
    assert list(of_folds(table[:, :1], fold, subjects, "score")) == ["split + tuning + seed", "subject + residual"]
    assert next(iter(of_folds(table[:, :1], fold, subjects, "score", seeds=False))) == "split + tuning"


def test_cases_and_methods_without_a_number_are_left_out():
    table, fold, subjects = dealt(np.random.default_rng(3), 2)
    whole = of_folds(table[:2], fold, subjects, "difference")
    table[2], table[0, 0, 7] = np.nan, np.nan
    found = of_folds(table, fold, subjects, "difference")
    assert found["split + tuning"].variance == pytest.approx(whole["split + tuning"].variance, rel=0.1)
    assert found["split + tuning"].variance != whole["split + tuning"].variance

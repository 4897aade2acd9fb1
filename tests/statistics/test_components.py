"""Shares of variance: nested splits, searches and runs, crossed with cases; known components are found again."""

import numpy as np
import pytest
from scipy.stats import chi2

from regbench.statistics import Design, components
from regbench.statistics.components import difference_interval

TRUE = {"split": 4.0, "tuning": 2.0, "seed": 1.0, "subject": 9.0, "residual": 0.5}
FACTOR = {"score": 1, "difference": 2}  # of the variance of one method in that of two


def design(splits: int, searches: int, seeds: int) -> tuple[list[int], Design]:
    """Runs of so many splits, searches of each, and seeds of each search."""
    runs = list(range(splits * searches * seeds))
    return runs, Design({run: run // seeds for run in runs}, {run: run // (seeds * searches) for run in runs})


def drawn(random, methods, cases, layout):
    """``(methods, runs, cases)`` with these variances."""
    runs, parts = list(layout.splits), TRUE
    of = [[layout.splits[run] for run in runs], [layout.searches[run] for run in runs], runs]
    table = random.standard_normal((methods, 1, cases)) * parts["subject"] ** 0.5
    for name, units in zip(("split", "tuning", "seed"), of, strict=True):
        effects = random.standard_normal((methods, max(units) + 1)) * parts[name] ** 0.5
        table = table + effects[:, units][:, :, None]
    return table + random.standard_normal((methods, len(runs), cases)) * parts["residual"] ** 0.5


def by_source(found):
    return {one.source: one for one in found}


def test_four_searches_of_two_splits_by_hand():
    """The example of docs/statistics.md: differences of two methods in nine pairs."""
    runs, layout = design(2, 2, 1)
    means = np.array([0.020, 0.016, 0.010, 0.006])
    signs, places = np.array([1.0, -1.0, 1.0, -1.0]), np.linspace(-1, 1, 9)
    rest = np.outer(signs, places)
    rest *= np.sqrt(3 * 8 * 0.006**2 / (rest**2).sum())
    one = means[:, None] + rest
    found = by_source(components([np.stack([one, np.zeros_like(one)])], runs, layout, "difference", seeds=False))
    assert list(found) == ["split", "tuning", "subject", "residual"]
    assert found["residual"].variance == pytest.approx(0.006**2)
    assert found["tuning"].variance == pytest.approx(8e-6 - 0.006**2 / 9)
    assert found["split"].variance == pytest.approx(5e-5 - 8e-6 / 2)
    assert (found["split"].df, found["tuning"].df) == (1, 2)
    assert (found["subject"].variance, found["subject"].negative) == (0.0, True)
    assert sum(part.share for part in found.values()) == pytest.approx(1)


@pytest.mark.parametrize("of", ["difference", "score"])
def test_the_components_are_those_that_the_numbers_were_made_with(of):
    runs, layout = design(12, 2, 2)
    table = drawn(np.random.default_rng(1), 60, 40, layout)
    if of == "difference":  # alike for all methods: not in a difference
        table = table + np.random.default_rng(2).standard_normal((1, len(runs), 40)) * 50
    found = by_source(components([table], runs, layout, of))
    assert {name: part.variance / FACTOR[of] for name, part in found.items()} == {
        name: pytest.approx(value, rel=0.2) for name, value in TRUE.items()
    }
    assert not any(part.negative for part in found.values())


@pytest.mark.parametrize(("of", "least"), [("difference", 88), ("score", 97)])
def test_intervals_hold_the_truth(of, least):
    """A score has the degrees of freedom of one method, for methods may move together: here they do not."""
    runs, layout = design(4, 2, 2)
    random, held = np.random.default_rng(3), dict.fromkeys(TRUE, 0)
    for _ in range(100):
        for part in components([drawn(random, 6, 12, layout)], runs, layout, of):
            held[part.source] += part.low <= FACTOR[of] * TRUE[part.source] <= part.high
    assert all(count >= least for count in held.values()), held
    assert (sum(held.values()) < 500) == (of == "difference")


def test_methods_of_unequal_noise_say_less():
    runs, layout = design(6, 1, 1)
    random = np.random.default_rng(4)
    alike = drawn(random, 8, 10, layout)
    one_noisy = drawn(random, 8, 10, layout)
    one_noisy[0] += 30 * random.standard_normal((6, 1))
    even, uneven = (components([table], runs, layout, "difference")[0] for table in (alike, one_noisy))
    assert even.df > 20
    assert uneven.df < 10


@pytest.mark.parametrize(
    ("shape", "seeds", "names"),
    [
        ((3, 2, 2), True, ["split", "tuning", "seed"]),
        ((3, 2, 1), True, ["split", "tuning + seed"]),
        ((3, 2, 1), False, ["split", "tuning"]),
        ((3, 1, 2), True, ["split + tuning", "seed"]),
        ((3, 1, 1), True, ["split + tuning + seed"]),
        ((3, 1, 1), False, ["split + tuning"]),
        ((1, 3, 2), True, ["tuning", "seed"]),
        ((1, 3, 1), True, ["tuning + seed"]),
        ((1, 3, 1), False, ["tuning"]),
        ((1, 1, 3), True, ["seed"]),
    ],
)
def test_what_a_design_cannot_part_has_one_name(shape, seeds, names):
    runs, layout = design(*shape)
    table = drawn(np.random.default_rng(5), 3, 7, layout)
    for of in ("difference", "score"):
        found = [part.source for part in components([table], runs, layout, of, seeds=seeds)]
        assert found == [*names, "subject", "residual"]


def test_one_run_has_the_spread_of_its_cases_alone():
    runs, layout = design(1, 1, 1)
    table = np.random.default_rng(6).standard_normal((4, 1, 9))
    (part,) = components([table], runs, layout, "score")
    assert part.source == "subject + residual"
    assert part.variance == pytest.approx(table.var(axis=2, ddof=1).mean())
    assert components([table[:1]], runs, layout, "difference") == []


def test_folds_are_taken_one_by_one():
    """What differs from fold to fold, such as harder subjects, is no component."""
    runs, layout = design(1, 2, 2)
    table = drawn(np.random.default_rng(7), 5, 8, layout)
    one, two = (components(tables, runs, layout, "score") for tables in ([table], [table, table + 100]))
    assert [part.variance for part in two] == pytest.approx([part.variance for part in one])
    assert [part.df for part in two] == [2 * part.df for part in one]


def test_cases_and_methods_without_a_number_are_left_out():
    runs, layout = design(2, 1, 2)
    table = drawn(np.random.default_rng(8), 4, 8, layout)
    holes = np.concatenate([table, np.full((1, *table.shape[1:]), np.nan)])
    holes[1, 2, 3] = np.nan
    whole = components([np.delete(table, 3, axis=2)], runs, layout, "score")
    assert components([holes], runs, layout, "score") == whole


def test_the_interval_of_one_mean_square_is_that_of_chi_square():
    low, high = difference_interval((2.0, 5.0), (0.0, 9.0))
    assert (low, high) == (pytest.approx(10 / chi2.ppf(0.975, 5)), pytest.approx(10 / chi2.ppf(0.025, 5)))

"""Statistics: values by hand, statsmodels and scikit-posthocs as second opinions, coverage by simulation."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from regbench.statistics import (
    bootstrap_means,
    case_ranks,
    case_scores,
    cliques,
    compare,
    critical_difference,
    differences,
    friedman,
    holm,
    interval,
    pooled_sd,
    rank_after_tests,
    rank_biserial,
    rank_stability,
    ranks,
    smallest_p,
    spread,
    too_few,
    two_way,
    wilcoxon_p,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def frame(values, names="abcdefgh"):
    values = np.asarray(values, float)
    return pd.DataFrame(values, columns=list(names[: values.shape[1]]))


# Paired tests


def test_wilcoxon_of_all_positive_differences_reaches_the_smallest_p():
    for n in (3, 5, 8):
        assert wilcoxon_p(np.arange(1, n + 1) / 7) == pytest.approx(smallest_p(n)) == pytest.approx(2 / 2**n)


def exact_wilcoxon(difference):
    """Every one of the 2**n sign patterns."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(difference))
    sums = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(ranks))])
    seen, middle = ranks[np.asarray(difference) > 0].sum(), ranks.sum() / 2
    return (np.abs(sums - middle) >= abs(seen - middle) - 1e-9).mean()


@pytest.mark.parametrize("seed", range(4))
def test_wilcoxon_agrees_with_counting_all_sign_patterns(seed):
    difference = rng(seed).normal(0.4, 1, 9)
    assert wilcoxon_p(difference) == pytest.approx(exact_wilcoxon(difference))
    assert wilcoxon_p([*difference, 0.0, 0.0]) == pytest.approx(exact_wilcoxon(difference))  # zeros are dropped
    assert wilcoxon_p(-difference) == pytest.approx(wilcoxon_p(difference))


def test_no_difference_and_no_data():
    assert wilcoxon_p([0, 0, 0]) == 1
    assert rank_biserial([0, 0]) == 0
    assert np.isnan(wilcoxon_p([]))
    assert np.isnan(rank_biserial([]))


def test_rank_biserial_by_hand():
    # Ranks 1 2 3 4; unfavourable: 2. (1 + 3 + 4 - 2) / 10.
    assert rank_biserial([0.1, -0.2, 0.3, 0.4]) == pytest.approx(0.6)
    assert rank_biserial([1, 2, 3]) == 1
    assert rank_biserial([-1, -2, 0]) == -1
    assert rank_biserial([1, -1]) == 0


def test_differences_leave_out_what_has_no_number_and_tie_infinities():
    found = differences([1.0, np.nan, np.inf, np.inf, 5], [0.5, 1, np.inf, 2, np.nan])
    np.testing.assert_array_equal(found, [0.5, 0, np.inf])
    with pytest.raises(ValueError, match="one length"):
        differences([1, 2], [1])


@pytest.mark.parametrize("seed", range(5))
def test_holm_agrees_with_statsmodels(seed):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = rng(seed).random(1 + 3 * seed) ** 3
    p[-1] = p[0]  # a tie
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], atol=1e-12)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.03, 0.01, np.nan, 0.04]), [0.06, 0.03, np.nan, 0.06])


def test_too_few_cases_for_any_significance():
    assert too_few(5)  # 2 / 32 > 0.05
    assert not too_few(6)
    assert too_few(6, family=2)
    assert not too_few(12, family=66)
    assert too_few(10, family=66)
    assert smallest_p(0) == 1


def test_compare_fills_one_family():
    scores = frame(rng(1).normal(size=(14, 4)) * 0.1 + [0.5, 0.5, 0.6, 0.9])
    scores.iloc[3, 1] = np.nan
    found = compare(scores, rng(2), resamples=499)
    assert list(zip(found["a"], found["b"], strict=True)) == list(combinations("abcd", 2))
    assert found["n"].tolist() == [13, 14, 14, 13, 13, 14]
    raw = [wilcoxon_p(differences(scores[a], scores[b])) for a, b in combinations("abcd", 2)]
    np.testing.assert_allclose(found["p"], raw)
    np.testing.assert_allclose(found["p_holm"], holm(raw))
    assert (found["significant"] == (found["p_holm"] <= 0.05)).all()
    assert ((found["ci_low"] < found["mean_difference"]) & (found["mean_difference"] < found["ci_high"])).all()
    last = found.iloc[-1]
    assert last["mean_difference"] == pytest.approx((scores["c"] - scores["d"]).mean())
    assert last["rank_biserial"] < -0.9
    assert last["significant"]
    smaller = compare(scores, rng(2), pairs=[("c", "d")], resamples=499)
    assert smaller["p_holm"].item() == pytest.approx(raw[-1])
    assert compare(scores.head(7), rng(2), resamples=99)["too_few"].all()


def test_only_the_adjusted_p_decides():
    scores = frame(np.add(rng(0).normal(size=(14, 4)), [0, 0.4, 0.6, 0.8]))
    found = compare(scores, rng(0), resamples=9)
    assert (found["p"] <= 0.05).tolist() == [True, True, True, False, False, False]
    assert found["significant"].tolist() == [False, False, True, False, False, False]


def test_compare_is_the_same_bytes_again():
    scores = frame(rng(1).normal(size=(14, 4)))
    first, again = (compare(scores, rng(3), resamples=199).to_csv() for _ in range(2))
    assert first == again
    assert first != compare(scores, rng(4), resamples=199).to_csv()


def test_compare_of_two_methods_that_each_lost_a_structure_is_silent():
    """Infinity less infinity is no number, and no warning of numpy either: warnings are errors here."""
    scores = pd.DataFrame({"a": [np.inf, 1.0, 2.0], "b": [1.0, np.inf, 3.0]})
    (row,) = compare(scores, rng(), resamples=9).to_dict("records")
    assert np.isnan(row["mean_difference"])
    assert row["n"] == 3


def test_compare_keeps_infinite_cases_in_the_test_but_has_no_interval():
    scores = frame(rng(1).normal(size=(9, 2)))
    scores.iloc[0, 0] = np.inf
    found = compare(scores, rng(0), resamples=99).iloc[0]
    assert found["n"] == 9
    assert np.isfinite(found["p"])
    assert np.isnan(found["ci_low"])


def test_infinite_cases_on_both_sides_leave_no_mean():
    """A label vanished with one method in one case, with the other in another; nothing is warned of."""
    scores = pd.DataFrame({"a": [np.inf, 1.0, 2.0, 3.0], "b": [1.0, np.inf, 2.5, 3.5]})
    (row,) = compare(scores, np.random.default_rng(0), resamples=99).itertuples()
    assert np.isnan(row.mean_difference)
    assert row.n == 4


# Bootstrap


def test_bootstrap_means_by_brute_force(monkeypatch):
    values = rng(5).normal(size=(7, 3))
    found = bootstrap_means(values, rng(6), resamples=50)
    draws = rng(6).integers(0, 7, size=(50, 7))
    np.testing.assert_allclose(found, values[draws].mean(1))
    np.testing.assert_allclose(bootstrap_means(values[:, 0], rng(6), resamples=50), found[:, 0])
    monkeypatch.setattr("regbench.statistics.bootstrap.CHUNK", 20)
    np.testing.assert_allclose(bootstrap_means(values, rng(6), resamples=50), found)


def test_cluster_bootstrap_draws_whole_subjects():
    values, subjects = np.array([1.0, 2, 3, 10, 20, 100]), np.array(list("aaabbc"))
    found = bootstrap_means(values, rng(7), subjects=subjects, resamples=200)
    groups = [values[subjects == name] for name in "abc"]
    expected = [np.concatenate([groups[k] for k in draw]).mean() for draw in rng(7).integers(0, 3, size=(200, 3))]
    np.testing.assert_allclose(found, expected)


def test_pairs_are_weighted_by_both_subjects():
    pairs = np.array([("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")])
    values = np.array([1.0, 2, 4, 8])
    found = bootstrap_means(values, rng(8), subjects=pairs, resamples=300)
    for mean, draw in zip(found, rng(8).integers(0, 4, size=(300, 4)), strict=True):
        count = {name: int((draw == k).sum()) for k, name in enumerate("abcd")}
        weight = np.array([count[a] * count[b] for a, b in pairs])
        if weight.any():
            assert mean == pytest.approx((weight * values).sum() / weight.sum())
        else:
            assert np.isnan(mean)
    assert np.isnan(found).any()
    assert np.isfinite(interval(found)).all()


def test_an_atlas_is_no_sample():
    moving = np.arange(6)
    values = rng(9).normal(size=6)
    of_pairs = bootstrap_means(values, rng(1), subjects=np.stack([np.full(6, 99), moving], 1), resamples=99)
    np.testing.assert_array_equal(of_pairs, bootstrap_means(values, rng(1), resamples=99))


def test_an_atlas_is_no_sample_in_whatever_column():
    """As a pair list may have it: fixed in some pairs, moving in others."""
    pairs = np.array([["atlas", "a"], ["b", "atlas"], ["atlas", "c"], ["d", "atlas"]], dtype=object)
    values = rng(9).normal(size=4)
    of_pairs = bootstrap_means(values, rng(1), subjects=pairs, resamples=99)
    np.testing.assert_array_equal(of_pairs, bootstrap_means(values, rng(1), subjects=list("abcd"), resamples=99))


def coverage(clustered):
    """How often a 90 % interval holds the true mean 0 when four cases share each subject's deviation."""
    generator, subjects, held = rng(10), np.repeat(np.arange(25), 4), 0
    for _ in range(200):
        values = np.repeat(generator.normal(size=25), 4) + 0.2 * generator.normal(size=100)
        drawn = bootstrap_means(values, generator, subjects=subjects if clustered else None, resamples=199)
        low, high = interval(drawn, level=0.9)
        held += bool(low <= 0 <= high)
    return held / 200


def test_only_the_cluster_bootstrap_covers_where_subjects_recur():
    assert 0.82 <= coverage(clustered=True) <= 0.96
    assert coverage(clustered=False) < 0.75


def test_bootstrap_refuses_what_it_cannot_average():
    for bad in ([np.nan, 1], [np.inf, 1], []):
        with pytest.raises(ValueError, match="finite"):
            bootstrap_means(bad, rng())
    with pytest.raises(ValueError, match="subjects must be"):
        bootstrap_means([1, 2, 3], rng(), subjects=[1, 2])
    with pytest.raises(ValueError, match="level"):
        interval([1, 2, 3], level=95)


# Ranks


def test_case_ranks_follow_the_direction_and_share_ties():
    scores = frame([[0.9, 0.5, 0.5], [0.1, 0.3, np.nan], [1.0, 3.0, 2.0]])
    assert case_ranks(scores, "higher").to_numpy().tolist() == [[1, 2.5, 2.5], [3, 1, 2]]
    assert case_ranks(scores, "lower").to_numpy().tolist() == [[3, 1.5, 1.5], [1, 3, 2]]


def test_friedman_agrees_with_scipy_and_its_definition():
    from scipy.stats import friedmanchisquare

    scores = frame(np.add(rng(11).normal(size=(12, 4)), [0, 0.2, 0.4, 1.5]))
    found = friedman(scores, "higher")
    expected = friedmanchisquare(*scores.to_numpy().T)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    n, k = scores.shape
    by_hand = 12 * n / (k * (k + 1)) * ((found.mean_ranks - (k + 1) / 2) ** 2).sum()
    assert found.statistic == pytest.approx(by_hand)
    assert found.mean_ranks.idxmin() == "d"
    assert friedman(scores, "lower").mean_ranks.idxmax() == "d"
    assert friedman(frame(np.ones((4, 3))), "higher").p == 1
    with pytest.raises(ValueError, match="3 methods"):
        friedman(scores[["a", "b"]], "higher")


def test_critical_difference_agrees_with_the_published_table():
    # Demsar 2006, table 5a: q at 0.05 for 2, 5 and 10 methods.
    for methods, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        expected = q * np.sqrt(methods * (methods + 1) / (6 * 20))
        assert critical_difference(methods, 20) == pytest.approx(expected, rel=5e-4)


def test_critical_difference_is_where_nemenyi_turns_significant():
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = frame(np.add(rng(12).normal(size=(30, 5)), [0, 0.3, 0.6, 0.9, 1.2]))
    p = posthocs.posthoc_nemenyi_friedman(scores)
    ranks, limit = friedman(scores, "higher").mean_ranks, critical_difference(5, 30)
    found = {(a, b): abs(ranks[a] - ranks[b]) > limit for a, b in combinations("abcde", 2)}
    assert found == {(a, b): bool(p.loc[a, b] < 0.05) for a, b in combinations("abcde", 2)}
    assert len(set(found.values())) == 2


def test_cliques_are_the_largest_groups():
    ranks = pd.Series({"d": 4.0, "a": 1.0, "b": 1.8, "c": 2.6, "e": 6.0})
    assert cliques(ranks, 1.0) == [["a", "b"], ["b", "c"]]
    assert cliques(ranks, 2.0) == [["a", "b", "c"], ["c", "d"], ["d", "e"]]
    assert cliques(ranks, 10.0) == [["a", "b", "c", "d", "e"]]
    assert cliques(ranks, 0.1) == []


def test_rank_after_tests_counts_significant_wins():
    scores = frame(0.01 * rng(13).normal(size=(20, 4)) + [0.5, 0.7, 0.5, 0.9])
    scores["c"] = scores["a"]
    found = rank_after_tests(scores, "higher")
    assert found["wins"].tolist() == [0, 2, 0, 3]
    assert found["losses"].tolist() == [2, 1, 2, 0]
    assert found["rank"].tolist() == [3, 2, 3, 1]
    assert rank_after_tests(scores, "lower")["rank"].tolist() == [1, 3, 1, 4]
    assert rank_after_tests(scores.head(4), "higher")["rank"].tolist() == [1, 1, 1, 1]  # four cases prove nothing


@pytest.mark.parametrize("by", ["mean", "mean_rank"])
def test_rank_stability_is_certain_only_where_the_data_are(by):
    scores = frame(rng(14).normal(size=(30, 4)) * 0.1 + [0.5, 0.5, 0.9, 0.1])
    found = rank_stability(scores, "higher", rng(15), by=by, resamples=400)
    np.testing.assert_allclose(found.frequency.to_numpy().sum(1), 1)
    assert found.frequency.loc["c", 1] == 1
    assert found.frequency.loc["d", 4] == 1
    assert 0.1 < found.frequency.loc["a", 2] < 0.95
    assert found.kendall_tau.max() == pytest.approx(1)
    assert found.kendall_tau.min() == pytest.approx(2 / 3)
    turned = rank_stability(scores, "lower", rng(15), by=by, resamples=50)
    assert turned.frequency.loc["d", 1] == 1
    again = rank_stability(scores, "higher", rng(15), by=by, resamples=400)
    pd.testing.assert_frame_equal(found.frequency, again.frequency)


# Spread


def rows():
    generator = rng(16)
    return pd.DataFrame(
        [
            {"method": m, "seed": s, "fixed": f, "moving": "m", "dice": generator.normal()}
            for m, s, f in product(["z", "a"], range(3), ["f2", "f1", "f0", "f3"])
        ]
    )


def test_seeds_are_averaged_before_cases_are_compared():
    data = rows()
    scores = case_scores(data, "dice")
    assert list(scores.columns) == ["z", "a"]
    assert scores.loc[("f1", "m"), "a"] == pytest.approx(data.query("method == 'a' and fixed == 'f1'")["dice"].mean())
    table = data.query("method == 'z'").pivot_table(index="fixed", columns="seed", values="dice").to_numpy()
    found = spread(table)
    assert (found.cases, found.seeds) == (4, 3)
    assert found.mean == pytest.approx(table.mean())
    assert found.sd == pytest.approx(table.mean(1).std(ddof=1))
    assert found.seed_sd == pytest.approx(table.mean(0).std(ddof=1))
    assert found.sd == pytest.approx(scores["z"].std())


def test_a_failed_seed_is_not_averaged_away():
    data = rows()
    data.loc[data.query("method == 'a' and seed == 1 and fixed == 'f0'").index, "dice"] = np.nan
    assert case_scores(data, "dice").isna().sum().to_dict() == {"z": 0, "a": 1}
    table = data.query("method == 'a'").pivot_table(index="fixed", columns="seed", values="dice", dropna=False)
    assert spread(table).cases == 3


def test_spread_of_one_and_of_none():
    one = spread([[0.5]])
    assert one.mean == 0.5
    assert np.isnan([one.sd, one.seed_sd]).all()
    assert np.isnan(spread(np.full((2, 2), np.nan)).mean)
    with pytest.raises(ValueError, match="cases, seeds"):
        spread([0.5, 0.6])


def test_pooled_sd_is_another_number_with_another_name():
    table = np.array([[0.1, 0.9], [0.2, 1.0]])
    assert pooled_sd(table) == pytest.approx(np.std([0.1, 0.9, 0.2, 1.0]))
    assert pooled_sd([0.1, np.nan, 0.3], ddof=1) == pytest.approx(np.std([0.1, 0.3], ddof=1))


# Two ways


def grid(cases=12, noise=0.0):
    """A grid with known effects: similarity +-1, regularizer 0.5 / 0 / -0.5, interaction +-0.25."""
    cells = {("lcc", "bending"): 1.75, ("lcc", "grad_l2"): 1.0, ("lcc", "none"): 0.25,
             ("mse", "bending"): -0.75, ("mse", "grad_l2"): -1.0, ("mse", "none"): -1.25}  # fmt: skip
    generator = rng(17)
    shift = generator.normal(size=cases)
    return pd.DataFrame({key: 7 + value + shift + noise * generator.normal(size=cases) for key, value in cells.items()})


def effects_of(found):
    return found.effects.set_index(["term", "similarity", "regularizer"])["effect"].to_dict()


def test_two_way_finds_the_effects_it_was_built_from():
    found = two_way(grid(), rng(18), resamples=99)
    effects = effects_of(found)
    assert effects["similarity", "lcc", "*"] == pytest.approx(1)
    assert [effects["regularizer", "*", reg] for reg in ("bending", "grad_l2", "none")] == pytest.approx([0.5, 0, -0.5])
    assert effects["interaction", "lcc", "bending"] == pytest.approx(0.25)
    assert effects["interaction", "mse", "bending"] == pytest.approx(-0.25)
    # The cases' common shift drops out: without noise the effects are certain.
    np.testing.assert_allclose(found.effects["ci_low"], found.effects["ci_high"], atol=1e-9)
    np.testing.assert_allclose(found.shares["share"], np.array([6, 1, 0.25]) / 7.25)
    assert found.grand_mean == pytest.approx(grid().to_numpy().mean())
    for _, term in found.effects.groupby("term"):
        assert term["effect"].sum() == pytest.approx(0)


def test_two_way_agrees_with_statsmodels():
    pytest.importorskip("statsmodels")
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    scores = grid(noise=0.3)
    found = two_way(scores, rng(19), resamples=199)
    long = scores.T.rename_axis(["sim", "reg"]).reset_index().melt(["sim", "reg"], value_name="score")
    model = ols("score ~ C(sim, Sum) * C(reg, Sum)", long).fit()
    effects = effects_of(found)
    assert found.grand_mean == pytest.approx(model.params["Intercept"])
    assert effects["similarity", "lcc", "*"] == pytest.approx(model.params["C(sim, Sum)[S.lcc]"])
    for reg in ("bending", "grad_l2"):
        assert effects["regularizer", "*", reg] == pytest.approx(model.params[f"C(reg, Sum)[S.{reg}]"])
        name = f"C(sim, Sum)[S.lcc]:C(reg, Sum)[S.{reg}]"
        assert effects["interaction", "lcc", reg] == pytest.approx(model.params[name])
    squares = anova_lm(model, typ=2)["sum_sq"].to_numpy()[:3]
    np.testing.assert_allclose(found.shares["share"], squares / squares.sum())
    assert (found.effects["ci_low"] <= found.effects["effect"]).all()
    assert (found.effects["effect"] <= found.effects["ci_high"]).all()


def test_two_way_has_no_interval_of_one_case():
    """Drawn again, one pair is itself each time: its interval would have no width."""
    found = two_way(grid().iloc[:1], rng(), resamples=9)
    assert found.cases == 1
    assert np.isfinite(found.effects["effect"]).all()
    assert found.effects[["ci_low", "ci_high"]].isna().all(axis=None)


def test_two_way_needs_the_whole_grid():
    scores = grid()
    with pytest.raises(ValueError, match=r"\('mse', 'none'\)"):
        two_way(scores.iloc[:, :-1], rng())
    scores.iloc[0, 0] = np.nan
    assert two_way(scores, rng(), resamples=9).cases == 11
    scores[:] = np.nan
    with pytest.raises(ValueError, match="every cell"):
        two_way(scores, rng())


def test_one_method_alone_holds_its_rank_and_agrees_with_nothing():
    found = rank_stability(pd.DataFrame({"a": [0.1, 0.4, 0.2]}), "higher", np.random.default_rng(0), resamples=20)
    assert found.frequency.loc["a", 1] == 1
    assert np.isnan(found.kendall_tau).all()


def test_the_tau_of_many_rankings_is_that_of_scipy():
    generator = np.random.default_rng(0)
    full = generator.integers(1, 6, 7).astype(float)
    many = np.vstack([generator.integers(1, 6, (40, 7)), np.full((1, 7), 3), [full.astype(int)]])
    expected = [kendalltau(full, row).statistic for row in many]
    assert np.allclose(ranks._kendall_tau(full, many), expected, equal_nan=True, atol=1e-15)
    assert np.isnan(expected[-2])
    assert expected[-1] == pytest.approx(1)

"""Decisions in looks: published levels, chances by hand, what a look does with each kind of pair, false claims."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from regbench.statistics import Family, Looks, Scores, common_noise, judge, look, looks, spent
from regbench.statistics.looks import chance_of_decision, having, levels

CASES = [f"case{k}" for k in range(8)]
THREE = Looks([range(2), range(4), range(6)], [2, 4, 6])


def drawn(means, *, runs, noise=0.01, seed=0, of_case=0.002):
    random = np.random.default_rng(seed)
    return {
        name: Scores(
            mean + noise * random.standard_normal((runs, 1)) + of_case * random.standard_normal((runs, len(CASES))),
            tuple(range(runs)),
        )
        for name, mean in means.items()
    }


def test_levels_are_the_published_ones(monkeypatch):
    """Bounds of the O'Brien-Fleming-like spending function at five even looks, as ldbounds 1.1 prints them."""

    def obrien_fleming(shares, alpha, _):
        return [4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(share)) for share in shares]

    monkeypatch.setattr(looks, "spent", obrien_fleming)
    levels.cache_clear()
    found = [norm.isf(level / 2) for level in levels((0.2, 0.4, 0.6, 0.8, 1.0), 0.05)]
    levels.cache_clear()
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-3)


def test_one_look_spends_all_and_several_spend_no_more():
    assert levels((1.0,), 0.05) == pytest.approx((0.05,), rel=1e-4)
    assert spent((0.5, 1.0), 0.04) == pytest.approx([0.005, 0.04])
    shares = (0.25, 0.5, 1.0)
    bounds = norm.isf(np.array(levels(shares, 0.05)) / 2)
    assert 2 * norm.sf(bounds[0]) == pytest.approx(spent(shares, 0.05)[0], rel=1e-4)
    steps = np.random.default_rng(1).standard_normal((40_000, 3)) * np.sqrt([0.25, 0.25, 0.5])
    z = steps.cumsum(axis=1) / np.sqrt(shares)
    assert (np.abs(z) > bounds).any(axis=1).mean() == pytest.approx(0.05, abs=0.004)
    assert norm.sf(bounds[-1]) * 2 > 0.04, "a union bound would leave the last look less"


def test_levels_hold_for_the_small_alpha_of_many_pairs():
    small = levels((0.25, 0.5, 0.75, 1.0), 0.05 / 66)
    assert list(small) == sorted(small)
    assert 0.9 * 0.05 / 66 * (1 - 0.75**3) < small[-1] < 0.05 / 66


def test_the_chance_is_that_of_the_difference_to_move_beyond_the_half_width():
    one = judge({**drawn({"a": 0.02}, runs=3), **drawn({"b": 0.0}, runs=3, seed=1)}, Family(CASES))[0]
    of_subjects, of_runs = one.se_subjects**2, one.se_runs**2
    joint = (of_subjects + of_runs / 2) ** 2 / (of_subjects**2 / 7 + (of_runs / 2) ** 2 / (2 * 2))
    half = student.ppf(1 - 0.01 / 2, joint) * np.sqrt(of_subjects + of_runs / 2)
    moves = one.se_runs * np.sqrt(1 / 2)
    by_hand = norm.cdf((-half - one.difference) / moves) + norm.sf((half - one.difference) / moves)
    assert chance_of_decision(one, 2.0, 0.01, None) == pytest.approx(by_hand)
    assert chance_of_decision(one, 2.0, 0.01, half) == pytest.approx(by_hand), "no room inside of the region"
    inside = norm.cdf((half / 2 - one.difference) / moves) - norm.cdf((-half / 2 - one.difference) / moves)
    assert chance_of_decision(one, 2.0, 0.01, 1.5 * half) == pytest.approx(by_hand + inside)
    assert chance_of_decision(one, 2.0, 0.01, 3 * half) == 1, "equal, or else beyond the half width, or both"
    assert chance_of_decision(one._replace(se_runs=0.0), 2.0, 0.01, None) == 0
    assert chance_of_decision(one._replace(low=float("nan")), 2.0, 0.01, None) == 0


def test_a_look_decides_gives_up_and_goes_on():
    means = {"a": 0.0, "b": 0.0001, "c": 0.3, "d": 0.302}
    quiet = drawn(means, runs=6, noise=0.0002, of_case=0.0002)
    failed = {"f": Scores(np.full((6, 8), np.nan), tuple(range(6)))}
    pairs = list(combinations({**quiet, **failed}, 2))
    found = look({**quiet, **failed}, Family(CASES, region=0.005), THREE, 1, pairs)
    assert found["a", "c"].comparison.verdict == "worse"
    assert found["a", "b"].comparison.verdict == "equal"
    assert not found["a", "c"].goes_on
    assert (found["a", "f"].chance, found["a", "f"].goes_on) == (0, False), "what failed is not trained again and again"
    assert {one.comparison.runs for one in found.values()} <= {4, 0}, "a look sees no later run"
    apart = drawn({"d": 0.302, "e": 0.306}, runs=6, noise=0.003, seed=2)
    found = look(apart, Family(CASES), THREE, 1, [("d", "e")])
    assert found["d", "e"].goes_on
    assert 0.1 < found["d", "e"].chance < 1
    last = look(apart, Family(CASES), THREE, 2, [("d", "e")])
    assert (last["d", "e"].goes_on, last["d", "e"].comparison.runs) == (False, 6)


def test_a_pair_that_can_hardly_be_decided_is_given_up():
    alike = drawn({"a": 0.0, "b": 0.0, "c": 0.5, "d": 0.5}, runs=6, noise=0.02, seed=4)
    found = look(alike, Family(CASES), THREE, 1, [("a", "b")])
    assert found["a", "b"].comparison.verdict == "undecided"
    assert (found["a", "b"].chance < 0.1, found["a", "b"].goes_on) == (True, False)
    never = THREE._replace(least_chance=0.0)
    assert look(alike, Family(CASES), never, 1, [("a", "b")])["a", "b"].goes_on
    assert not look(alike, Family(CASES), never, 2, [("a", "b")])["a", "b"].goes_on, "nothing is behind the last look"


def test_a_level_is_that_of_all_pairs_whatever_is_still_open():
    scores = drawn({"a": 0.0, "b": 0.01, "c": 0.02, "d": 0.3}, runs=6)
    together = look(scores, Family(CASES), THREE, 1, list(combinations(scores, 2)))
    alone = look(scores, Family(CASES), THREE, 1, [("a", "b")])
    assert alone["a", "b"].comparison == together["a", "b"].comparison


def test_the_noise_of_runs_is_told_by_the_largest_block_of_methods_and_runs():
    scores = drawn(dict.fromkeys("abcdefgh", 0.0), runs=6)
    some = {name: having(one, range(2)) if name in "abc" else one for name, one in scores.items()}
    family = Family(CASES)
    longest = {name: one for name, one in scores.items() if name not in "abc"}
    assert common_noise(some, family) == common_noise(longest, family), "4 x 5 degrees of freedom, not 7 x 1"
    most = {name: having(one, range(2)) if name in "abcdefg" else one for name, one in scores.items()}
    assert common_noise(most, family) == common_noise({n: having(o, range(2)) for n, o in scores.items()}, family)


def in_looks(scores, family, plan):
    """Verdicts and trainings of a study in looks."""
    open_pairs, verdicts, runs = list(combinations(scores, 2)), {}, dict.fromkeys(scores, 0)
    for number, count in enumerate(plan.counts):
        runs |= {name: count for pair in open_pairs for name in pair}
        known = {name: having(one, range(runs[name])) for name, one in scores.items()}
        outcomes = look(known, family, plan, number, open_pairs)
        verdicts |= {pair: outcome.comparison.verdict for pair, outcome in outcomes.items() if not outcome.goes_on}
        open_pairs = [pair for pair, outcome in outcomes.items() if outcome.goes_on]
        if not open_pairs:
            break
    return verdicts, sum(runs.values())


def test_looks_make_few_false_claims_and_save_trainings():
    """The quick sibling of `benchmarks/verdicts.py --looks`."""
    false, trainings = 0, 0
    for seed in range(60):
        scores = drawn(dict.fromkeys("abcdef", 0.5), runs=6, seed=seed)
        verdicts, used = in_looks(scores, Family(CASES), THREE)
        false += any(verdict != "undecided" for verdict in verdicts.values())
        trainings += used
    assert false <= 5
    assert trainings < 0.7 * 60 * 36


def test_where_the_best_are_looked_for_a_beaten_method_gets_no_more():
    scores = drawn({"a": 0.5, "b": 0.49, "c": 0.0, "d": 0.01}, runs=6, noise=0.02, seed=2)
    pairs, never = list(combinations(scores, 2)), THREE._replace(least_chance=0.0)
    every, best = (look(scores, Family(CASES), plan, 1, pairs) for plan in (never, never._replace(best=True)))
    assert {pair: one.comparison for pair, one in every.items()} == {pair: one.comparison for pair, one in best.items()}
    assert every["a", "c"].comparison.verdict == "better"
    assert [pair for pair, one in every.items() if one.goes_on] == [("a", "b"), ("c", "d")]
    assert [pair for pair, one in best.items() if one.goes_on] == [("a", "b")]
    lower = look(scores, Family(CASES, "lower"), never._replace(best=True), 1, pairs)
    assert [pair for pair, one in lower.items() if one.goes_on] == [("c", "d")]


def test_finding_the_best_alone_costs_less_and_knows_who_is_beaten():
    """Ten methods in steps: who is beaten is told as often as where every pair is to be decided."""
    spent, told = [], []
    for best in (False, True):
        ran = [
            in_looks(drawn({str(k): 0.03 * k for k in range(10)}, runs=6, noise=0.01, seed=seed), Family(CASES), plan)
            for seed in range(4)
            for plan in (THREE._replace(best=best),)
        ]
        spent.append(sum(runs for _, runs in ran))
        told.append([
            {pair[verdict == "better"] for pair, verdict in of.items() if verdict in ("better", "worse")}
            for of, _ in ran
        ])  # fmt: skip
    assert spent[1] < 0.8 * spent[0]
    assert all(len(one) >= len(every) - 1 for every, one in zip(*told, strict=True))

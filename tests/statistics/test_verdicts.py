"""What may be claimed of two methods: values worked by hand, every way to be undecided, how often claims are false."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from regbench.report.study_verdicts import GridCell, study_verdicts
from regbench.statistics import (
    Comparison,
    Family,
    Folds,
    Scores,
    common_noise,
    judge,
    membership,
    needs,
    rank_intervals,
    sampled,
    scores_of,
    subject_noise,
)
from regbench.statistics.noise import Prior, moderated, prior

CASES = [f"case{k}" for k in range(8)]
SPREAD = np.array([0.011, -0.013, 0.002, 0.007, -0.006, 0.004, -0.009, 0.004])


def pairs_of(people):
    return np.array(list(permutations([f"s{k}" for k in range(people)], 2)), dtype=object)


# Noise of subjects.


def test_independent_cases_have_the_variance_of_a_mean():
    found = subject_noise(SPREAD, membership(CASES))
    assert found.variance[0] == pytest.approx(SPREAD.var(ddof=1) / 8)
    assert (found.df, found.subjects) == (7, 8)


def test_an_atlas_is_no_sample():
    pairs = np.array([["atlas", name] for name in CASES], dtype=object)
    assert subject_noise(SPREAD, membership(pairs)) == subject_noise(SPREAD, membership(CASES))
    assert len(sampled(membership(pairs))) == 8


def test_leaving_out_a_subject_takes_all_its_pairs():
    pairs = np.array([["a", "b"], ["a", "c"], ["b", "c"]], dtype=object)
    values = np.array([1.0, 2.0, 6.0])
    without = np.array([6.0, 2.0, 1.0])  # a, b, c left out: one pair stays each time
    found = subject_noise(values, membership(pairs))
    assert found.variance[0] == pytest.approx(2 / 3 * ((without - 3) ** 2).sum())
    assert found.df == 2


def test_pairs_that_share_subjects_say_less_than_their_number():
    random = np.random.default_rng(0)
    pairs = pairs_of(6)
    place = {f"s{k}": k for k in range(6)}
    effect = random.standard_normal(6)
    values = np.array([effect[place[a]] + effect[place[b]] for a, b in pairs])
    assert subject_noise(values, membership(pairs)).variance[0] > 5 * values.var(ddof=1) / len(values)


@pytest.mark.parametrize("subjects", [["a"], [["a", "b"]], [["a", "b"], ["b", "a"]]])
def test_nobody_can_be_left_out(subjects):
    found = subject_noise(np.arange(len(subjects), dtype=float), membership(subjects))
    assert found.df == 0
    assert np.isnan(found.variance).all()


# Noise of runs.


def test_the_pooled_variance_is_the_mean_over_pairs():
    table = np.random.default_rng(1).standard_normal((5, 4))
    by_hand = np.mean([(table[a] - table[b]).var(ddof=1) for a in range(5) for b in range(a)])
    assert prior(table).variance == pytest.approx(by_hand)


def test_alike_variances_are_pooled_and_unlike_ones_are_not():
    random = np.random.default_rng(2)
    alike = [prior(random.standard_normal((12, 4))).df for _ in range(50)]
    scale = np.exp(1.5 * np.linspace(-1, 1, 12))[:, None]
    unlike = [prior(scale * random.standard_normal((12, 4))).df for _ in range(50)]
    assert np.median(alike) > 3 * np.median(unlike)
    assert max(alike) <= 33  # (12 - 1) (4 - 1)


def test_three_methods_do_not_tell_whether_they_are_alike():
    assert prior(np.random.default_rng(3).standard_normal((3, 4))).df == 0
    assert moderated(2.0, 3, Prior(1.0, 0.0)) == (2.0, 3)


def test_a_variance_is_drawn_towards_the_others_by_their_weight():
    assert moderated(4.0, 2, Prior(1.0, 4.0)) == (pytest.approx(2.0), 6.0)


# Verdicts.


def two(difference, runs=(0.0,), spread=SPREAD):
    """Two methods whose difference is given, with a spread over cases and one over runs."""
    base = np.linspace(0.6, 0.8, 8)
    moved = np.asarray(runs)[:, None]
    names = tuple(range(len(runs)))
    first = scores_of(base + difference + spread + moved, names)
    return {"a": first, "b": scores_of(np.tile(base, (len(runs), 1)), names)}


def verdict(scores, **how):
    (found,) = judge(scores, Family(CASES, **how))
    return found


def test_the_interval_is_that_of_a_paired_t_test_where_one_run_is_all():
    found = verdict(two(0.02))
    half = student.ppf(0.975, 7) * SPREAD.std(ddof=1) / math.sqrt(8)
    assert (found.low, found.high) == (pytest.approx(0.02 - half), pytest.approx(0.02 + half))
    assert (found.verdict, found.se_runs, found.runs, found.n, found.subjects) == ("better", 0.0, 1, 8, 8)


def test_runs_and_subjects_add_up_with_degrees_of_freedom_by_satterthwaite():
    runs = np.array([0.01, -0.01, 0.02, -0.02])
    found = verdict(two(0.02, runs))
    one, other = SPREAD.var(ddof=1) / 8, runs.var(ddof=1) / 4
    df = (one + other) ** 2 / (one**2 / 7 + other**2 / 3)
    assert found.df == pytest.approx(df)
    assert (found.se_subjects, found.se_runs) == (pytest.approx(math.sqrt(one)), pytest.approx(math.sqrt(other)))
    assert found.high - found.low == pytest.approx(2 * student.ppf(0.975, df) * math.sqrt(one + other))


def test_what_a_seed_does_to_both_alike_is_no_noise_of_their_difference():
    scores = two(0.02, (0.0, 0.0, 0.0))
    moved = np.array([0.3, -0.2, 0.1])[:, None]
    alike = {name: replace(one, values=one.values + moved) for name, one in scores.items()}
    assert verdict(alike).se_runs == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("difference", "region", "direction", "expected"),
    [
        (0.03, None, "higher", "better"), (0.03, None, "lower", "worse"), (-0.03, None, "higher", "worse"),
        (-0.03, None, "lower", "better"), (0.001, 0.02, "higher", "equal"), (0.001, 0.02, "lower", "equal"),
        (0.001, 0.005, "higher", "undecided"), (0.001, None, "higher", "undecided"),
        (0.012, 0.03, "higher", "equal"),  # significant, and too small to matter
        (0.012, 0.01, "higher", "better"),
    ],
)  # fmt: skip
def test_verdicts(difference, region, direction, expected):
    found = verdict(two(difference), region=region, direction=direction)
    assert found.verdict == expected
    assert bool(found.reason) == (expected == "undecided")


def test_the_more_is_compared_the_wider_are_the_intervals():
    scores = {name: scores_of(np.linspace(0.6, 0.8, 8) + k * SPREAD) for k, name in enumerate("abcd")}
    alone = judge(scores, Family(CASES), [("a", "b")])[0]
    among = judge(scores, Family(CASES))[0]
    ratio = (among.high - among.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(student.ppf(1 - 0.05 / 12, 7) / student.ppf(0.975, 7))


def test_runs_of_one_search_are_one_unit():
    runs = np.array([0.01, 0.03, -0.03, -0.01])
    found = judge(two(0.02, runs), Family(CASES, groups={0: "x", 1: "x", 2: "y", 3: "y"}))[0]
    assert found.runs == 2
    assert found.se_runs == pytest.approx(np.array([0.02, -0.02]).std(ddof=1) / math.sqrt(2))
    assert found.needs is None or "searches" in found.needs["text"]


def test_what_is_not_drawn_has_no_noise_of_runs():
    scores = {name: replace(one, drawn=False) for name, one in two(0.02, (0.0, 0.01)).items()}
    assert verdict(scores).se_runs == 0


def test_runs_that_are_not_shared_are_compared_by_their_means():
    scores = two(0.05, (0.01, -0.01, 0.02))
    scores["b"] = scores_of(np.linspace(0.6, 0.8, 8)[None], (0,), drawn=False)
    found = verdict(scores)
    assert found.difference == pytest.approx(0.05 + 0.02 / 3)
    assert found.se_runs == pytest.approx(np.array([0.01, -0.01, 0.02]).std(ddof=1) / math.sqrt(3))


def broken(change):
    scores = two(0.05, (0.0, 0.01))
    values = scores["a"].values.copy()
    change(values)
    return {**scores, "a": replace(scores["a"], values=values)}


def fill(place, number):
    def change(values):
        values[place] = number

    return change


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (broken(fill(1, np.nan)), "a failed in 1 of 2 runs"),
        (broken(fill(np.s_[:], np.nan)), "a failed in 2 of 2 runs"),
        (broken(fill((0, 3), np.inf)), "infinite in 1 of 8 cases"),
        (broken(fill(np.s_[:, 1:], np.nan)), "1 case with a number"),
        (two(0.05, spread=0.0), "no spread"),
        (two(0.0, spread=0.0), "no spread"),
    ],
)
def test_what_cannot_be_judged_is_undecided_with_its_reason(scores, reason):
    found = verdict(scores, region=0.5)
    assert found.verdict == "undecided"
    assert reason in found.reason
    assert found.needs is None
    assert math.isnan(found.low)


@pytest.mark.parametrize("subjects", [[["s", "t"]] * 8, [["s", "t"], ["t", "s"]] * 4, [["s"]] * 8])
def test_one_pair_of_subjects_decides_nothing(subjects):
    (found,) = judge(two(0.05), Family(subjects, region=0.01))
    assert (found.verdict, found.difference) == ("undecided", pytest.approx(0.05))
    assert found.reason == "every test pair has the same subjects, so no subject can be left out to judge by"


def test_one_subject_beside_an_atlas_is_too_few():
    (found,) = judge(two(0.05), Family([["atlas", "s"]] * 7 + [["atlas", "atlas"]], region=0.01))
    assert found.reason == "1 subject: too few to judge by"


def test_a_case_without_a_number_is_left_out():
    scores = broken(fill((0, 3), np.nan))
    assert verdict(scores).n == 7


def test_no_runs_in_common_and_no_methods_at_all():
    assert judge({}, Family(CASES)) == []
    assert common_noise({}, Family(CASES)).df == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from(["higher", "lower"]))
def test_turning_a_comparison_round_turns_its_verdict(seed, runs, direction):
    random = np.random.default_rng(seed)
    shift = random.normal(0, 0.05, 3)[:, None, None]
    values = random.normal(0, 0.02, (3, runs, 8)) + shift
    scores = {name: Scores(values[k], tuple(range(runs))) for k, name in enumerate("abc")}
    family = Family(CASES, direction, 0.03)
    turned = {"better": "worse", "worse": "better"}
    there, back = judge(scores, family, [("a", "b")])[0], judge(scores, family, [("b", "a")])[0]
    assert back.verdict == turned.get(there.verdict, there.verdict)
    assert (back.low, back.high) == (pytest.approx(-there.high), pytest.approx(-there.low))
    order = random.permutation(runs)
    mixed = {name: Scores(one.values[order], tuple(order.tolist())) for name, one in scores.items()}
    assert judge(mixed, family)[0].low == pytest.approx(judge(scores, family)[0].low)


@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_few_families_of_equal_methods_hold_a_false_claim(tails):
    """The generator is fixed, so is the count; docs/statistics.md has many more settings."""
    random, pairs, wrong, equal, studies = np.random.default_rng(8), pairs_of(6), 0, 0, 200
    place = {f"s{k}": k for k in range(6)}
    fixed, moving = (np.array([place[pair[k]] for pair in pairs]) for k in range(2))

    def noise(*shape):
        return random.standard_normal(shape) if tails == "normal" else random.standard_t(3, shape)

    for _ in range(studies):
        values = noise(1, 3, 1) * 2 + noise(5, 3, 1) + noise(5, 3, len(pairs)) * 0.3
        values = values + noise(5, 1, 6)[:, :, fixed] + noise(5, 1, 6)[:, :, moving]
        scores = {str(k): Scores(values[k], (0, 1, 2)) for k in range(5)}
        wrong += any(c.verdict in ("better", "worse") for c in judge(scores, Family(pairs)))
        apart = {name: replace(one, values=one.values + 3.0 * (int(name) % 2)) for name, one in scores.items()}
        found = judge(apart, Family(pairs, region=3.0))
        equal += any(c.verdict == "equal" and (int(c.a) + int(c.b)) % 2 for c in found)
    most = (0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)) * studies
    assert wrong <= most
    assert equal <= most


# Ranks, and what it would take.


def says(a, b, word):
    return Comparison(a, b, word, "", *[0.0] * 7, 8, 8, 1, None)


def test_a_rank_is_an_interval():
    said = [says("a", "b", "better"), says("a", "c", "equal"), says("d", "a", "worse"), says("b", "c", "undecided")]
    found = rank_intervals(list("abcd"), said)
    assert found == {"a": (1, 2), "b": (2, 4), "c": (1, 4), "d": (2, 4)}


def test_needs_are_the_smallest_numbers_that_are_enough():
    found = needs(0.02, 0.975, subjects=(1e-4, 7.0, 8, 16), runs=(2e-4, 3.0, 4))

    def reach(people, runs):
        one, other = 1e-4 * 8 / people, 2e-4 * 4 / runs
        df = (one + other) ** 2 / (one**2 / (7 * people / 8) + other**2 / (3 * runs / 4))
        return (student.ppf(0.975, df) + student.ppf(0.8, df)) * math.sqrt(one + other)

    assert found["seeds"] is None  # the subjects alone are too noisy
    assert found["subjects"] is None
    assert reach(found["both"]["subjects"], found["both"]["seeds"]) <= 0.02
    easier = needs(0.05, 0.975, subjects=(1e-4, 7.0, 8, 16), runs=(2e-4, 3.0, 4))
    assert reach(8, easier["seeds"]) <= 0.05 < reach(8, easier["seeds"] - 1)
    assert f"{easier['seeds']} seeds" in easier["text"]


def test_needs_name_what_is_repeated():
    found = needs(0.05, 0.975, subjects=(1e-4, 7.0, 8, 16), runs=(2e-4, 3.0, 4), unit="searches")
    assert f"{found['seeds']} searches" in found["text"]


def test_needs_of_pairs_follow_the_subjects():
    found = needs(0.02, 0.975, subjects=(1e-4, 7.0, 8, 16), runs=None)
    assert found["pairs"] == 2 * found["subjects"]
    assert found["seeds"] is None
    assert found["both"] is None
    assert needs(1e-9, 0.975, subjects=(1.0, 7.0, 8, 16), runs=None)["text"] == "no number in reach"


# A study's verdicts.


def rows_of(seeds=(0, 1, 2), replicates=None, more=None, methods=("u.lcc.l1", "u.lcc.l2", "u.mse.l1", "u.mse.l2")):
    random = np.random.default_rng(9)
    rows = []
    for number, method in enumerate(("identity", *methods)):
        for seed in seeds if method != "identity" else seeds[:1]:
            for fixed, moving in pairs_of(5):
                dice = 0.5 + 0.05 * number + random.normal(0, 0.004)
                row = {"method": method, "seed": seed, "fixed": fixed, "moving": moving, "dice": dice}
                rows.append({**row, "replicate": (replicates or {}).get(seed, 0), **(more or {}).get(seed, {})})
    return pd.DataFrame(rows)


SPLITS = {seed: {"split": seed // 2} for seed in range(4)}
CELLS = {f"u.{name}.{level}": GridCell("u", name, level) for name in ("lcc", "mse") for level in ("l1", "l2")}


def test_what_was_drawn_together_is_one_unit():
    """Runs of a search share its lambda, searches of a split its validation subjects."""
    for rows, units in (
        (rows_of(), 3),
        (rows_of((0, 1, 2, 3), {2: 1, 3: 1}), 2),
        (rows_of(range(6), {k: k for k in range(6)}, {k: {"split": k // 2} for k in range(6)}), 3),
    ):
        found = study_verdicts(rows, "dice", list(CELLS), cells=CELLS, trained=True)
        assert {pair["runs"] for pair in found["pairs"]} == {units}


@pytest.mark.parametrize(
    ("rows", "trained", "scope", "words"),
    [
        (rows_of(), True, "lambdas", "at these lambdas"),
        (rows_of((0,)), True, "networks", "nothing is claimed about trainings"),
        (rows_of((0,)), False, "fixed", "at these lambdas"),
        (rows_of((0, 1, 2, 3), {2: 1, 3: 1}), True, "tuning", "tuned in this way"),
        (rows_of((0, 2), {2: 1}), False, "tuning", "tuned in this way"),
        (rows_of((0, 1, 2, 3), {1: 1, 2: 2, 3: 3}, SPLITS), True, "splits", "on other validation subjects"),
    ],
)
def test_a_study_says_what_its_claims_are_about(rows, trained, scope, words):
    found = study_verdicts(rows, "dice", list(CELLS), cells=CELLS, trained=trained, region=0.005)
    assert found["scope"] == scope
    assert words in found["claim"]
    assert {c["verdict"] for c in found["against_identity"]} == {"better"} or scope in ("tuning", "splits")


def test_a_study_judges_its_similarities_and_regularizers_too():
    found = study_verdicts(rows_of(), "dice", list(CELLS), cells=CELLS, trained=True)
    assert [(c["a"], c["b"], c["verdict"]) for c in found["similarity"]] == [("lcc", "mse", "worse")]
    assert [(c["a"], c["b"], c["verdict"]) for c in found["regularizer"]] == [("l1", "l2", "worse")]
    assert found["similarity"][0]["difference"] == pytest.approx(-0.1, abs=0.005)
    assert found["ranks"] == {"u.lcc.l1": [4, 4], "u.lcc.l2": [3, 3], "u.mse.l1": [2, 2], "u.mse.l2": [1, 1]}
    assert len(found["pairs"]) == 6
    noise = found["noise"]
    assert noise.pop("df_runs") > 2
    assert noise == {"seeds": 3, "replicates": 1, "subjects": 5, "pairs": 20}


def test_a_grid_with_a_hole_has_no_marginal_verdicts():
    rows = rows_of()
    failed = rows["method"] == "u.lcc.l1"
    rows.loc[failed, "dice"] = np.nan
    found = study_verdicts(rows, "dice", list(CELLS), cells=CELLS, trained=True)
    assert found["similarity"] == found["regularizer"] == []
    of_it = [c for c in found["pairs"] if "u.lcc.l1" in (c["a"], c["b"])]
    assert {c["verdict"] for c in of_it} == {"undecided"}
    assert all("failed in 3 of 3 runs" in c["reason"] for c in of_it)
    assert {c["verdict"] for c in found["pairs"] if c not in of_it} == {"worse"}


def test_one_cell_is_judged_against_identity():
    found = study_verdicts(rows_of(methods=("u.lcc.l1",)), "dice", ["u.lcc.l1"], cells=CELLS, trained=True)
    assert found["pairs"] == []
    assert [c["verdict"] for c in found["against_identity"]] == ["better"]
    assert found["ranks"] == {"u.lcc.l1": [1, 1]}


def test_a_constant_metric_claims_nothing():
    rows = rows_of().assign(dice=0.5)
    found = study_verdicts(rows, "dice", list(CELLS), cells=CELLS, trained=True, region=0.005)
    assert {c["verdict"] for c in found["pairs"]} == {"undecided"}


# Folds that are pooled.


def by_hand(difference, folds):
    """Nadeau and Bengio's variance of a mean over k folds, of which each trains with k - 2, and its freedom."""
    names = sorted(set(folds))
    k = len(names)
    means = []
    for name in names:
        chosen = [value for value, fold in zip(difference, folds, strict=True) if fold == name]
        means.append(sum(chosen) / len(chosen))
    centre = sum(means) / k
    between = sum((mean - centre) ** 2 for mean in means) / (k - 1)
    ratio = {3: 1, 4: 1 / 2, 5: 1 / 3, 10: 1 / 3}[k]  # tested over trained with; of ten folds that of five
    return (1 / k + ratio) * between, k - 1


@pytest.mark.parametrize("folds", [3, 4, 5, 10])
def test_pooled_folds_carry_the_variance_of_nadeau_and_bengio(folds):
    random = np.random.default_rng(folds)
    cases = [f"s{number}" for number in range(4 * folds)]
    of_cases = np.array([f"fold{number % folds}" for number in range(len(cases))], dtype=object)
    one, two = random.normal(size=(2, 3, len(cases)))
    scores = {"a": Scores(one, (0, 1, 2)), "b": Scores(two, (0, 1, 2))}
    (found,) = judge(scores, Family(cases, folds=Folds(of_cases)))
    (without,) = judge(scores, Family(cases))
    difference = (one - two).mean(axis=0)
    variance, df = by_hand(difference, list(of_cases))
    assert (without.se_folds, found.se_folds) == (0, pytest.approx(math.sqrt(variance)))
    assert (found.se_subjects, found.se_runs) == (without.se_subjects, without.se_runs)
    parts = [(found.se_subjects**2, len(cases) - 1), (found.se_runs**2, 2), (variance, df)]
    total = sum(part for part, _ in parts)
    free = total**2 / sum(part**2 / of for part, of in parts)
    assert found.df == pytest.approx(free)
    assert found.high - found.difference == pytest.approx(student.ppf(0.975, free) * math.sqrt(total))


def test_the_noise_from_fold_to_fold_is_drawn_towards_that_of_all_methods():
    random = np.random.default_rng(1)
    cases = [f"s{number}" for number in range(40)]
    of_cases = np.array([number % 5 for number in range(40)], dtype=object)
    scores = {name: Scores(random.normal(size=(2, 40)), (0, 1)) for name in "abcdef"}
    found = judge(scores, Family(cases, folds=Folds(of_cases)))
    alone = judge(scores, Family(cases, folds=Folds(of_cases, borrowed=0.0)))
    spread, own = (np.std([one.se_folds for one in of]) for of in (found, alone))
    assert spread < 0.7 * own
    assert all(one.df > other.df for one, other in zip(found, alone, strict=True))


def test_further_deals_of_the_folds_lower_the_part_that_is_not_shared():
    """Six folds are two deals of three, or six of one deal: the ratio of subjects is that of the folds of a deal."""
    random = np.random.default_rng(1)
    cases = [f"s{number % 12}" for number in range(24)]
    of_cases = np.array([f"fold{number // 4}" for number in range(24)], dtype=object)
    scores = {name: scores_of(random.normal(0.5, 0.1, 24)) for name in ("a", "b")}
    means = (scores["a"].values[0] - scores["b"].values[0]).reshape(6, 4).mean(axis=1)
    for deals, ratio in ((1, 1 / 3), (2, 1)):
        (found,) = judge(scores, Family(cases, folds=Folds(of_cases, deals=deals)))
        assert found.se_folds == pytest.approx(math.sqrt((1 / 6 + ratio) * means.var(ddof=1)))


def test_false_claims_of_pooled_folds_are_rare_where_training_sets_matter():
    """Each of 30 subjects adds its part to a training set; intervals that know no folds claim too much."""
    random = np.random.default_rng(0)
    fold_of = np.arange(30) % 5
    trains = np.array([[p not in (f, (f + 1) % 5) for p in fold_of] for f in range(5)])
    cases = np.array([f"s{number}" for number in range(30)], dtype=object)
    wrong = {"pooled": 0, "plain": 0}
    for _ in range(150):
        scores = {}
        for name in "abcd":
            trained = 0.012 * (trains / np.sqrt(trains.sum(axis=1, keepdims=True))) @ random.normal(size=30)
            runs = 0.012 * random.normal(size=(3, 5))
            scores[name] = Scores(
                0.01 * random.normal(size=30) + (trained + runs)[:, fold_of] + 0.004 * random.normal(size=(3, 30)),
                (0, 1, 2),
            )
        for name, folds in (("pooled", Folds(fold_of.astype(object))), ("plain", None)):
            wrong[name] += any(c.verdict in ("better", "worse") for c in judge(scores, Family(cases, folds=folds)))
    assert wrong["plain"] > 2 * wrong["pooled"]
    assert wrong["pooled"] <= 0.1 * 150


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("atlas", "a"), ("atlas", "b"), ("atlas", "c")], "atlas is the fixed image of every test pair"),
        ([("a", "atlas"), ("b", "atlas"), ("c", "atlas")], "atlas is the moving image of every test pair"),
        ([("a", "atlas"), ("atlas", "b"), ("c", "atlas")], "atlas is one image of every test pair"),
        ([("a", "b"), ("b", "c"), ("c", "a")], ""),
    ],
)
def test_claims_on_pairs_with_an_atlas_hold_for_it_alone(pairs, words):
    rows = pd.DataFrame(
        {"method": name, "seed": seed, "fixed": fixed, "moving": moving, "dice": 0.1 * seed + number / 7}
        for name in ("u.lcc.l1", "u.lcc.l2")
        for seed in (0, 1)
        for number, (fixed, moving) in enumerate(pairs)
    )
    found = study_verdicts(rows, "dice", ["u.lcc.l1", "u.lcc.l2"], cells=CELLS, trained=True)
    assert words in found["claim"]
    assert ("for this atlas alone" in found["claim"]) is bool(words)
    assert found["noise"]["subjects"] == 3

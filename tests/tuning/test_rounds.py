"""Tuning: the same proposals for any number of workers, six significant digits, equal budgets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import propose, select

from regbench.study.specs import DimensionSpec, GoalSpec
from regbench.tuning.space import _rounded
from regbench.tuning.trial_results import told

JOB = {"cell": "s/d/m", "range": [0.01, 10.0], "trials": 7, "round_size": 3, "sampler": "tpe", "seed": 0}
CHOICE = {"method": "m", "range": [0.01, 10.0], "value": None, "selection": "dice", "ndv_limit_percent": 0.5}


def result(number, lam, dice, ndv=0.0, status="complete"):
    done = status == "complete"
    return {
        "number": number, "lam": lam, "status": status, "reason": "" if done else "loss not finite at step 3",
        "scores": {"dice": dice, "ndv_percent": ndv} if done else {},
    }  # fmt: skip


def curve(lam):
    return 0.7 - 0.02 * (math.log10(lam) + 0.5) ** 2


def run(job, order):
    """A whole search; `order` says in which order the trials of a round finish."""
    results = []
    for number in range(-(-job["trials"] // job["round_size"])):
        proposals = propose(job, number, results)
        results += [result(p["number"], p["lam"], curve(p["lam"])) for p in order(proposals)]
    return {r["number"]: r["lam"] for r in results}


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_the_order_in_which_trials_finish_changes_nothing(sampler):
    job = {**JOB, "sampler": sampler}
    forward = run(job, lambda proposals: proposals)
    backward = run(job, lambda proposals: proposals[::-1])
    assert forward == backward
    assert sorted(forward) == list(range(7))
    assert len(set(forward.values())) == 7, "a sampler that proposes one point twice wastes the budget"
    assert all(0.01 <= lam <= 10 for lam in forward.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(3)))
def test_any_seed_and_any_order(seed, permutation):
    job = {**JOB, "seed": seed}
    assert run(job, lambda p: p) == run(job, lambda p: [p[i] for i in permutation if i < len(p)])


def test_cells_and_seeds_differ():
    earlier = [result(i, lam, curve(lam)) for i, lam in enumerate((0.03, 0.3, 3.0))]
    lams = {
        propose({**JOB, "cell": cell, "seed": seed}, 1, earlier)[0]["lam"] for cell in ("a", "b") for seed in (0, 1)
    }
    assert len(lams) == 4


def test_the_first_round_is_a_log_grid_inside_the_range():
    lams = [p["lam"] for p in propose(JOB, 0, [])]
    assert np.allclose(np.log10(sorted(lams)), [-1.5, -0.5, 0.5])


@pytest.mark.parametrize(("slots", "places"), [(1, [1.5]), (2, [0.5, 1.5]), (3, [0.5, 1.5, 2.5])])
def test_a_first_round_that_is_cut_short_covers_the_range_from_the_middle(slots, places):
    job = {**JOB, "range": [0.1, 1000.0], "round_size": 4, "trials": slots}
    lams = sorted(p["lam"] for p in propose(job, 0, []))
    assert np.allclose(np.log10(lams), places, atol=1e-5)


def test_the_last_round_has_what_is_left():
    earlier = [result(i, 0.1 * (i + 1), 0.5) for i in range(6)]
    assert [p["number"] for p in propose(JOB, 2, earlier)] == [6]


def test_diverged_trials_are_survived():
    earlier = [result(i, 0.1 * (i + 1), None, status="diverged") for i in range(3)]
    assert len(propose(JOB, 1, earlier)) == 3


@pytest.mark.parametrize(("sampler", "most"), [("gp", 6), ("tpe", 10)])
def test_a_sampler_learns_where_trials_diverge(sampler, most):
    """Dice rises towards small lambda and ends at a cliff: not told of those that fell, 11 to 13 of 15 fall again."""
    job = {**JOB, "sampler": sampler, "trials": 18, "range": [1e-3, 1.0]}

    results = []
    for number in range(6):
        for each in propose(job, number, results):
            status = "complete" if each["lam"] > 0.1 else "diverged"
            results.append(result(each["number"], each["lam"], 0.7 - 0.1 * math.log10(each["lam"]), status=status))
    assert sum(row["status"] == "diverged" for row in results[3:]) <= most


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_a_result_that_is_no_number_counts_as_the_worst(bad):
    results = [result(1, 0.2, 0.6, 0.3), result(0, 0.1, 0.9, bad), result(2, 0.3, 0.5, 0.1)]
    goal = GoalSpec(metrics=("dice",))
    assert [(one.result["number"], one.value, one.ndv) for one in told(goal, results)] == [
        (0, 0.5, 0.3), (1, 0.6, 0.3), (2, 0.5, 0.1)]  # fmt: skip
    assert select(CHOICE, results)["best"]["number"] == 1
    assert len(propose({**JOB, "sampler": "gp"}, 1, results)) == 3


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e4), st.floats(0, 1))
def test_six_significant_digits_inside_the_range(low, ratio, where):
    low, high = float(f"{low:.6g}"), float(f"{low * ratio:.6g}")
    lam = _rounded(DimensionSpec(name="lam", range=(low, high)), low * (high / low) ** where)
    assert low <= lam <= high
    assert float(f"{lam:.6g}") == lam


def test_the_gp_finds_the_optimum():
    found = run({**JOB, "sampler": "gp", "trials": 9}, lambda p: p)
    assert max(map(curve, found.values())) > 0.7 - 0.02 * 0.1**2


def test_select_both_rules():
    results = [result(0, 0.1, 0.70, 2.0), result(1, 1.0, 0.69, 0.1), result(2, 5.0, 0.60, 0.0)]
    chosen = select(CHOICE, results)
    assert (chosen["lam"], chosen["best"]["number"], chosen["best_limited"]["number"]) == (0.1, 0, 1)
    assert chosen["front"] == [0, 1, 2]
    assert select({**CHOICE, "selection": "dice_ndv"}, results)["lam"] == 1.0


def test_select_prefers_the_smoother_of_equals():
    assert select(CHOICE, [result(0, 0.1, 0.7), result(1, 1.0, 0.7)])["lam"] == 1.0


@pytest.mark.parametrize(("lam", "edge"), [(0.01, True), (0.0105, True), (1.0, False), (9.9, True), (8.0, False)])
def test_the_edge_of_the_range_is_seen(lam, edge):
    assert select(CHOICE, [result(0, lam, 0.7)])["edge"] is edge


def test_a_cell_without_a_finished_trial_says_why():
    chosen = select(CHOICE, [result(0, 0.1, None, status="diverged")])
    assert chosen["lam"] is None
    assert "not finite" in chosen["reason"]


def test_a_cell_over_the_ndv_limit_says_why():
    chosen = select({**CHOICE, "selection": "dice_ndv"}, [result(0, 0.1, 0.7, 2.0)])
    assert chosen["lam"] is None
    assert chosen["reason"] == "no trial kept NDV at or below 0.5 %"


def test_what_diverged_beside_trials_over_the_ndv_limit_is_not_the_reason():
    chosen = select({**CHOICE, "selection": "dice_ndv"}, [result(0, 0.1, 0.7, 2.0), result(1, 9.0, 0, status="pruned")])
    assert chosen["reason"] == "no trial kept NDV at or below 0.5 %"


def test_a_cell_without_a_trial_says_so():
    assert select(CHOICE, [])["reason"] == "no trial was run"


def test_a_fixed_lambda_is_taken():
    assert select({**CHOICE, "range": None, "value": 0.3}, [])["lam"] == 0.3

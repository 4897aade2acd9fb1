"""Searches for the lowest TRE and for the best rank: mirrored proposals, choices, pruning; the same for any worker."""

import math

import numpy as np
import pytest
from specs import propose, select, to_propose_spec

from regbench.study.specs import GoalSpec
from regbench.training.pruning import verdict
from regbench.tuning.sampler import directions
from regbench.tuning.trial_results import metrics_of, pruning_against, told

JOB = {"cell": "s/d/m", "range": [0.01, 10.0], "trials": 9, "round_size": 3, "seed": 0}
CHOICE = {"method": "m", "range": [0.01, 10.0], "value": None, "ndv_limit_percent": 0.5}


def result(number, lam, scores, **more):
    return {
        "number": number,
        "lam": lam,
        "status": "complete",
        "reason": "",
        "scores": {"ndv_percent": 0.1, **scores},
        **more,
    }


def good(lam):
    """Highest at lambda 0.3."""
    return 0.7 - 0.02 * (math.log10(lam) + 0.5) ** 2


def searched(sampler, scores, **job):
    """The lambdas of a whole search."""
    results = []
    for number in range(3):
        results += [result(one["number"], one["lam"], scores(one["lam"])) for one in
                    propose({**JOB, "sampler": sampler, **job}, number, results)]  # fmt: skip
    return results


@pytest.mark.parametrize("sampler", ["gp", "tpe", "cmaes", "grid"])
def test_less_tre_is_sought_as_more_dice_is(sampler):
    """Two scores that mirror each other lead to the same points, and to the same choice."""
    dice = searched(sampler, lambda lam: {"dice": good(lam)}, objective="dice")
    tre = searched(sampler, lambda lam: {"tre_mm": 1 - good(lam)}, objective="tre_mm")
    if sampler != "tpe":  # which breaks ties of its own by the order of values
        assert [one["lam"] for one in tre] == pytest.approx([one["lam"] for one in dice], rel=1e-3)
    chosen = select({**CHOICE, "selection": "tre_mm"}, tre)
    assert chosen["lam"] == min(tre, key=lambda one: one["scores"]["tre_mm"])["lam"]
    assert (chosen["metrics"], chosen["best"]["scores"]["tre_mm"]) == (
        ["tre_mm"],
        min(o["scores"]["tre_mm"] for o in tre),
    )


def test_where_the_config_names_no_goal_the_trials_tell_it():
    dice = [result(0, 0.1, {"dice": 0.5})]
    tre = [result(0, 0.1, {"tre_mm": 5.0})]
    assert (metrics_of(GoalSpec(), dice), metrics_of(GoalSpec(), tre)) == (("dice",), ("tre_mm",))
    spec = to_propose_spec({**JOB, "sampler": "gp", "objective": {}})
    assert (directions(spec, dice), directions(spec, tre)) == (["maximize"], ["minimize"])
    assert select({**CHOICE, "selection": {}}, [*tre, result(1, 1.0, {"tre_mm": 4.0})])["lam"] == 1.0


def test_a_trial_that_diverged_counts_as_the_highest_tre():
    failed = {**result(2, 0.01, {}), "status": "diverged", "scores": {}}
    found = told(
        GoalSpec(metrics=("tre_mm",)), [result(0, 0.1, {"tre_mm": 5.0}), failed, result(1, 1.0, {"tre_mm": 7.0})]
    )
    assert [(one.result["number"], one.value) for one in found] == [(0, 5.0), (1, 7.0), (2, 7.0)]


def ranked(lam):
    """TRE is best at 0.3, NDV at the largest lambda."""
    return {"tre_mm": 1 - good(lam), "ndv_percent": 0.1 / lam}


def test_ranks_are_of_earlier_rounds_alone_and_the_order_of_results_changes_nothing():
    goal = {"metrics": ["tre_mm", "ndv_percent"]}
    first = searched("gp", ranked, objective=goal)
    job = {**JOB, "sampler": "gp", "objective": goal}
    for number in (1, 2):
        earlier = first[: 3 * number]
        assert propose(job, number, earlier[::-1]) == propose(job, number, earlier)
        assert [one["lam"] for one in propose(job, number, earlier)] == [
            o["lam"] for o in first[3 * number : 3 * number + 3]
        ]
    chosen = select({**CHOICE, "selection": goal}, first)
    ranks = np.array([[sorted(one["scores"][m] for one in first).index(o["scores"][m]) + 1 for m in goal["metrics"]]
                      for o in first])  # fmt: skip
    assert chosen["lam"] == first[int(np.argmin(np.sqrt(ranks.prod(axis=1))))]["lam"]


def reported(number, pairs):
    return result(
        number,
        0.1,
        {"tre_mm": float(np.mean([p for p in pairs if p is not None]))},
        reports=[{"step": 4, "scores": {"tre_mm": pairs}}],
    )


@pytest.mark.parametrize("rule", ["median", "halving", "wilcoxon"])
def test_a_trial_of_high_tre_is_pruned_and_one_of_low_tre_goes_on(rule):
    generator = np.random.default_rng(0)
    earlier = [reported(k, [*generator.normal(5 + k / 5, 0.1, 9), None]) for k in range(3)]
    reference = pruning_against(rule, [4], GoalSpec(metrics=("tre_mm",)), [_known(one) for one in earlier])
    for mean, pruned in ((7.0, True), (3.0, False)):
        pairs = [*generator.normal(mean, 0.1, 9), float("nan")]
        assert bool(verdict(reference, 4, {"tre_mm": pairs}, {"tre_mm": mean})) == pruned
    assert "TRE 7.0000" in verdict(reference, 4, {"tre_mm": [7.0] * 10}, {"tre_mm": 7.0})


def _known(one):
    scores = one["reports"][0]["scores"]["tre_mm"]
    return {**one, "scores": {"tre_mm": float(np.mean([s for s in scores if s is not None])), "ndv_percent": 0.0}}


def test_ranks_prune_too():
    earlier = [result(k, 0.1, {}, reports=[{"step": 4, "scores": {"tre_mm": [tre], "ndv_percent": [ndv]}}])
               for k, (tre, ndv) in enumerate([(5, 1), (6, 2), (7, 3)])]  # fmt: skip
    for one in earlier:
        one["scores"] = {name: values[0] for name, values in one["reports"][0]["scores"].items()}
    reference = pruning_against("median", [4], GoalSpec(metrics=("tre_mm", "ndv_percent")), earlier)
    for scores, pruned in (({"tre_mm": 8.0, "ndv_percent": 4.0}, True), ({"tre_mm": 4.0, "ndv_percent": 0.5}, False)):
        assert bool(verdict(reference, 4, {}, scores)) == pruned

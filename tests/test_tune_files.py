"""Tuning as the jobs do it, file by file: no worker, lost job or later round changes a trial, and none runs twice."""

from tempfile import TemporaryDirectory

import pytest
from cheap_study import cheap, counted, study, work
from hypothesis import given, settings
from hypothesis import strategies as st

from regbench import trial
from regbench.files import canonical_json

SAMPLERS = ("gp", "tpe", "cmaes", "random", "grid", "nsga2")
QUICK = tuple(name for name in SAMPLERS if name != "gp")


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(QUICK), st.integers(0, 10**6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_workers_jobs_and_lost_trials_change_nothing(sampler, seed, per_job, draw):
    with TemporaryDirectory() as one, TemporaryDirectory() as other, counted() as ran:
        trials, chosen = work(study(one, sampler, 8, seed=seed))
        assert ran == list(range(8)), "a trial that is there was run again"
        assert len({canonical_json([row["lam"], row["values"]]) for row in trials}) == 8, "a point was tried twice"
        assert work(study(other, sampler, 8, seed=seed, per_job=per_job), draw) == (trials, chosen)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(QUICK), st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.integers(1, 5))
def test_added_trials_are_the_only_ones_that_run(sampler, seed, before, more, per_job):
    with TemporaryDirectory() as folder, counted() as ran:
        trials, _ = work(study(folder, sampler, before, seed=seed))
        ran.clear()
        grown, _ = work(study(folder, sampler, before + more, seed=seed, per_job=per_job))
        assert grown[:before] == trials
        assert ran == list(range(before, before + more))


@pytest.mark.parametrize("before", [1, 2, 4, 5])
def test_added_trials_of_the_gaussian_process(before, tmp_path):
    with counted() as ran:
        trials, _ = work(study(tmp_path, "gp", before))
        grown, _ = work(study(tmp_path, "gp", 7, per_job=1))
        assert grown[:before] == trials
        assert ran == list(range(7))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(QUICK), st.integers(1, 20), st.integers(1, 12))
def test_a_larger_budget_keeps_what_the_smaller_one_paid(sampler, paid, more):
    with TemporaryDirectory() as folder, counted() as ran:
        budget = {"budget": "steps", "steps": 3}
        trials, _ = work(study(folder, sampler, 8, **budget, budget_amount=3 * paid))
        grown, _ = work(study(folder, sampler, 8, **budget, budget_amount=3 * (paid + more)))
        assert grown[: len(trials)] == trials
        assert (len(trials), len(grown)) == (min(paid, 8), min(paid + more, 8))
        assert ran == list(range(len(grown)))


def test_a_new_seed_runs_every_trial_again(tmp_path):
    with counted() as ran:
        for seed in (0, 1):
            work(study(tmp_path, "tpe", 4, seed=seed))
    assert ran == [0, 1, 2, 3] * 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_whose_trials_all_diverge_ends_with_a_reason(sampler, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "run_trial", lambda job, number, lam, data, proposal, **more: {
        **cheap(job, number, 0.01, data, proposal=proposal), "lam": lam})  # fmt: skip
    trials, chosen = work(study(tmp_path, sampler, 7))
    assert [row["number"] for row in trials] == list(range(7))
    assert len({row["lam"] for row in trials}) == 7
    assert "not finite" in chosen

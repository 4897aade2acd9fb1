"""Tuning as the jobs do it, file by file: no worker, lost job or later round changes a trial, and none runs twice."""

import copy
import math
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st

from regbench import plan, trial
from regbench.config import load
from regbench.files import canonical_json, read_json, write_json
from regbench.registry import check_component
from regbench.tune import propose, select

METHOD = "voxelmorph.lcc.grad_l2"
DATA = SimpleNamespace(checksum="of the data")
SEARCH = [
    {"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 12], "step": 2},
    {"parameter": "training.batch", "type": "int", "range": [1, 16], "scale": "log"},
    {"parameter": "model.decoder", "type": "choice", "choices": [[8, 8, 4], [8, 4, 4], [4, 4, 4]]},
    {"parameter": "similarity.eps", "similarity": "lcc", "range": [1e-6, 1e-2], "scale": "log"},
]
SAMPLERS = ("gp", "tpe", "cmaes", "random", "grid", "nsga2")
QUICK = tuple(name for name in SAMPLERS if name != "gp")


def study(folder, sampler, trials, *, size=3, per_job=2, seed=0, **more):
    """A config of one cell, read back from its JSON as each job does."""
    raw = {**copy.deepcopy(TINY), "results": str(folder)}
    raw["grid"]["similarities"] = ["lcc"]
    raw["tuning"] |= {"sampler": sampler, "trials": trials, "round_size": size, "trials_per_job": per_job, "seed": seed}
    raw["tuning"] |= {
        "search": copy.deepcopy(SEARCH),
        "objective": "dice_ndv" if sampler == "nsga2" else "dice",
        **more,
    }
    first = load(raw, check_component)
    write_json(Path(folder) / "config.json", first.model_dump(mode="json"))
    return load(read_json(Path(folder) / "config.json"), check_component)


def cheap(job, number, lam, data, *, proposal, **more):
    """A trial without a training: it diverges below a lambda."""
    values = proposal["values"]
    assert type(values["similarity.window"]) is int
    assert values["similarity.window"] % 2 == 1
    assert type(values["training.batch"]) is int
    dice = 0.7 - 0.02 * (math.log10(lam) + 1) ** 2 - 0.001 * abs(values["similarity.window"] - 7)
    diverged = lam < 0.015
    # As `run_trial` has it, cut to what proposals and the choice read.
    return {"number": number, "lam": lam, "values": values, "status": "diverged" if diverged else "complete",
            "reason": "loss not finite at step 2" if diverged else "", "cost": 3,
            "dice": None if diverged else dice, "ndv_percent": None if diverged else 0.01 / lam}  # fmt: skip


@contextmanager
def counted():
    """Trials are cheap, and the numbers of those that ran are listed."""
    ran = []

    def run(job, number, *given, **more):
        ran.append(number)
        return cheap(job, number, *given, **more)

    whole, trial.run_trial = trial.run_trial, run
    try:
        yield ran
    finally:
        trial.run_trial = whole


def work(config, draw=None):
    """Every job of the cell, as Snakemake orders them; with `draw`, jobs of a round in any order, some lost midway."""
    lay = plan.layout(config)
    for number in range(plan.rounds(config, METHOD)):
        earlier = [row for path in plan.trial_files(config, "brains", METHOD, before=number) for row in read_json(path)]
        at = lay.proposals("brains", METHOD, number)
        write_json(at, propose(plan.propose_job(config, "brains", METHOD, number), number, earlier))
        jobs = plan.batches(config, number)
        if draw:
            draw.shuffle(jobs)
            jobs += [job for job in jobs if draw.random() < 0.4]  # run again: the output was lost
        for first, last in jobs:
            state = lay.trial_state("brains", METHOD)
            if draw and draw.random() < 0.3:  # the trial itself is lost, too
                (state / f"trial{number * config.tuning.round_size + first:03d}.json").unlink(missing_ok=True)
            results = trial.run_trials(plan.trial_job(config, METHOD), DATA, read_json(at)[first : last + 1], state)
            write_json(lay.trials("brains", METHOD, number, first, last), results)
    results = [row for path in plan.trial_files(config, "brains", METHOD) for row in read_json(path)]
    chosen = select(plan.select_job(config, METHOD), results)
    return sorted(results, key=lambda row: row["number"]), canonical_json(chosen)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(QUICK), st.integers(0, 10**6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_workers_jobs_and_lost_trials_change_nothing(sampler, seed, per_job, draw):
    with TemporaryDirectory() as one, TemporaryDirectory() as other, counted() as ran:
        trials, chosen = work(study(one, sampler, 8, seed=seed))
        assert ran == list(range(8)), "a trial that is there was run again"
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

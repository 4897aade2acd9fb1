"""Tuning as the jobs do it, file by file: no worker, lost job or later round changes a trial, and none runs twice."""

from dataclasses import replace
from tempfile import TemporaryDirectory

import pytest
from cheap_study import METHOD, cheap, counted, one_cell, work
from hypothesis import given, settings
from hypothesis import strategies as st

from regbench.cli.main import main
from regbench.orchestration.registries import check_component
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, read_sealed, write_sealed
from regbench.tuning import trial
from regbench.tuning.search_files import choose_lambda

SAMPLERS = ("gp", "tpe", "cmaes", "random", "grid", "nsga2")
QUICK = tuple(name for name in SAMPLERS if name != "gp")


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(QUICK), st.integers(0, 10**6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_workers_jobs_and_lost_trials_change_nothing(sampler, seed, per_job, draw):
    with TemporaryDirectory() as one, TemporaryDirectory() as other, counted() as ran:
        trials, chosen = work(one_cell(one, sampler, 8, seed=seed))
        assert ran == list(range(8)), "a trial that is there was run again"
        assert len({canonical_json([row["lam"], row["values"]]) for row in trials}) == 8, "a point was tried twice"
        assert work(one_cell(other, sampler, 8, seed=seed, per_job=per_job), draw) == (trials, chosen)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(QUICK), st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.integers(1, 5))
def test_added_trials_are_the_only_ones_that_run(sampler, seed, before, more, per_job):
    with TemporaryDirectory() as folder, counted() as ran:
        trials, _ = work(one_cell(folder, sampler, before, seed=seed))
        ran.clear()
        grown, _ = work(one_cell(folder, sampler, before + more, seed=seed, per_job=per_job))
        assert grown[:before] == trials
        assert ran == list(range(before, before + more))


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(QUICK), st.integers(1, 2), st.integers(4, 8), st.integers(1, 4), st.randoms(use_true_random=False)
)
def test_repeats_are_the_same_for_any_workers_and_keep_their_places(sampler, repeats, before, more, draw):
    with TemporaryDirectory() as one, TemporaryDirectory() as other, counted() as ran:
        trials, _ = work(one_cell(one, sampler, before, repeats=repeats))
        ran.clear()
        grown, chosen = work(one_cell(one, sampler, before + more, per_job=1, repeats=repeats))
        assert grown[:before] == trials
        assert ran == list(range(before, before + more))
        assert len({canonical_json([row["lam"], row["values"], row.get("seed")]) for row in grown}) == before + more
        assert work(one_cell(other, sampler, before + more, per_job=3, repeats=repeats), draw) == (grown, chosen)


@pytest.mark.parametrize("before", [1, 2, 4, 5])
def test_added_trials_of_the_gaussian_process(before, tmp_path):
    with counted() as ran:
        trials, _ = work(one_cell(tmp_path, "gp", before))
        grown, _ = work(one_cell(tmp_path, "gp", 7, per_job=1))
        assert grown[:before] == trials
        assert ran == list(range(7))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(QUICK), st.integers(1, 20), st.integers(1, 12))
def test_a_larger_budget_keeps_what_the_smaller_one_paid(sampler, paid, more):
    with TemporaryDirectory() as folder, counted() as ran:
        budget = {"budget": "steps", "steps": 3}
        trials, _ = work(one_cell(folder, sampler, 8, **budget, budget_amount=3 * paid))
        grown, _ = work(one_cell(folder, sampler, 8, **budget, budget_amount=3 * (paid + more)))
        assert grown[: len(trials)] == trials
        assert (len(trials), len(grown)) == (min(paid, 8), min(paid + more, 8))
        assert ran == list(range(len(grown)))


def test_a_new_seed_runs_every_trial_again(tmp_path):
    with counted() as ran:
        for seed in (0, 1):
            work(one_cell(tmp_path, "tpe", 4, seed=seed))
    assert ran == [0, 1, 2, 3] * 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_whose_trials_all_diverge_ends_with_a_reason(sampler, tmp_path, monkeypatch):
    def diverges(spec, data, proposal, **more):
        low = replace(proposal, point=replace(proposal.point, lam=0.01))
        return {**cheap(spec, data, low), "lam": proposal.point.lam}

    monkeypatch.setattr(trial, "run_trial", diverges)
    trials, chosen = work(one_cell(tmp_path, sampler, 7))
    assert [row["number"] for row in trials] == list(range(7))
    assert len({row["lam"] for row in trials}) == 7
    assert "not finite" in chosen


@pytest.mark.parametrize(("sampler", "goal"), [("gp", "dice"), ("nsga2", "dice_ndv")])
def test_a_loss_its_learning_rate_and_lambda_together_reach_the_final_training(sampler, goal, tiny, tmp_path):
    """Real trainings by the verbs that the workflow calls, from the config that it writes for them."""
    tiny["grid"]["similarities"] = ["lcc", {"name": "mi", "id": "mutual"}]
    tiny["tuning"] |= {"sampler": sampler, "objective": goal, "constraint": "ndv", "selection": "dice_ndv"}
    tiny["tuning"]["trials_per_job"] = 1  # a verb without `--slots` does a round as its jobs do it
    tiny["tuning"]["search"] = [
        {"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 9], "step": 2},
        {"parameter": "similarity.bins", "similarity": "mutual", "type": "int", "range": [8, 32], "scale": "log"},
        {"parameter": "training.learning_rate", "range": [1e-3, 1e-2], "scale": "log"},
    ]
    path = tmp_path / "config.json"
    write_sealed(path, load(tiny, check_component).model_dump(mode="json"))
    main(["prepare", str(path)])
    for method, keyword in (("voxelmorph.lcc.grad_l2", "window"), ("voxelmorph.mutual.grad_l2", "bins")):
        cell = [str(path), "--method", method]
        for number in ("0", "1"):
            main(["propose", *cell, "--round", number])
            main(["trial", *cell, "--round", number])
        main(["select", *cell])
        main(["train", *cell, "--seed", "0"])
        lay = Study(load(tiny)).layout
        trials = [row for file in Study(load(tiny)).trial_files("brains", method) for row in read_sealed(file)]
        assert [row["number"] for row in trials] == [0, 1, 2, 3]
        assert all(row["status"] == "complete" and row["scores"]["ndv_percent"] <= 0.5 for row in trials)
        assert len({row["scores"]["dice"] for row in trials} | {row["curve"]["loss"][-1] for row in trials}) > 4
        chosen = read_sealed(lay.selected("brains", method))
        record = read_sealed(lay.run("brains", method, 0) / "run.json")
        used = record["job"]
        assert canonical_json(used["similarity"]["parameters"]) == canonical_json(
            {keyword: chosen["values"][f"similarity.{keyword}"]}
        )
        assert used["training"]["learning_rate"] == chosen["values"]["training.learning_rate"]
        assert record["lam"] == chosen["lam"]


def test_trials_that_were_lost_from_their_file_are_no_smaller_budget(tmp_path):
    study = one_cell(tmp_path, "random", 6)
    with counted():
        work(study)
    choose_lambda(study, "brains", METHOD)
    path = study.trial_files("brains", METHOD)[-1]
    whole = read_sealed(path)
    for entries in ([], whole[:-1], whole * 2):
        write_sealed(path, entries)
        with pytest.raises(RegbenchError, match=r"must hold the trials .* that were proposed.*Delete it"):
            choose_lambda(study, "brains", METHOD)


def test_a_digit_that_changed_in_a_trial_is_refused(tmp_path):
    study = one_cell(tmp_path, "random", 6)
    with counted():
        work(study)
    path = study.trial_files("brains", METHOD)[0]
    text = path.read_text()
    place = text.index('"dice": ') + len('"dice": 0.')
    path.write_text(text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :])
    with pytest.raises(RegbenchError, match=r"must be as it was written, but was altered or damaged.*Delete it"):
        choose_lambda(study, "brains", METHOD)

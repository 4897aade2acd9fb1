"""Independent searches of a cell: seeds, folders and numbers of their own, and the same bytes for any workers."""

import random

import pandas as pd
import pytest
import yaml
from cheap_study import METHOD, counted, one_cell, work
from made_results import make_results
from tiny_study import run_verbs

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.orchestration.estimate import estimate, text
from regbench.orchestration.progress import progress
from regbench.study.job_specs import evaluate_spec, trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import canonical_json, read_sealed, write_sealed
from regbench.tracking.records import study_items
from regbench.tuning.optuna_export import tuned_cells


def two(tiny, **more):
    return {**tiny, "seeds": [4, 7, 1, 0], "tuning": {**tiny["tuning"], "replicates": 2}, **more}


def test_seeds_are_dealt_in_blocks_of_their_order(tiny):
    study = Study(load(two(tiny, models=["instance", *tiny["models"]])))
    assert [study.replicate_of(seed) for seed in (4, 7, 1, 0)] == [0, 0, 1, 1]
    assert study.seeds("voxelmorph.lcc.grad_l2") == (4, 7, 1, 0)
    assert study.seeds("instance.lcc.grad_l2") == (4, 1)
    assert study.seeds("identity") == (4,)
    assert [evaluate_spec(study, METHOD, seed).replicate for seed in (7, 1)] == [0, 1]


def test_seeds_that_cannot_be_dealt_are_a_mistake_among_others(tiny):
    with pytest.raises(UsageError) as caught:
        load({**two(tiny), "seeds": [0, 1, 2], "study": 3})
    assert "tuning.replicates: must divide the number of `seeds` (3), but got 2" in str(caught.value)
    assert "2 mistakes" in str(caught.value)


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_the_first_search_is_what_it_is_alone_and_others_are_others(sampler, tmp_path):
    with counted():
        alone = work(one_cell(tmp_path / "alone", sampler, 7))
        both = one_cell(tmp_path / "both", sampler, 7, replicates=2)
        first, second = (work(both, replicate=replicate) for replicate in (0, 1))
    assert [(row["lam"], row["values"]) for row in first[0]] == [(row["lam"], row["values"]) for row in alone[0]]
    assert canonical_json(first[0]) == canonical_json(alone[0])
    ours, theirs = ({row["lam"] for row in found[0][3:]} for found in (first, second))
    assert not ours & theirs
    assert [trial_spec(both, METHOD, r).seed == trial_spec(both, METHOD).seed for r in (0, 1)] == [
        True,
        False,
    ]


def test_workers_and_lost_trials_change_no_search(tmp_path):
    draw, found = random.Random(0), []
    for per_job, lost in ((1, None), (3, draw)):
        study = one_cell(tmp_path / str(per_job), "tpe", 7, per_job=per_job, replicates=2, seeds=[0, 1])
        with counted():
            found.append([work(study, lost, replicate) for replicate in (1, 0)])
    assert canonical_json(found[0]) == canonical_json(found[1])


def test_jobs_have_folders_locks_and_logs_of_their_own(tiny):
    study = Study(load(two(tiny)))
    sent = [job for job in jobs.of_study(study) if job.method == METHOD]
    names = [job.name for job in sent]
    assert len(set(names)) == len(names)
    owners = [job.owner for job in sent if job.owner]
    assert len(set(owners)) == len(owners)
    assert sum(job.rule == "trial" for job in sent) == 4
    assert f"trial/brains/{METHOD}/replicate1/round0.trials0-1" in names


def test_the_budget_is_counted_and_printed(tiny):
    one, found = estimate(Study(load(tiny))), estimate(Study(load(two(tiny))))
    assert (one["trials"], found["trials"], found["searches"]) == (8, 16, 4)
    assert found["trial_steps"] == 2 * one["trial_steps"]
    assert found["disk_bytes"]["tuning"] == 2 * one["disk_bytes"]["tuning"]
    assert "16 trials in 4 searches" in text(found)


def test_a_study_of_two_searches_by_the_verbs(tiny, tmp_path):
    """Real trials and trainings, a method that trains nothing among them, from `prepare` to the tables."""
    raw = two(tiny, models=[*tiny["models"], {"name": "instance", "parameters": {"steps": [2, 2, 1]}}], seeds=[3, 1])
    raw["grid"] = {"similarities": ["mse"], "regularizers": ["grad_l2"]}
    run_verbs(raw, tmp_path)
    study = Study(load(raw))
    lay, names = study.layout, ("voxelmorph.mse.grad_l2", "instance.mse.grad_l2")
    rows = pd.read_parquet(lay.rows)
    for method in names:
        lams = [read_sealed(lay.selected("brains", method, replicate))["lam"] for replicate in (0, 1)]
        mine = rows[rows["method"] == method]
        assert {(row.seed, row.replicate, row.lam) for row in mine.itertuples()} == {(3, 0, lams[0]), (1, 1, lams[1])}
    assert set(rows.loc[rows["method"] == "identity", "replicate"]) == {0}
    entry = next(each for each in read_sealed(lay.summary)["methods"] if each["method"] == names[0])
    assert entry["lams"] == [chosen["lam"] for chosen in entry["searches"]]
    assert entry["lam"] == pytest.approx((entry["lams"][0] * entry["lams"][1]) ** 0.5, rel=1e-5)
    assert entry["selected"] == entry["searches"][0]
    assert [(trial["replicate"], trial["number"]) for trial in entry["trials"]] == [
        (r, n) for r in (0, 1) for n in range(4)
    ]
    assert all(cell.state == "done" for cell in progress(study).cells)
    keys = [item.key for item in study_items(study)]
    assert len(set(keys)) == len(keys)
    assert sum("trial" in key for key in keys) == 16
    assert f"tiny/brains/{names[0]}/replicate1/trial3" in keys
    assert len({spec.cell for spec, _ in tuned_cells(study)}) == 4
    selection = pd.read_csv(lay.tables / "selection.csv")
    assert "searched 2 times apart" in (lay.tables / "main.md").read_text()
    assert list(selection["search"]) == [1, 2, 1, 2]
    before = (lay.root / f"tuning/brains/{names[1]}/replicate1/selected.json").read_bytes()
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**raw, "tuning": {**raw["tuning"], "trials_per_job": 1}}))
    main(["cell", str(path), "--dataset", "brains", "--method", names[1], "--threads", "1"])
    assert (lay.root / f"tuning/brains/{names[1]}/replicate1/selected.json").read_bytes() == before


def test_the_figures_ring_each_searchs_own_choice(tiny):
    study = Study(load(two(tiny)))
    make_results(study)
    from regbench.report.figures.trial_figures import lambda_figure
    from regbench.report.summary_file import load_summary

    summary = load_summary(study)
    lay = study.layout
    lambda_figure(summary, lay.figures)
    shown = pd.read_csv(lay.figures / "lambda.csv")
    assert list(shown.groupby(["method", "replicate"])["chosen"].sum()) == [1] * 4


def test_an_unknown_search_is_refused(tiny_file, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["propose", str(tiny_file), "--method", METHOD, "--round", "0", "--replicate", "1"])
    assert caught.value.code == 2
    assert "--replicate must be 0 to 0, but got 1" in capsys.readouterr().err


def test_a_run_that_waits_for_its_own_search_is_not_done(tiny):
    """The choice of the other search does not make its record sound."""
    study = Study(load(two(tiny)))
    make_results(study)
    lay = study.layout
    path = lay.selected("brains", METHOD, 1)
    write_sealed(path, {**read_sealed(path), "lam": 0.777})
    cell = next(cell for cell in progress(study).cells if cell.method == METHOD)
    assert sorted(cell.records) == [4, 7]

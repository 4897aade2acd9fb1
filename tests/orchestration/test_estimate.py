"""`regbench plan`: counts by hand, hours from what finished runs took, nothing invented."""

import json

import pytest
from made_study import make, on_a_gpu
from tiny_study import ROOT

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.orchestration.disk import disk
from regbench.orchestration.estimate import START, estimate, text
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import read_sealed, write_sealed

MSE, LCC = "voxelmorph.mse.grad_l2", "voxelmorph.lcc.grad_l2"


def test_the_counts_of_a_study(tiny_file, capsys):
    """2 cells x 4 trials of 3 steps in 2 rounds, one job each; 2 seeds of 4 steps."""
    main(["plan", str(tiny_file), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["jobs"] == {
        "prepare": 1, "propose": 4, "trial": 4, "select": 2, "train": 4, "evaluate": 5, "runtime": 1,
        "analyze": 1, "report": 1, "track": 1,
    }  # fmt: skip
    assert (found["trials"], found["trial_steps"], found["training_steps"]) == (8, 24, 16)
    assert found["mlflow_runs"] == 16  # as test_workflow counts them in the database
    # 4 proposals, 4 x (trials, log), 2 x (choice, all trials), 4 x (a model, its log), 5 x (rows, panels, log), 3,
    # 2 controls x (rows, panels)
    assert found["files"]["files"] == 4 + 4 * 2 + 2 * 2 + 4 * 4 + 5 * 3 + 3 + 2 * 2
    assert found["hours"] == []
    # 4 jobs of trials, 4 trainings, 5 evaluations, the timing
    assert found["slurm_start_hours"] * 3600 == pytest.approx(14 * START)
    assert "for the starts of 14 jobs on GPUs" in text(found)
    assert found["disk_bytes"]["data"] is None


def test_a_study_without_training_or_tuning(tiny):
    found = estimate(Study(load({**tiny, "models": ["instance"], "lambdas": [{"value": 1.0}]})))
    assert (found["trials"], found["training_steps"], found["trial_steps"]) == (0, 0, 0)
    assert found["jobs"]["cell_untrained"] == 2
    assert found["disk_bytes"]["tuning"] == 0


def test_a_cell_of_networks_as_one_job(tiny):
    """Made cells took 30 s, and 20 s for the 4 steps of a training."""
    tiny["one_job_per"] = "cell"
    found = estimate(Study(load(tiny)))
    assert {rule: found["jobs"].get(rule, 0) for rule in ("cell", "train", "evaluate")} == {
        "cell": 2, "train": 0, "evaluate": 1,
    }  # fmt: skip
    # Of a cell: 2 proposals, 2 files of trials, all of them, choice, 2 x 5 of a run, evaluated, log; 2 controls.
    assert found["files"]["files"] == 2 * (2 + 2 + 1 + 1 + 2 * 5 + 1 + 1) + 3 + 3 + 2 * 2
    make(Study(load({**tiny, "study": "pilot", "tuning": {**tiny["tuning"], "trials": 1, "steps": 1}, "seeds": [0]})))
    (cpu,) = estimate(Study(load(tiny)))["hours"]
    beside = (30 - 5 * (1 + 4)) / 2  # a pilot's two trainings of five steps, in a job of 30 s
    assert cpu["by_rule"]["cell"] * 3600 == pytest.approx(2 * (5 * (4 * 3 + 2 * 4) + beside * (4 + 2)))
    assert cpu["unknown"] == ["evaluate"]  # of the row without registration, which is no part of a cell


def test_a_cell_as_one_job_has_the_trials_of_all_its_searches(tiny):
    """Made cells took 30 s, and 20 s for the 4 steps of a training."""
    make(Study(load({**tiny, "one_job_per": "cell", "study": "pilot", "tuning": {**tiny["tuning"], "trials": 1}})))
    tuning = {**tiny["tuning"], "replicates": 2}
    (cpu,) = estimate(Study(load({**tiny, "one_job_per": "cell", "tuning": tuning})))["hours"]
    assert cpu["by_rule"]["cell"] * 3600 == pytest.approx(2 * 5 * (2 * 4 * 3 + 2 * 4))  # a pilot's steps took all of it


def test_trials_count_whatever_the_seeds_are(tiny):
    """With `patience` nobody knows how many steps a training had, so a job of trials takes what such jobs took."""
    training = {**tiny["training"], "validate_every": 1, "patience": 3}
    make(Study(load({**tiny, "study": "pilot", "training": training, "seeds": [5, 6]})))
    (cpu,) = estimate(Study(load({**tiny, "training": training})))["hours"]
    assert cpu["unknown"] == []
    assert cpu["by_rule"]["trial"] * 3600 == pytest.approx(4 * 30)


def test_cells_of_one_job_share_what_it_took(tiny):
    """A made job of two cells took 30 s."""
    tiny["one_job_per"] = "regularizer"
    study = Study(load(tiny))
    answer = estimate(study)
    assert answer["jobs"]["cell"] == 1
    assert answer["files"]["files"] == 2 * (2 + 2 + 1 + 1 + 2 * 5 + 1) + 1 + 3 + 3 + 2 * 2
    first, second = (job for job in jobs.of_study(study) if job.rule == "cell")
    assert (first.log, first.cells) == (second.log, 2)
    assert (first.output, first.owner) != (second.output, second.owner)
    assert first.log.endswith("logs/cell/brains/voxelmorph.grad_l2.log")
    make(Study(load({**tiny, "study": "pilot"})))
    (cpu,) = estimate(study, at_once=9)["hours"]
    assert cpu["by_rule"]["cell"] * 3600 == pytest.approx(max(30, 2 * 5 * (4 * 3 + 2 * 4)))
    assert cpu["wall"] == pytest.approx(cpu["by_rule"]["cell"])  # one process, whatever runs beside it


@pytest.mark.parametrize(("size", "seconds"), [("regularizer", 30), ("cell", 2 * 30)])
def test_ranges_of_one_job_share_what_it_took(tiny, size, seconds):
    """Made jobs took 30 s: one for the two ranges of a regularizer, or one for each."""
    del tiny["lambdas"]
    tiny["one_job_per"] = size
    make(Study(load({**tiny, "study": "pilot"})))
    (cpu,) = estimate(Study(load(tiny)))["hours"]
    assert cpu["by_rule"]["lambda_range"] * 3600 == pytest.approx(seconds)


def test_hours_come_from_a_pilot_in_the_same_results(tiny):
    """Made runs took 20 s for 4 steps in jobs of 30 s; other jobs took 30 s."""
    make(Study(load({**tiny, "study": "pilot"})))
    found = estimate(
        Study(load({**tiny, "training": {**tiny["training"], "steps": 10}, "seeds": [0, 1, 2]})), at_once=3
    )
    (cpu,) = found["hours"]
    seconds = {rule: hours * 3600 for rule, hours in cpu["by_rule"].items()}
    assert seconds["train"] == pytest.approx(6 * (10 * 5 + 10))
    assert seconds["trial"] == pytest.approx(4 * (2 * 3 * 5 + 10))  # two trials of three steps a job
    assert seconds["evaluate"] == pytest.approx((6 + 1) * 30)
    assert cpu["wall"] * 3600 == pytest.approx(sum(seconds.values()) / 3)
    assert cpu["guessed"] == cpu["unknown"] == []
    assert "on cpu (" in text(found)
    assert "busy_percent" not in cpu


def test_hours_of_a_gpu_and_how_busy_it_was(tiny):
    """By hand: of each seed a training of 30 s at 90 % and an evaluation of 30 s at 30 %."""
    pilot = Study(load({**tiny, "study": "pilot"}))
    make(pilot)
    for path in pilot.layout.root.rglob("run.json"):
        record = read_sealed(path)
        write_sealed(path, {**record, "environment": {**record["environment"], "device": "NVIDIA H200"}})
    on_a_gpu(pilot, {"train": 90.0, "evaluate": 30.0})
    found = estimate(Study(load(tiny)))
    (gpu,) = found["hours"]
    assert gpu["busy_percent"] == pytest.approx(60)
    hours = gpu["total"]
    assert f"on NVIDIA H200, {hours:.1f} GPU hours, busy 60 % of them (" in text(found)


@pytest.mark.parametrize(("one_job_per", "logs"), [("stage", 2 * 2 * 3), ("cell", 2)])
def test_points_of_curves_are_counted(tiny, one_job_per, logs):
    """2 cells, 2 seeds, 3 further points: of each five files of a run and a note, as a finished study has them."""
    plain, curved = (estimate(Study(load({**tiny, "one_job_per": one_job_per, **more}))) for more in ({}, {"curve": 4}))
    assert curved["curve_points"] == 2 * 2 * 3
    assert curved["files"]["files"] - plain["files"]["files"] == logs + 12 * 6
    assert "12 further trainings" in text(curved)
    assert "further trainings" not in text(plain)


def test_no_faster_than_the_rounds_of_one_cell(tiny):
    make(Study(load({**tiny, "study": "pilot"})))
    (cpu,) = estimate(Study(load(tiny)), at_once=1000)["hours"]
    # two rounds of trials, a training, an evaluation, one after the other
    assert cpu["wall"] * 3600 == pytest.approx(2 * (2 * 3 * 5 + 10) + 30 + 30)


def test_a_method_that_the_pilot_lacked_is_named(tiny):
    pilot = {**tiny, "study": "pilot", "grid": {**tiny["grid"], "similarities": ["mse"]}}
    make(Study(load(pilot)))
    (cpu,) = estimate(Study(load(tiny)))["hours"]
    assert cpu["guessed"] == [LCC]


@pytest.mark.parametrize(
    "change",
    [
        {"models": [{"name": "voxelmorph"}]},
        {"training": {"steps": 4, "batch": 3}},
        {"datasets": [{"id": "other", "source": "mni152", "parameters": {"dims": 2, "subjects": 9, "shape": [64, 64]},
                       "splits": {"train": 5, "validation": 2, "test": 2}}]},
    ],
    ids=["network", "batch", "data"],
)  # fmt: skip
def test_runs_of_something_else_tell_nothing(tiny, change):
    make(Study(load({**tiny, "study": "pilot", **change})))
    assert estimate(Study(load(tiny)))["hours"] == []


def test_a_broken_neighbour_is_passed_over(tiny, tmp_path):
    (tmp_path / "results" / "old").mkdir(parents=True)
    (tmp_path / "results" / "old" / "config.json").write_text("{")
    assert estimate(Study(load(tiny)))["hours"] == []


def test_a_folder_that_is_named_and_is_no_study_is_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"--measured must name folders of studies, RESULTS/STUDY, but got `.*config"):
        estimate(Study(load(tiny)), measured=[tmp_path])


def test_every_published_study_can_be_planned():
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        main(["plan", str(path)])


def test_disk_grows_with_steps_and_seeds(tiny):
    def of_runs(**change):
        return disk(Study(load({**tiny, **change})))["runs"]

    longer = {**tiny["training"], "steps": 10_004}
    assert of_runs(training=longer) - of_runs() == pytest.approx(4 * (28 * 10_000 + 75 * (1000 - 4)))
    assert of_runs(seeds=[0, 1, 2, 3]) > 1.7 * of_runs()


def test_forward_passes_and_trials_of_several_weights_are_counted(tiny):
    terms = ["grad_l2", {"name": "jacobian", "weight": {"range": [0.1, 1]}}, {"name": "gradicon", "weight": 1}]
    tiny["grid"] = {"similarities": ["lcc"], "regularizers": ["grad_l2", {"id": "sum", "terms": terms}]}
    tiny["tuning"] |= {"fairness": "trials_per_weight"}
    answer = estimate(Study(load(tiny)))
    assert (answer["trials"], answer["searches"]) == (4 + 8, 2)
    assert (answer["trial_steps"], answer["trial_passes"]) == (3 * (4 + 8), 3 * (4 + 2 * 8))
    assert (answer["training_steps"], answer["training_passes"]) == (4 * 2 * 2, 4 * 2 * (1 + 2))
    assert "passes  60 in trials, 24 in final trainings: a step that registers both directions" in text(answer)
    tiny["grid"]["regularizers"] = ["grad_l2"]
    tiny["tuning"] |= {"fairness": "trials"}
    assert "passes" not in text(estimate(Study(load(tiny))))


def test_refined_rows_are_measured_by_their_steps(tiny):
    """No training, no trial and no weights of their own; evaluations that say nothing of shorter or longer ones."""

    def study(steps, name):
        return Study(load({**tiny, "study": name, "models": [{**tiny["models"][0], "refine": {"steps": steps}}]}))

    plain, refined = estimate(Study(load(tiny))), estimate(study(50, "refined"))
    for key in ("trials", "searches", "training_steps", "trial_steps"):
        assert plain[key] == refined[key]
    assert refined["jobs"]["evaluate"] == plain["jobs"]["evaluate"] + 4
    assert refined["jobs"]["train"] == plain["jobs"]["train"]
    assert refined["mlflow_runs"] == plain["mlflow_runs"] + 2
    make(study(50, "pilot"))
    (cpu,) = estimate(study(50, "more"))["hours"]
    assert cpu["unknown"] == []
    assert cpu["by_rule"]["evaluate"] * 3600 == pytest.approx(9 * 30)
    (cpu,) = estimate(study(500, "more"))["hours"]
    assert cpu["unknown"] == ["evaluate refined by 500 steps"]
    assert cpu["by_rule"]["evaluate"] * 3600 == pytest.approx(5 * 30)

"""`regbench status`: counts, reasons, time that remains, and who leads, from files."""

import json
import os
import platform
from pathlib import Path

import pytest
from made_study import make, on_a_gpu

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.orchestration.status import duration, status, text
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import read_sealed, write_json, write_sealed

MSE, LCC = "voxelmorph.mse.grad_l2", "voxelmorph.lcc.grad_l2"


@pytest.fixture
def study(tiny):
    return Study(load(tiny))


def own(job) -> None:
    write_json(Path(job.owner), {"host": platform.node(), "pid": os.getpid(), "beat": 1})


def test_counts_and_names(study, tiny_file, capsys):
    make(study, without=(f"train/brains/{MSE}/seed1", f"evaluate/brains/{MSE}/seed1"))
    main(["status", str(tiny_file), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["cells"] == {"done": 2, "running": 0, "failed": 0, "stopped": 0, "not started": 1}
    # prepare, runtime, identity, and for each cell 2 rounds of (propose, trial), select, 2 x (train, evaluate)
    assert sum(found["jobs"].values()) == 2 + 1 + 2 * (2 * 2 + 1 + 4)
    assert found["jobs"]["not started"] == 2
    assert [entry["method"] for entry in found["not_done"]] == [MSE]
    main(["status", str(tiny_file)])
    assert "2 done, 1 not started (of 3)" in capsys.readouterr().out


def test_looks_say_what_became_of_the_pairs(tiny):
    study = Study(load({**tiny, "seeds": [0, 1, 2], "looks": {"first": 2}}))
    make(study)
    assert [job.detail for job in jobs.of_looks(study, "brains")] == ["voxelmorph/look1"]
    found = status(study)
    before = {"dataset": "brains", "model": "voxelmorph", "made": 0, "most": 2, "decided": 0, "given_up": 0, "open": 1}
    assert (found["looks"], found["jobs"]["not started"]) == ([before], 1)
    pair = {"comparison": {"a": LCC, "b": MSE, "verdict": "undecided"}, "chance": 0.5, "goes_on": True}
    path = study.layout.look("brains", "voxelmorph", 1)
    write_sealed(path, {"units": {}, "pairs": [pair], "further": {LCC: 3, MSE: 3}})
    found = status(study)
    assert found["looks"] == [{**before, "made": 1}]
    assert found["jobs"]["not started"] == 2 * 2 + 1, "further trainings and their evaluation, and the look at them"
    write_sealed(path, {"units": {}, "pairs": [{**pair, "goes_on": False}], "further": {}})
    found = status(study)
    assert found["looks"] == [{**before, "made": 1, "given_up": 1, "open": 0}]
    assert found["jobs"]["not started"] == 0
    assert "looks brains/voxelmorph: 1 of at most 2; of the pairs 0 decided, 1 given up, 0 open" in text(found)


def test_the_time_that_remains_is_measured(study):
    """Made jobs took 30 s each: two trainings side by side, and their evaluations."""
    missing = tuple(f"{rule}/brains/{MSE}" for rule in ("train", "evaluate"))
    make(study, without=missing)
    found = status(study)["eta"]
    assert (found["seconds"], found["work_seconds"], found["at_once"]) == (None, 4 * 30, 0)
    for job in jobs.of_cell(study, "brains", MSE):
        if job.rule == "train":
            own(job)
    found = status(study)["eta"]
    assert found["work_seconds"] == 2 * 15 + 2 * 30  # what runs is on average half done
    assert found["seconds"] == pytest.approx(45)
    assert found["at_once"] == 2


def test_the_hours_of_gpus(study):
    """By hand: 4 trainings of 30 s at 80 %, 4 jobs of trials of 30 s at 20 %; of a CPU nothing is said."""
    make(study)
    assert "gpu" not in status(study)
    assert "GPU" not in text(status(study))
    on_a_gpu(study, {"train": 80.0, "trial": 20.0})
    found = status(study)
    assert found["gpu"] == {"hours": pytest.approx(8 * 30 / 3600), "busy_percent": pytest.approx(50)}
    assert "GPU   4 min 0 s by finished jobs, busy 50 % of it" in text(found)


def test_no_sooner_than_a_cell_by_itself(study):
    """Rounds wait for each other: many workers do not help a single cell."""
    make(study, without=(f"trial/brains/{MSE}", f"propose/brains/{MSE}", f"select/brains/{MSE}",
                         f"train/brains/{MSE}", f"evaluate/brains/{MSE}"))  # fmt: skip
    for job in jobs.of_cell(study, "brains", MSE):
        if job.rule == "trial":
            own(job)
    found = status(study)["eta"]
    # two rounds of a running trial (15), train, evaluate; what takes seconds is not counted
    assert found["seconds"] == 2 * 15 + 2 * 30


def test_what_was_never_measured_is_named(study):
    make(study, without=("trial", "select", "train", "evaluate", "runtime"))
    found = status(study)
    assert found["eta"]["unknown"] == ["evaluate", "train", "trial"]
    assert "not measured yet" in text(found)


def test_the_leader_is_chosen_by_validation_and_full_runs_come_first(study):
    make(study, without=(f"train/brains/{LCC}", f"evaluate/brains/{LCC}"))
    chosen = study.layout.selected("brains", LCC)
    write_sealed(chosen, {**read_sealed(chosen), "best": {"lam": 0.5, "scores": {"dice": 0.99}}})
    (leader,) = status(study)["best"]
    assert (leader["method"], leader["score"], leader["seeds"]) == (MSE, 0.7, 2)


def test_before_any_run_the_best_trial_leads(study):
    make(study, without=("train", "evaluate"))
    (leader,) = status(study)["best"]
    assert (leader["score"], leader["seeds"]) == (0.6, 0)
    assert "its best trial" in text(status(study))


def test_a_finished_study_says_so(study):
    make(study)
    words = text(status(study))
    assert "all cells are done" in words
    assert "not running" not in words


def test_a_study_that_is_not_there_yet(study):
    found = status(study)
    assert found["cells"]["not started"] == 3
    assert "unknown" in text(found)
    assert "head  not running: the same command goes on" in text(found)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.2, "3 s"), (75, "1 min 15 s"), (7500, "2 h 5 min"), (190000, "2 d 4 h")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_search_that_ended_before_the_first_one_leads(tiny):
    """Searches end in any order: who looks at the first alone finds no file."""
    tiny["tuning"]["replicates"] = 2
    study = Study(load(tiny))
    make(study, without=(f"select/brains/{MSE}/replicate0", f"train/brains/{MSE}", f"evaluate/brains/{MSE}"))
    assert status(study)["cells"] is not None

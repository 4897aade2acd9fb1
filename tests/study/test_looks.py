"""Looks in a config, and what a study reads of their files."""

import pytest
import yaml
from tiny_study import TINY

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.orchestration.estimate import estimate, text
from regbench.orchestration.registries import check_component
from regbench.study import looks
from regbench.study.frozen import promised
from regbench.study.job_specs import look_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import read_sealed, write_sealed
from regbench.tracking.cell_files import CellFiles
from regbench.tracking.study_files import StudyFiles
from regbench.tuning.optuna_export import tuned_cells

LCC, MSE = "voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"


def in_looks(folder, **changes):
    raw = {**TINY, "results": str(folder), "seeds": [3, 1, 4, 5, 9], "looks": {"first": 2, "step": 2}, **changes}
    return Study(load(raw, check_component))


def write_look(study, number, further, model="voxelmorph"):
    write_sealed(study.layout.look("brains", model, number), {"further": further, "units": {}, "pairs": []})


def test_seeds_are_those_of_the_looks_that_are_there(tmp_path):
    study = in_looks(tmp_path)
    assert study.batches_of_looks == looks.Batches((2, 4, 5), "seeds")
    assert study.seeds(LCC) == study.seeds(LCC, "brains") == (3, 1)
    write_look(study, 1, {LCC: 4})
    assert (study.seeds(LCC, "brains"), study.seeds(MSE, "brains")) == ((3, 1, 4, 5), (3, 1))
    assert study.seeds(LCC) == study.seeds(LCC, "brains", 1) == (3, 1), "before the first look"
    write_look(study, 2, {LCC: 5})
    assert study.seeds(LCC, "brains") == (3, 1, 4, 5, 9)
    assert study.seeds(LCC, "brains", 2) == (3, 1, 4, 5)
    write_look(study, 1, {})
    assert study.seeds(LCC, "brains") == (3, 1), "a look behind one that gave nobody more is of another time"
    assert study.seeds("identity", "brains") == (3,)
    assert [run[2] for run in study.runs() if run[1] == MSE] == [3, 1]


def test_with_several_searches_a_look_gives_searches(tmp_path):
    models = ["voxelmorph", "instance"]
    study = in_looks(tmp_path, models=models, seeds=list(range(8)), tuning={**TINY["tuning"], "replicates": 4})
    assert study.batches_of_looks == looks.Batches((2, 4), "searches")
    alone = "instance.lcc.grad_l2"
    assert (study.seeds(LCC), study.seeds(alone)) == ((0, 1, 2, 3), (0, 2))
    assert (list(study.replicates(LCC)), list(study.replicates(LCC, "brains"))) == ([0, 1], [0, 1])
    write_look(study, 1, {LCC: 4})
    assert (len(study.seeds(LCC, "brains")), list(study.replicates(LCC, "brains"))) == (8, [0, 1, 2, 3])
    assert list(study.replicates(MSE, "brains")) == [0, 1]
    assert not study.one_job(alone), "a job of a whole cell would begin anew with each look"


def test_the_searches_that_a_look_gave_are_proposed_exported_and_pushed(tmp_path):
    searches = {"seeds": [0, 1, 2], "tuning": {**TINY["tuning"], "replicates": 3}}
    study = in_looks(tmp_path, **searches)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**TINY, **searches, "results": str(tmp_path), "looks": {"first": 2, "step": 2}}))
    job = [str(path), "--method", LCC, "--replicate", "2"]
    with pytest.raises(SystemExit, match="2"):
        main(["propose", *job, "--round", "0"])
    write_look(study, 1, {LCC: 3})
    main(["propose", *job, "--round", "0"])
    proposed = read_sealed(study.layout.proposals("brains", LCC, 0, 2))
    ended = {"status": "complete", "reason": "", "scores": {"dice": 0.6, "ndv_percent": 0.0}}
    write_sealed(study.layout.trials("brains", LCC, 0, (0, 1), 2), [{**one, **ended} for one in proposed])
    cell = CellFiles(StudyFiles(study), "brains", study.method(LCC))
    assert [(trial.replicate, trial.number) for trial in cell.trials] == [(2, 0), (2, 1)]
    exported = [(spec.cell, len(results)) for spec, results in tuned_cells(study)]
    assert (f"tiny/brains/{LCC}/replicate2", 2) in exported


def test_models_without_anything_drawn_have_no_looks(tmp_path):
    study = in_looks(tmp_path, models=["voxelmorph", "instance"])
    assert study.looked_models == ("voxelmorph",)
    assert study.seeds("instance.lcc.grad_l2", "brains") == (3,)
    assert study.one_job("instance.lcc.grad_l2")


def test_jobs_are_those_of_the_seeds_that_were_given(tmp_path):
    study = in_looks(tmp_path)
    write_look(study, 1, {LCC: 4})
    trained = [job.detail for job in jobs.of_cell(study, "brains", LCC) if job.rule == "train"]
    assert trained == ["seed3", "seed1", "seed4", "seed5"]
    assert sum(job.rule == "train" for job in jobs.of_cell(study, "brains", MSE)) == 2


def test_the_plan_gives_the_first_look_and_the_most(tmp_path):
    study = in_looks(tmp_path)
    write_look(study, 1, {LCC: 4})
    planned = estimate(study)
    assert planned["first_look"] == {"runs": 5, "training_steps": 4 * 4, "looks": 3}
    assert (planned["runs"], planned["training_steps"]) == (11, 10 * 4)
    assert "5 runs (16 steps) before the first of 3 looks, which say who gets more; all else here is the most" in text(
        planned
    )


def test_looks_are_promised_and_a_study_without_them_is_as_it_was(tmp_path):
    assert promised(in_looks(tmp_path))["looks"] == {"first": 2, "step": 2}
    without = Study(load({**TINY, "results": str(tmp_path)}))
    assert "looks" not in promised(without)
    assert (without.units(LCC, "brains"), without.seeds(LCC, "brains")) == (None, (0, 1))
    best = in_looks(tmp_path, looks={"first": 2, "step": 2, "find": "best"})
    assert promised(best)["looks"] == {"first": 2, "step": 2, "find": "best"}
    assert look_spec(best, "voxelmorph", 1).to_json()["best"] is True
    assert "best" not in look_spec(in_looks(tmp_path), "voxelmorph", 1).to_json()


def test_a_file_that_was_altered_is_refused(tmp_path):
    study = in_looks(tmp_path)
    write_look(study, 1, {LCC: 4})
    path = study.layout.look("brains", "voxelmorph", 1)
    path.write_text(path.read_text().replace("4", "5"))
    with pytest.raises(RegbenchError, match=r"look1\.json` must be as it was written"):
        study.seeds(LCC, "brains")
    with pytest.raises(RegbenchError, match=r"look2\.json` must be readable"):
        looks.read_look(study.layout.look("brains", "voxelmorph", 2))


def test_a_look_that_the_study_has_not_is_refused(tmp_path):
    study = in_looks(tmp_path)
    assert look_spec(study, "voxelmorph", 3).counts == (2, 4, 5)
    with pytest.raises(UsageError, match="look 4 of `voxelmorph` is not in study `tiny`, whose looks are: 3 of voxel"):
        look_spec(study, "voxelmorph", 4)
    with pytest.raises(UsageError, match="whose looks are: none"):
        look_spec(Study(load(TINY)), "voxelmorph", 1)


def test_all_mistakes_of_looks_at_once(tmp_path):
    folds = {**TINY["datasets"][0], "splits": {"folds": 4}}
    with pytest.raises(UsageError) as caught:
        in_looks(
            tmp_path, looks={"first": 2, "step": 0}, seeds=[0, 1], curve=4, one_job_per="cell", datasets=[folds],
            models=[{"name": "instance", "refine": None}], grid={"similarities": ["mse"], "regularizers": ["grad_l2"]},
        )  # fmt: skip
    for words in (
        "looks.step: input should be greater than or equal to 1, but got 0",
        "looks.first: must be less than the seeds (2), which are the most, but got 2",
        "looks: need models that are trained, or `tuning.replicates` over 1: else nothing is drawn",
        "looks: need two cells or more to compare, but the grid has one",
        "looks: cannot be had with `curve`; leave one of them out",
        "looks: cannot be had with `one_job_per`, as each look sends its own trainings; leave one of them out",
        "looks: cannot be had with folds that all run: name one by `splits.fold`; leave one of them out",
    ):
        assert words in str(caught.value)
    with pytest.raises(UsageError) as caught:
        in_looks(
            tmp_path, looks={"first": 1}, seeds=[0, 1, 2, 3], tuning={**TINY["tuning"], "replicates": 2, "splits": 2},
            models=[{"name": "voxelmorph", "refine": {"steps": 3}}],
        )  # fmt: skip
    assert "looks.first: input should be greater than or equal to 2, but got 1" in str(caught.value)
    assert "looks: cannot be had with `refine`, whose rows have no trainings of their own" in str(caught.value)
    assert "looks: cannot be had with `tuning.splits`, whose draws all cells share to the end" in str(caught.value)
    with pytest.raises(UsageError, match=r"looks.first: must be less than tuning.replicates \(2\)"):
        in_looks(tmp_path, seeds=[0, 1, 2, 3], tuning={**TINY["tuning"], "replicates": 2})

"""The points of a curve from config to files: one job a point or a cell, the same bytes, and nothing is done twice."""

import shutil

import pytest
import yaml

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.orchestration.progress import progress
from regbench.orchestration.registries import check_component
from regbench.study.job_specs import final_spec, point_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import read_sealed
from regbench.tracking.records import study_items
from regbench.tuning import curve_runs
from regbench.tuning.curve_runs import curve_run

LCC = "voxelmorph.lcc.grad_l2"
FILES = ("checkpoint.pt", "pairs.parquet", "panels.npz")


@pytest.fixture
def chosen(tiny, tmp_path):
    """A study with curves of one cell of networks and one of `instance`, whose lambdas are chosen."""
    tiny |= {"curve": 4, "seeds": [0, 1], "tracking": {"enabled": False}}
    tiny["grid"] = {"similarities": ["lcc"], "regularizers": ["grad_l2"]}
    tiny["models"] = [*tiny["models"], {"name": "instance", "parameters": {"steps": [2, 2], "shrink": [2, 1]}}]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    main(["prepare", str(path)])
    for method in (LCC, "instance.lcc.grad_l2"):
        main(["cell", str(path), "--method", method])
    return Study(load(tiny)), str(path)


def written(study, method=LCC):
    lay = study.layout
    return {
        (seed, point, name): (lay.curve_point("brains", method, seed, point) / name).read_bytes()
        for seed in study.seeds(method)
        for point in study.further_points
        for name in FILES
    }


def test_one_job_a_point_and_one_a_cell_write_the_same_and_nothing_is_done_twice(chosen, monkeypatch):
    study, path = chosen
    main(["curve", path, "--method", LCC])
    whole = written(study)
    lams = [curve_run(study, "brains", LCC, 0, point).spec.lam for point in study.further_points]
    assert lams == sorted(set(lams))
    own = read_sealed(study.layout.selected("brains", LCC))["lam"]
    assert own not in lams
    records = [
        read_sealed(study.layout.curve_point("brains", LCC, 0, point) / "run.json") for point in study.further_points
    ]
    assert [record["lam"] for record in records] == lams
    assert all("sdlogj" in record["validation"] for record in records)
    # Snakemake deletes the outputs of a job that begins again; what was whole waits.
    shutil.rmtree(study.layout.root / "curves")
    monkeypatch.setattr(curve_runs, "evaluate_run", lambda *a, **k: pytest.fail("evaluated again"))
    main(["curve", path, "--method", LCC, "--seed", "1", "--point", "2"])
    assert not study.layout.curve_point("brains", LCC, 0, 1).exists()
    main(["curve", path, "--method", LCC])
    assert written(study) == whole
    monkeypatch.undo()
    shutil.rmtree(study.layout.root / "curves")
    shutil.rmtree(study.layout.root / "state" / "curves")
    for seed in (0, 1):
        for point in study.further_points:
            main(["curve", path, "--method", LCC, "--seed", str(seed), "--point", str(point)])
    assert written(study) == whole


def test_where_nothing_is_trained_there_are_points_too_and_they_tell_the_regularity(chosen):
    study, path = chosen
    main(["curve", path, "--method", "instance.lcc.grad_l2"])
    assert len(written(study, "instance.lcc.grad_l2")) == 3 * 3
    record = read_sealed(study.layout.curve_point("brains", "instance.lcc.grad_l2", 0, 1) / "run.json")
    assert record["validation"]["sdlogj"] > 0


def test_status_and_mlflow_know_the_points(chosen):
    study, path = chosen
    main(["curve", path, "--method", LCC])
    main(["evaluate", path, "--method", "identity", "--seed", "0"])
    states = {cell.method: {job.rule: state for job, state, _ in cell.jobs} for cell in progress(study).cells}
    assert states[LCC]["curve"] == "done"
    assert states["instance.lcc.grad_l2"]["curve_cell_untrained"] == "not started"
    items = {item.key: item for item in study_items(study)}
    record = items[f"tiny/brains/{LCC}/seed1/point3"].make()
    assert record.tags["stage"] == "curve"
    assert record.name.endswith("s1 · curve 3")
    changed = Study(study.config.model_copy(update={"training": study.config.training.model_copy(update={"steps": 5})}))
    again = {cell.method: {job.rule: state for job, state, _ in cell.jobs} for cell in progress(changed).cells}
    assert again[LCC]["curve"] == "not started"


def test_a_finished_study_that_gets_a_curve_does_none_of_its_runs_again(tiny):
    plain, with_curve = (Study(load({**tiny, **more})) for more in ({}, {"curve": 5}))
    assert final_spec(plain, LCC, 0) == final_spec(with_curve, LCC, 0)
    assert point_spec(plain, LCC, 0) == final_spec(plain, LCC, 0)
    assert point_spec(with_curve, LCC, 0).scored.metrics == ("sdlogj",)
    assert [job for job in jobs.of_study(with_curve) if job.rule not in jobs.OF_CURVE] == jobs.of_study(plain)
    assert sum(job.rule == "curve" for job in jobs.of_study(with_curve)) == 2 * 2 * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "identity"], "a lambda of its own"),
        (["--method", LCC, "--seed", "7"], "--seed must be one of 0, 1"),
        (["--method", LCC, "--point", "4"], "--point must be 1 to 3"),
    ],
)
def test_what_no_curve_has_is_refused(tiny, tmp_path, options, words, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**tiny, "curve": 4}))
    with pytest.raises(SystemExit, match="2"):
        main(["curve", str(path), *options])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("curve", "key"),
    [
        (2, "curve.points"),
        ({"points": 4, "levels": []}, "curve.levels"),
        ({"points": 4, "levels": [0.1, -1]}, "curve.levels"),
        ({"points": 4, "metrics": ["sdlogj"]}, "curve.metrics[0]"),
        ({"points": 4, "metrics": ["dize"]}, "curve.metrics[0]"),
        ({"points": 4, "regularity": "ndv_percent", "levels": [120]}, "curve.levels[0]"),
        ({"points": 4, "regularity": "folds"}, "curve.regularity"),
    ],
)
def test_check_refuses_what_cannot_be(tiny, curve, key):
    with pytest.raises(UsageError) as error:
        load({**tiny, "curve": curve}, check_component)
    assert f"  {key}" in str(error.value)

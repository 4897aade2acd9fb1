"""What MLflow has of a method."""

import pytest
from made_results import make_results

from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import replacing, write_sealed
from regbench.tracking.cell_files import CellFiles
from regbench.tracking.method_records import method_record
from regbench.tracking.mlflow_views import page_links, study_pages
from regbench.tracking.records import study_items
from regbench.tracking.study_files import StudyFiles


def test_scores_on_other_data_stand_beside_those_on_its_own(tiny):
    tiny["test_sets"] = [{"id": "others", "source": "mni152", "parameters": {"subjects": 4}}]
    study = Study(load({**tiny, "evaluate_on": ["others"]}))
    make_results(study)
    cell = CellFiles(StudyFiles(study), "brains", study.method("voxelmorph.lcc.grad_l2"))
    metrics = {name: value for name, value, _ in method_record(cell).metrics}
    assert metrics["on/others/dice"] == pytest.approx(metrics["test/dice"] - 0.1, abs=1e-6)
    assert "on/others/ndv_percent" in metrics
    assert not any(name.startswith("on/brains") for name in metrics)


def test_the_trials_of_searches_that_a_look_gave_are_there(tiny):
    tiny["tuning"] |= {"replicates": 3}
    study = Study(load({**tiny, "seeds": [0, 1, 2], "looks": {"first": 2}}))
    method = "voxelmorph.lcc.grad_l2"
    write_sealed(study.layout.look("brains", "voxelmorph", 1), {"further": {method: 3}, "units": {}, "pairs": []})
    for replicate in range(3):
        path = study.layout.trials("brains", method, 0, (0, 1), replicate)
        write_sealed(path, [{"number": 0, "lam": 0.1}])
    cell = CellFiles(StudyFiles(study), "brains", study.method(method))
    assert [trial.replicate for trial in cell.trials] == [0, 1, 2]


def names(raw):
    """The name of the run of each method, with and without a lambda."""
    study = Study(load(raw))
    cells = [
        CellFiles(StudyFiles(study), data.id, method) for data in study.config.datasets for method in study.methods
    ]
    return [cell.title(lam) for cell in cells for lam in (None, 0.25)]


def test_names_tell_the_runs_of_a_study_apart(tiny):
    assert names(tiny)[2:4] == ["LCC · grad_l2", "LCC · grad_l2 · λ=0.25"]
    both = [*tiny["models"], {"name": "instance"}]
    assert names(tiny | {"models": both})[2:4] == ["LCC · grad_l2 · voxelmorph", "LCC · grad_l2 · voxelmorph · λ=0.25"]
    two = [*tiny["datasets"], {**tiny["datasets"][0], "id": "more"}]
    several = names(tiny | {"models": both, "datasets": two})
    assert len(set(several)) == len(several) == 2 * 2 * (1 + 2 * 2)
    assert "MSE · grad_l2 · instance · more · λ=0.25" in several
    assert "identity · more" in several


def test_the_run_of_a_study_holds_what_its_description_links_to(tiny):
    study = Study(load(tiny))
    make_results(study)
    study.layout.page.write_text("a page")
    (report,) = [item.make() for item in study_items(study) if item.key == "tiny"]
    held = {f"{folder}/{path.name}" for path, folder in report.artifacts}
    assert {"report/report.html", "config/config.json"} <= held
    links = page_links("7", "abc", study_pages(study.layout))
    assert links.split(" · ") == [
        "[report](#/experiments/7/runs/abc/artifactPath/report/report.html)",
        "[config](#/experiments/7/runs/abc/artifactPath/config/config.json)",
    ]
    study.layout.page.unlink()
    assert page_links("7", "abc", study_pages(study.layout)).startswith("[config]")
    assert page_links("7", None, study_pages(study.layout)) == ""


def test_a_file_that_is_being_written_is_not_pushed(tiny):
    """The report writes while the tracker looks: a file with its name of the meantime is gone before it is read."""
    study = Study(load(tiny))
    make_results(study)
    lay = study.layout
    with replacing(lay.figures / "structures.png") as figure, replacing(lay.tables / "main.csv") as table:
        figure.write_bytes(b"half")
        table.write_bytes(b"half")
        artifacts = [path for item in study_items(study) for path, _ in item.make().artifacts]
    assert artifacts
    assert [path for path in artifacts if path.name.startswith(".")] == []

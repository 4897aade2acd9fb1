"""What MLflow has of a method."""

import pytest
from made_results import make_results

from regbench.study.load import load
from regbench.study.methods import Study
from regbench.tracking.cell_files import CellFiles
from regbench.tracking.method_records import method_record
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

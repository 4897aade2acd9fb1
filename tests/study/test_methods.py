"""Methods say what they need; a study answers from its config alone."""

import pytest

from regbench.study.load import load
from regbench.study.methods import Study


@pytest.mark.parametrize("one_job", [False, True])
def test_what_needs_training(tiny, one_job):
    study = Study(
        load({**tiny, "models": [*tiny["models"], "instance"], "one_job_per_cell": one_job, "controls": True})
    )
    needs = {method.id: method.needs_training for method in (*study.methods, *study.controls)}
    assert {name for name, trained in needs.items() if trained} == {"voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"}
    whole = {method.id for method in study.methods if study.one_job(method.id)}
    assert whole == {name for name in needs if name.startswith("instance.") or (one_job and "voxelmorph" in name)}
    names = ("identity", "instance.mse.grad_l2", "voxelmorph.mse.grad_l2")
    assert [len(study.seeds(name)) for name in names] == [1, 1, 2]

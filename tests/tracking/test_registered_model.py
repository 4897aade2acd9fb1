"""A method's best network in MLflow's registry."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

mlflow = pytest.importorskip("mlflow")

from tracked_study import LCC, MSE  # noqa: E402

from regbench.evaluation.register_files import model_for, register_files  # noqa: E402
from regbench.study.methods import Study  # noqa: E402
from regbench.system.files import read_sealed, write_sealed  # noqa: E402
from regbench.tracking import track  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own making
NAME = f"tiny.brains.{LCC}"


@pytest.fixture
def registering(study):
    tracking = study.study.config.tracking.model_copy(update={"register_models": True})
    study.study = Study(study.study.config.model_copy(update={"tracking": tracking}))
    return study


def versions(study, name=NAME):
    found = study.client.search_model_versions(f"name = '{name}'")
    return [(each.version, each.run_id, each.tags["checkpoint_sha256"]) for each in found]


def images(folder):
    rng = np.random.default_rng(0)
    for name in ("fixed", "moving"):
        image = nib.Nifti1Image(rng.random((40, 36), dtype=np.float32), np.diag([5.0, 5.0, 5.0, 1.0]))
        nib.save(image, folder / f"{name}.nii.gz")
    return folder / "fixed.nii.gz", folder / "moving.nii.gz"


def test_the_registered_model_registers_a_pair_as_regbench_does(registering, tmp_path):
    track(registering.study)
    assert len(versions(registering)) == len(versions(registering, f"tiny.brains.{MSE}")) == 1
    runs = {s: read_sealed(registering.root / f"runs/brains/{LCC}/seed{s}/run.json") for s in (0, 1)}
    best = max(runs, key=lambda seed: (runs[seed]["validation"]["dice"], -seed))
    assert versions(registering)[0][1:] == (
        registering.runs()[f"tiny/brains/{LCC}/seed{best}"].info.run_id,
        runs[best]["checkpoint_sha256"],
    )
    source = registering.client.get_model_version(NAME, versions(registering)[0][0]).source
    model = mlflow.pyfunc.load_model(source)
    fixed, moving = images(tmp_path)
    pair = pd.DataFrame([{"fixed": str(fixed), "moving": str(moving), "out": str(tmp_path / "by_mlflow")}])
    found = model.predict(pair)
    assert list(found) == ["displacement", "moved", "jacobian"]
    network, preparation = model_for(str(registering.root / f"runs/brains/{LCC}/seed{best}"), fixed, "", "", 0.0)
    ours = register_files(network, fixed, moving, tmp_path / "by_us", preparation=preparation)
    for name, path in zip(found, ours, strict=True):
        theirs = nib.load(found[name][0]).get_fdata()
        assert np.array_equal(theirs, nib.load(path).get_fdata())
        assert np.ptp(theirs) > 0


def test_a_validation_without_a_number_is_not_the_best(registering):
    """The first seed of a method has none, and no seed of the other one has: there the first is taken."""
    empty = {LCC: (0,), MSE: (0, 1)}
    for method, seeds in empty.items():
        for seed in seeds:
            path = registering.root / f"runs/brains/{method}/seed{seed}/run.json"
            record = read_sealed(path)
            write_sealed(path, record | {"validation": dict.fromkeys(record["validation"])})
    track(registering.study)
    runs = registering.runs()
    for method, best in ((LCC, 1), (MSE, 0)):
        (version,) = versions(registering, f"tiny.brains.{method}")
        assert version[1] == runs[f"tiny/brains/{method}/seed{best}"].info.run_id


def test_a_second_push_and_a_wiped_run_double_no_version(registering):
    track(registering.study)
    before = versions(registering)
    track(registering.study)
    assert versions(registering) == before
    registering.client.delete_run(before[0][1])
    track(registering.study)
    (after,) = versions(registering)
    assert after[1] in {run.info.run_id for run in registering.runs().values()}
    assert after[1] != before[0][1]


def test_a_new_checkpoint_is_a_new_version(registering):
    track(registering.study)
    for seed in (0, 1):
        path = registering.root / f"runs/brains/{LCC}/seed{seed}/run.json"
        write_sealed(path, read_sealed(path) | {"checkpoint_sha256": f"other{seed}", "seconds": 9.0})
    track(registering.study)
    assert versions(registering)[0][2].startswith("other")


def test_by_default_there_is_none(study):
    track(study.study)
    assert study.client.search_registered_models() == []

"""Runs on other data than they were trained on."""

import pandas as pd
import pytest
import yaml
from tiny_study import run_verbs

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.orchestration.progress import progress
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import read_sealed, write_sealed
from regbench.system.parquet import read_table

LCC = "voxelmorph.lcc.grad_l2"


@pytest.fixture
def one_cell(tiny, tmp_path):
    """A cell with a fixed lambda on `brains`; `twin` has the same images, `others` is only tested."""
    brains = tiny["datasets"][0]
    tiny |= {"datasets": [brains, {**brains, "id": "twin"}], "lambdas": [{"value": 0.1}], "seeds": [0]}
    tiny["grid"] = {"similarities": ["lcc"], "regularizers": ["grad_l2"]}
    parameters = {**brains["parameters"], "subjects": 3, "shape": [48, 32], "seed": 5}
    tiny["test_sets"] = [{"id": "others", "source": "mni152", "pairs": {"test": 3}, "parameters": parameters}]
    return tiny | {"evaluate_on": ["others", "twin"], "controls": False, "tracking": {"enabled": False}}


def test_a_run_on_the_same_images_under_another_name_has_the_same_rows(one_cell, tmp_path):
    run_verbs(one_cell, tmp_path)
    study = Study(load(one_cell))
    lay = study.layout
    own, twin = read_table(lay.pairs("brains", LCC, 0)), read_table(lay.transfer("brains", LCC, "twin"))
    assert set(twin["trained_on"]) == {"brains"}
    assert set(twin["dataset"]) == {"twin"}
    pd.testing.assert_frame_equal(own.drop(columns="dataset"), twin.drop(columns=["dataset", "trained_on"]))
    others = read_table(lay.transfer("twin", LCC, "others"))
    assert len(others) == 3
    assert others["dice"].between(0, 1).all()
    rows = read_table(lay.transfer_rows)
    assert len(rows) == 2 + 3 + 3  # brains on twin, both on others
    assert (lay.tables / "transfer.csv").exists()
    assert all(state == "done" for _, state, _ in progress(study).jobs)
    record = lay.run_record("brains", LCC, 0)
    record.touch()
    assert all(state == "done" for _, state, _ in progress(study).jobs)  # a plain copy has any times
    write_sealed(record, {**read_sealed(record), "checkpoint_sha256": "of another run"})
    states = {job.name: state for job, state, _ in progress(study).jobs if job.rule == "transfer"}
    assert states == {
        f"transfer/brains/{LCC}/others": "not started",
        f"transfer/brains/{LCC}/twin": "not started",
        f"transfer/twin/{LCC}/others": "done",
    }


def test_every_other_dataset_is_tested_but_not_by_its_own_runs(one_cell):
    study = Study(load(one_cell))
    assert list(study.transfers()) == [("brains", LCC, "others"), ("brains", LCC, "twin"), ("twin", LCC, "others")]
    sent = [job.name for job in jobs.of_study(study) if job.rule in ("transfer", "prepare")]
    assert sent.count("prepare/others") == 1
    assert len([name for name in sent if name.startswith("transfer/")]) == 3
    assert study.dataset("others").splits.test == "rest"


def test_another_number_of_dimensions_is_an_error(one_cell, tmp_path, capsys):
    one_cell["test_sets"][0]["parameters"] = {"dims": 3, "subjects": 3, "shape": [16, 16, 16], "spacing_mm": 12.0}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(one_cell))
    for verb in (["prepare", "--dataset", "brains"], ["prepare", "--dataset", "others"], ["select"]):
        chosen = [] if verb[0] == "prepare" else ["--dataset", "brains", "--method", LCC]
        main([verb[0], str(tmp_path / "study.yaml"), *verb[1:], *chosen])
    with pytest.raises(SystemExit) as stopped:
        main(["transfer", str(tmp_path / "study.yaml"), "--dataset", "brains", "--method", LCC, "--on", "others"])
    assert stopped.value.code == 1
    assert "`others` must be of 2 dimensions" in capsys.readouterr().err


def test_a_size_that_a_loss_does_not_take_is_refused_when_it_is_prepared(one_cell, tmp_path, capsys):
    one_cell["test_sets"][0]["parameters"]["shape"] = [8, 32]  # below the window of lcc
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(one_cell))
    with pytest.raises(SystemExit):
        main(["prepare", str(tmp_path / "study.yaml"), "--dataset", "others"])
    assert "does not fit dataset `others`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluate_on": ["nobody"]}, "evaluate_on[0]: no dataset or test set `nobody`"),
        ({"evaluate_on": ["others", "others"]}, "evaluate_on: 'others' is given twice"),
        ({"evaluate_on": ["twin"]}, "test_sets[0]: `others` is never tested"),
        ({"test_sets": [{"id": "twin", "source": "mni152"}]}, "test_sets[0].id: `twin` is a dataset that is trained"),
        (
            {"test_sets": [{"id": "others", "source": "mni152", "splits": {"train": 2, "test": 2}}]},
            "test_sets[0].splits.train: a test set has no split but `test`",
        ),
        ({"test_sets": [{"id": "others", "source": "mni15"}]}, "test_sets[0].source"),
    ],
)
def test_mistakes(one_cell, changes, words):
    from regbench.orchestration.registries import check_component

    with pytest.raises(UsageError) as refused:
        load({**one_cell, **changes}, check_component)
    assert words in str(refused.value)


def test_a_study_of_one_dataset_is_tested_on_it_anyway(tiny):
    with pytest.raises(UsageError, match=r"evaluate_on\[0\]: the runs of `brains` are evaluated on it anyway"):
        load({**tiny, "evaluate_on": ["brains"]})

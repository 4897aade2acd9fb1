"""`regbench robustness` on a real finished study; nothing of it changes."""

import copy
import shutil

import pandas as pd
import pytest
import yaml
from tiny_study import TINY

from regbench.cli.main import main
from regbench.report.robustness import survey
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import file_sha256, read_sealed, write_sealed

LCC = "voxelmorph.lcc.grad_l2"


@pytest.fixture
def folder(finished_study, tmp_path):
    shutil.copytree(finished_study, tmp_path / "results")
    return tmp_path


def command(folder, *options, **changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**copy.deepcopy(TINY), "results": str(folder / "results"), **changes}))
    main(["robustness", str(path), *options])
    return Study(load(yaml.safe_load(path.read_text())))


def refused(folder, capsys, **changes):
    with pytest.raises(SystemExit, match=r"^[12]$"):
        command(folder, **changes)
    return capsys.readouterr().err.splitlines()[-1]


def digests(root, *, without=()):
    return {str(path.relative_to(root)): file_sha256(path) for path in sorted(root.rglob("*"))
            if path.is_file() and path.relative_to(root).parts[0] not in without}  # fmt: skip


def test_a_finished_study_stays_and_gets_one_table(folder, capsys):
    before = digests(folder / "results/tiny")
    study = command(folder)
    text = capsys.readouterr().out
    assert digests(folder / "results/tiny", without=("robustness",)) == before
    assert "brains, voxelmorph: 2 methods, 1 comparison\n" in text
    frame = pd.read_csv(study.layout.robustness / "robustness.csv")
    assert set(frame["metric"]) == {"dice", "hd95_mm", "ndv_percent", "sdlogj"}
    assert {"the study's own", "labels warped linearly", "both directions pooled", "median over cases",
            "Learn2Reg's, det + 3"} <= set(frame["convention"])  # fmt: skip
    scores = pd.read_csv(study.layout.robustness / "scores.csv")
    pooled = scores[scores["convention"] == "both directions pooled"]
    assert (pooled["score"] < pooled["own_score"]).all()
    once = digests(study.layout.robustness)
    shutil.rmtree(study.layout.robustness)
    command(folder, "--processes", "2")
    assert capsys.readouterr().out == text
    assert digests(study.layout.robustness) == once


def test_what_is_missing_or_of_another_config_is_named(folder, capsys):
    study = Study(load({**copy.deepcopy(TINY), "results": str(folder / "results")}))
    lay = study.layout
    rows = lay.pairs("brains", LCC, 1)
    content = rows.read_bytes()
    rows.unlink()
    assert refused(folder, capsys).endswith(
        f"`{rows}` must exist: the study has to be finished. Run `regbench run` again."
    )
    rows.write_bytes(content)
    longer = {"training": {"steps": 5, "batch": 2}}
    assert "must be of this config, but `training.steps` was 4 and is 5" in refused(folder, capsys, **longer)
    assert "`equivalence` is not what the study was analysed with. Run `regbench analyze`" in refused(
        folder, capsys, equivalence={"dice": 0.3}
    )
    record = read_sealed(lay.run_record("brains", LCC, 0))
    (lay.run("brains", LCC, 0) / "checkpoint.pt").write_bytes(b"other")
    shutil.rmtree(lay.robustness, ignore_errors=True)
    assert "must be the checkpoint that" in refused(folder, capsys)
    write_sealed(lay.run_record("brains", LCC, 0), record)
    lay.summary.unlink()
    assert "summary.json` must exist: the study has to be finished" in refused(folder, capsys)


def test_processes_share_no_gpu(folder, capsys, monkeypatch):
    monkeypatch.setattr(survey.devices, "choose", lambda _: __import__("torch").device("cuda"))
    with pytest.raises(SystemExit, match=r"^2$"):
        command(folder, "--processes", "2")
    assert "--processes must be 1 where training.device is a GPU" in capsys.readouterr().err

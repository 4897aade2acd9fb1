"""A byte is flipped in each file that the last stages read: each is refused by name."""

import random
import shutil
from pathlib import Path

import pytest
from harm import harm, opened
from made_results import make_results
from tiny_study import TINY

from regbench.report.analyze import analyze
from regbench.report.write import report
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study, and the files of it that each stage reads."""
    study = Study(load({**TINY, "results": str(tmp_path_factory.mktemp("damage") / "results")}))
    with opened() as by_analyze:
        make_results(study)
    there = {path for path in study.layout.root.rglob("*") if path.is_file()}
    with opened() as by_report:
        report(study)
    return study, {
        stage: {Path(name) for name in names} & there for stage, names in ((analyze, by_analyze), (report, by_report))
    }


@pytest.mark.parametrize("stage", [analyze, report])
def test_every_file_that_is_read_is_held_to_its_digest(finished, tmp_path, stage):
    study, read = finished
    one_each = {path.name: path for path in sorted(read[stage])}
    assert one_each.keys() >= (
        {"pairs.parquet", "manifest.json"} if stage is analyze else {"summary.json", "panels.npz"}
    )
    draw = random.Random(0)
    wrong = []
    for path in one_each.values():
        shutil.copy2(path, tmp_path / "whole")
        harm(path, "cut" if path.suffix == ".npz" else "flip", draw)  # of an archive, some bytes are dates
        try:
            stage(study)
            wrong.append(f"{path} was taken")
        except RegbenchError as error:
            wrong += [f"{path}: {error}"] if path.name not in str(error) else []
        shutil.copy2(tmp_path / "whole", path)
    assert not wrong

"""What a report follows from goes into few files, and a study's folder comes out of them, the same to the byte."""

import json

import pytest
from finished_study import OWN_DATA
from made_results import make_results
from tiny_study import TINY

from regbench.report.analyze import analyze
from regbench.report.published.contents import HISTORIES, RECORDS, gather, unpack
from regbench.report.published.neutral import Names
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import file_sha256, read_sealed
from regbench.system.parquet import read_table, write_table

MORE = {
    "curve": {"points": 3},
    "test_sets": [{**TINY["datasets"][0], "id": "other", "splits": {"test": 2}, "pairs": {"test": 2}}],
    "evaluate_on": ["other"],
    "grid": {"similarities": ["mse"], "regularizers": ["grad_l2", "bending"]},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    raw = {**TINY, **MORE, "results": str(tmp_path_factory.mktemp("contents") / "results")}
    made = Study(load(raw))
    make_results(made)
    return made


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gathered") / "tiny"
    gather(study, folder, ["brains"])
    return folder


def test_a_study_comes_out_again(study, folder, tmp_path):
    anew = unpack(folder, tmp_path / "results")
    analyze(anew)
    for name in ("rows", "transfer_rows", "summary"):
        assert getattr(anew.layout, name).read_bytes() == getattr(study.layout, name).read_bytes()
    was, curve = read_table(study.layout.curve_rows), read_table(anew.layout.curve_rows)
    assert {*was} - {*curve} == {"dice_1", "dice_2"}  # of single labels, which no table of a curve reads
    assert curve.equals(was[[*curve]])
    again = tmp_path / "again"
    gather(anew, again, ["brains"])
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert names == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)
    run = ("brains", "voxelmorph.mse.bending", 1)
    assert read_table(anew.layout.history(*run))["loss"].equals(read_table(study.layout.history(*run))["loss"])


@pytest.mark.parametrize("name", ["../out.json", "/out.json", "runs/a.py"])
def test_a_record_stays_in_its_folder(folder, tmp_path, name):
    path = folder / RECORDS
    before = path.read_text()
    record = json.loads(before.splitlines()[0])
    try:
        path.write_text(json.dumps(record | {"file": name}) + "\n")
        with pytest.raises(RegbenchError, match="must name files of a study"):
            unpack(folder, tmp_path / "deep" / "results")
    finally:
        path.write_text(before)
    assert not list(tmp_path.rglob("out.json"))


def test_paths_become_names_and_own_code_goes_along(tmp_path):
    code = tmp_path / "private" / "losses.py"
    code.parent.mkdir()
    code.write_text("from helper import half\n\n\ndef mine(fixed, moved, /):\n    return half(fixed - moved)\n")
    (code.parent / "helper.py").write_text("def half(x):\n    return x.abs().mean() / 2\n")
    grid = {"similarities": [{"id": "mine", "name": f"{code}:mine"}], "regularizers": ["grad_l2"]}
    raw = {**TINY, "grid": grid, "results": str(tmp_path)}
    raw["datasets"] = [{**TINY["datasets"][0], **OWN_DATA}]
    names = Names(Study(load(raw)))
    assert names.config["grid"]["similarities"][0]["name"] == "code/losses.py:mine"
    assert names.config["datasets"][0]["parameters"]["path"] == "brains"
    assert (names.config["results"], names.config["tracking"]["enabled"]) == ("results", False)
    assert names.put({"a": [f"`{code}:mine` failed", 1.5]}) == {"a": ["`code/losses.py:mine` failed", 1.5]}
    assert set(names.code()) == {"code/losses.py", "code/helper.py"}


def test_a_file_beside_the_config_is_named_anew_wherever_it_stands_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def mine(fixed, moved, /):\n    return (fixed - moved).abs().mean()\n")
    grid = {"similarities": [{"id": "mine", "name": "mine.py:mine"}], "regularizers": ["grad_l2"]}
    names = Names(Study(load({**TINY, "grid": grid, "results": str(tmp_path)})))
    assert names.config["grid"]["similarities"][0]["name"] == "code/mine.py:mine"
    record = {"similarity": "mine.py:mine", "reason": "`mine.py:mine` of a/mine.py:7 failed; jasmine.py:2"}
    assert names.put(record) == {
        "similarity": "code/mine.py:mine",
        "reason": "`code/mine.py:mine` of a/mine.py:7 failed; jasmine.py:2",
    }
    assert set(names.code()) == {"code/mine.py"}


def test_a_file_of_weights_is_named_by_its_checksum(tmp_path):
    encoder = tmp_path / "private" / "encoder.pt"
    encoder.parent.mkdir()
    encoder.write_bytes(b"weights")
    deep = {"id": "deep", "name": "features", "parameters": {"encoder": str(encoder)}}
    config = load({**TINY, "grid": {"similarities": [deep], "regularizers": ["grad_l2"]}, "results": str(tmp_path)})
    (similarity,) = Names(Study(config)).config["grid"]["similarities"]
    assert similarity["parameters"] == {"encoder": "encoder.pt", "sha256": file_sha256(encoder)}


def test_steps_come_out_again_where_runs_have_other_terms(folder, study, tmp_path):
    """The first run has a column that the others lack, and the last one, too."""
    runs = [("brains", "voxelmorph.mse.grad_l2", 0), ("brains", "voxelmorph.mse.bending", 1)]
    anew = unpack(folder, tmp_path / "results")
    for number, run in enumerate(runs):
        path = anew.layout.history(*run)
        steps = read_table(path)
        write_table(path, steps.assign(**{f"term.{number}": 1.0}))
    once, twice, again = tmp_path / "once", tmp_path / "twice", tmp_path / "again"
    analyze(anew)
    gather(anew, once, [])
    unpacked = unpack(once, again)
    analyze(unpacked)
    gather(unpacked, twice, [])
    assert (once / HISTORIES).read_bytes() == (twice / HISTORIES).read_bytes()
    assert {"term.0", "term.1"} <= set(read_table(once / HISTORIES))


def test_an_altered_manifest_is_refused(folder, tmp_path):
    path = folder / "data" / "brains" / "manifest.json"
    before = path.read_text()
    try:
        path.write_text(before.replace("Made up", "Made down"))
        study = unpack(folder, tmp_path / "results")
        with pytest.raises(RegbenchError, match=r"manifest\.json.*altered"):
            read_sealed(study.layout.manifest("brains"))
    finally:
        path.write_text(before)

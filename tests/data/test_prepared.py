"""Data that were prepared for another config are refused by every verb that reads them, with the keys that differ."""

import copy
from pathlib import Path

import pytest
import yaml
from data_files import folder_of
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data.prepared import load_prepared
from regbench.study import job_specs
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import write_sealed

METHOD = ["--method", "voxelmorph.mse.grad_l2"]
READERS = {
    "trial": [*METHOD, "--round", "0"],
    "cell": METHOD,
    "train": [*METHOD, "--seed", "0", "--lam", "0.5"],
    "evaluate": ["--method", "identity", "--seed", "0"],
    "runtime": [],
    "export": [*METHOD, "--seed", "0", "--prepared"],
    "export-images": ["OUT"],
    "evaluate-fields": ["OUT"],
    "analyze": [],
}
CHANGES = {
    "`splits.train` was 4 and is 3": (("splits", "train"), 3),
    "`pairs.test` was 2 and is 1": (("pairs", "test"), 1),
    "`parameters.spacing_mm` was 6.0 and is 7.0": (("parameters", "spacing_mm"), 7.0),
    "`parameters.noise` was not given and is 0.1": (("parameters", "noise"), 0.1),
    "`parameters.shape` was [32, 32] and is [32, 40]": (("parameters", "shape"), [32, 40]),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A prepared study, and a function that writes its config with one key of its dataset changed."""
    folder = tmp_path_factory.mktemp("study")

    def config(place=(), value=None) -> Path:
        raw = {**copy.deepcopy(TINY), "results": str(folder / "results")}
        if place:
            raw["datasets"][0][place[0]][place[1]] = value
        path = folder / "study.yaml"
        path.write_text(yaml.safe_dump(raw))
        return path

    main(["prepare", str(config())])
    return config


def refusal(capsys, *words) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    assert ended.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("verb", READERS)
def test_a_verb_by_hand_refuses_data_of_another_config(study, tmp_path, capsys, verb):
    path = study(("splits", "train"), 3)
    before = {at: at.stat().st_mtime_ns for at in path.parent.rglob("*") if at.is_file()}
    words = [str(tmp_path) if word == "OUT" else word for word in READERS[verb]]
    error = refusal(capsys, verb, path, *words)
    assert "must be prepared as the config says, but is not: `splits.train` was 4 and is 3. Run `regbench prep" in error
    after = {at for at in path.parent.rglob("*") if at.is_file()}
    assert not {at for at in after - set(before) if at.suffix in (".parquet", ".json", ".pt", ".gz")}


@pytest.mark.parametrize("words", CHANGES)
def test_each_key_of_a_dataset_is_named(study, capsys, words):
    assert f"{words}. Run" in refusal(capsys, "evaluate", study(*CHANGES[words]), *READERS["evaluate"])


def test_the_same_config_is_taken(study, capsys):
    main(["evaluate", str(study()), *READERS["evaluate"]])
    raw = yaml.safe_load(study().read_text())  # keys of no dataset change nothing of it
    load_prepared(Study(load({**raw, "seeds": [3], "description": "new"})), "brains", by_hand=True)


def test_other_code_is_refused_by_hand_and_left_to_snakemake_in_a_job(study, tmp_path, capsys, monkeypatch):
    path = study()
    written = Study(load(yaml.safe_load(path.read_text())))
    write_sealed(written.layout.config, written.config.model_dump(mode="json"))
    monkeypatch.setattr(job_specs, "fingerprint", lambda *modules: "0123456789abcdef")
    assert "its source's code has changed. Run" in refusal(capsys, "evaluate", path, *READERS["evaluate"])
    main(["evaluate", str(written.layout.config), *READERS["evaluate"]])
    assert load_prepared(written, "brains").id == "brains"


def test_a_job_of_a_head_refuses_data_of_another_config_too(study, capsys):
    other = Study(load(yaml.safe_load(study(("pairs", "test"), 1).read_text())))
    with pytest.raises(RegbenchError, match=r"`pairs\.test` was 2 and is 1"):
        load_prepared(other, "brains")


def test_what_yaml_and_json_spell_differently_is_the_same(tmp_path):
    """The head's config is JSON: keys that are numbers become text there, and ids of labels are such keys."""
    path = folder_of(tmp_path / "data")
    preprocessing = {"merge": {9: [2], 10: [1]}, "names": {9: "a", 10: "b"}, "multiple_of": 16}
    dataset = {"id": "d", "source": "folder", "parameters": {"path": str(path)}, "preprocessing": preprocessing}
    dataset["splits"] = {"train": 2, "validation": 2, "test": 2}
    raw = {**TINY, "datasets": [dataset], "results": str(tmp_path / "results")}
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(raw))
    main(["prepare", str(config)])
    written = Study(load(yaml.safe_load(config.read_text())))
    write_sealed(written.layout.config, written.config.model_dump(mode="json"))
    for given in (config, written.layout.config):
        main(["export-images", str(given), str(tmp_path / "out"), "--overwrite"])


def test_no_data_at_all_is_said(study, tmp_path, capsys):
    raw = yaml.safe_load(study().read_text())
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**raw, "study": "other"}))
    assert "manifest.json` must exist, but does not. Run `regbench prepare` first." in refusal(
        capsys, "export-images", path, tmp_path / "out"
    )


def test_a_long_list_of_differences_is_cut(study, tmp_path, capsys):
    raw = yaml.safe_load(study().read_text())
    raw["datasets"][0]["splits"] = {"folds": 4, "fold": 0, "seed": 3}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    assert "; and 1 keys more. Run" in refusal(capsys, "evaluate", path, *READERS["evaluate"])

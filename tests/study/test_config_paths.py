"""Paths in a config begin at its folder, wherever the command runs; what is not there is named whole."""

import pytest
import yaml

from regbench.study.config_paths import anchored, missing_files, read_config
from regbench.study.job_specs import final_spec, prepare_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import write_sealed

PATHS = {
    "study": "x",
    "results": "results",
    "data": "brains",
    "datasets": [
        {"source": "folder", "parameters": {"path": "../brains", "images": "scans"}, "pairs": {"list": "pairs.csv"}},
        {"source": "table", "parameters": {"path": "/abs/t.csv", "root": "~/scans"}},
        {"source": "readers.py:mine", "parameters": {"path": 3}},
        {"source": "public", "parameters": {"name": "msd_hippocampus", "store": "sets"}},
    ],
    "models": ["voxelmorph", "nets.py:net", {"name": "../nets.py:net", "id": "nets.py:net"}],
    "baselines": [{"name": "fields", "parameters": {"path": "theirs", "form": "auto"}}],
    "similarities": ["lab.losses:mine", {"name": "features", "parameters": {"encoder": "weights.pt"}}],
    "grid": {
        "similarities": [
            {"name": "features", "parameters": {"encoder": "nets.py:encoder"}},
            {"name": "features", "parameters": {"encoder": "lab.nets:encoder"}},
            {"name": "multi_scale", "parameters": {"similarity": "losses.py:mine", "parameters": {"path": "a"}}},
        ],
        "regularizers": [{"terms": ["grad_l2", {"name": "losses.py:smooth", "weight": 0.1}]}, "losses.py:smooth"],
    },
    "lambdas": [{"similarity": "losses.py:mine", "value": 1}],
}
FROM_CFG = {
    **PATHS,
    "data": "cfg/brains",
    "datasets": [
        {"source": "folder", "parameters": {"path": "brains", "images": "scans"}, "pairs": {"list": "cfg/pairs.csv"}},
        PATHS["datasets"][1],
        {"source": "cfg/readers.py:mine", "parameters": {"path": 3}},
        {"source": "public", "parameters": {"name": "msd_hippocampus", "store": "cfg/sets"}},
    ],
    "models": ["voxelmorph", "cfg/nets.py:net", {"name": "nets.py:net", "id": "nets.py:net"}],
    "baselines": [{"name": "fields", "parameters": {"path": "cfg/theirs", "form": "auto"}}],
    "similarities": ["lab.losses:mine", {"name": "features", "parameters": {"encoder": "cfg/weights.pt"}}],
    "grid": {
        "similarities": [
            {"name": "features", "parameters": {"encoder": "cfg/nets.py:encoder"}},
            {"name": "features", "parameters": {"encoder": "lab.nets:encoder"}},
            {
                "name": "multi_scale",
                "parameters": {"similarity": "cfg/losses.py:mine", "parameters": {"path": "cfg/a"}},
            },
        ],
        "regularizers": [
            {"terms": ["grad_l2", {"name": "cfg/losses.py:smooth", "weight": 0.1}]},
            "cfg/losses.py:smooth",
        ],
    },
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "cfg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_path_of_a_config_begins_at_its_folder(here):
    assert anchored(PATHS, here / "cfg") == FROM_CFG


def test_beside_the_config_nothing_changes(here):
    assert anchored(PATHS, here) == PATHS


def test_a_folder_above_is_reached_through_links_as_the_system_does(here):
    (here / "elsewhere/deep").mkdir(parents=True)
    (here / "link").symlink_to("elsewhere/deep")
    assert anchored({"data": "../brains"}, here / "link")["data"] == "link/../brains"


def test_the_config_of_a_head_has_its_paths_already(here, tiny):
    tiny["datasets"][0]["parameters"] = {"path": "brains"}
    write_sealed(here / "cfg/config.json", tiny)
    (here / "cfg/mine.json").write_text(yaml.safe_dump(tiny))
    assert read_config(here / "cfg/config.json")["datasets"][0]["parameters"] == {"path": "brains"}
    assert read_config(here / "cfg/mine.json")["datasets"][0]["parameters"] == {"path": "cfg/brains"}


def test_a_study_that_is_moved_with_its_files_has_the_same_specs(here, tiny, monkeypatch):
    specs = []
    for place in ("one", "two/three"):
        folder = here / place / "cfg"
        folder.mkdir(parents=True)
        (folder / "mine.py").write_text("def loss(fixed, moved, /):\n    return (fixed - moved).mean()\n")
        tiny["datasets"][0] |= {"source": "folder", "parameters": {"path": "../brains"}}
        tiny["grid"]["similarities"] = ["mine.py:loss"]
        (folder / "s.yaml").write_text(yaml.safe_dump(tiny))
        monkeypatch.chdir(here / place)
        study = Study(load(read_config(folder / "s.yaml")))
        specs.append((prepare_spec(study, "brains"), final_spec(study, study.methods[1].id, 0)))
    assert specs[0] == specs[1]
    assert specs[0][0].parameters == {"path": "brains"}
    assert specs[0][1].similarity.name == "cfg/mine.py:loss"


def test_what_is_missing_is_named_whole_with_its_key(here):
    (here / "there").mkdir()
    raw = {
        "datasets": [
            {"id": "a", "parameters": {"path": "there", "root": "gone"}, "pairs": {"list": "p.csv"}},
            {"id": "b", "parameters": {"path": "gone/b"}},
        ],
        "test_sets": [{"id": "c", "parameters": {"path": "../gone"}}, "wrong"],
        "baselines": ["ants_syn", {"name": "fields", "parameters": {"path": "theirs"}}],
    }
    mistakes = dict(missing_files(raw, prepared=["b"]))
    assert list(mistakes) == [
        "datasets[0].parameters.root", "datasets[0].pairs.list", "test_sets[0].parameters.path",
        "baselines[1].parameters.path",
    ]  # fmt: skip
    assert f"there is no `{here.parent / 'gone'}`; mend the path" in mistakes["test_sets[0].parameters.path"]

"""`regbench plan --to-decide`: what a pilot's noise says of a study to come."""

import json

import pytest

from regbench.cli.main import main
from regbench.orchestration.pilot import to_decide, wish
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import write_sealed

COMPARISON = {"se_subjects": 0.002, "se_runs": 0.004, "subjects": 8, "n": 24, "runs": 4}


def pilot(folder, model="voxelmorph", **changed):
    entry = {"pairs": [COMPARISON | changed], "noise": {"seeds": 4, "subjects": 8, "df_runs": 9.0}}
    write_sealed(folder / "analysis" / "summary.json", {"verdicts": {"data": {model: {"dice": entry}}}})


@pytest.fixture
def study(tiny, tmp_path):
    return Study(load({**tiny, "results": str(tmp_path / "results")}))


def test_a_smaller_difference_takes_more(study, tmp_path):
    pilot(tmp_path / "pilot")
    easy, hard = (to_decide(study, "dice", width, [tmp_path / "pilot"])[0]["needs"]["both"] for width in (0.02, 0.005))
    assert hard["seeds"] > easy["seeds"]
    assert hard["pairs"] == 3 * hard["subjects"]


def test_more_cells_take_more(tiny, tmp_path):
    pilot(tmp_path / "pilot")
    large = Study(load({**tiny, "grid": {**tiny["grid"], "similarities": ["mse", "lcc", "gcc", "mi"]}}))
    few, many = (
        to_decide(Study(load(raw)), "dice", 0.01, [tmp_path / "pilot"])[0]
        for raw in (tiny, large.config.model_dump(mode="json"))
    )
    assert many["comparisons"] > few["comparisons"]
    assert many["needs"]["both"]["seeds"] > few["needs"]["both"]["seeds"]


def test_what_is_not_drawn_takes_subjects_alone(study, tmp_path):
    pilot(tmp_path / "pilot", se_runs=0.0)
    found = to_decide(study, "dice", 0.005, [tmp_path / "pilot"])[0]["needs"]
    assert found["seeds"] is None
    assert found["subjects"] > 8


def test_the_studys_own_results_are_its_pilot(tiny_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pilot(tmp_path / "results" / "other")
    main(["plan", str(tiny_file), "--to-decide", "dice=0.01"])
    assert "seeds" in capsys.readouterr().out
    main(["plan", str(tiny_file), "--to-decide", "dice=0.01", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["model"] == "voxelmorph"


def test_without_a_pilot_it_says_so(study, tmp_path):
    pilot(tmp_path / "pilot", model="instance")
    with pytest.raises(RegbenchError, match="pilot"):
        to_decide(study, "dice", 0.005, [tmp_path / "pilot"])
    (tmp_path / "results/other").mkdir(parents=True)
    (tmp_path / "results/.mlflow.lock").touch()
    with pytest.raises(RegbenchError, match=r"there is none in `\S+results/tiny`, `\S+results/other`\. "):
        to_decide(study, "dice", 0.005)


@pytest.mark.parametrize("text", ["dice", "dice=", "dice=0", "dice=-1", "dice=nan", "dice=x", "dcie=0.1", "=1"])
def test_a_wish_that_makes_no_sense_is_named(text):
    with pytest.raises(UsageError, match="--to-decide"):
        wish(text)

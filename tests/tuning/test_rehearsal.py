"""Components against the shape of the images: a wrong one is named with its key before anything runs."""

import copy

import pytest
import yaml
from tiny_study import TINY

from regbench.cli.main import main
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.tuning.rehearsal import rehearse


def study_with(**changes):
    raw = copy.deepcopy(TINY)
    for section, part in changes.items():
        raw[section] = {**raw[section], **part} if isinstance(raw[section], dict) else part
    return Study(load(raw))


LCC_41 = {"similarities": [{"name": "lcc", "parameters": {"window": 41}}, "mse"]}
SEARCHED = {
    "search": [{"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 41], "step": 2}]
}
NORMED = [{"name": "voxelmorph", "parameters": {"norm": "instance"}}]


@pytest.mark.parametrize(
    ("changes", "shape", "words"),
    [
        ({"grid": LCC_41}, (32, 32), r"similarities\[0\].parameters.window: `lcc`: window must fit .* \(cells: vo"),
        ({"grid": LCC_41}, (32, 160, 192), r"grid.similarities\[0\].parameters.window: `lcc`: window must fit"),
        ({"tuning": SEARCHED}, (32, 32), r"tuning.search\[0\] \(similarity.window = 41\): window must fit"),
        ({"grid": {"similarities": ["mind"]}}, (8, 32), r"grid.similarities\[0\]: `mind`: "),
        ({"grid": {"regularizers": ["bending"]}}, (16, 2, 16), r"grid.regularizers\[0\]: `bending`: .* at least 3"),
        ({"models": NORMED}, (16, 16, 16), r"models\[0\]: `voxelmorph`: .*more than 1 (spatial element|value)"),
        ({"models": ["instance"], "grid": {"similarities": [{"name": "lcc", "parameters": {"window": 21}}]}}, (64, 64),
         r"models\[0\]: `instance`: `lcc` of this method: window must fit"),
        ({"training": {"augmentation": {"flips": [2]}}}, (32, 32), "augmentation.flips: must be axes from 0 to 1"),
        ({"training": {"atlas": "s9"}}, (32, 32), "training.atlas: must be a subject of `d`, but got `s9`"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_key(changes, shape, words):
    with pytest.raises(RegbenchError, match=words):
        rehearse(study_with(**changes), "d", shape, ("s0", "s1"), ())


@pytest.mark.parametrize("shape", [(32, 32), (160, 192, 224)])
def test_what_fits_passes_without_memory(shape):
    rehearse(study_with(models=["voxelmorph", "lkunet"]), "d", shape, (), ())


def test_an_atlas_may_be_written_in_the_other_form_of_unicode():
    """As the training takes it."""
    rehearse(study_with(training={"atlas": "u\u0308ber"}), "d", (32, 32), ("\u00fcber", "s1"), ())


def test_check_and_prepare_end_before_a_voxel_is_read(tmp_path, capsys):
    raw = {**copy.deepcopy(TINY), "results": str(tmp_path / "results")}
    raw["grid"]["similarities"] = LCC_41["similarities"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    for verb in ("check", "prepare"):
        with pytest.raises(SystemExit) as end:
            main([verb, str(path)])
        assert end.value.code == 1
        assert "grid.similarities[0].parameters.window" in capsys.readouterr().err
    assert not (tmp_path / "results" / "tiny" / "data" / "brains" / "images.npy").exists()

"""Each verb that computes for a study does so on the device, and in the order, that the config says."""

import pytest
import yaml

from regbench.cli.main import main
from regbench.system import device, gpu_lease

CELL = ("--method", "voxelmorph.lcc.grad_l2")


class TakenError(Exception):
    """A verb set its device up."""


@pytest.mark.parametrize(
    "words",
    [
        ["cell", *CELL],
        ["curve", *CELL],
        ["evaluate", *CELL, "--seed", "0"],
        ["export", *CELL, "--seed", "0"],
        ["lambda-range", "--similarity", "lcc", "--regularizer", "grad_l2"],
        ["robustness"],
        ["runtime"],
        ["train", *CELL, "--seed", "0"],
        ["trial", *CELL, "--round", "0"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_verb_computes_as_the_config_says(tiny, tmp_path, monkeypatch, words, deterministic):
    tiny["training"] = {**tiny["training"], "device": "auto", "deterministic": deterministic}
    del tiny["lambdas"]  # so that ranges are found
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**tiny, "seeds": [0, 1], "curve": 4}))
    taken = []

    def set_up(*given, **named):
        taken.append((given, named))
        raise TakenError

    monkeypatch.setattr(gpu_lease, "lease", taken.append)
    monkeypatch.setattr(device, "set_up", set_up)
    with pytest.raises(TakenError):
        main([words[0], str(path), *words[1:], "--threads", "2"])
    assert taken == ["auto", ((2, "auto"), {"deterministic": deterministic})]

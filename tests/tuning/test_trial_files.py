"""Trials that are read back are of the search that the config declares, or the file and the trial are named."""

import pytest

from regbench.study.specs import DimensionSpec, SearchSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import write_json, write_sealed
from regbench.tuning.trial_files import read_proposals, read_trials

TRIAL = {"number": 3, "lam": 0.1, "status": "complete", "scores": {"dice": 0.5, "ndv_percent": 0.0}}
NO_SEAL = "it has no `content_sha256`"
WIDE = (0.01, 1.0)
BATCH = DimensionSpec(name="training.batch", type="int", range=(1, 4))


def test_a_trial_of_the_search_is_read(tmp_path):
    path = tmp_path / "trials.json"
    write_sealed(path, [TRIAL, {**TRIAL, "scores": {}}])
    assert len(read_trials([path], SearchSpec(range=WIDE))) == 2
    write_sealed(path, [{"number": 0, "lam": 1, "values": {"training.batch": 4}}])
    assert read_proposals(path, SearchSpec(range=WIDE, search=(BATCH,)))[0].point.lam == 1


@pytest.mark.parametrize(
    ("entries", "search", "words"),
    [
        ([TRIAL], SearchSpec(range=(0.5, 0.6)), r"trial 3 has lam 0.1, not in \[0.5, 0.6\]"),
        (
            [TRIAL],
            SearchSpec(range=WIDE, search=(BATCH,)),
            "trial 3 lacks a value of training.batch",
        ),
        ([{**TRIAL, "values": {"x.y": 1}}], SearchSpec(range=WIDE), "has a value of x.y, which is not searched"),
        (
            [{**TRIAL, "values": {"training.batch": 9}}],
            SearchSpec(range=WIDE, search=(BATCH,)),
            "batch 9, not in",
        ),
        ({}, SearchSpec(range=WIDE), "holds dict, no list of trials"),
        ([1], SearchSpec(range=WIDE), NO_SEAL),
        ([TRIAL], SearchSpec(range=WIDE), NO_SEAL),
        ([{}], SearchSpec(range=WIDE), "trial 0 has no number"),
        ([{**TRIAL, "lam": None}], SearchSpec(range=WIDE), "has lam None"),
        ([{**TRIAL, "scores": {"dice": "x"}}], SearchSpec(range=WIDE), "scores that are no numbers"),
        (None, SearchSpec(range=WIDE), NO_SEAL),
    ],
)
def test_what_is_of_another_search_is_named(tmp_path, entries, search, words):
    path = tmp_path / "trials.json"
    if words == NO_SEAL:
        write_json(path, entries)
    else:
        write_sealed(path, entries)
    with pytest.raises(RegbenchError, match=words) as caught:
        read_trials([path], search)
    assert str(path) in str(caught.value)

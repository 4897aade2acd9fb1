"""The training's benchmark on a small image: its steps are those of a training, and all of its time is told."""

import pytest
from script_files import script


@pytest.fixture(scope="module")
def training():
    return script("benchmarks/training.py")


@pytest.mark.parametrize("images", ["device", "stream"])
def test_the_shares_of_a_step(training, monkeypatch, images):
    monkeypatch.setitem(training.PROFILES, "small", ((16, 16), 2, "lcc", 3))
    found = training.profile("small", images, 1)
    parts = [found["percent"][name] for name in ("forward", "warp and loss", "backward", "optimiser")]
    assert all(share > 0 for share in parts)
    assert sum(parts) <= 100
    assert found["percent"]["network, warp and loss"] == pytest.approx(sum(parts[:3]))

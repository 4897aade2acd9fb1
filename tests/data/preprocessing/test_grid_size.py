"""A grid with too few voxels along an axis, or too many for a machine, is refused from the headers alone."""

import numpy as np
import pytest
from data_files import folder_of, spec

from regbench.data.prepare import open_source
from regbench.data.preprocessing import grid_size as module
from regbench.system.errors import RegbenchError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("data") / "data", shape=(9, 12, 8))


def opened(folder, **preprocessing):
    return open_source(spec("folder", {"path": str(folder)}, preprocessing=preprocessing))


@pytest.mark.parametrize(
    ("spacing", "shape", "words"),
    [
        (
            500.0,
            None,
            r"at \[500\.0, .*\] mm `s0`, \(9, 12, 8\) voxels of .* mm, has 0\.018 x 0\.024 x 0\.016",
        ),
        (500.0, [32, 32, 32], "must leave 2 voxels along every axis"),
        ([1.0, 1.0, 4.01], None, r"has 9 x 12 x 1\.995\. Give a smaller spacing"),
        (1e308, None, "must leave 2 voxels"),
    ],
)
def test_an_axis_below_two_voxels_is_refused(folder, spacing, shape, words):
    with pytest.raises(RegbenchError, match=f"preprocessing.spacing_mm.*{words}"):
        opened(folder, spacing_mm=spacing, **({"shape": shape} if shape else {}))


def test_an_axis_of_two_voxels_is_taken(folder):
    assert opened(folder, spacing_mm=[1.0, 1.0, 4.0], multiple_of=1).shape == (9, 12, 2)


@pytest.mark.parametrize(
    ("preprocessing", "key"),
    [
        ({"spacing_mm": 0.0001}, "preprocessing.spacing_mm"),
        ({"spacing_mm": 1e-320}, "preprocessing.spacing_mm"),
        ({"shape": [10**6, 10**6, 10**6]}, "preprocessing.shape"),
        ({"shape": [2**62, 2**62, 2**62]}, "preprocessing.shape"),
        ({"multiple_of": 10**6}, "preprocessing.multiple_of"),
        ({"multiple_of": 2**62}, "preprocessing.multiple_of"),
    ],
)
def test_an_image_that_no_machine_holds_is_refused_with_its_key(folder, preprocessing, key):
    with pytest.raises(
        RegbenchError, match=rf"^{key} must give images that this machine holds, at most \S+ bytes each"
    ):
        opened(folder, **preprocessing)


def test_the_limit_is_that_of_the_machine(folder, monkeypatch):
    monkeypatch.setattr(module, "affordable", lambda: 16**3 * 4)
    assert opened(folder).shape == (16, 16, 16)
    monkeypatch.setattr(module, "affordable", lambda: 16**3 * 4 - 1)
    with pytest.raises(RegbenchError, match=r"of 16 x 16 x 16 voxels an image has 1\.64e\+04 bytes"):
        opened(folder)


@pytest.mark.parametrize("step", [1, 2, 7, 16])
def test_the_least_shape_holds_every_subject(folder, step):
    shape = opened(folder, multiple_of=step).shape
    assert shape == tuple(int(np.ceil(side / step)) * step for side in (9, 12, 8))

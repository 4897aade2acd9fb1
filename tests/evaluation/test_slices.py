"""What is kept of a pair for the figures."""

from types import SimpleNamespace

import numpy as np
import pytest

from regbench.evaluation.slices import read_panels, slices, write_panels
from regbench.metrics.determinants import central_determinant
from regbench.system.errors import RegbenchError


def test_the_determinant_of_a_slice_is_that_of_the_volume():
    random = np.random.default_rng(0)
    displacement = random.normal(size=(3, 6, 7, 5)).astype(np.float32)
    image = random.random((6, 7, 5)).astype(np.float32)
    for level in range(5):
        foreground = np.zeros(image.shape, bool)
        foreground[..., level] = True
        pair = SimpleNamespace(fixed=image, moving=image + 1, foreground=foreground)
        shown = slices(pair, displacement, image + 2)
        whole = central_determinant(displacement.astype(np.float64))
        np.testing.assert_array_equal(shown["determinant"], whole[..., level].astype(np.float32))
        np.testing.assert_array_equal(shown["displacement"], displacement[:2, ..., level])
        np.testing.assert_array_equal(shown["moved"], (image + 2)[..., level])


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path, random = tmp_path / "panels.npz", np.random.default_rng(0)
    about = {"fixed": "a", "moving": "ü" * 3, "dice": 0.5}
    write_panels(
        path, {"best": (about, {"fixed": random.random((9, 8)).astype(np.float32), "moved": np.zeros(3)})}, "dice"
    )
    whole, arrays, refused = path.read_bytes(), read_panels(path), 0
    assert list(arrays) == ["best_fixed", "best_moved", "best_about"]
    with np.load(path) as stored:  # as other tools read it
        np.testing.assert_array_equal(stored["best_fixed"], arrays["best_fixed"])
    for place in range(0, len(whole), 2):
        content = bytearray(whole)
        content[place] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        try:
            found = read_panels(path)
        except RegbenchError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
            continue
        assert found.keys() == arrays.keys()  # a date in the archive
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert refused > len(whole) / 4


def test_slices_without_a_digest_are_refused(tmp_path):
    path = tmp_path / "panels.npz"
    for content in ({}, {"best_fixed": np.zeros((2, 2))}, {"content_sha256": np.array("0" * 64)}):
        np.savez_compressed(path, **content)
        with pytest.raises(RegbenchError, match=r"panels\.npz.*content_sha256.*Delete it"):
            read_panels(path)
    path.write_bytes(b"")
    with pytest.raises(RegbenchError, match=r"panels\.npz"):
        read_panels(path)
    write_panels(path, {}, "dice")
    assert read_panels(path) == {}

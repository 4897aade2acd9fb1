"""A user's own baseline is called on small samples, and what is no displacement fails."""

import numpy as np
import pytest

from regbench.data.cache import Pair
from regbench.models.classical import settings
from regbench.models.own_baseline import baseline_mistakes, baseline_notes, fault_of, judged_baseline
from regbench.models.own_samples import SAMPLES
from regbench.study import components
from regbench.system.errors import RegbenchError

BASELINE = """
import numpy as np

def mine(pair, fixed, moving, /, *, share=0.5):
    zero = np.zeros((pair.fixed.ndim, *pair.fixed.shape), np.float32)
    return {output}
"""


@pytest.fixture
def baseline(tmp_path, monkeypatch):
    """Writes a baseline that returns an expression; its name."""
    monkeypatch.setattr(components, "_allowed", set())
    monkeypatch.setattr("sys.path", list(__import__("sys").path))

    def write(output):
        (tmp_path / "own.py").write_text(BASELINE.format(output=output))
        components.allow([str(tmp_path / "own.py")])
        return f"{tmp_path}/own.py:mine"

    return write


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("fixed.ndim", "raised AttributeError for images of 64 x 64 voxels: 'str' object has no attribute 'ndim'"),
        ("zero + unknown", "raised NameError for images of 64 x 64 voxels: name 'unknown' is not defined"),
        ("zero[0]", "must give a displacement (2, 64, 64) for images (64, 64), but gave (64, 64)"),
        ("np.moveaxis(zero, 0, -1)", "but gave (64, 64, 2)"),
        ("zero.tolist()", "must give a displacement as a numpy array (2, 64, 64), but gave list"),
        ("zero.astype(int)", "must give a displacement in floating point, but gave int64"),
        ("zero + np.nan", "must give a finite displacement, but 8192 of its numbers are NaN or inf"),
    ],
)
def test_what_is_no_displacement_is_a_mistake(baseline, output, words):
    name = baseline(output)
    ((key, message),) = baseline_mistakes(name, {})
    assert key == ""
    assert message.startswith(f"`{name}`: ")
    assert words in message


@pytest.mark.parametrize(
    "output",
    [
        "zero * share",
        "zero if zero.ndim == 4 else zero[0]",  # of volumes alone
        "zero if zero.ndim == 4 else zero.reshape(3)",  # which says so
        "zero + (pair.fixed_landmarks - pair.moving_landmarks).mean() * pair.fixed_mask",
        "zero + pair.native_affines[0][0, 0] * pair.spacing_mm[0]",
    ],
)
def test_what_serves_slices_or_volumes_is_right(baseline, output):
    name = baseline(output)
    assert baseline_mistakes(name, {"share": 0.1}) == baseline_notes(name, {"share": 0.1}) == []


def test_one_that_takes_no_sample_is_said(baseline):
    """As one that reads what was computed for the subjects of the study."""
    name = baseline("np.load(fixed + '_' + moving + '.npy')")
    assert baseline_mistakes(name, {}) == []
    (note,) = baseline_notes(name, {})
    assert "takes no small sample, so what it gives was not looked at (64 x 64: FileNotFoundError: " in note
    assert all(" x ".join(map(str, shape)) in note for shape in SAMPLES)


def test_what_a_study_says_of_a_baseline_needs_no_code_of_others():
    """A published study is read where its code may not be imported; ours are told with their defaults."""
    assert settings("elsewhere/own.py:mine", {"share": 0.1}) == {"share": 0.1}
    assert settings("sitk_affine", {"levels": 2})["metric"] == "correlation"


def test_nothing_is_said_of_ours():
    assert baseline_mistakes("dipy_syn", {}) == baseline_notes("dipy_syn", {}) == []


def test_a_pair_without_a_displacement_fails(baseline, pair):
    name = baseline("zero if moving == 'b' else zero[:1]")
    judged = judged_baseline(name, {})
    np.testing.assert_array_equal(judged(pair, "a", "b"), 0)
    with pytest.raises(RegbenchError, match=r"must give a displacement \(2, 8, 8\) .* but gave \(1, 8, 8\)"):
        judged(pair, "a", "c")


@pytest.fixture
def pair():
    image, labels = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.uint8)
    return Pair(image, image, labels, labels, truth=None, spacing_mm=(1.0, 1.0))


def test_half_precision_is_a_displacement():
    assert fault_of(np.zeros((2, 4, 4), np.float16), (4, 4)) == ""

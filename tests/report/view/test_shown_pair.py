"""What pictures show of a pair is what was registered, and where the header says that it lies."""

import nibabel as nib
import numpy as np
import pytest
from data_files import brain, nifti, spec
from PIL import Image
from shown_pairs import shown_pair

from regbench.data.cache import load
from regbench.data.prepare import prepare
from regbench.metrics.determinants import central_determinant
from regbench.report.view.shown_pair import BODY, anatomical_ends, bar_mm
from regbench.system.errors import RegbenchError


@pytest.mark.parametrize("shape", [(14, 12), (14, 12, 10)])
def test_slices_are_planes_of_what_was_registered(shape):
    shown = shown_pair(shape, (1.0, 2.0, 0.5)[: len(shape)])
    registered = shown.registered
    assert len(shown.views) == {2: 1, 3: 3}[len(shape)]
    for view in shown.views:
        plane = tuple(shown.centre[k] if k == view.across else slice(None) for k in range(len(shape)))
        whole, still = shown.slices(view), shown.slices(view, 0.0)
        np.testing.assert_allclose(whole.moved, registered.moved[plane], atol=1e-5)
        np.testing.assert_allclose(still.moved, registered.pair.moving[plane], atol=1e-12)
        np.testing.assert_array_equal(whole.fixed, registered.pair.fixed[plane])
        grid = np.indices(whole.fixed.shape)
        np.testing.assert_array_equal(still.lines, grid)
        inside = registered.displacement[(slice(None), *plane)][[view.right, view.up]]
        np.testing.assert_allclose(shown.slices(view, 0.5).lines, grid + 0.5 * inside, atol=1e-6)
        determinant = central_determinant(registered.displacement)[plane]
        np.testing.assert_array_equal(whole.folds, determinant <= 0)
    assert (shown.determinant <= 0).any()


def test_planes_meet_where_most_labels_are():
    shown = shown_pair()
    labelled = shown.registered.pair.fixed_labels > 0
    for axis, place in enumerate(shown.centre):
        counts = labelled.sum(tuple(k for k in range(3) if k != axis))
        assert counts[place] == counts.max() > 0
    assert shown_pair(labelled=False).centre == (7, 6, 5)


def test_facts_are_those_of_the_pair():
    facts = shown_pair().facts
    assert facts["grid"] == "14 x 12 x 10 voxels of 1 x 2 x 0.5 mm"
    assert facts["folds (determinant <= 0)"].endswith("% of the voxels")
    assert {"Dice", "displacement", "NDV"} < set(facts)
    assert "Dice" not in shown_pair(labelled=False).facts
    still = shown_pair()
    still.registered.displacement[:] = 0
    assert still.facts["displacement"] == "mean 0.00 mm, at most 0.00 mm"
    before, after = still.facts["Dice"].replace(" before", "").replace(" after", "").split(", ")
    assert before == after


def test_a_displacement_that_is_not_finite_is_not_drawn():
    broken = shown_pair().registered
    broken.displacement[0, 0, 0, 0] = np.nan
    with pytest.raises(RegbenchError, match="fixed f, moving m must be finite"):
        type(shown_pair())(broken, None, (), "")


@pytest.mark.parametrize(("width", "bar"), [(100, 20), (3, 1), (159, 50), (0.05, 0.01), (15.0, 5), (6, 2)])
def test_a_scale_bar_has_a_round_length(width, bar):
    assert bar_mm(width) == pytest.approx(bar)


def prepared(tmp_path, affine, shape=(9, 12, 7), **preprocessing):
    for number in range(6):
        for kind, array in zip(("images", "labels"), brain(number, shape), strict=True):
            deep = array if len(shape) == 3 else array[..., None]
            path = nifti(tmp_path / "data" / kind / f"s{number}.nii", deep, affine)
            if affine is None:
                unsaid(path)
    chosen = spec("folder", {"path": str(tmp_path / "data")}, preprocessing=preprocessing)
    prepare(chosen, tmp_path / "cache")
    return load(tmp_path / "cache")


def unsaid(path):
    """Let a header not say where its image lies."""
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)  # qform_code and sform_code
    path.write_bytes(content)


LPI = nib.orientations.inv_ornt_aff([[0, -1], [1, -1], [2, -1]], (9, 12, 7))
TURNED = np.array([[0, 0, 2.0, 0], [-1.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 1]])  # axes run P, S, R


@pytest.mark.parametrize(
    ("affine", "preprocessing", "ends"),
    [
        (LPI, {}, BODY),  # the grid is turned to RAS
        (LPI, {"orientation": "keep"}, (("R", "L"), ("A", "P"), ("S", "I"))),
        (TURNED, {"orientation": "keep"}, (("A", "P"), ("I", "S"), ("L", "R"))),
        (TURNED, {}, BODY),
        (None, {}, None),  # the codes are 0
        (None, {"stored_as": "LPI"}, BODY),
        (LPI, {"stored_as": "RAS"}, BODY),
    ],
)
def test_letters_come_from_the_header(tmp_path, affine, preprocessing, ends):
    assert anatomical_ends(prepared(tmp_path, affine, **preprocessing), "s0") == ends


def test_letters_of_a_slice(tmp_path):
    coronal = np.diag([-2.0, 1.0, 3.0, 1.0])[:, [0, 2, 1, 3]]  # axes run L, S; one voxel deep
    data = prepared(tmp_path, coronal, (9, 12), orientation="keep")
    assert anatomical_ends(data, "s0") == (("R", "L"), ("I", "S"))


def test_made_data_and_what_says_nothing_have_no_letters(tmp_path, data):
    assert anatomical_ends(data, data.subjects[0]) is None
    for number in range(6):
        for kind, array in zip(("images", "labels"), brain(number, (9, 12)), strict=True):
            path = tmp_path / "data" / kind / f"s{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((array / array.max() * 255).astype(np.uint8)).save(path)
    pictures = spec("folder", {"path": str(tmp_path / "data")})
    prepare(pictures, tmp_path / "cache")
    assert anatomical_ends(load(tmp_path / "cache"), "s0") is None
    stacked = np.stack([brain(number)[0] for number in range(6)])
    np.savez(tmp_path / "d.npz", images=stacked, labels=np.stack([brain(number)[1] for number in range(6)]))
    prepare(spec("arrays", {"path": str(tmp_path / "d.npz")}), tmp_path / "npz")
    stored = load(tmp_path / "npz")
    assert anatomical_ends(stored, stored.subjects[0]) is None

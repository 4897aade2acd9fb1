"""Two stains of one lesion, in colours and of two sizes, with landmarks alone: from the files to a smaller error."""

import numpy as np
import pytest
from data_files import shared

from regbench.data.preprocessing.preprocess import on_grid
from regbench.data.readers.table import table
from regbench.data.space import Space, displacement_to_native
from regbench.losses.objective import objective
from regbench.metrics import ndv_percent
from regbench.metrics.displacement_errors import landmark_errors_mm
from regbench.models.instance import instance
from regbench.models.predict import register
from regbench.study.specs import ComponentSpec

STAINS = ("HE", "proSPC")
DIAGONAL = float(np.hypot(890, 733))


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A table of both files as BIRL has them: the CSV's own columns, points from the top."""
    root = shared("histology")
    path = tmp_path_factory.mktemp("histology") / "all.csv"
    rows = [f"{stain},Izd2-29-041-w35_{stain}.jpg,Izd2-29-041-w35_{stain}.csv" for stain in STAINS]
    path.write_text("\n".join(["subject,image,landmarks", *rows]))
    return table(path=str(path), root=str(root))


def test_the_affine_start_and_an_optimisation_bring_landmarks_together(listed):
    """A quarter of the size; relative to the diagonal, as the ANHIR challenge has it."""
    pytest.importorskip("SimpleITK")
    errors = {}
    for align in ("none", "affine"):
        settings = {"colour": "density", "align": align, "spacing_mm": 4.0, "multiple_of": 16}
        source = on_grid(listed, settings)
        fixed, moving = source
        errors[align] = 4 * np.linalg.norm(fixed.landmarks - moving.landmarks, axis=1) / DIAGONAL
    assert errors["none"].mean() == pytest.approx(0.0655, abs=0.001)
    assert errors["affine"].mean() < 0.0075
    # The best affine map of the landmarks themselves leaves 0.0057: little is left, and nothing may be lost.
    for name, regularizer in (("ngf", "grad_l2"), ("mind", "bending")):
        losses = (ComponentSpec(name=part, parameters={}) for part in (name, regularizer))
        model = instance(
            2, objective=objective(*losses, 30.0), shrink=(2, 1), steps=(30, 20), learning_rate=0.03, grid=4
        )
        field = register(model, fixed.image, moving.image)
        after = 4 * landmark_errors_mm(field, fixed.landmarks, moving.landmarks, (1.0, 1.0)) / DIAGONAL
        assert after.mean() < 0.0066
        assert np.abs(field).max() > 0.05
        assert ndv_percent(field) == 0


def test_the_field_comes_back_to_the_pixels_of_both_files(listed):
    """Landmarks of the files themselves, 890 x 733 and 891 x 735 pixels, through crops, scales and the affine start."""
    pytest.importorskip("SimpleITK")
    source = on_grid(listed, {"colour": "density", "align": "affine", "spacing_mm": 4.0, "multiple_of": 16})
    subjects = list(source)
    spaces = [
        Space(source.shape, tuple(s.record["native_shape"]), np.array(s.record["prepared_to_native"])) for s in subjects
    ]
    assert [space.native_shape for space in spaces] == [(890, 733), (891, 735)]
    own = [entry.read().landmarks for entry in listed.entries]
    for subject, space, points in zip(subjects, spaces, own, strict=True):
        np.testing.assert_allclose(space.to_native(subject.landmarks), points, atol=1e-6)
    zero = np.zeros((2, *source.shape), np.float32)
    native = displacement_to_native(zero, *spaces)
    found = landmark_errors_mm(native, own[0], own[1], (1.0, 1.0))
    grid = np.linalg.norm(spaces[1].matrix[:2, :2] @ (subjects[0].landmarks - subjects[1].landmarks).T, axis=0)
    np.testing.assert_allclose(found, grid, atol=0.02)
    assert found.mean() / DIAGONAL < 0.0075

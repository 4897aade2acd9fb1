"""The reader of displacement fields against damaged bytes and hostile headers: a field, or an error with its name.

`make fuzz` runs the same with more examples.
"""

import gzip
import io
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
from fuzzing import CUT, EDITS, FUZZ, damaged
from hypothesis import given
from hypothesis import strategies as st
from made_images import pair

from regbench.data.nifti import write_vectors
from regbench.models.classical.field_folder import survey
from regbench.models.classical.fields import fields
from regbench.models.classical.simple_itk import simple_itk
from regbench.system.errors import RegbenchError

FORMS = st.sampled_from(["auto", "l2r", "itk", "nifti"])
SHAPE = (5, 6, 7)
IMAGE = np.zeros(SHAPE, np.float32)
IMAGES = pair(IMAGE, IMAGE, (1.0, 1.0, 1.0))
FIELD = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)


def judged(path: Path, form: str) -> np.ndarray | None:
    """The field, which is sound; or None, where the file was refused by its name."""
    survey(path.parent, {("a", "b"): ["disp_a_b"]}, form)
    try:
        found = fields(IMAGES, "a", "b", path=str(path.parent), form=form)
    except RegbenchError as error:
        assert path.name in str(error)  # noqa: PT017 - most of what is drawn is damaged
        return None
    assert (found.shape, found.dtype) == (FIELD.shape, np.float32)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 10 * max(SHAPE)
    return found


def containers() -> dict[str, bytes]:
    files = {}
    sitk = simple_itk() if find_spec("SimpleITK") else None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.nii"
        nib.save(nib.Nifti1Image(np.moveaxis(FIELD, 0, -1), np.eye(4)), path)
        files["l2r.nii"] = files["l2r.nii.gz"] = path.read_bytes()
        write_vectors(path, FIELD * np.reshape([-1, -1, 1], (3, 1, 1, 1)), np.eye(4))
        files["itk.nii"] = files["itk.nii.gz"] = path.read_bytes()
        if sitk is not None:
            image = sitk.GetImageFromArray(np.moveaxis(FIELD, 0, -1).transpose(2, 1, 0, 3), isVector=True)
            image.SetDirection(np.diag([-1.0, -1, 1]).ravel().tolist())
            for ending in (".mha", ".nrrd"):
                sitk.WriteImage(image, str(path.with_suffix(ending)))
                files[f"sitk{ending}"] = path.with_suffix(ending).read_bytes()
    for name, save in (("plain.npz", np.savez), ("small.npz", np.savez_compressed)):
        memory = io.BytesIO()
        save(memory, FIELD)
        files[name] = memory.getvalue()
    return files


FILES = containers()


@pytest.mark.parametrize("name", sorted(FILES))
@FUZZ
@given(edits=EDITS, cut=CUT, form=FORMS)
def test_damaged_bytes(name, edits, cut, form):
    content = damaged(FILES[name], edits, cut)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"disp_a_b.{name.partition('.')[2]}"
        path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
        judged(path, form)


def mostly(sound, *hostile):
    """One of the sound half of the time, so that one fault at a time meets the reader."""
    return st.one_of(st.sampled_from(sound), st.sampled_from([*sound, *hostile]))


STORED = mostly(
    [(*SHAPE, 3), (*SHAPE, 1, 3)],
    *[(3, *SHAPE), SHAPE, (*SHAPE, 2), (*SHAPE, 2, 3), (5, 6, 3), (*SHAPE[::-1], 3)],
)
KINDS = mostly([np.float32, np.float64, np.dtype(">f4"), np.int16, np.uint8], np.complex64)
AFFINES = mostly([np.eye(4)], np.diag([-1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1]), np.eye(4)[[1, 0, 2, 3]])
INTENTS = st.one_of(st.sampled_from([0, 1006, 1007]), st.integers(0, 3000))
UNITS = mostly([0, 2], 1, 3, 4, 5, 6, 7)
PLACED = mostly([True], False)
VALUES = mostly([1.0], np.nan, np.inf, -np.inf, 1e6, 1e300)
HEADERS = st.tuples(INTENTS, AFFINES, UNITS, PLACED)


@FUZZ
@given(stored=STORED, kind=KINDS, header=HEADERS, value=VALUES, form=FORMS)
def test_headers_of_every_kind(stored, kind, header, *, value, form):
    """Ones are read as the voxels, or the mm on this grid of 1 mm, that they are: nothing else comes of any header."""
    intent, affine, units, placed = header
    with np.errstate(all="ignore"):
        ones = np.full(stored, value if np.dtype(kind).kind == "f" else 1).astype(kind)
    image = nib.Nifti1Image(ones, affine if placed else None)
    image.header["intent_code"], image.header["xyzt_units"] = intent, units
    with TemporaryDirectory() as folder:
        nib.save(image, Path(folder) / "disp_a_b.nii")
        found = judged(Path(folder) / "disp_a_b.nii", form)
    if found is None:
        return
    assert stored in ((*SHAPE, 3), (*SHAPE, 1, 3))
    assert not placed or np.array_equal(affine, np.eye(4))
    assert placed or form in ("auto", "l2r")
    assert units in (0, 2) or not placed
    five, voxels = len(stored) == 5, form == "l2r" or (form == "auto" and intent == 0)
    assert not (five and voxels and intent)
    assert form != "auto" or five == bool(intent)
    along_lps = not voxels and form != "nifti" and not (five and intent == 1006)
    assert (np.unique(found[:2]).tolist(), np.unique(found[2]).tolist()) == ([-1.0 if along_lps else 1.0], [1.0])


def test_the_undamaged_files_are_read(tmp_path):
    """Else the fuzzing would fuzz nothing."""
    for name, content in FILES.items():
        path = tmp_path / name / f"disp_a_b.{name.partition('.')[2]}"
        path.parent.mkdir()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        if name.startswith(("l2r", "itk", "plain", "small")):
            np.testing.assert_array_equal(judged(path, "auto"), FIELD)
        else:
            np.testing.assert_array_equal(judged(path, "auto"), FIELD * np.reshape([-1, -1, 1], (3, 1, 1, 1)))

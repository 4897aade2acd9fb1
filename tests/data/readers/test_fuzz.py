"""Readers against damaged bytes: they read, or say which file is bad; nothing else ever leaves them.

`make fuzz` runs the same with more examples.
"""

import gzip
import io
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
from data_files import brain, learn2reg_folder, nifti
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from regbench.data import learn2reg, table
from regbench.data.readers.image_file import ImageFile, read_labels
from regbench.data.readers.landmarks_file import read_landmarks
from regbench.data.readers.npz import read_npz
from regbench.system.errors import RegbenchError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)
EDITS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8)
CUT = st.one_of(st.just(1.0), st.floats(0, 1))


def damaged(content: bytes, edits: list[tuple[int, int]], cut: float, head: int = 400) -> bytes:
    """Bytes changed, most of them in the header, and the end cut off."""
    found = bytearray(content[: int(len(content) * cut)])
    for number, (place, value) in enumerate(edits):
        if found:
            found[place % (min(head, len(found)) if number % 4 else len(found))] = value
    return bytes(found)


def images() -> dict[str, bytes]:
    _image, labels = brain(0, (6, 7, 5))
    with TemporaryDirectory() as folder:
        files = {kind: nifti(Path(folder) / f"a{kind}", labels).read_bytes() for kind in (".nii", ".mgh")}
    files[".nii.gz"], files[".mgz"] = files[".nii"], files[".mgh"]  # damaged before they are compressed
    for kind in ("png", "tiff", "bmp"):
        memory = io.BytesIO()
        Image.fromarray(labels[:, :, 2]).save(memory, kind)
        files[f".{kind}"] = memory.getvalue()
    return files


IMAGES = images()


@pytest.mark.parametrize("kind", sorted(IMAGES))
@FUZZ
@given(edits=EDITS, cut=CUT)
def test_images(kind, edits, cut):
    content = damaged(IMAGES[kind], edits, cut)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{kind}"
        path.write_bytes(gzip.compress(content, 1) if kind in (".nii.gz", ".mgz") else content)
        for read in (lambda path: ImageFile(path).header, lambda path: ImageFile(path).read(), read_labels):
            try:
                read(path)
            except RegbenchError as error:
                assert path.name in str(error)  # noqa: PT017 - most of what is drawn is damaged


@FUZZ
@given(edits=EDITS, cut=CUT)
def test_compressed_bytes(edits, cut):
    content = damaged(gzip.compress(IMAGES[".nii"]), edits, cut)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.nii.gz"
        path.write_bytes(content)
        try:
            ImageFile(path).read()
        except RegbenchError as error:
            assert "a.nii.gz" in str(error)  # noqa: PT017


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@FUZZ
@given(edits=EDITS, cut=CUT)
def test_npz(save, edits, cut):
    memory = io.BytesIO()
    save(memory, vol=np.arange(60, dtype=np.float32), seg=np.arange(60))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(damaged(memory.getvalue(), edits, cut))
        try:
            read_npz(path, ("vol", "seg"))
        except RegbenchError as error:
            assert "a.npz" in str(error)  # noqa: PT017


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("./imagesTr/OASIS_0001_0000.nii.gz"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["image", "label", "fixed", "moving", "0", "1"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["training", "registration_val", "training_paired_images", "labels", "name", "release", "licence"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return learn2reg_folder(tmp_path_factory.mktemp("l2r"))


@FUZZ
@given(part=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
def test_learn2reg_json(root, part):
    path = root / "fuzz.json"
    content = json.loads((root / "OASIS_dataset.json").read_text())
    path.write_text(json.dumps({**content, **part}))
    try:
        learn2reg(path=str(path))
    except RegbenchError as error:
        assert str(error)  # noqa: PT017


@FUZZ
@given(text=st.text(st.sampled_from('subject,image\n"\r;\0 abc./é1'), max_size=60), whole=st.booleans())
def test_tables_and_landmarks(root, text, whole):
    path = root / "fuzz.csv"
    path.write_text(("subject,image\n" if whole else "") + text, encoding="utf-8")
    for read in (lambda: table(path=str(path)), lambda: read_landmarks(path, 3)):
        try:
            read()
        except RegbenchError as error:
            assert "fuzz.csv" in str(error) or "subject ids" in str(error)  # noqa: PT017


def test_the_undamaged_files_are_read(tmp_path):
    """Else the fuzzing would fuzz nothing."""
    for kind, content in IMAGES.items():
        path = tmp_path / f"a{kind}"
        path.write_bytes(gzip.compress(content) if kind in (".nii.gz", ".mgz") else content)
        assert read_labels(path)[0].max() == 2
    assert nib.load(tmp_path / "a.nii").shape == (6, 7, 5)

"""Readers against damaged bytes: they read, or say which file is bad; nothing else ever leaves them.

`make fuzz` runs the same with more examples.
"""

import gzip
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
from data_files import brain, learn2reg_folder, nifti
from fuzzing import CUT, EDITS, FUZZ, damaged
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from regbench.data import learn2reg, neurite_oasis, table, voxelmorph_npz
from regbench.data.readers.image_file import ImageFile, read_labels
from regbench.data.readers.label_values import whole_numbers
from regbench.data.readers.landmarks_file import read_landmarks
from regbench.data.readers.npz import read_npz
from regbench.data.readers.subject_files import entry
from regbench.report.row_verdicts import verdicts_of_rows
from regbench.system.errors import RegbenchError


def images() -> dict[str, bytes]:
    _image, labels = brain(0, (6, 7, 5))
    with TemporaryDirectory() as folder:
        files = {kind: nifti(Path(folder) / f"a{kind}", labels).read_bytes() for kind in (".nii", ".mgh")}
    files[".nii.gz"], files[".mgz"] = files[".nii"], files[".mgh"]  # damaged before they are compressed
    flat = Image.fromarray(labels[:, :, 2])
    for name, image, options in (
        (".png", flat, {}), (".bmp", flat, {}), (".tiff", flat, {}), (".jpg", flat, {}),
        ("-16.png", Image.fromarray(labels[:, :, 2].astype(np.uint16)), {}),
        ("-palette.png", flat.convert("P"), {}), ("-pages.tiff", flat, {"save_all": True, "append_images": [flat]}),
    ):  # fmt: skip
        memory = io.BytesIO()
        image.save(memory, {"jpg": "jpeg"}.get(name.rpartition(".")[2], name.rpartition(".")[2]), **options)
        files[name] = memory.getvalue()
    scaled = nib.Nifti1Header()
    scaled.set_data_dtype(np.int16)
    files["-scaled.nii"] = nib.Nifti1Image(labels * 1000.0, np.diag([1, 2, 3, 1]), scaled).to_bytes()
    return files


IMAGES = images()
REFUSED = (".jpg", "-pages.tiff")  # as labels, or at all


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


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "xyzt_units": st.integers(0, 255), "intent_code": st.sampled_from([0, 1002, 1006, 1007, 2003]),
        "qform_code": st.integers(-1, 5), "sform_code": st.integers(-1, 5),
        "scl_slope": st.sampled_from([0, 1, 0.5, 1e-3, -1, np.nan, np.inf, 1e30]), "scl_inter": st.floats(width=32),
        "dim": st.lists(st.integers(-1, 8), min_size=8, max_size=8), "datatype": st.sampled_from([2, 4, 16, 32, 128]),
        "pixdim": st.lists(st.floats(width=32), min_size=8, max_size=8),
        "srow_x": st.lists(st.floats(width=32), min_size=4, max_size=4), "quatern_b": st.floats(width=32),
        "srow_y": st.lists(st.sampled_from([0, 0, 1, -2, 1e-30, np.nan]), min_size=4, max_size=4),
        "vox_offset": st.sampled_from([352, 0, 1e9, np.nan]),
    },
)  # fmt: skip


def with_header(fields: dict) -> bytes:
    """The NIfTI with other fields in its header: sound bytes that say odd things."""
    content = bytearray(IMAGES[".nii"])
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    return bytes(content)


@FUZZ
@given(image=HEADERS, label=HEADERS)
def test_headers_that_say_odd_things(image, label):
    """A subject is read, with labels on the image's array and finite spacings, or one of its files is named."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{kind}.nii" for kind in ("image", "label")]
        for path, fields in zip(paths, (image, label), strict=True):
            path.write_bytes(with_header(fields))
        try:
            volume = entry("s", paths[0], label=paths[1]).read()
        except RegbenchError as error:
            assert "image.nii" in str(error) or "label.nii" in str(error)  # noqa: PT017
            return
        assert volume.image.shape == volume.labels.shape == volume.header.shape
        assert volume.labels.min() >= 0
        assert np.isfinite(volume.header.affine).all()
        assert min(volume.header.spacing_mm) >= 0


@FUZZ
@given(values=st.lists(st.one_of(st.floats(), st.floats(-1, 4), st.integers(0, 9)), min_size=1), step=st.floats(0, 2))
def test_values_of_labels(values, step):
    """What comes back are integers, beside what was given."""
    given_values = np.array(values, np.float64)
    try:
        labels = whole_numbers(given_values, "a", step).values
    except RegbenchError as error:
        assert "`a`: labels must be" in str(error)  # noqa: PT017
        return
    assert labels.dtype == np.int32
    assert np.abs(labels - given_values).max() < 0.26


POINTS = st.sampled_from(
    ["1", "2.5", "-3", "0", "1e2", "nan", "inf", "-inf", "1e999", "x", "y", "", "NA", "1_0", "\u0663"]
)


@FUZZ
@given(
    text=st.text(st.sampled_from('xyzmid"\t #-.;,012345e\n\r\0n\u00b5'), max_size=60)
    | st.lists(st.lists(POINTS, min_size=2, max_size=3).map(",".join), min_size=1, max_size=4).map("\n".join),
    dims=st.integers(2, 3),
)
def test_landmarks(root, text, dims):
    path = root / "points.csv"
    path.write_text(text, encoding="utf-8")
    try:
        points = read_landmarks(path, dims)
    except RegbenchError as error:
        assert "points.csv" in str(error)  # noqa: PT017
        return
    assert points.shape[1] == dims
    assert len(points)
    assert np.isfinite(points).all()


@FUZZ
@given(text=st.text(st.sampled_from('subject,image\n"\r;\0 abc./é1'), max_size=60), whole=st.booleans())
def test_tables(root, text, whole):
    path = root / "fuzz.csv"
    path.write_text(("subject,image\n" if whole else "") + text, encoding="utf-8")
    try:
        table(path=str(path))
    except RegbenchError as error:
        assert "fuzz.csv" in str(error) or "subject ids" in str(error)  # noqa: PT017


@FUZZ
@given(
    lines=st.lists(
        st.sampled_from(["s0.npz", "s1.npz", "s9.npz", "../s0.npz", "/etc/passwd", "", "s0.npz ", "\xff", "."])
    )
)
def test_lists_of_files(packed, lines):
    path = packed / "list.txt"
    path.write_bytes("\n".join(lines).encode("latin-1"))
    try:
        raw = voxelmorph_npz(path=str(packed), files=str(path))
        for subject in raw.entries:
            subject.read()
    except RegbenchError as error:
        assert "list.txt" in str(error) or "subject" in str(error) or ".npz" in str(error)  # noqa: PT017


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    for number in range(2):
        image, labels = brain(number, (6, 7, 5))
        np.savez(folder / f"s{number}.npz", vol=image, seg=labels)
    return folder


@FUZZ
@given(text=st.text(st.sampled_from("0123 \t\n\rab\u00b2\u0663\0\u00e9"), max_size=80) | st.just("9" * 5000 + " a"))
def test_names_of_labels(release, text):
    (release / "seg35_labels.txt").write_text(text, encoding="utf-8")
    try:
        raw = neurite_oasis(path=str(release), dims=3, labels=35)
    except RegbenchError as error:
        assert "seg35_labels.txt" in str(error)  # noqa: PT017
        return
    assert all(isinstance(label, int) and name for label, name in raw.names.items())


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    image, labels = brain(0, (6, 7, 5))
    for name, values in (("aligned_norm", image), ("aligned_seg35", labels)):
        nifti(folder / "OASIS_OAS1_0001_MR1" / f"{name}.nii.gz", values)
    return folder


@FUZZ
@given(
    text=st.text(st.sampled_from('method,fixed,moving,seed,dice\n"\r;\0 ab./1e9-'), max_size=80), whole=st.booleans()
)
def test_tables_of_results(packed, text, whole):
    """What `verdicts` reads: better, worse, equal or undecided, or an error with the file's name or an option's."""
    path = packed / "rows.csv"
    sound = "".join(f"{method},a{k},b{k},0,0.{k}{len(method)}\n" for method in ("x", "yy") for k in range(4))
    path.write_text(("method,fixed,moving,seed,dice\n" + sound if whole else "") + text, encoding="utf-8")
    try:
        judged = verdicts_of_rows(path, "dice")
    except RegbenchError as error:
        assert "rows.csv" in str(error)  # noqa: PT017
        return
    assert len(judged["pairs"]) == len(judged["methods"]) * (len(judged["methods"]) - 1) // 2


def test_the_undamaged_files_are_read(tmp_path):
    """Else the fuzzing would fuzz nothing."""
    for kind, content in IMAGES.items():
        path = tmp_path / f"a{kind}"
        path.write_bytes(gzip.compress(content) if kind in (".nii.gz", ".mgz") else content)
        if kind in REFUSED:
            with pytest.raises(RegbenchError):
                read_labels(path)
        else:
            assert read_labels(path)[0].max() in (2, 2000)
    assert nib.load(tmp_path / "a.nii").shape == (6, 7, 5)

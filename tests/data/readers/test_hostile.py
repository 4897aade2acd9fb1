"""Damaged and malicious input: each is refused with a message that names the file and says what to do."""

import gzip
import io
import json
import os
import pickle
import zipfile

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from data_files import brain, folder_of, gzipped_header, learn2reg_folder, nifti, spec
from PIL import Image

from regbench.data import table
from regbench.data.cache import load
from regbench.data.prepare import prepare
from regbench.data.readers.field_file import open_field
from regbench.system.errors import RegbenchError


def build(tmp_path, source="folder", parameters=None, **changes):
    prepare(spec(source, parameters or {"path": str(tmp_path)}, **changes), tmp_path / "cache")


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def plain_truncated(path):
    content = gzip.decompress(path.read_bytes())
    path.unlink()
    path.with_suffix("").write_bytes(content[:500])


def wrong_dimensions(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:44] = (31).to_bytes(2, "little")  # dim[1] of the header: more voxels than there are
    path.write_bytes(gzip.compress(bytes(content)))


def changed(change):
    def apply(path):
        stored = nib.load(path)
        nifti(path, change(np.asarray(stored.dataobj).copy()), stored.affine)

    return apply


def with_value(value):
    def apply(values):
        values = values.astype(np.float32)
        values[3, 3, 3] = value
        return values

    return changed(apply)


def colours(path):
    rgb = np.zeros((9, 12, 7), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), path)


def moved_affine(path):
    stored = nib.load(path)
    affine = stored.affine.copy()
    affine[0, 3] += 3
    nifti(path, np.asarray(stored.dataobj), affine)


def bad_affine(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[252:256] = bytes(4)  # qform_code and sform_code
    content[76:92] = np.array([1, np.nan, 1, 1], np.float32).tobytes()
    path.write_bytes(gzip.compress(bytes(content)))


def garbage(path):
    path.write_bytes(b"not an image")


@pytest.mark.parametrize(
    ("part", "damage", "expected"),
    [
        ("images", truncated, r"s3\.nii\.gz.*(whole|readable).*[Cc]opy it again"),
        ("images", plain_truncated, r"s3\.nii`.*[Cc]opy it again"),
        ("images", wrong_dimensions, r"s3\.nii\.gz"),
        ("images", garbage, r"s3\.nii\.gz` must be a readable image"),
        ("images", with_value(np.nan), "`s3`: the image must be finite, but 1 voxels.*preprocessing.nan"),
        ("images", with_value(np.inf), "`s3`: the image must be finite, but 1 voxels"),
        ("images", changed(lambda v: v[:, :0]), r"s3\.nii\.gz"),
        ("images", changed(lambda v: np.stack([v] * 2, -1)), r"s3\.nii\.gz` must be one 2D or 3D image.*Split"),
        ("images", colours, r"s3\.nii\.gz` must have one real number a voxel, but has colours"),
        ("images", changed(lambda v: v.astype(np.complex64)), r"s3\.nii\.gz` must have one real number a voxel"),
        ("images", changed(np.zeros_like), "`s3`: the image must vary"),
        ("images", bad_affine, r"s3"),
        ("labels", with_value(1.5), r"labels.s3\.nii\.gz`: labels must be integers, but one is 1\.5.*nearest"),
        ("labels", with_value(-1), r"labels.s3\.nii\.gz`: labels must be 0 to"),
        ("labels", with_value(np.nan), r"labels.s3\.nii\.gz`: labels must be integers"),
        ("labels", with_value(1e30), r"labels.s3\.nii\.gz`: labels must be 0 to"),
        ("labels", moved_affine, r"labels.s3\.nii\.gz` must lie where `s3\.nii\.gz` lies.*same_affine"),
        ("labels", changed(lambda v: v[:-1]), r"labels.s3\.nii\.gz` must have the shape of"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, part, damage, expected):
    folder_of(tmp_path)
    damage(tmp_path / part / "s3.nii.gz")
    with pytest.raises(RegbenchError, match=f"(?s){expected}"):
        build(tmp_path)
    assert not (tmp_path / "cache" / "manifest.json").exists()


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_claim_of_ten_gigabytes_in_a_tiny_file_takes_no_memory(tmp_path, part):
    folder_of(tmp_path)
    gzipped_header(tmp_path / part / "s3.nii.gz", (2000, 2000, 700))
    with pytest.raises(RegbenchError, match=r"s3\.nii\.gz"):
        build(tmp_path)


def test_nan_may_become_zero(tmp_path):
    folder_of(tmp_path)
    with_value(np.nan)(tmp_path / "images" / "s3.nii.gz")
    build(tmp_path, preprocessing={"nan": "zero"})


def test_labels_stored_as_floats_are_labels(tmp_path):
    folder_of(tmp_path)
    changed(lambda values: values.astype(np.float64))(tmp_path / "labels" / "s3.nii.gz")
    build(tmp_path)


def test_label_ids_that_the_config_does_not_know(tmp_path):
    folder_of(tmp_path)
    with pytest.raises(RegbenchError, match=r"subject `s0`: labels must be among those of the config, but got 2\."):
        build(tmp_path, preprocessing={"labels": [1], "other_labels": "error"})
    with pytest.raises(RegbenchError, match=r"preprocessing\.labels: 5 occurs in no subject"):
        build(tmp_path, preprocessing={"labels": [1, 5]})


def test_label_and_image_of_different_affine_may_be_allowed(tmp_path):
    folder_of(tmp_path)
    moved_affine(tmp_path / "labels" / "s3.nii.gz")
    build(tmp_path, parameters={"path": str(tmp_path), "same_affine": False})


@pytest.mark.parametrize("content", [b"cos\nsystem\n(S'exit 1'\ntR.", pickle.dumps({"vol": 1})])
def test_pickles_are_refused_with_a_way_out(tmp_path, content):
    folder_of(tmp_path)
    (tmp_path / "images" / "p.pkl").write_bytes(content)
    (tmp_path / "all.csv").write_text("subject,image\na,images/p.pkl\nb,images/s1.nii.gz\n")
    with pytest.raises(RegbenchError, match=r"p\.pkl` is a pickle.*numpy\.savez"):
        build(tmp_path, "table", {"path": str(tmp_path / "all.csv")})


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("source", ["arrays", "voxelmorph_npz"])
def test_object_arrays_are_refused_and_not_run(tmp_path, source):
    trap = np.array([Trap(tmp_path / "fallen")] * 6, dtype=object)
    np.savez(tmp_path / "a.npz", vol=trap, seg=trap, images=trap, labels=trap)
    path = tmp_path if source == "voxelmorph_npz" else tmp_path / "a.npz"
    with pytest.raises(RegbenchError, match=r"a\.npz.*plain numbers.*numpy\.savez"):
        build(tmp_path, source, {"path": str(path)})
    assert not (tmp_path / "fallen").exists()


def test_an_npz_that_claims_more_than_it_holds(tmp_path):
    image, labels = brain(0)
    np.savez(tmp_path / "a.npz", vol=image, seg=labels)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content.replace(b"(9, 12, 7)", b"(9999,999)"))
    with pytest.raises(RegbenchError, match=r"a\.npz"):
        build(tmp_path, "voxelmorph_npz")


@pytest.mark.parametrize("bad", ["../../etc/passwd", "/etc/passwd", "images/../../x.nii.gz", "images/\0.nii.gz"])
def test_paths_that_lead_out_are_refused(tmp_path, bad):
    root = learn2reg_folder(tmp_path / "l")
    content = json.loads((root / "OASIS_dataset.json").read_text())
    content["training"][0]["label"] = bad
    (root / "OASIS_dataset.json").write_text(json.dumps(content))
    with pytest.raises(RegbenchError, match=r"OASIS_dataset\.json.*must be relative and stay under"):
        build(tmp_path, "learn2reg", {"path": str(root)})
    if "\0" in bad:
        return
    (root / "all.csv").write_text(f"subject,image\na,{bad}\n")
    with pytest.raises(RegbenchError, match=r"all\.csv`, line 2, image: paths must be relative and stay under"):
        build(tmp_path, "table", {"path": str(root / "all.csv")})
    (root / "list.txt").write_text(bad)
    with pytest.raises(RegbenchError, match=r"list\.txt`: paths must be relative and stay under"):
        build(tmp_path, "voxelmorph_npz", {"path": str(root), "files": str(root / "list.txt")})


def test_a_loop_of_links_is_named(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "images" / "a.nii.gz").symlink_to(tmp_path / "images" / "b.nii.gz")
    (tmp_path / "images" / "b.nii.gz").symlink_to(tmp_path / "images" / "a.nii.gz")
    (tmp_path / "all.csv").write_text("subject,image\na,images/a.nii.gz\n")
    with pytest.raises(RegbenchError, match=r"all\.csv`, line 2, image: .*a\.nii\.gz` must be a readable file"):
        build(tmp_path, "table", {"path": str(tmp_path / "all.csv")})
    for name in "ab":
        (tmp_path / "labels" / f"{name}.nii.gz").write_bytes(b"")
    with pytest.raises(RegbenchError, match=r"a\.nii\.gz"):
        build(tmp_path)


NFC, NFD = "J\u00fcrgen", "Ju\u0308rgen"


def test_one_name_in_two_forms_of_unicode_is_one_subject(tmp_path):
    """Images from a Mac and labels from Linux; a CSV and a config in one form, the files in the other."""
    folder_of(tmp_path / "a")
    for number in range(6):
        for kind, name in (("images", NFD), ("labels", NFC)):
            (tmp_path / "a" / kind / f"s{number}.nii.gz").rename(tmp_path / "a" / kind / f"{name}{number}.nii.gz")
    splits = {"train": 2, "validation": 2, "test": [f"{NFD}4", f"{NFC}5"]}
    prepare(spec("folder", {"path": str(tmp_path / "a")}, splits=splits), tmp_path / "cache")
    data = load(tmp_path / "cache")
    assert data.subjects == tuple(f"{NFC}{number}" for number in range(6))
    assert data.split("test") == (f"{NFC}4", f"{NFC}5")
    rows = [f"{NFC}{number},images/{NFC}{number}.nii.gz,labels/{NFD}{number}.nii.gz" for number in range(6)]
    (tmp_path / "a" / "all.csv").write_text("\n".join(["subject,image,label", *rows]), encoding="utf-8")
    prepare(spec("table", {"path": str(tmp_path / "a" / "all.csv")}, splits=splits), tmp_path / "again")
    assert load(tmp_path / "again").subjects == data.subjects


@pytest.mark.parametrize(
    ("two", "words"),
    [
        ((NFC, NFD), "Unicode form"), (("sub1", "SUB1"), "case"), ((NFD, NFC.upper()), "case"),
        (("a\nb", "c"), "one line"),
        (("a\x1b[31m", "c"), "one line"), (("\u200e\u2028x", "c"), "one line"), (("a\u0000", "c"), "one line"),
    ],
)  # fmt: skip
def test_ids_that_are_one_for_some_file_system_or_no_text_are_named(tmp_path, two, words):
    folder_of(tmp_path, 2)
    frame = pd.DataFrame({"subject": two, "image": ["images/s0.nii.gz", "images/s1.nii.gz"]})
    frame.to_csv(tmp_path / "all.csv", index=False)
    with pytest.raises(RegbenchError, match=words) as error:
        build(tmp_path, "table", {"path": str(tmp_path / "all.csv")})
    assert ascii(two[0]) in str(error.value)


def test_a_file_name_of_undecodable_bytes_is_named(tmp_path):
    folder_of(tmp_path, 2)
    for kind in ("images", "labels"):
        os.rename(tmp_path / kind / "s0.nii.gz", os.fsencode(tmp_path / kind) + b"/M\xfcller.nii.gz")  # noqa: PTH104
    with pytest.raises(RegbenchError, match="one line"):
        build(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "", "\x00"])
def test_a_label_s_name_is_text_on_one_line(tmp_path, name):
    folder_of(tmp_path)
    with pytest.raises(RegbenchError, match="name of label 1 must be text on one line"):
        build(tmp_path, preprocessing={"names": {"1": name}})


def test_duplicate_subjects_are_named(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "all.csv").write_text("subject,image\na,images/s1.nii.gz\na,images/s2.nii.gz\n")
    with pytest.raises(RegbenchError, match="a subject must have one row, but `a` stands in the lines 2 and 3"):
        build(tmp_path, "table", {"path": str(tmp_path / "all.csv")})
    nifti(tmp_path / "images" / "s1.nii", brain(1)[0])
    with pytest.raises(RegbenchError, match="are one subject"):
        build(tmp_path)
    root = learn2reg_folder(tmp_path / "l")
    content = json.loads((root / "OASIS_dataset.json").read_text())
    content["training"].append(content["training"][0])
    (root / "OASIS_dataset.json").write_text(json.dumps(content))
    with pytest.raises(RegbenchError, match=r"OASIS_dataset\.json`, training\[8\]: `OASIS_0001_0000` stands twice"):
        build(tmp_path, "learn2reg", {"path": str(root)})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "must be JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "training: must list images"),
        ('{"training": {"a": 1}}', "training: must be a list"),
        ('{"training": [5]}', r"training\[0\]: must be the path of an image"),
        ('{"training": [{"image": "./imagesTr/no.nii.gz"}]}', r"no\.nii\.gz` must be a readable file"),
        ("[" * 100_000, "nested too deeply|must be JSON"),
    ],
)
def test_a_bad_learn2reg_json_is_named(tmp_path, content, expected):
    (tmp_path / "x_dataset.json").write_text(content)
    with pytest.raises(RegbenchError, match=rf"x_dataset\.json.*({expected})"):
        build(tmp_path, "learn2reg")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "must have a header and a row"),
        ("subject,image\n", "must have a header and a row"),
        ("subject,imge\na,b\n", "column 'imge' is unknown.*did you mean `image`"),
        ("subject\na\n", "must have the column `image`"),
        ("subject,image\na,b,c,d\n", "line 2: the row has 3 cells, but the header names 2"),
        ("subject,image\n,images/s1.nii.gz\n", "line 2: `subject` must not be empty"),
        ("subject,image,split\na,images/s1.nii.gz,tset\n", "split: 'tset' is unknown; did you mean `test`"),
        ("subject,image,landmarks\na,images/s1.nii.gz,bad.csv\n", r"bad\.csv`, line 2: must be 3 voxel coordinates"),
    ],
)
def test_a_bad_table_is_named(tmp_path, text, expected):
    folder_of(tmp_path)
    (tmp_path / "bad.csv").write_text("x,y,z\n1,nan,2\n")
    (tmp_path / "all.csv").write_text(text)
    with pytest.raises(RegbenchError, match=expected):
        [entry.read() for entry in table(path=str(tmp_path / "all.csv")).entries]


def test_bad_pictures_are_named(tmp_path):
    grey = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    colours = np.stack([grey, grey.T, grey], axis=2)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for name in "abcdef":
            Image.fromarray(grey).save(tmp_path / kind / f"{name}.png")
    Image.fromarray(colours).save(tmp_path / "images" / "a.png")
    with pytest.raises(
        RegbenchError, match=r"a\.png` must be a grey 2D picture, but has colours.*preprocessing.colour"
    ):
        build(tmp_path)
    Image.fromarray(grey).save(tmp_path / "images" / "a.png")
    Image.fromarray(colours).save(tmp_path / "labels" / "a.png")
    with pytest.raises(RegbenchError, match=r"a\.png` must be a grey 2D picture.*Convert it to grey"):
        build(tmp_path)
    (tmp_path / "images" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n1234")
    with pytest.raises(RegbenchError, match=r"a\.png` must be a readable picture"):
        build(tmp_path)


def test_folders_that_are_not_there_or_do_not_match(tmp_path):
    with pytest.raises(RegbenchError, match=r"images` must be a readable folder"):
        build(tmp_path, parameters={"path": str(tmp_path / "no")})
    folder_of(tmp_path)
    (tmp_path / "labels" / "s3.nii.gz").rename(tmp_path / "labels" / "s33.nii.gz")
    with pytest.raises(RegbenchError, match=r"1 have none: `s3`; did you mean `s33`"):
        build(tmp_path)


def test_different_spacings_and_dimensions_are_named(tmp_path):
    folder_of(tmp_path)
    image, labels = brain(3)
    for kind, values in (("images", image), ("labels", labels)):
        nifti(tmp_path / kind / "s3.nii.gz", values, np.diag([1, 1, 2, 1]))
    with pytest.raises(RegbenchError, match=r"`s3` \(1\.0, 1\.0, 2\.0\) mm\. Set preprocessing\.spacing_mm"):
        build(tmp_path)
    for kind, values in (("images", image), ("labels", labels)):
        nifti(tmp_path / kind / "s3.nii.gz", values[:, :, :1])
    with pytest.raises(RegbenchError, match="`s0` is 3D and `s3` 2D"):
        build(tmp_path)


def test_subjects_to_evaluate_need_labels(tmp_path):
    folder_of(tmp_path)
    rows = [f"s{k},images/s{k}.nii.gz,{'' if k == 5 else f'labels/s{k}.nii.gz'}" for k in range(6)]
    (tmp_path / "all.csv").write_text("\n".join(["subject,image,label", *rows]))
    parameters = {"path": str(tmp_path / "all.csv")}
    splits = {"train": "rest", "validation": ["s0", "s1"], "test": ["s2", "s3"]}
    build(tmp_path, "table", parameters, splits=splits)
    with pytest.raises(RegbenchError, match=r"subjects of test must have labels or landmarks.*`s5` has no labels"):
        build(tmp_path, "table", parameters, splits={**splits, "test": ["s2", "s5"]})


def small_machine(monkeypatch, size):
    """A machine of so little memory that small files are too large for it."""
    monkeypatch.setattr("regbench.data.readers.damage.affordable", lambda: size)


def test_an_honest_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """Zeros that are there, but take more memory than the machine has."""
    folder_of(tmp_path)
    nifti(tmp_path / "images" / "s3.nii.gz", np.zeros((200, 200, 200), np.uint8))
    np.savez_compressed(tmp_path / "a.npz", vol=np.zeros((200,) * 3, np.uint8), seg=np.zeros((200,) * 3, np.uint8))
    np.savez_compressed(tmp_path / "field.npz", np.zeros((3, 90, 90, 90), np.float32))
    nib.save(nib.Nifti1Image(np.zeros((90, 90, 90, 3), np.float32), np.eye(4)), tmp_path / "field.nii.gz")
    small_machine(monkeypatch, 10**6)
    with pytest.raises(
        RegbenchError, match=r"s3\.nii\.gz.*8000000 bytes.*quarter of this machine's memory.*Split, crop"
    ):
        build(tmp_path)
    with pytest.raises(RegbenchError, match=r"a\.npz.*vol\.npy.*8000000 bytes.*quarter of this machine's memory"):
        build(tmp_path, "arrays", {"path": str(tmp_path / "a.npz"), "images": "vol", "labels": "seg"})
    for name in ("field.npz", "field.nii.gz"):
        with pytest.raises(RegbenchError, match=rf"{name}.*8748000 bytes.*quarter of this machine's memory"):
            open_field(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npz", ".nii.gz"])
def test_a_field_that_claims_terabytes_is_refused_by_its_header(tmp_path, suffix):
    path = tmp_path / f"field{suffix}"
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", npy_header((3, 10**5, 10**5, 10**5)))
    else:
        header = nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)).header
        header.set_data_shape((30000, 30000, 30000, 3))
        path.write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    with pytest.raises(RegbenchError, match=r"field.*claims \d+ bytes of numbers"):
        open_field(path)


def npy_header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("offset", [1e12, -1.0, np.nan, np.inf])
def test_voxels_that_begin_far_behind_the_header_are_refused_before_any_is_read(tmp_path, offset):
    folder_of(tmp_path)
    path = tmp_path / "images" / "s3.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[108:112] = np.array([offset], np.float32).tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(RegbenchError, match=r"s3\.nii\.gz.*must begin within 16777216 bytes, but vox_offset is"):
        build(tmp_path)


@pytest.mark.parametrize("source", ["table", "voxelmorph_npz"])
def test_a_list_without_an_end_is_refused(tmp_path, source):
    given = {"path": "/dev/zero"} if source == "table" else {"path": str(tmp_path), "files": "/dev/zero"}
    np.savez(tmp_path / "a.npz", vol=np.zeros((9, 9)))
    with pytest.raises(RegbenchError, match=r"/dev/zero.*more than 268435456 bytes"):
        build(tmp_path, source, given)

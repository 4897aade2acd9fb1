"""Masks from files to the prepared grid: by every source, moved as labels are, and refused where they are none."""

import nibabel as nib
import numpy as np
import pytest
from data_files import brain, folder_of, learn2reg_folder, nifti, spec
from PIL import Image

from regbench.data.cache import load
from regbench.data.inspect import inspect
from regbench.data.prepare import prepare
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed


def masks_of(root, count=6, inner=200):
    """Masks beside the images of `folder_of`: where there are labels."""
    for k in range(count):
        nifti(root / "masks" / f"s{k}.nii.gz", np.where(brain(k)[1] > 0, inner, 0).astype(np.uint8))


def built(folder, source, parameters, **changes):
    prepare(spec(source, parameters, **changes), folder / "cache")
    return load(folder / "cache", verify=True)


def test_a_folder_of_masks(tmp_path):
    masks_of(folder_of(tmp_path))
    data = built(tmp_path, "folder", {"path": str(tmp_path)})
    assert data.masked == data.subjects
    assert data.mask("s3").dtype == np.uint8
    np.testing.assert_array_equal(data.mask("s3"), data.label_map("s3") > 0)
    fixed, moving = data.pairs("test")[0]
    pair = data.pair(fixed, moving)
    np.testing.assert_array_equal(pair.fixed_mask, data.mask(fixed))
    np.testing.assert_array_equal(pair.moving_mask, data.mask(moving))
    assert not data.remarks
    manifest = read_sealed(tmp_path / "cache" / "manifest.json")
    assert manifest["masked"] == list(data.subjects)
    assert manifest["files"]["masks.npy"]["dtype"] == "uint8"
    assert manifest["records"]["s3"]["files"]["mask"]["name"] == "s3.nii.gz"
    assert "masks: 6 of 6 subjects" in inspect(spec("folder", {"path": str(tmp_path)}))


def test_without_masks_nothing_is_said_of_them(tmp_path):
    folder_of(tmp_path)
    data = built(tmp_path, "folder", {"path": str(tmp_path)})
    assert "masked" not in read_sealed(tmp_path / "cache" / "manifest.json")
    assert not (tmp_path / "cache" / "masks.npy").exists()
    assert data.mask("s0") is None


def test_some_subjects_have_masks(tmp_path):
    masks_of(folder_of(tmp_path), 4)
    nifti(tmp_path / "masks" / "s9.nii.gz", brain(9)[1])
    data = built(tmp_path, "folder", {"path": str(tmp_path)})
    assert data.masked == ("s0", "s1", "s2", "s3")
    assert data.mask("s5") is None
    assert "1 files of `masks` have no image: `s9.nii.gz`" in data.remarks


def test_a_table_of_masks(tmp_path):
    masks_of(folder_of(tmp_path))
    lines = ["subject;image;label;mask"]
    lines += [f"p{k};images/s{k}.nii.gz;labels/s{k}.nii.gz;{f'masks/s{k}.nii.gz' if k else ''}" for k in range(6)]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    data = built(tmp_path, "table", {"path": str(tmp_path / "all.csv")})
    assert data.masked == tuple(f"p{k}" for k in range(1, 6))
    np.testing.assert_array_equal(data.mask("p2"), data.label_map("p2") > 0)


def test_arrays_of_masks(tmp_path):
    images, labels = (np.stack(parts) for parts in zip(*(brain(k, (20, 24)) for k in range(6)), strict=True))
    np.savez(tmp_path / "a.npz", images=images, labels=labels, masks=labels > 0)
    data = built(tmp_path, "arrays", {"path": str(tmp_path / "a.npz")})
    np.testing.assert_array_equal(data.mask("4"), data.label_map("4") > 0)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, masks=labels[:, :-1])
    with pytest.raises(RegbenchError, match=r"a.npz: masks` must have the shape of the images, \(20, 24\), for 6"):
        built(tmp_path, "arrays", {"path": str(tmp_path / "a.npz")})
    for k in range(6):
        np.savez(tmp_path / f"s{k}.npz", vol=images[k], seg=labels[k], brain=labels[k] > 0)
    (tmp_path / "a.npz").unlink()
    data = built(tmp_path, "voxelmorph_npz", {"path": str(tmp_path), "mask": "brain"})
    np.testing.assert_array_equal(data.mask("s4"), data.label_map("s4") > 0)
    assert not built(tmp_path, "voxelmorph_npz", {"path": str(tmp_path)}).masked


def test_learn2reg_masks_beside_the_images(tmp_path):
    root = learn2reg_folder(tmp_path)
    for k in range(8):
        nifti(root / "masksTr" / f"OASIS_{k + 1:04d}_0000.nii.gz", (brain(k)[1] > 0).astype(np.uint8))
    data = built(tmp_path, "learn2reg", {"path": str(root)}, splits={"train": "rest", "validation": 2})
    assert data.masked == data.subjects


def test_masks_are_turned_resampled_and_cropped_as_labels_are(tmp_path):
    """By an oblique order of axes, a spacing of their own, and a grid that cuts them."""
    affine = np.diag([-1.0, 2.0, 1.5, 1.0])
    for k in range(6):
        image, labels = brain(k, (12, 14, 10))
        nifti(tmp_path / "images" / f"s{k}.nii.gz", image, affine)
        nifti(tmp_path / "labels" / f"s{k}.nii.gz", labels, affine)
        mask = nib.Nifti1Image((labels > 0).astype(np.uint8), affine)
        turn = nib.orientations.ornt_transform(
            nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt("PIR")
        )
        (tmp_path / "masks").mkdir(exist_ok=True)
        nib.save(mask.as_reoriented(turn), tmp_path / "masks" / f"s{k}.nii.gz")
    data = built(tmp_path, "folder", {"path": str(tmp_path)}, preprocessing={"spacing_mm": 1.3, "shape": [8, 20, 10]})
    for name in data.subjects:
        np.testing.assert_array_equal(data.mask(name), data.label_map(name) > 0)
    assert 0 < data.mask("s0").mean() < 1


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((9, 12, 7), np.uint8), r"masks/s2.nii.gz`: a mask must have voxels inside, but all are 0"),
        (brain(2)[1], r"s2.nii.gz`: .* but has 3 values \(0, 1, 2\). Threshold it"),
        (np.full((9, 12, 7), 0.5, np.float32), r"a mask has 0 outside and one other integer inside. .*s2.nii.gz.* 0.5"),
        (np.full((9, 12, 7), -1, np.int16), r"a mask has 0 outside .*s2.nii.gz.* one is -1"),
        (np.ones((9, 12, 6), np.uint8), r"masks/s2.nii.gz` must have the shape of `s2.nii.gz`, \(9, 12, 7\), but got"),
        (np.ones((9, 12, 7, 3), np.uint8), r"masks/s2.nii.gz` must be one 2D or 3D image"),
    ],
    ids=["empty", "labels", "share", "negative", "shape", "colour"],
)
def test_what_is_no_mask_is_refused(tmp_path, mask, message):
    masks_of(folder_of(tmp_path))
    nifti(tmp_path / "masks" / "s2.nii.gz", mask)
    with pytest.raises(RegbenchError, match=rf"subject `s2`: .*{message}"):
        built(tmp_path, "folder", {"path": str(tmp_path)})


def test_a_mask_that_lies_elsewhere_is_refused(tmp_path):
    masks_of(folder_of(tmp_path))
    moved = np.eye(4)
    moved[0, 3] = 4
    nifti(tmp_path / "masks" / "s2.nii.gz", (brain(2)[1] > 0).astype(np.uint8), moved)
    with pytest.raises(RegbenchError, match=r"masks/s2.nii.gz` must lie where `s2.nii.gz` lies"):
        built(tmp_path, "folder", {"path": str(tmp_path)})
    data = built(tmp_path, "folder", {"path": str(tmp_path), "same_affine": False})
    assert data.mask("s2").any()


def test_masks_as_pictures(tmp_path):
    for k in range(6):
        image, labels = brain(k, (20, 24))
        for kind, values in (("images", image / 8), ("labels", labels), ("masks", 255 * (labels > 0))):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(values.astype(np.uint8).T).save(tmp_path / kind / f"s{k}.png")
    data = built(tmp_path, "folder", {"path": str(tmp_path)})
    np.testing.assert_array_equal(data.mask("s1"), data.label_map("s1") > 0)
    Image.fromarray(np.zeros((24, 20, 3), np.uint8)).save(tmp_path / "masks" / "s1.png")
    with pytest.raises(RegbenchError, match=r"masks/s1.png` must be a grey 2D picture"):
        built(tmp_path, "folder", {"path": str(tmp_path)})
    Image.fromarray(np.full((24, 20), 255, np.uint8)).convert("1").save(tmp_path / "masks" / "s1.png")
    assert built(tmp_path, "folder", {"path": str(tmp_path)}).mask("s1").any()


def test_a_mask_that_the_grid_cuts_away_is_refused(tmp_path):
    masks_of(folder_of(tmp_path))
    corner = np.zeros((9, 12, 7), np.uint8)
    corner[0, 0, 0] = 1
    nifti(tmp_path / "masks" / "s2.nii.gz", corner)
    with pytest.raises(RegbenchError, match=r"subject `s2`: the mask must have voxels on the grid of \(4, 4, 4\)"):
        built(tmp_path, "folder", {"path": str(tmp_path)}, preprocessing={"shape": [4, 4, 4]})


def test_a_flipped_byte_of_a_mask_is_seen(tmp_path):
    masks_of(folder_of(tmp_path))
    built(tmp_path, "folder", {"path": str(tmp_path)})
    path = tmp_path / "cache" / "masks.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RegbenchError, match=r"masks.npy`, subject `s5`"):
        load(tmp_path / "cache").mask("s5")

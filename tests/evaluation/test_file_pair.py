"""Pairs of files whose headers say the same in other ways, and pairs whose headers contradict."""

import re

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from data_files import nifti
from made_images import Constant
from PIL import Image
from scipy.ndimage import gaussian_filter

from regbench.cli.main import main
from regbench.evaluation.register_files import Beside, Output, register_files
from regbench.system.errors import RegbenchError


def picture(shape, seed=0):
    return gaussian_filter(np.random.default_rng(seed).random(shape), 2).astype(np.float32) * 100


def in_unit(path, values, affine, unit):
    scale = {"meter": 1000, "mm": 1, "micron": 0.001}[unit]
    affine = np.array(affine, np.float64)
    affine[:3] /= scale
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(("one", "other"), [("micron", "mm"), ("mm", "micron"), ("meter", "micron")])
def test_a_pair_in_two_units(tmp_path, one, other):
    """The scene lies 2 voxels further in the moving file; SimpleITK moves it alike, and results are in mm."""
    scene = picture((30, 22, 17))
    affine = np.diag([0.4, 0.5, 0.6, 1])
    shifted = affine.copy()
    shifted[0, 3] = 0.8
    fixed = in_unit(tmp_path / "f.nii.gz", scene, affine, one)
    moving = in_unit(tmp_path / "m.nii.gz", scene, shifted, other)
    field, moved, *_ = register_files(Constant(), fixed, moving, tmp_path / "out")
    ours = nib.load(moved)
    assert ours.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(ours.header.get_zooms(), [0.4, 0.5, 0.6], rtol=1e-6)
    target, source = (SimpleITK.ReadImage(str(path)) for path in (fixed, moving))
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.Resample(source, target)).transpose(2, 1, 0)
    np.testing.assert_allclose(ours.get_fdata()[3:, :-1, :-1], theirs[3:, :-1, :-1], atol=1e-3)
    assert np.allclose(nib.load(field).get_fdata()[..., 0], -2, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_any_plane(tmp_path, axis):
    """A slice of a volume, cut along any axis, with labels; the results lie on the fixed file's own array."""
    scene = picture((26, 31, 22))
    affine = np.array([[-1.5, 0, 0, 30], [0, 2, 0, -20], [0, 0, 2.5, 10], [0, 0, 0, 1]])
    place = tuple(slice(4, 5) if k == axis else slice(None) for k in range(3))
    fixed = nifti(tmp_path / "f.nii.gz", scene[place], affine)
    upright = nib.Nifti1Image(scene[place], affine)
    turned = upright.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    moving = nifti(tmp_path / "m.nii.gz", np.asarray(turned.dataobj), turned.affine)
    labels = nifti(tmp_path / "l.nii.gz", (scene[place] > 50).astype(np.uint8), affine)
    field, moved, _, warped = register_files(Constant(), fixed, moving, tmp_path / "out", beside=Beside(labels))
    for path, expected in ((moved, scene[place]), (warped, scene[place] > 50)):
        stored = nib.load(path)
        np.testing.assert_allclose(np.asarray(stored.dataobj).reshape(expected.shape), expected, atol=1e-4)
        np.testing.assert_allclose(stored.affine, affine)
    kept = [k for k in range(3) if k != axis]
    vectors = nib.load(field)
    assert vectors.shape == (*np.array(scene.shape)[kept], 2)
    np.testing.assert_allclose(vectors.affine[:3, :2], affine[:3, kept])


def test_an_oblique_slice_keeps_its_lengths(tmp_path):
    """A plane at 40 degrees between front and top: 2 mm are 2 mm in it."""
    c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
    affine = np.array([[1.0, 0, 0, 5], [0, 2 * c, -s, 7], [0, 2 * s, c, 9], [0, 0, 0, 1]])
    scene = picture((31, 24))
    fixed = nifti(tmp_path / "f.nii.gz", scene[..., None], affine)
    other = affine.copy()
    other[:3, 3] += 2 * affine[:3, 1]  # two voxels further along the second axis
    moving = nifti(tmp_path / "m.nii.gz", scene[..., None], other)
    field, *_ = register_files(Constant(), fixed, moving, tmp_path)
    np.testing.assert_allclose(nib.load(field).get_fdata()[..., 0], 0, atol=1e-5)
    np.testing.assert_allclose(nib.load(field).get_fdata()[..., 1], -2, atol=1e-5)
    with pytest.raises(RegbenchError, match=r"f\.nii\.gz` must .* run right and front for `--itk`"):
        register_files(Constant(), fixed, moving, tmp_path, output=Output(itk=True))


@pytest.mark.parametrize("column", [(0, 0, 0), (1, 0, 0), (0, 1e-20, 0)])
def test_the_axis_of_one_may_lead_nowhere(tmp_path, column):
    """Headers of 2D images often say nothing of the third axis; what is written beside them says its normal."""
    path, scene = tmp_path / "f.nii", picture((22, 24))
    image = nib.Nifti1Image(scene[..., None], np.eye(4))
    for name, value in zip(("srow_x", "srow_y", "srow_z"), column, strict=True):
        image.header[name][2] = value
    image.header["magic"], image.header["vox_offset"] = "n+1", 352
    path.write_bytes(image.header.binaryblock + bytes(4) + scene.tobytes(order="F"))
    for written in register_files(Constant(), path, path, tmp_path / "out", output=Output(itk=True))[:3]:
        np.testing.assert_array_equal(nib.load(written).affine, np.eye(4))


def test_planes_that_are_not_parallel_are_refused(tmp_path):
    scene = picture((22, 24))
    fixed, moving = nifti(tmp_path / "f.nii.gz", scene[..., None]), nifti(tmp_path / "m.nii.gz", scene[None])
    with pytest.raises(RegbenchError, match=r"m\.nii\.gz` must lie in a plane parallel to that of .*--by centre"):
        register_files(Constant(), fixed, moving, tmp_path)
    _, moved, *_ = register_files(Constant(), fixed, moving, tmp_path, by="centre")
    assert nib.load(moved).shape == scene.shape


def test_a_header_without_a_place_needs_the_centre(tmp_path):
    scene = picture((22, 24))
    fixed = nifti(tmp_path / "f.nii.gz", scene)
    Image.fromarray(scene.T[::-1]).save(tmp_path / "m.tif")
    with pytest.raises(RegbenchError, match=r"m\.tif` must say where it lies, as .*f\.nii\.gz.*--by centre"):
        register_files(Constant(), fixed, tmp_path / "m.tif", tmp_path)
    _, moved, *_ = register_files(Constant(), fixed, tmp_path / "m.tif", tmp_path / "centre", by="centre")
    np.testing.assert_allclose(nib.load(moved).get_fdata(), scene, atol=1e-4)
    _, moved, *_ = register_files(Constant(), tmp_path / "m.tif", tmp_path / "m.tif", tmp_path)  # two pictures
    assert moved.name == "moved_m.nii.gz"
    np.testing.assert_allclose(nib.load(moved).get_fdata(), scene, atol=1e-4)


def moving_file(path, kind):
    """What cannot be registered with `picture((22, 24))`, and what the message says of it."""
    scene = picture((22, 24))
    rgb = np.zeros((22, 24, 1), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    changes = {
        "colours": (rgb, "colours"),
        "complex": (scene.astype(np.complex64), "one real number a voxel"),
        "nan": (np.where(scene > 55, np.nan, scene), r"must be finite, but \d+ voxels"),
        "infinite": (np.where(scene > 55, np.inf, scene), "must be finite"),
        "constant": (np.ones_like(scene), "must vary"),
        "frames": (np.stack([scene[..., None]] * 2, -1), "one 2D or 3D image"),
        "volume": (np.stack([scene] * 5, -1), "must have 2 dimensions"),
    }
    values, words = changes[kind]
    return nifti(path, values), words


@pytest.mark.parametrize("kind", ["colours", "complex", "nan", "infinite", "constant", "frames", "volume"])
def test_what_cannot_be_registered_is_named_before_anything_is_written(tmp_path, kind, capsys):
    fixed = nifti(tmp_path / "f.nii.gz", picture((22, 24)))
    moving, words = moving_file(tmp_path / "m.nii.gz", kind)
    for intensity in ([], ["--intensity", "none"], ["--intensity", "zscore"]):
        with pytest.raises(SystemExit, match="1"):
            main([
                "register", "--model", "instance", "--fixed", str(fixed), "--moving", str(moving),
                "--out", str(tmp_path / "out"), *intensity,
            ])  # fmt: skip
        assert re.search(rf"m\.nii\.gz`.*{words}", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "window must fit into the image, but got (9, 9) in an image of (7, 24)"),
        (["--similarity", "mind"], "with 9 voxels along each axis"),
    ],
)
def test_images_smaller_than_a_window_are_refused(tmp_path, options, words, capsys):
    paths = [str(nifti(tmp_path / f"{name}.nii.gz", picture((7, 24), k))) for k, name in enumerate("fm")]
    with pytest.raises(SystemExit, match="1"):
        main([
            "register", "--model", "instance", "--fixed", paths[0], "--moving", paths[1], "--out", str(tmp_path / "o"),
            *options,
        ])  # fmt: skip
    error = capsys.readouterr().err
    assert words in error
    assert "another `--similarity`" in error
    assert not (tmp_path / "o").exists()


def never(*_):
    raise AssertionError("the registration began")


def test_results_that_could_not_be_written_are_known_before(tmp_path, monkeypatch):
    monkeypatch.setattr("regbench.evaluation.register_files.register", never)
    fixed, moving = (nifti(tmp_path / f"{name}.nii.gz", picture((22, 24), k)) for k, name in enumerate("fm"))
    with pytest.raises(RegbenchError, match=r"f\.nii\.gz` must be a folder.*is a file.*another `--out`"):
        register_files(Constant(), fixed, moving, fixed)
    source = nifti(tmp_path / "moved_m.nii.gz", picture((22, 24)))
    with pytest.raises(
        RegbenchError, match=r"moved_m\.nii\.gz` must be free for a result, but is an image that is read"
    ):
        register_files(Constant(), source, moving, tmp_path)
    (tmp_path / "o" / "disp_f_m.nii.gz").mkdir(parents=True)
    with pytest.raises(RegbenchError, match=r"disp_f_m\.nii\.gz` must be free for a result, but is a folder"):
        register_files(Constant(), fixed, moving, tmp_path / "o")
    Image.fromarray(np.arange(80000, dtype=np.float32).reshape(2, 40000)).save(tmp_path / "w.tif")
    with pytest.raises(RegbenchError, match="at most 32767 voxels along each axis"):
        register_files(Constant(), tmp_path / "w.tif", tmp_path / "w.tif", tmp_path / "p")


@pytest.mark.parametrize("kind", ["i8", "u8", "f8", "f4", "i2", "u1"])
def test_labels_of_any_type_are_written_in_one_that_nifti_has(tmp_path, kind):
    fixed = nifti(tmp_path / "f.nii.gz", picture((22, 24)))
    labels = (picture((22, 24)) > 50).astype(kind) * 100
    nib.save(nib.Nifti1Image(labels, np.eye(4), dtype=labels.dtype), tmp_path / "l.nii.gz")
    *_, warped = register_files(Constant(), fixed, fixed, tmp_path / "o", beside=Beside(tmp_path / "l.nii.gz"))
    np.testing.assert_array_equal(np.asarray(nib.load(warped).dataobj), labels)

"""Baselines: a zero field for equal images, the right direction and unit for a known translation, fields from files."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from made_images import blobs, pair
from scipy.ndimage import gaussian_filter, shift
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data.nifti import write_displacement
from regbench.evaluation.evaluate import means
from regbench.models.classical import BASELINES
from regbench.models.classical.fields import fields
from regbench.spatial import warp
from regbench.spatial.itk import from_itk, ras_to_lps
from regbench.system.errors import RegbenchError

METHODS = [name for name in BASELINES if name not in ("fields", "ants_syn")]  # tests/models/classical/test_ants_syn.py
NEEDS = {"sitk_affine": "SimpleITK", "sitk_demons": "SimpleITK", "greedy_ncc": "picsl_greedy", "dipy_syn": "dipy"}


CASES = [((48, 40), (1.5, 2.0)), ((36, 32, 28), (1.0, 1.5, 2.0))]


@pytest.mark.parametrize(("shape", "spacing"), CASES, ids=["2D", "3D"])
@pytest.mark.parametrize("name", METHODS)
def test_equal_images_give_no_displacement(name, shape, spacing):
    pytest.importorskip(NEEDS[name])
    image = blobs(shape)
    found = BASELINES[name](pair(image, image.copy(), spacing), "a", "b")
    assert found.shape == (len(shape), *shape)
    assert found.dtype == np.float32
    # Greedy steps on whatever gradient rounding leaves, and drifts where nothing holds it.
    assert np.median(np.abs(found)) < 0.05
    assert np.abs(found).max() < (1 if name == "greedy_ncc" else 0.05)


@pytest.mark.parametrize(("shape", "spacing"), CASES, ids=["2D", "3D"])
@pytest.mark.parametrize("name", METHODS)
def test_a_translation_is_found_in_voxels_along_its_axis(name, shape, spacing):
    """moving(p + u) = fixed(p): content that lies two voxels further along axis 0 in the moving image gives u0 = +2."""
    pytest.importorskip(NEEDS[name])
    image = blobs(shape)
    moved_by = (2.0, -1.0, 0.5)[: len(shape)]
    moving = shift(image, moved_by, order=1).astype(np.float32)
    found = BASELINES[name](pair(image, moving, spacing), "a", "b")
    centre = tuple(slice(n // 3, -n // 3) for n in shape)
    for k, expected in enumerate(moved_by):
        assert np.median(found[k][centre]) == pytest.approx(expected, abs=0.35), k


@pytest.mark.parametrize("name", METHODS)
def test_the_same_bytes_each_time(name):
    pytest.importorskip(NEEDS[name])
    one = pair(blobs((40, 36)), blobs((40, 36), seed=1), (1.0, 1.0))
    np.testing.assert_array_equal(BASELINES[name](one, "a", "b"), BASELINES[name](one, "a", "b"))


@pytest.mark.parametrize("shape", [(6, 7), (5, 6, 7)])
@pytest.mark.parametrize("ending", [".nii.gz", ".npz"])
def test_fields_come_back_as_they_were_written(tmp_path, shape, ending):
    field = np.random.default_rng(0).normal(size=(len(shape), *shape)).astype(np.float32)
    path = tmp_path / f"disp_a_b{ending}"
    if ending == ".npz":
        np.savez(path, field)
    else:
        write_displacement(path, field, np.eye(4))
        assert nib.load(path).shape == (*shape, len(shape))
    image = np.zeros(shape, np.float32)
    np.testing.assert_array_equal(fields(pair(image, image, (2.0,) * len(shape)), "a", "b", path=str(tmp_path)), field)


def test_itk_fields_are_converted(tmp_path):
    """Against SimpleITK's own reading of points: a vector in mm, LPS, on an oblique grid."""
    sitk = pytest.importorskip("SimpleITK")
    shape = (5, 6, 7)
    affine = nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.1, 0.2, 0.3) @ np.diag([1.0, 1.5, 2.0]), [3.0, -4.0, 5.0]
    )
    voxels = np.random.default_rng(0).normal(size=(3, *shape))
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), tmp_path / "grid.nii")
    grid = sitk.ReadImage(str(tmp_path / "grid.nii"))
    vectors = ras_to_lps(np.einsum("kj,j...->k...", affine[:3, :3], voxels))
    for index in ((0, 0, 0), (2, 3, 4), (4, 5, 6)):
        target = [i + voxels[k][index] for k, i in enumerate(index)]
        expected = np.subtract(
            grid.TransformContinuousIndexToPhysicalPoint(target), grid.TransformIndexToPhysicalPoint(index)
        )
        np.testing.assert_allclose(vectors[(slice(None), *index)], expected, atol=1e-5)
    np.testing.assert_allclose(from_itk(vectors, affine[:3, :3]), voxels, atol=1e-9)
    # As SimpleITK writes it: five axes, intent vector.
    image = sitk.GetImageFromArray(np.moveaxis(vectors, 0, -1).transpose(2, 1, 0, 3), isVector=True)
    image.CopyInformation(grid)
    sitk.WriteImage(image, str(tmp_path / "disp_a_b.nii.gz"))
    empty = np.zeros(shape, np.float32)
    found = fields(pair(empty, empty, (1.0, 1.5, 2.0)), "a", "b", path=str(tmp_path), form="itk")
    np.testing.assert_allclose(found, voxels, atol=1e-4)


@pytest.mark.parametrize("shape", [(7, 1), (6, 1, 7), (1, 6, 7)])
def test_an_image_may_be_one_voxel_thick(tmp_path, shape):
    dims = len(shape)
    stored = np.random.default_rng(0).normal(size=(*shape, *[1] * (4 - dims), dims))  # as ITK writes it: five axes
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "disp_a_b.nii")
    empty = np.zeros(shape, np.float32)
    found = fields(pair(empty, empty, (1.0,) * dims), "a", "b", path=str(tmp_path))
    np.testing.assert_allclose(found, np.moveaxis(stored.reshape(*shape, dims), -1, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((30, 26), (1.5, 0.8)), ((20, 18, 16), (1.0, 1.5, 2.0))], ids=["2D", "3D"]
)
@pytest.mark.parametrize("by", ["nothing", "a translation", "a smooth field"])
@pytest.mark.parametrize("direction", ["identity", "flipped", "oblique"])
def test_a_field_of_itk_warps_as_itk_does(tmp_path, shape, spacing, by, direction):
    """Resampled by SimpleITK through the field in its file, or warped by us through what we read: the same image."""
    sitk = pytest.importorskip("SimpleITK")
    dims = len(shape)
    if direction == "oblique" and dims == 2:
        pytest.skip("NIfTI keeps no rotation of a 2D image that ITK writes")
    grid = sitk.GetImageFromArray(blobs(shape).T)
    grid.SetSpacing(spacing)
    grid.SetOrigin((3.0, -4.0, 5.0)[:dims])
    if direction == "flipped":
        grid.SetDirection(np.diag((-1.0, -1.0, 1.0)[:dims]).ravel().tolist())
    elif direction == "oblique":
        grid.SetDirection(nib.eulerangles.euler2mat(0.1, 0.2, 0.3).ravel().tolist())
    vectors = np.zeros((*reversed(shape), dims))
    if by == "a translation":
        vectors += (2.0, -1.5, 0.7)[:dims]
    elif by == "a smooth field":
        noise = np.random.default_rng(1).normal(size=vectors.shape)
        vectors = gaussian_filter(noise, (*[3] * dims, 0)) * 20
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(grid)
    sitk.WriteImage(field, str(tmp_path / "disp_a_b.nii.gz"))
    empty = np.zeros(shape, np.float32)
    found = fields(pair(empty, empty, spacing), "a", "b", path=str(tmp_path), form="itk")
    assert (found == 0).all() == (by == "nothing")
    expected = sitk.GetArrayFromImage(sitk.Resample(grid, sitk.DisplacementFieldTransform(field), sitk.sitkLinear)).T
    moved = warp(torch.from_numpy(blobs(shape))[None, None], torch.from_numpy(found)[None])[0, 0].numpy()
    inside = (
        (np.indices(shape) + found >= 0) & (np.indices(shape) + found <= np.reshape(shape, (-1, *[1] * dims)) - 1)
    ).all(0)
    np.testing.assert_allclose(moved[inside], expected[inside], atol=1e-4)
    assert inside.mean() > 0.5


def test_the_numbers_of_an_id_are_enough(tmp_path):
    np.savez(tmp_path / "disp_0001_0000_0002_0000.npz", np.ones((2, 4, 5)))
    image = np.zeros((4, 5), np.float32)
    found = fields(pair(image, image, (1.0, 1.0)), "OASIS_0001_0000", "OASIS_0002_0000", path=str(tmp_path))
    assert (found == 1).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.ones((2, 4, 4)), "must have shape"),
        (np.full((2, 4, 5), np.nan), "must be finite"),
        (np.full((2, 4, 5), 1e300), "must be finite in float32"),
        (None, "must hold a field"),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_are_named(tmp_path, content, expected):
    if content is not None:
        np.savez(tmp_path / "disp_a_b.npz", content)
    image = np.zeros((4, 5), np.float32)
    with pytest.raises(RegbenchError, match=expected):
        fields(pair(image, image, (1.0, 1.0)), "a", "b", path=str(tmp_path))


def test_exported_images_come_back_as_the_pipeline_sees_them(tmp_path, capsys):
    """What an outsider does: export, register with a program of their own (here: demons), have the fields judged."""
    pytest.importorskip("SimpleITK")
    config = {**TINY, "results": str(tmp_path / "results")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    main(["prepare", str(tmp_path / "tiny.yaml")])
    main(["export-images", str(tmp_path / "tiny.yaml"), str(tmp_path / "out")])
    pairs = pd.read_csv(tmp_path / "out" / "pairs.csv")
    assert len(pairs) == 2
    (tmp_path / "fields").mkdir()
    for fixed, moving in pairs.itertuples(index=False):
        images = [nib.load(tmp_path / "out" / "images" / f"{name}.nii.gz") for name in (fixed, moving)]
        spacing = images[0].header.get_zooms()[:2]
        arrays = [np.asarray(image.dataobj, dtype=np.float32) for image in images]
        found = BASELINES["sitk_demons"](pair(*arrays, tuple(map(float, spacing))), fixed, moving)
        write_displacement(tmp_path / "fields" / f"disp_{fixed}_{moving}.nii.gz", found, images[0].affine)
    capsys.readouterr()
    main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "fields")])
    assert "2 pairs, 0 failed" in capsys.readouterr().out
    rows = pd.read_parquet(tmp_path / "fields" / "pairs.parquet")
    assert (rows["endpoint_error_foreground_mm"] < 6).all()
    (tmp_path / "fields" / f"disp_{fixed}_{moving}.nii.gz").unlink()
    main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "fields")])
    assert f"failed: {fixed}, {moving}" in capsys.readouterr().out


def test_fields_that_are_not_there_end_in_an_error(tmp_path, capsys):
    config = {**TINY, "results": str(tmp_path / "results")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    main(["prepare", str(tmp_path / "tiny.yaml")])

    def judge():
        with pytest.raises(SystemExit) as ended:
            main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "none")])
        return ended.value.code, capsys.readouterr().err

    code, words = judge()
    assert code == 2
    assert "none` must be a folder of displacement fields" in words
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").mkdir()
    code, words = judge()
    assert code == 1
    assert "2 pairs, 2 failed" in words
    assert pd.read_parquet(tmp_path / "none" / "pairs.parquet")["reason"].str.contains("must hold a field").all()


def test_means_give_the_median_where_a_label_vanished(tmp_path):
    rows = pd.DataFrame({"status": "complete", "dice": [0.5, 0.7, 0.9], "hd95_mm": [1.0, 3.0, np.inf]})
    rows.to_parquet(tmp_path / "rows.parquet")
    found = dict(line.split(maxsplit=1) for line in means(tmp_path / "rows.parquet").splitlines()[1:])
    assert found == {"dice": "0.7000 ± 0.2000 1", "hd95_mm": "3.0000 median, 1 infinite, mm"}


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": np.ones((2, 4, 5)), "b": np.ones((2, 4, 5))}, "2 arrays where one is meant"),
        ({}, "0 arrays where one is meant"),
        ({"a": np.ones((2, 4, 5), complex)}, "complex128 where real numbers are meant"),
        ({"a": np.full((2, 4, 5), "x")}, "where real numbers are meant"),
        ({"a": np.ones((3, 4, 5, 6))}, "must have shape"),
        ({"a": np.ones((4, 5))}, "must have shape"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_field_are_named(tmp_path, arrays, expected):
    np.savez(tmp_path / "disp_a_b.npz", **arrays)
    image = np.zeros((4, 5), np.float32)
    with pytest.raises(RegbenchError, match=expected):
        fields(pair(image, image, (1.0, 1.0)), "a", "b", path=str(tmp_path))


def test_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", np.array([{"a": 1}], dtype=object))
    image = np.zeros((4, 5), np.float32)
    with pytest.raises(RegbenchError, match="readable field"):
        fields(pair(image, image, (1.0, 1.0)), "a", "b", path=str(tmp_path))


def test_a_field_of_another_grid_names_the_verb_that_writes_the_images(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", np.zeros((2, 5, 5), np.float32))
    image = np.zeros((8, 9), np.float32)
    with pytest.raises(RegbenchError, match=r"`regbench export-images` writes them"):
        fields(pair(image, image, (1.0, 1.0)), "a", "b", path=str(tmp_path))

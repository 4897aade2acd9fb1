"""Fields from files: the vectors that a header says, on the grid that it says, or the file is refused by name."""

import struct
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from made_images import blobs, pair
from scipy.ndimage import gaussian_filter

from regbench.data.nifti import write_displacement, write_vectors
from regbench.models.classical.fields import fields
from regbench.spatial import warp
from regbench.spatial.itk import ras_to_lps, to_mm
from regbench.system.errors import RegbenchError

GRIDS = [((6, 7), (1.5, 0.8)), ((5, 6, 7), (1.0, 1.5, 2.0))]
on_both = pytest.mark.parametrize(("shape", "spacing"), GRIDS, ids=["2D", "3D"])


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(len(shape), *shape)).astype(np.float32)


def empty(shape, spacing=None):
    image = np.zeros(shape, np.float32)
    return pair(image, image, spacing or (1.0,) * len(shape))


def prepared(spacing):
    """The affine of the prepared images."""
    return np.diag([*spacing, *[1.0] * (4 - len(spacing))])


def judged(folder, images, **more):
    return fields(images, "a", "b", path=str(folder), **more)


def save(path, array, affine, *, intent=0, units="mm", placed=True, name=""):
    image = nib.Nifti1Image(array, affine if placed else None)
    if not placed:
        image.header.set_zooms([*np.diag(affine)[:3], *[1.0] * array.ndim][: array.ndim])
    image.header.set_xyzt_units(units)
    image.header["intent_code"], image.header["intent_name"] = intent, name
    nib.save(image, path)
    assert (int(nib.load(path).header["sform_code"]) > 0) == placed


def five_axes(vectors):
    """``(d, *S)`` as ``(X, Y, Z, 1, d)``."""
    last = np.moveaxis(vectors, 0, -1)
    return last.reshape(*last.shape[:-1], *[1] * (5 - last.ndim), last.shape[-1])


@on_both
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".npz", "_first.npz", ".NII.GZ", ".NPZ"])
def test_voxels_come_back_as_they_were_written(tmp_path, shape, spacing, ending):
    field = noise(shape)
    path = tmp_path / f"disp_a_b{ending.removeprefix('_first')}"
    if ending == "_first.npz":
        np.savez(path, field)
    elif ending.lower() == ".npz":
        with path.open("wb") as file:
            np.savez(file, np.moveaxis(field, 0, -1))
    else:
        lower = tmp_path / f"disp{ending.lower()}"
        write_displacement(lower, field, prepared(spacing))
        lower.rename(path)
    found = judged(tmp_path, empty(shape, spacing))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, field)


@on_both
@pytest.mark.parametrize("affine", ["the identity", "no place", "no place, no spacing"])
def test_a_header_that_says_nothing_contradicts_no_voxels(tmp_path, shape, spacing, affine):
    field = noise(shape)
    where = np.eye(4) if affine != "no place" else prepared(spacing)
    save(tmp_path / "disp_a_b.nii", np.moveaxis(field, 0, -1), where, placed=affine == "the identity")
    np.testing.assert_array_equal(judged(tmp_path, empty(shape, spacing)), field)


@pytest.mark.parametrize("kind", [">f4", "<f8", ">f8", "f2", "<i2 scaled", ">i2 scaled"])
def test_types_of_numbers(tmp_path, kind):
    """Of either byte order, in double, in half (npz), and as integers with a slope: the numbers that are meant."""
    shape = (5, 6, 7)
    field = np.round(noise(shape) * 64) / 64
    last = np.moveaxis(field, 0, -1)
    if kind == "f2":
        np.savez(tmp_path / "disp_a_b.npz", last.astype(np.float16))
    else:
        order, scaled = kind[0], "scaled" in kind
        header = nib.Nifti1Header(endianness=order)
        header.set_data_dtype(np.dtype(kind.removesuffix(" scaled")))
        content = nib.Nifti1Image((last * 64).astype(np.int16) if scaled else last, np.eye(4), header).to_bytes()
        slope = struct.pack(f"{order}f", 1 / 64)
        (tmp_path / "disp_a_b.nii").write_bytes(content[:112] + slope + content[116:] if scaled else content)
    np.testing.assert_array_equal(judged(tmp_path, empty(shape)), field)


@pytest.mark.parametrize("grid", GRIDS, ids=["2D", "3D"])
@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("by", ["nothing", "a translation", "a smooth field"])
@pytest.mark.parametrize("direction", ["identity", "flipped", "oblique"])
def test_a_field_of_itk_warps_as_itk_does(tmp_path, grid, ending, by, direction):
    """Resampled by SimpleITK through the field in its file, or warped by us through what we read: the same image."""
    sitk = pytest.importorskip("SimpleITK")
    (small, spacing), dims = grid, len(grid[0])
    shape = tuple(4 * n for n in small)
    if direction == "oblique" and dims == 2:
        pytest.skip("NIfTI keeps no rotation of a 2D image that ITK writes")
    image = sitk.GetImageFromArray(blobs(shape).T)
    image.SetSpacing(spacing)
    image.SetOrigin((3.0, -4.0, 5.0)[:dims])
    if direction == "flipped":
        image.SetDirection(np.diag((-1.0, -1.0, 1.0)[:dims]).ravel().tolist())
    elif direction == "oblique":
        image.SetDirection(nib.eulerangles.euler2mat(0.1, 0.2, 0.3).ravel().tolist())
    vectors = np.zeros((*reversed(shape), dims))
    if by == "a translation":
        vectors += (2.0, -1.5, 0.7)[:dims]
    elif by == "a smooth field":
        vectors = gaussian_filter(np.random.default_rng(1).normal(size=vectors.shape), (*[3] * dims, 0)) * 20
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(image)
    sitk.WriteImage(field, str(tmp_path / f"disp_a_b{ending}"))
    lps = np.eye(dims + 1)
    lps[:dims, :dims] = np.reshape(image.GetDirection(), (dims, dims)) * spacing
    lps[:dims, -1] = image.GetOrigin()
    affine = np.diag([*(-1.0, -1.0, 1.0)[:dims], 1.0]) @ lps
    found = judged(tmp_path, replace(empty(shape, spacing), native_affines=(affine, affine)))
    assert (found == 0).all() == (by == "nothing")
    expected = sitk.GetArrayFromImage(sitk.Resample(image, sitk.DisplacementFieldTransform(field), sitk.sitkLinear)).T
    moved = warp(torch.from_numpy(blobs(shape))[None, None], torch.from_numpy(found)[None])[0, 0].numpy()
    aim = np.indices(shape) + found
    inside = ((aim >= 0) & (aim <= np.reshape(shape, (-1, *[1] * dims)) - 1)).all(0)
    np.testing.assert_allclose(moved[inside], expected[inside], atol=1e-4)
    assert inside.mean() > 0.5


@on_both
@pytest.mark.parametrize("form", ["auto", "itk"])
@pytest.mark.parametrize("intent", [1006, 1007])
def test_intents_of_nifti_as_simpleitk_reads_them(tmp_path, shape, spacing, form, intent):
    """A vector (1007) is along LPS as it stands; a displacement vector (1006) is along RAS, and ITK turns it.

    ITK 5.4 turns the numbers of 2D fields as if they were 3D: two of any three. There NIfTI's definition counts.
    """
    sitk = pytest.importorskip("SimpleITK")
    vectors, dims = noise(shape), len(shape)
    path = tmp_path / "disp_a_b.nii"
    save(path, five_axes(vectors), prepared(spacing), intent=intent)
    image = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
    lps = np.moveaxis(sitk.GetArrayFromImage(image).transpose(*reversed(range(dims)), dims), -1, 0)
    sign = np.reshape((-1, -1, 1)[:dims], (-1, *[1] * dims))
    if (intent, dims) != (1006, 2):
        np.testing.assert_array_equal(lps, vectors if intent == 1007 else vectors * sign)
    expected = (vectors if intent == 1006 else lps * sign) / np.reshape(spacing, (-1, *[1] * dims))
    np.testing.assert_allclose(judged(tmp_path, empty(shape, spacing), form=form), expected, rtol=1e-6)


def test_what_the_header_leaves_open_is_asked_for(tmp_path):
    """Five axes without an intent, four with one, each in mm along LPS, along RAS or in voxels."""
    shape, spacing = GRIDS[1]
    vectors = noise(shape)
    voxels = {
        "l2r": vectors,
        "itk": vectors * np.reshape([-1, -1, 1], (3, 1, 1, 1)) / np.reshape(spacing, (3, 1, 1, 1)),
        "nifti": vectors / np.reshape(spacing, (3, 1, 1, 1)),
    }
    for array, intent in (
        (five_axes(vectors), 0),
        (np.moveaxis(vectors, 0, -1), 1006),
        (np.moveaxis(vectors, 0, -1), 1007),
    ):
        save(tmp_path / "disp_a_b.nii", array, prepared(spacing), intent=intent)
        with pytest.raises(RegbenchError, match=r"disp_a_b.nii` must say what its vectors are, but has .*`--form`"):
            judged(tmp_path, empty(shape, spacing))
        for form, expected in voxels.items():
            np.testing.assert_allclose(judged(tmp_path, empty(shape, spacing), form=form), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("intent", "form", "expected"),
    [
        (1007, "l2r", "must have the form `l2r`.*intent 1007 .vector.*: `itk`"),
        (1006, "l2r", "must have the form `l2r`.*intent 1006 .*: `nifti`"),
        (1004, "auto", "intent 1004"),
        (1005, "auto", "intent 1005"),
        (1002, "auto", "intent 1002"),
        (2006, "auto", "intent 2006"),
        (999, "auto", "intent 999"),
    ],
)
def test_an_intent_of_something_else_is_refused(tmp_path, intent, form, expected):
    shape, spacing = GRIDS[1]
    save(tmp_path / "disp_a_b.nii", five_axes(noise(shape)), prepared(spacing), intent=intent)
    with pytest.raises(RegbenchError, match=expected):
        judged(tmp_path, empty(shape, spacing), form=form)


@pytest.mark.parametrize("name", ["NREG_TRANS", "Mapping"])
def test_positions_that_call_themselves_vectors_are_refused(tmp_path, name):
    shape, spacing = GRIDS[1]
    save(tmp_path / "disp_a_b.nii", five_axes(noise(shape)), prepared(spacing), intent=1007, name=name)
    with pytest.raises(RegbenchError, match=f"intent name `{name}`"):
        judged(tmp_path, empty(shape, spacing))


@pytest.mark.parametrize(("units", "factor"), [("micron", 1000), ("meter", 0.001)])
def test_units_of_length(tmp_path, units, factor):
    """Voxels have none, and their grid is compared in mm; of vectors it would be a guess."""
    shape, spacing = GRIDS[1]
    field, affine = noise(shape), prepared(spacing)
    affine[:3] *= factor
    save(tmp_path / "disp_a_b.nii", np.moveaxis(field, 0, -1), affine, units=units)
    np.testing.assert_array_equal(judged(tmp_path, empty(shape, spacing)), field)
    with pytest.raises(RegbenchError, match=f"so vectors in {units} or in mm"):
        judged(tmp_path, empty(shape, spacing), form="itk")
    for intent in (1006, 1007):
        save(tmp_path / "disp_a_b.nii", five_axes(field), affine, intent=intent, units=units)
        with pytest.raises(RegbenchError, match=f"unit {units}, so vectors in {units} or in mm"):
            judged(tmp_path, empty(shape, spacing))
    save(tmp_path / "disp_a_b.nii", np.moveaxis(field, 0, -1), prepared(spacing), units=units)
    with pytest.raises(RegbenchError, match="must lie on the prepared grid"):
        judged(tmp_path, empty(shape, spacing))


ELSEWHERE = {
    "flipped": lambda affine: affine @ np.diag([-1.0, 1, 1, 1]),
    "mirrored in place": lambda affine: affine @ np.array([[-1.0, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    "100 mm off": lambda affine: affine + 100.0 * np.outer([1, 0, 0, 0], [0, 0, 0, 1]),
    "a tenth of a voxel off": lambda affine: affine + 0.1 * np.outer([1, 0, 0, 0], [0, 0, 0, 1]),
    "twice the spacing": lambda affine: affine @ np.diag([2.0, 2, 2, 1]),
    "axes swapped": lambda affine: affine[:, [1, 0, 2, 3]],
    "turned": lambda affine: nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1), [0, 0, 0]) @ affine,
    "sheared": lambda affine: affine + 0.2 * np.outer([1, 0, 0, 0], [0, 1, 0, 0]),
    "flat": lambda affine: affine @ np.diag([1.0, 1, 0, 1]),
}


@on_both
@pytest.mark.parametrize("form", ["l2r", "itk"])
@pytest.mark.parametrize("where", list(ELSEWHERE))
def test_a_field_of_another_place_is_refused(tmp_path, shape, spacing, form, where):
    if where == "flat" and len(shape) == 2:
        pytest.skip("no third axis")
    affine = ELSEWHERE[where](prepared(spacing))
    array = five_axes(noise(shape)) if form == "itk" else np.moveaxis(noise(shape), 0, -1)
    image = nib.Nifti1Image(array, None)
    image.header.set_xyzt_units("mm")
    image.header.set_intent("vector" if form == "itk" else "none")
    image.set_sform(affine, 1)
    nib.save(image, tmp_path / "disp_a_b.nii")
    with pytest.raises(RegbenchError, match=r"disp_a_b.nii` must lie on the prepared grid"):
        judged(tmp_path, empty(shape, spacing))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_a_place_that_is_no_number_is_refused(tmp_path, value):
    shape, spacing = GRIDS[1]
    path = tmp_path / "disp_a_b.nii"
    for array, intent in ((np.moveaxis(noise(shape), 0, -1), 0), (five_axes(noise(shape)), 1007)):
        save(path, array, prepared(spacing), intent=intent)
        content = path.read_bytes()
        path.write_bytes(content[:280] + struct.pack("<4f", *[value] * 4) + content[296:])  # the first row of sform
        with pytest.raises(RegbenchError, match=r"disp_a_b.nii` must"):
            judged(tmp_path, empty(shape, spacing))


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_vector_image_of_another_place_is_refused(tmp_path, ending):
    sitk = pytest.importorskip("SimpleITK")
    shape, spacing = GRIDS[1]
    image = sitk.GetImageFromArray(np.moveaxis(noise(shape), 0, -1).transpose(2, 1, 0, 3), isVector=True)
    image.SetSpacing(spacing)  # along LPS: the prepared axes run the other way
    sitk.WriteImage(image, str(tmp_path / f"disp_a_b{ending}"))
    with pytest.raises(
        RegbenchError, match=r"must lie on the prepared grid.*directions \(-1, 0, 0, 0, -1, 0, 0, 0, 1\)"
    ):
        judged(tmp_path, empty(shape, spacing))
    with pytest.raises(RegbenchError, match="must have the form `l2r`"):
        judged(tmp_path, empty(shape, spacing), form="l2r")


@pytest.mark.parametrize(
    ("ending", "line", "other", "expected"),
    [
        (
            ".nrrd",
            "space: left-posterior-superior",
            "space: right-anterior-superior",
            "`space: right-anterior-superior`",
        ),
        (".nrrd", "kinds:", 'space units: "um" "um" "um"\nkinds:', "the unit `um`"),
        (".nrrd", "kinds:", "measurement frame: (-1,0,0) (0,-1,0) (0,0,1)\nkinds:", "a `measurement frame`"),
        (".mha", "ElementSpacing", "DistanceUnits = um\nElementSpacing", "the unit `um`"),
    ],
)
def test_what_itk_would_ignore_in_a_header_is_refused(tmp_path, ending, line, other, expected):
    sitk = pytest.importorskip("SimpleITK")
    shape = (5, 6, 7)
    image = sitk.GetImageFromArray(np.zeros((*reversed(shape), 3), np.float32), isVector=True)
    image.SetDirection(np.diag([-1.0, -1, 1]).ravel().tolist())
    path = tmp_path / f"disp_a_b{ending}"
    sitk.WriteImage(image, str(path))
    assert not judged(tmp_path, empty(shape)).any()
    content = path.read_bytes()
    assert line.encode() in content
    path.write_bytes(content.replace(line.encode(), other.encode(), 1))
    with pytest.raises(RegbenchError, match=f"{ending}` must be a readable field.*{expected}"):
        judged(tmp_path, empty(shape))


def test_a_place_that_is_in_doubt_moves_no_mm(tmp_path):
    shape, spacing = GRIDS[1]
    path, affine = tmp_path / "disp_a_b.nii", prepared(spacing)
    save(path, five_axes(noise(shape)), affine, intent=1007, placed=False)
    with pytest.raises(RegbenchError, match="neither sform nor qform"):
        judged(tmp_path, empty(shape, spacing))
    image = nib.Nifti1Image(five_axes(noise(shape)), affine)
    image.header.set_intent("vector")
    image.set_sform(affine, 1)
    image.set_qform(affine @ np.diag([-1.0, -1, 1, 1]), 1)
    nib.save(image, path)
    with pytest.raises(RegbenchError, match="an sform and a qform that differ"):
        judged(tmp_path, empty(shape, spacing))


@on_both
@pytest.mark.parametrize("form", ["l2r", "itk"])
def test_the_subjects_own_headers_count_where_their_arrays_are_the_grid(tmp_path, shape, spacing, form):
    """Two headers that put the same array elsewhere: vectors in mm lead from the one to the other."""
    dims = len(shape)
    fixed, moving = np.diag([*spacing, 1.0]), np.diag([*spacing, 1.0])
    fixed[0], fixed[0, -1], moving[0, -1] = -fixed[0], 7.0, 3.0
    whole = np.eye(4)
    whole[np.ix_([*range(dims), 3], [*range(dims), 3])] = fixed
    field = noise(shape)
    if form == "l2r":
        write_displacement(tmp_path / "disp_a_b.nii", field, whole)
    else:
        write_vectors(tmp_path / "disp_a_b.nii", ras_to_lps(to_mm(field, fixed, moving)), whole)
    images = replace(empty(shape, spacing), native_affines=(fixed, moving))
    np.testing.assert_allclose(judged(tmp_path, images), field, atol=1e-5)
    with pytest.raises(RegbenchError, match="must lie on the prepared grid"):
        judged(tmp_path, empty(shape, spacing))


@pytest.mark.parametrize("shape", [(7, 1), (6, 1, 7), (1, 6, 7)])
def test_an_image_may_be_one_voxel_thick(tmp_path, shape):
    stored = five_axes(noise(shape))  # as ITK writes it
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "disp_a_b.nii")
    np.testing.assert_array_equal(judged(tmp_path, empty(shape), form="l2r"), noise(shape))


@pytest.mark.parametrize("stored", [(4, 5, 1, 2), (4, 5, 1, 3), (4, 5, 3), (4, 5, 1, 1, 2), (4, 5, 1, 1, 3)])
def test_a_slice_in_a_file_of_volumes(tmp_path, stored):
    """Two components, or three of which the third moves nothing; else it would leave the slice."""
    spacing, field = (1.5, 0.8), noise((4, 5))
    array = np.zeros(stored, np.float32)
    array[..., :2] = np.moveaxis(field, 0, -1).reshape(*stored[:-1], 2)
    intent = 1007 if len(stored) == 5 else 0
    save(tmp_path / "disp_a_b.nii", array, prepared(spacing), intent=intent)
    expected = field if intent == 0 else -field / np.reshape(spacing, (2, 1, 1))
    np.testing.assert_allclose(judged(tmp_path, empty((4, 5), spacing)), expected, rtol=1e-6)
    if stored[-1] == 3:
        array[1, 2, ..., 2] = 0.1
        save(tmp_path / "disp_a_b.nii", array, prepared(spacing), intent=intent)
        with pytest.raises(RegbenchError, match="must move a slice within itself"):
            judged(tmp_path, empty((4, 5), spacing))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((3, 4, 5, 6), "Its components come first: write them last"),
        ((4, 5, 6, 2), "must have shape"),
        ((4, 5, 6, 4), "must have shape"),
        ((4, 5, 6), "must have shape"),
        ((5, 4, 6, 3), "must have shape"),
        ((8, 10, 12, 3), "must have shape"),
        ((4, 5, 6, 2, 3), "It must be a field"),
        ((4, 5, 6, 3, 1), "It must be a field"),
        ((4, 5, 6, 1, 1, 3), "It must be a field"),
        ((4, 5), "It must be a field"),
    ],
)
def test_a_nifti_of_another_shape_is_refused(tmp_path, stored, expected):
    nib.save(nib.Nifti1Image(np.zeros(stored, np.float32), np.eye(4)), tmp_path / "disp_a_b.nii")
    with pytest.raises(RegbenchError, match=expected):
        judged(tmp_path, empty((4, 5, 6)))


def test_an_npz_that_leaves_the_axis_of_its_components_open_is_refused(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", np.zeros((3, 3, 3, 3)))
    with pytest.raises(RegbenchError, match="which axis holds the components"):
        judged(tmp_path, empty((3, 3, 3)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.ones((2, 4, 4)), "must have shape"),
        (np.full((2, 4, 5), np.nan), "must be finite"),
        (np.full((2, 4, 5), -np.inf), "must be finite"),
        (np.full((2, 4, 5), 1e300), "must be finite in float32"),
        (np.full((2, 4, 5), 1e6), "must move voxels by less than 10 sides of the image .50 voxels., but moves"),
        (np.indices((4, 5)).astype(np.float32), "as positions do"),
        (np.indices((4, 5)) + 0.4, "as positions do"),
        (None, "must hold a field for the pair a, b"),
        (np.ones((2, 4, 5), complex), "complex128"),
        (np.ones((2, 4, 5), bool), "bool where real numbers are meant"),
        (np.full((2, 4, 5), "x"), "where real numbers are meant"),
        (np.ones((3, 4, 5, 6)), "must have shape"),
        (np.ones((4, 5)), "must have shape"),
        (np.float32(1), "must have shape"),
        (np.ones((1, 2, 4, 5)), "must have shape"),
        (np.array([{"a": 1}], dtype=object), "readable field"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_field_are_named(tmp_path, content, expected):
    if content is not None:
        np.savez(tmp_path / "disp_a_b.npz", content)
    with pytest.raises(RegbenchError, match=expected) as error:
        judged(tmp_path, empty((4, 5)))
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(("count", "expected"), [(0, "0 arrays"), (2, r"2 arrays where one is meant \(`a`, `b`\)")])
def test_an_npz_has_one_array(tmp_path, count, expected):
    np.savez(tmp_path / "disp_a_b.npz", **{name: np.ones((2, 4, 5)) for name in "ab"[:count]})
    with pytest.raises(RegbenchError, match=expected):
        judged(tmp_path, empty((4, 5)))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".npz", ".mha", ".nrrd"])
def test_a_file_that_is_cut_off_is_named(tmp_path, ending):
    path, field = tmp_path / f"disp_a_b{ending}", noise((9, 8, 7))
    if ending == ".npz":
        np.savez(path, field)
    elif ending.startswith(".nii"):
        write_displacement(path, field, np.eye(4))
    else:
        sitk = pytest.importorskip("SimpleITK")
        image = sitk.GetImageFromArray(np.moveaxis(field, 0, -1).transpose(2, 1, 0, 3), isVector=True)
        image.SetDirection(np.diag([-1.0, -1, 1]).ravel().tolist())
        sitk.WriteImage(image, str(path))
    whole = path.read_bytes()
    for share in (0, 0.01, 0.5, 0.98):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(RegbenchError, match=f"disp_a_b{ending}` must be a readable field"):
            judged(tmp_path, empty((9, 8, 7)))


def test_a_field_of_another_grid_names_the_verb_that_writes_the_images(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", np.zeros((2, 5, 5), np.float32))
    with pytest.raises(RegbenchError, match=r"`regbench export-images` writes them"):
        judged(tmp_path, empty((8, 9)))

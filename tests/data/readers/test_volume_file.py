"""What headers say of volumes: against SimpleITK and nibabel, or by hand."""

import gzip
import re

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from data_files import brain

from regbench.data.readers.image_file import ImageFile
from regbench.system.errors import RegbenchError

SCALED = np.array([[-2.0, 0, 0, 30], [0, 3, 0, -20], [0, 0, 4, 10], [0, 0, 0, 1]])


def written(path, values, affine, *, unit=2, **fields):
    image = nib.Nifti1Image(values, affine)
    image.header["xyzt_units"] = unit
    nib.save(image, path)
    if not fields:
        return path
    content = bytearray(gzip.decompress(path.read_bytes()))
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))
    return path


@pytest.mark.parametrize(
    ("unit", "note"),
    [(1, "metres.*1000"), (2, None), (3, "microns.*0.001"), (0, "no unit of length"), (8 + 3, "micron")],
)
def test_lengths_are_mm_as_simpleitk_reads_them(tmp_path, unit, note):
    path = written(tmp_path / "a.nii.gz", brain(0)[0], SCALED, unit=unit)
    header = ImageFile(path).header
    theirs = SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(header.spacing_mm, theirs.GetSpacing(), rtol=1e-5)
    np.testing.assert_allclose(header.affine[:3, 3], np.array(theirs.GetOrigin()) * [-1, -1, 1], rtol=1e-5)
    text = "; ".join(header.notes)
    assert not text if note is None else re.search(note, text)


def test_voxels_of_a_micrograph_keep_their_digits(tmp_path):
    path = written(tmp_path / "a.nii.gz", brain(0)[0], np.diag([0.123456, 0.25, 0.0004, 1]), unit=3)
    np.testing.assert_allclose(
        ImageFile(path).header.spacing_mm, SimpleITK.ReadImage(str(path)).GetSpacing(), rtol=1e-5
    )


def test_a_unit_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(RegbenchError, match=r"a\.nii\.gz` must name its unit of length.*code 5"):
        ImageFile(written(tmp_path / "a.nii.gz", brain(0)[0], SCALED, unit=5)).header  # noqa: B018


def test_qform_against_sform(tmp_path):
    image = nib.Nifti1Image(brain(0)[0], SCALED)
    image.set_qform(SCALED, 1)
    nib.save(image, tmp_path / "same.nii.gz")
    assert not any("sform" in note for note in ImageFile(tmp_path / "same.nii.gz").header.notes)
    other = SCALED.copy()
    other[0, 3] += 3
    image.set_qform(other, 1)
    nib.save(image, tmp_path / "other.nii.gz")
    header = ImageFile(tmp_path / "other.nii.gz").header
    assert any("the sform counts" in note for note in header.notes)
    np.testing.assert_allclose(header.affine, SCALED)
    path = written(tmp_path / "sizes.nii.gz", brain(0)[0], SCALED, pixdim=[1, 9, 9, 9, 1, 1, 1, 1])
    assert any("pixdim" in note for note in ImageFile(path).header.notes)


@pytest.mark.parametrize("codes", [(1, 0), (0, 0)])
def test_sizes_of_nothing_are_not_taken_for_one_mm(tmp_path, codes):
    fields = {"qform_code": codes[0], "sform_code": codes[1]}
    path = written(tmp_path / "a.nii.gz", brain(0)[0], np.eye(4), pixdim=[1, 2, 0, 2, 1, 1, 1, 1], **fields)
    with pytest.raises(RegbenchError, match=r"a\.nii\.gz` must have finite voxel sizes .*\[2\.0, 0\.0, 2\.0\]"):
        ImageFile(path).header  # noqa: B018
    flat = written(tmp_path / "b.nii.gz", brain(0, (9, 12))[0], np.eye(4), pixdim=[1, 2, 3, 0, 1, 1, 1, 1], **fields)
    assert ImageFile(flat).header.spacing_mm == (2, 3)


def test_no_code_no_place(tmp_path):
    path = written(tmp_path / "a.nii.gz", brain(0)[0], np.diag([2.0, 3, 4, 1]), qform_code=0, sform_code=0)
    header = ImageFile(path).header
    assert not header.placed
    assert header.spacing_mm == (2, 3, 4)
    assert any("codes are 0" in note for note in header.notes)


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        ([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "meet at 73 degrees"),
        ([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "right angles.*meet at 0"),
        ([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1e-9, 0], [0, 0, 0, 1]], "right angles"),
        ([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "spacings above 0"),
        ([[1, 0, 0, np.nan], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "finite numbers"),
        ([[1, 0, 0, 0], [0, np.inf, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "finite numbers"),
    ],
)
def test_affines_that_lead_nowhere_are_refused(tmp_path, affine, words):
    rows = dict(zip(("srow_x", "srow_y", "srow_z"), affine, strict=False))
    path = written(tmp_path / "a.nii.gz", brain(0)[0], np.eye(4), **rows)
    with pytest.raises(RegbenchError, match=rf"(?s)a\.nii\.gz.*{words}"):
        ImageFile(path).header  # noqa: B018


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((9, 12, 1), (0, 1)),
        ((1, 9, 12), (1, 2)),
        ((9, 1, 12), (0, 2)),
        ((9, 12, 7, 1), (0, 1, 2)),
        ((9, 12, 7, 1, 1), (0, 1, 2)),
        ((9, 12, 1, 1), (0, 1)),
    ],
)
def test_axes_of_one_are_left_out_and_noted(tmp_path, shape, axes):
    values = np.random.default_rng(0).random(shape, np.float32)
    read, header = ImageFile(written(tmp_path / "a.nii.gz", values, SCALED)).read()
    assert header.axes == axes
    assert header.spacing_mm == tuple(np.array([2.0, 3, 4])[list(axes)])
    np.testing.assert_array_equal(read, values.squeeze())
    assert any("axes of one voxel left out" in note for note in header.notes)


@pytest.mark.parametrize(
    ("shape", "intent", "words"),
    [
        ((9, 12, 7), 1007, "holds vectors"),
        ((9, 12, 7), 1006, "displacement"),
        ((9, 12, 1, 1, 2), 1007, "vectors"),
        ((9, 12, 7, 1, 3), 1006, "displacement vectors"),
        ((9, 12, 7, 3), 2006, "displacement vectors"),
        ((9, 12, 7), 2003, "colours"),
        ((9, 12, 7), 1005, "symmetric matrices"),
        ((9, 12, 7, 3), 0, r"one 2D or 3D image, but its shape is \(9, 12, 7, 3\)"),
        ((9, 12, 7, 1, 3), 0, "one 2D or 3D image"),
        ((9, 1, 1), 0, "one 2D or 3D image"),
    ],
)
def test_what_is_no_image_by_its_header_is_refused(tmp_path, shape, intent, words):
    path = written(tmp_path / "a.nii.gz", np.ones(shape, np.float32), np.eye(4), intent_code=intent)
    with pytest.raises(RegbenchError, match=rf"a\.nii\.gz.*{words}"):
        ImageFile(path).header  # noqa: B018


@pytest.mark.parametrize("intent", [3, 5, 1002, 2001])
def test_maps_of_statistics_and_labels_are_images(tmp_path, intent):
    path = written(tmp_path / "a.nii.gz", brain(0)[0], np.eye(4), intent_code=intent)
    assert ImageFile(path).header.shape == (9, 12, 7)


def test_the_header_of_a_pair_under_one_name(tmp_path):
    """nibabel reads its bytes as voxels."""
    path = written(tmp_path / "a.nii.gz", brain(0)[0], np.eye(4), magic="ni1", vox_offset=0)
    with pytest.raises(RegbenchError, match=r"a\.nii\.gz` must have its voxels behind its header"):
        ImageFile(path).read()


def test_cifti_is_no_image(tmp_path):
    axes = (
        nib.cifti2.ScalarAxis(["a", "b"]),
        nib.cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 2)), affine=np.eye(4)),
    )
    nib.save(nib.Cifti2Image(np.zeros((2, 8), np.float32), axes), tmp_path / "a.dscalar.nii")
    with pytest.raises(RegbenchError, match=r"a\.dscalar\.nii` must be an image of voxels"):
        ImageFile(tmp_path / "a.dscalar.nii").header  # noqa: B018


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.symlink_to(path.parent / "gone"), "a link to a file that does not exist"),
        (lambda path: path.symlink_to(path), "link"),
        (lambda path: path.write_bytes(bytes(400)), "not compressed by gzip.*rename"),
    ],
)
def test_what_is_no_file_has_its_own_words(tmp_path, make, words):
    path = tmp_path / "a.nii.gz"
    make(path)
    with pytest.raises(RegbenchError, match=rf"(?s)a\.nii\.gz` must be a readable image.*{words}"):
        ImageFile(path).read()


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.dcm", "a.gif", "a.npz", "a.hdr", "a"])
def test_formats_that_are_not_read_have_a_way_out(tmp_path, name):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(brain(0)[0]), str(tmp_path / "b.mha"))
    (tmp_path / name).write_bytes((tmp_path / "b.mha").read_bytes())
    with pytest.raises(RegbenchError, match=r"must end in one of \.nii.*SimpleITK\.WriteImage"):
        ImageFile(tmp_path / name).read()

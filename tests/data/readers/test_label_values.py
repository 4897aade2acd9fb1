"""Labels that formats and programs moved off integers, and what only looks like labels."""

import nibabel as nib
import numpy as np
import pytest

from regbench.data.readers.image_file import read_labels
from regbench.data.readers.label_values import ROUNDED, whole_numbers
from regbench.system.errors import RegbenchError


def stored(path, values, kind):
    """As programs do that give a float array the header of an integer file: nibabel then scales."""
    header = nib.Nifti1Header()
    header.set_data_dtype(kind)
    nib.save(nib.Nifti1Image(values, np.eye(4), header), path)
    return path


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("ids", [(1, 2, 24), (4, 41, 2035), (7, 11175, 12175)])
def test_scaled_integers_come_back_as_what_was_meant(tmp_path, ids, kind):
    meant = np.random.default_rng(0).choice([0, *ids], (9, 8, 7))
    path = stored(tmp_path / "a.nii.gz", meant.astype(np.float64), kind)
    off = np.abs(np.asarray(nib.load(path).dataobj) - meant).max()
    assert 0 < off < 0.2  # the trap is there
    labels, header = read_labels(path)
    np.testing.assert_array_equal(labels, meant)
    assert ROUNDED in header.notes


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16])
def test_scaled_probabilities_are_none(tmp_path, kind):
    share = np.random.default_rng(0).random((9, 8, 7))
    with pytest.raises(RegbenchError, match=r"a\.nii\.gz`: labels must be integers, but one is 0\.\d+, more than"):
        read_labels(stored(tmp_path / "a.nii.gz", share, kind))


@pytest.mark.parametrize("value", [0.9999, 2.0001, 1.999999998603016, -0.0002, np.float32(3.9999)])
def test_rounding_noise_is_taken(value):
    labels, rounded = whole_numbers(np.array([0.0, value, 1]), "a")
    assert labels.tolist() == [0, round(float(value)), 1]
    assert (labels.dtype, rounded) == (np.int32, True)


def test_large_ids_in_single_precision():
    ids = np.array([0, 2035, 12175, 200000], np.float32)
    np.testing.assert_array_equal(whole_numbers(np.nextafter(np.nextafter(ids, 0), 0), "a").values, ids)
    with pytest.raises(RegbenchError, match=r"but one is 12175\.01"):
        whole_numbers(ids[2:] + np.float32(0.01), "a")


@pytest.mark.parametrize("value", [0.4, 0.99, 2.002, np.nan, np.inf, -np.inf])
def test_what_is_between_integers_is_shown_as_it_is(value):
    with pytest.raises(RegbenchError, match=rf"`a`: labels must be integers, but one is {value!s}, more than"):
        whole_numbers(np.array([0, value, 1]), "a")


@pytest.mark.parametrize("value", [-1, -0.9999, 2**31, 2**40, 1e30])
def test_ids_that_no_label_has(value):
    with pytest.raises(RegbenchError, match="labels must be 0 to 2147483647"):
        whole_numbers(np.array([0, value, 1]), "a")


@pytest.mark.parametrize("kind", ["u1", "i1", ">i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?"])
def test_every_type_becomes_one_that_nifti_has(kind):
    labels, rounded = whole_numbers(np.array([0, 1, 1]).astype(kind), "a")
    assert labels.tolist() == [0, 1, 1]
    assert labels.dtype.kind in "iu"
    assert labels.dtype.itemsize <= 4
    assert not rounded

"""Which file is a pair's, and what else a folder of fields holds."""

import os

import nibabel as nib
import numpy as np
import pytest

from regbench.data.displacement_names import DisplacementNames
from regbench.data.nifti import write_displacement, write_vectors
from regbench.models.classical.field_folder import find, survey
from regbench.system.errors import RegbenchError

FIELD = np.zeros((2, 4, 5), np.float32)
PAIRS = {pair: DisplacementNames("abcde").stems(*pair) for pair in (("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"))}


def found(folder, *pair):
    return find(folder, pair, DisplacementNames(pair).stems(*pair))


def first(count):
    return dict(list(PAIRS.items())[:count])


def test_the_numbers_of_an_id_are_enough(tmp_path):
    path = tmp_path / "disp_0001_0000_0002_0000.npz"
    np.savez(path, FIELD)
    assert found(tmp_path, "OASIS_0001_0000", "OASIS_0002_0000") == path


@pytest.mark.parametrize("second", ["disp_a_b.npz", "disp_a_b.nii", "disp_a_b.NII.GZ", "disp_a_b.mha"])
def test_two_files_of_one_pair_are_one_too_many(tmp_path, second):
    for name in ("disp_a_b.nii.gz", second):
        (tmp_path / name).touch()
    with pytest.raises(RegbenchError, match=f"must hold one field for the pair a, b, but has 2: .*{second}"):
        found(tmp_path, "a", "b")


def test_two_names_of_one_file_are_one(tmp_path):
    (tmp_path / "disp_a_b.nii.gz").touch()
    os.link(tmp_path / "disp_a_b.nii.gz", tmp_path / "disp_a_b.NII.GZ")
    assert found(tmp_path, "a", "b") == tmp_path / "disp_a_b.nii.gz"


def test_everything_in_a_folder_is_counted(tmp_path):
    write_displacement(tmp_path / "disp_a_b.nii.gz", FIELD, np.eye(4))
    write_vectors(tmp_path / "disp_b_c.nii.gz", FIELD, np.eye(4))
    for name in ("disp_c_d.npz", "disp_c_d.nii"):
        (tmp_path / name).touch()
    for name in ("disp_b_a.nii.gz", "notes.txt", "pairs.parquet", ".DS_Store"):
        (tmp_path / name).touch()
    assert survey(tmp_path, PAIRS, "auto", not_fields=("pairs.parquet",)) == [
        "1 fields read as l2r: voxels of the fixed array",
        "1 fields read as itk: mm along LPS",
        "1 pairs have several files, so none counts: `disp_c_d.nii`, `disp_c_d.npz`",
        "1 pairs have no file: `d, e`",
        "2 files of the folder are of no pair: `disp_b_a.nii.gz`, `notes.txt`",
    ]


def test_whole_numbers_are_counted(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", FIELD.astype(np.int16))
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 2), np.uint8), np.eye(4)), tmp_path / "disp_b_c.nii")
    scaled = nib.Nifti1Image(np.random.default_rng(0).normal(size=(4, 5, 2)), np.eye(4))
    scaled.set_data_dtype(np.int16)
    nib.save(scaled, tmp_path / "disp_c_d.nii")
    assert survey(tmp_path, first(3), "auto")[1:] == [
        "2 fields hold whole numbers, so fractions of a voxel or mm are lost: `disp_a_b.npz`, `disp_b_c.nii`"
    ]


def test_half_precision_is_counted(tmp_path):
    np.savez(tmp_path / "disp_a_b.npz", FIELD.astype(np.float16))
    assert survey(tmp_path, first(1), "auto")[1].startswith("1 fields are of half precision: 8 voxels")


def test_a_field_at_fault_is_left_to_its_row(tmp_path):
    (tmp_path / "disp_a_b.npz").write_bytes(b"no zip")
    assert survey(tmp_path, first(1), "auto") == []

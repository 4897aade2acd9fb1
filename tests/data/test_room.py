"""What a dataset takes on the disk is known, and compared with what is free, before a byte is written."""

from collections import namedtuple

import nibabel as nib
import numpy as np
import pytest
import yaml
from data_files import folder_of
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data import room

Usage = namedtuple("Usage", "total used free")
GRID = 16 * 16 * 16


def refusal(capsys, *words) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    assert ended.value.code == 1
    return capsys.readouterr().err


@pytest.fixture
def study(tmp_path):
    """Writes the config of a study of six small volumes with further preprocessing; gives the file."""
    folder = folder_of(tmp_path / "data", shape=(9, 12, 10))

    def config(**preprocessing):
        entry = {"id": "d", "source": "folder", "parameters": {"path": str(folder)}, "preprocessing": preprocessing}
        entry["splits"] = {"train": 2, "validation": 2, "test": 2}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**TINY, "datasets": [entry], "results": str(tmp_path / "results")}))
        return path

    return config


@pytest.mark.parametrize("verb", ["check", "prepare", "inspect"])
def test_what_does_not_fit_onto_the_disk_is_refused_before_anything_is_read(study, tmp_path, capsys, monkeypatch, verb):
    needed = 6 * GRID * 8  # float32 and int32
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, needed - 1))
    monkeypatch.setattr("regbench.data.readers.image_file.ImageFile.read", None)
    words = refusal(capsys, verb, study(shape=[16, 16, 16]))
    assert "its 6 images of 16 x 16 x 16 voxels need 0.000197 GB and 0.000197 GB are free" in words
    assert "Its size is that of `preprocessing.shape: [16, 16, 16]`: change it, or free space" in words
    assert not list((tmp_path / "results").rglob("*.npy"))


def test_what_just_fits_is_prepared_and_has_the_size_that_was_said(study, tmp_path, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, 6 * GRID * 8))
    main(["prepare", str(study())])
    arrays = [*(tmp_path / "results").rglob("*.npy")]
    assert sum(path.stat().st_size - 128 for path in arrays) == 6 * GRID * 8  # a header has 128 bytes


def test_true_maps_count_and_a_synthetic_dataset_names_its_own_keys(tiny_file, tmp_path, capsys, monkeypatch):
    needed = 8 * 32 * 32 * (4 + 4 + 2 * 2 * 4)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, needed - 1))
    words = refusal(capsys, "prepare", tiny_file)
    assert "`parameters.spacing_mm: 6.0`, `parameters.shape: [32, 32]`, `parameters.subjects: 8`: change it" in words
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, needed))
    main(["prepare", str(tiny_file)])
    arrays = [*(tmp_path / "results").rglob("*.npy")]
    assert len(arrays) == 4
    assert sum(path.stat().st_size - 128 for path in arrays) == needed


def test_masks_count(study, tmp_path, monkeypatch):
    config = study()
    folder = tmp_path / "data"
    (folder / "masks").mkdir()
    label = next((folder / "labels").iterdir())
    image = nib.load(label)
    nib.Nifti1Image(np.ones(image.shape, np.uint8), image.affine).to_filename(folder / "masks" / label.name)
    needed = 6 * GRID * (8 + 1)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, needed - 1))
    with pytest.raises(SystemExit):
        main(["prepare", str(config)])
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, needed))
    main(["prepare", str(config)])
    arrays = [*(tmp_path / "results").rglob("*.npy")]
    assert sum(path.stat().st_size - 128 for path in arrays) == needed


def test_the_disk_of_the_nearest_folder_that_exists_is_asked(study, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: asked.append(path) or Usage(0, 0, 10**12))
    main(["prepare", str(study())])
    assert asked == [tmp_path]

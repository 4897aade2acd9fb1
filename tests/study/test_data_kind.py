"""`data: FOLDER` is read by what lies there; what two sources could read is refused."""

import json

import numpy as np
import pytest
from data_files import folder_of

from regbench.data.prepare import open_source
from regbench.study.config import DatasetConfig
from regbench.study.data_kind import dataset_of
from regbench.study.specs import PrepareSpec
from regbench.system.errors import UsageError


def subjects(data) -> list[str]:
    """The subjects of the dataset that `data` is short for, as its reader sees them."""
    return list(open_source(PrepareSpec.of(DatasetConfig.model_validate(dataset_of(str(data))), "")).ids)


def table(folder, name="subjects.csv", separator=",", encoding="utf-8"):
    rows = [["subject", "image", "label"]]
    rows += [[f"s{k}", f"images/{k:03d}.nii.gz", f"labels/{k:03d}.nii.gz"] for k in range(3)]
    paths = sorted((folder / "images").iterdir())
    for row, path in zip(rows[1:], paths, strict=False):
        row[1:] = [f"images/{path.name}", f"labels/{path.name}"]
    (folder / name).write_text("\n".join(separator.join(row) for row in rows) + "\n", encoding=encoding)
    return folder / name


def test_images_and_labels(tmp_path):
    folder = folder_of(tmp_path / "my brains!", count=4)
    assert dataset_of(str(folder)) == {"id": "my_brains", "source": "folder", "parameters": {"path": str(folder)}}
    assert len(subjects(folder)) == 4


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_of_subjects(tmp_path, separator, encoding):
    folder = folder_of(tmp_path / "brains", count=4)
    path = table(folder, separator=separator, encoding=encoding)
    assert dataset_of(str(folder)) == {"id": "brains", "source": "table", "parameters": {"path": str(path)}}
    assert subjects(folder) == subjects(path) == ["s0", "s1", "s2"]
    assert dataset_of(str(path))["id"] == "subjects"


def test_another_csv_beside_the_images_is_not_the_table(tmp_path):
    folder = folder_of(tmp_path / "brains", count=4)
    (folder / "people.csv").write_text("person,age\na,3\n")
    assert dataset_of(str(folder))["source"] == "folder"
    assert dataset_of(str(table(folder).parent))["source"] == "table"


def test_a_lone_csv_is_the_table_whatever_its_columns(tmp_path):
    (tmp_path / "people.csv").write_text("Subject,Image\na,3\n")
    assert dataset_of(str(tmp_path))["source"] == "table"


def test_learn2reg(tmp_path):
    (tmp_path / "OASIS_dataset.json").write_text(json.dumps({"name": "OASIS"}))
    (tmp_path / "imagesTr").mkdir()
    assert dataset_of(str(tmp_path))["source"] == "learn2reg"


def test_the_release_of_neurite(tmp_path):
    (tmp_path / "OASIS_OAS1_0001_MR1").mkdir()
    assert dataset_of(str(tmp_path))["source"] == "neurite_oasis"


def test_archives(tmp_path):
    images = np.random.default_rng(0).random((3, 8, 9)).astype(np.float32)
    np.savez(tmp_path / "a.npz", images=images, labels=(images > 0.5).astype(np.uint8))
    assert dataset_of(str(tmp_path)) == {
        "id": tmp_path.name, "source": "arrays", "parameters": {"path": str(tmp_path / "a.npz")},
    }  # fmt: skip
    assert len(subjects(tmp_path)) == len(subjects(tmp_path / "a.npz")) == 3
    np.savez(tmp_path / "b.npz", vol=images[0], seg=(images[0] > 0.5).astype(np.uint8))
    assert dataset_of(str(tmp_path))["source"] == "voxelmorph_npz"


@pytest.mark.parametrize(("name", "expected"), [("__ä brain--", "brain"), ("ä", "data"), ("x" * 90, "x" * 64)])
def test_an_id_of_any_name(tmp_path, name, expected):
    (tmp_path / name / "images").mkdir(parents=True)
    assert dataset_of(str(tmp_path / name))["id"] == expected


def test_here_is_named_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(folder_of(tmp_path / "brains", count=1))
    assert dataset_of(".") == {"id": "brains", "source": "folder", "parameters": {"path": "."}}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "must be a folder or file on this machine"),
        (lambda folder: (folder_of(folder), table(folder), table(folder, "b.csv")), "has `b.csv`, `subjects.csv`"),
        (lambda folder: (folder_of(folder), table(folder), (folder / "a_dataset.json").touch()), "several ways"),
        (lambda folder: folder.write_text("x"), "must be a folder, or a file that ends in one of"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, make, words):
    make(tmp_path / "brains")
    with pytest.raises(UsageError, match=words):
        dataset_of(str(tmp_path / "brains"))

"""A folder of results has one id for good; a copy of it is another study."""

import platform
import shutil

import pytest

from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed, write_sealed
from regbench.system.identity import identity

FILE = "identity.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ann").mkdir()
    return tmp_path / "ann"


def test_it_is_made_once(folder):
    first = identity(folder / FILE)
    assert identity(folder / FILE) == first == read_sealed(folder / FILE)
    assert first["folder"] == str(folder)
    assert first["host"] == platform.node()


def test_two_folders_are_two(folder, tmp_path):
    assert identity(folder / FILE)["id"] != identity(tmp_path / "bob" / FILE)["id"]


def test_a_folder_that_was_moved_keeps_it(folder, tmp_path):
    first = identity(folder / FILE)
    folder.rename(tmp_path / "moved")
    moved = identity(tmp_path / "moved" / FILE)
    assert moved == first | {"folder": str(tmp_path / "moved")}


def test_a_copy_is_a_study_of_its_own(folder, tmp_path, caplog):
    first = identity(folder / FILE)
    shutil.copytree(folder, tmp_path / "copy")
    copy = identity(tmp_path / "copy" / FILE)
    assert copy["id"] != first["id"]
    assert str(folder) in caplog.text
    assert identity(tmp_path / "copy" / FILE) == copy
    assert identity(folder / FILE) == first


def test_another_way_to_the_same_folder_is_no_copy(folder, tmp_path):
    first = identity(folder / FILE)
    (tmp_path / "link").symlink_to(folder)
    assert identity(tmp_path / "link" / FILE) == first


def test_what_came_from_another_host_may_have_stayed_there_too(folder, tmp_path):
    first = identity(folder / FILE)
    write_sealed(folder / FILE, first | {"host": "elsewhere", "folder": "/nowhere/here"})
    assert identity(folder / FILE)["id"] != first["id"]
    write_sealed(folder / FILE, first | {"host": "elsewhere"})  # one file system of many hosts
    assert identity(folder / FILE)["id"] == first["id"]


def test_a_damaged_file_is_named(folder):
    write_sealed(folder / FILE, {"id": "no"})
    with pytest.raises(RegbenchError, match=FILE):
        identity(folder / FILE)

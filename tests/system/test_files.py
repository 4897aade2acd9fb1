"""Whole files or none."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, check_folder, digest, read_json, replacing, write_json, write_text


def test_writes_and_leaves_nothing_else(tmp_path):
    write_text(tmp_path / "deep" / "a.txt", "new")
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012 (the body is what is tested)
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RegbenchError, match=r"a\.txt.*No space left on device"), replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RegbenchError, match="file"):
        write_json(tmp_path / "file" / "a.json", 1)


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": float("nan"), "a": [1.5, float("inf")]})
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None], "b": None}


@pytest.mark.parametrize("text", ["", "{", '{"a": 1'])
def test_a_truncated_json_file_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RegbenchError, match=r"a\.json.*must be JSON"):
        read_json(tmp_path / "a.json")


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(RegbenchError, match=r"a\.json.*readable"):
        read_json(tmp_path / "a.json")


@given(
    st.dictionaries(st.text(max_size=3), st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=5)
)
def test_digest_ignores_the_order_of_keys(value):
    turned = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(turned)
    assert digest(value) == digest(turned)
    assert digest(value) != digest({**value, "another key": 1})


def test_a_results_folder_must_be_a_folder(tmp_path):
    check_folder(tmp_path / "new" / "deep")
    (tmp_path / "taken").write_text("")
    for path in (tmp_path / "taken", tmp_path / "taken" / "deeper"):
        with pytest.raises(RegbenchError, match=r"must be a folder .*taken` is a file. Ann runs it. Change"):
            check_folder(path, "Ann runs it. ")

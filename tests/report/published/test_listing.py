"""The list of a published folder may be of anybody's making."""

import pytest

from regbench.report.published.listing import LIST, altered, read_list, write_list
from regbench.report.write import Published
from regbench.system import provenance
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed, write_sealed


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/main.csv").write_text("dice\n.7\n")
    write_list(tmp_path, "tiny", Published(provenance.code(), frozenset({"brains"})))
    return tmp_path


def test_it_names_each_file_and_is_read_again(folder):
    listed = read_list(folder)
    assert (listed.study, listed.pictures, list(listed.files)) == ("tiny", ["brains"], ["tables/main.csv"])
    assert listed.made_by == provenance.code()
    assert altered(folder, listed) == []


def test_what_is_altered_missing_or_more(folder):
    listed = read_list(folder)
    (folder / "tables/main.csv").write_text("dice\n.8\n")
    (folder / "more.txt").write_text("")
    assert [one.file for one in altered(folder, listed)] == ["more.txt", "tables/main.csv"]
    (folder / "tables/main.csv").unlink()
    assert [one.published for one in altered(folder, listed)][1] == "no file"


@pytest.mark.parametrize(
    ("entry", "value"),
    [("files", None), ("files", []), ("files", {"a": 1}), ("made_by", "x"), ("pictures", 7), ("study", None)],
)
def test_a_list_that_is_none_is_refused_by_its_entry(folder, entry, value):
    content = {**read_sealed(folder / LIST), entry: value}
    if value is None:
        del content[entry]
    write_sealed(folder / LIST, {name: part for name, part in content.items() if name != "content_sha256"})
    with pytest.raises(RegbenchError, match=rf"published.json` must be .* of its entries: {entry}"):
        read_list(folder)

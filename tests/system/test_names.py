"""Names of files made of any text: no two share one, on no file system; ordinary names stay."""

import os
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from nasty import FUZZ, NASTY, TEXT, any_text

from regbench.system.names import LONGEST, file_name, joined, on_disk, same, twins, unprintable

DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{k}" for name in ("com", "lpt") for k in range(1, 10))}


@pytest.mark.parametrize(
    "name",
    ["s1", "OASIS_0001_0000", "sub-01_ses-2.T1w", "siteA_0001_0000", "Jürgen", "my scan 1", "a.b", "x" * LONGEST],
)
def test_ordinary_names_stay(name):
    assert file_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sub-01/ses-1", "sub-01%2Fses-1"), ("..", "%2E%2E"), (".", "%2E"), ("-rf", "%2Drf"), ("~x", "%7Ex"),
        ("a%b", "a%25b"), ("con", "%63on"), ("CON.nii", "%43ON.nii"), ("a\nb", "a%0Ab"), ("", "%"), ("a*?", "a%2A%3F"),
        ("a ", "a%20"), ("Ju\u0308rgen", "Jürgen"),
    ],
)  # fmt: skip
def test_what_is_no_name_is_escaped(text, name):
    assert file_name(text) == name


@any_text
def test_every_file_name_is_one_on_every_file_system(text):
    name = file_name(text)
    assert 0 < len(name.encode()) <= LONGEST
    assert not set(name) & set('/\\:*?"<>|\0')
    assert name.isprintable()
    assert name not in (".", "..")
    assert name[0] not in "-.~ "
    assert name[-1] not in ". "
    assert name.partition(".")[0].lower() not in DEVICES
    assert name == unicodedata.normalize("NFC", name)


@FUZZ
@given(st.lists(TEXT, min_size=2, max_size=8))
@example(["a/b", "a%2Fb"])
@example(["x" * 200, "x" * 201])
@example(["\u017f", "s"])
@example([*string.printable])
@example(list(NASTY))
def test_no_two_names_share_a_file(names):
    """Compared as file systems do that fold case and compose or decompose letters."""
    kept = {same(name): name for name in names}
    for form in ("NFC", "NFD"):
        folded = {unicodedata.normalize(form, file_name(name)).casefold() for name in kept.values()}
        assert len(folded) == len(kept)


@FUZZ
@given(TEXT, TEXT)
def test_names_that_are_one_are_found(one, other):
    assert (twins([one, other]) is not None) == (same(one) == same(other))
    assert same(unicodedata.normalize("NFD", one)) == same(one)


@FUZZ
@given(st.lists(st.text("ab_", min_size=1, max_size=4), min_size=2, max_size=6, unique=True))
@example(["a", "a_a"])
def test_no_two_pairs_share_a_file(names):
    """An underscore joins two names, and stands in names."""
    known = {same(file_name(name)) for name in names}
    files = {joined(file_name(one), file_name(other), known) for one in names for other in names}
    assert len(files) == len(names) ** 2


@any_text
def test_a_name_makes_a_file_and_is_found_in_either_form(tmp_path_factory, text):
    assume(not unprintable(text))
    folder = tmp_path_factory.mktemp("names")
    path = folder / unicodedata.normalize("NFD", file_name(text))
    assume(len(path.name.encode()) < 256)
    path.write_text("")
    assert on_disk(folder / unicodedata.normalize("NFC", file_name(text))) == path


def test_a_path_is_found_in_the_form_of_its_folders(tmp_path):
    (tmp_path / "Mu\u0308ller" / "a").mkdir(parents=True)
    assert on_disk(tmp_path / "M\u00fcller" / "a") == tmp_path / "Mu\u0308ller" / "a"
    assert on_disk(tmp_path / "M\u00fcller" / "b") == tmp_path / "Mu\u0308ller" / "b"  # what is new lies there too
    assert on_disk(Path("nothing/\u00fc")) == Path("nothing/\u00fc")


def test_ends_of_lines_and_undecodable_bytes_are_no_text():
    assert [unprintable(text) for text in ("a\nb", "a\x00", os.fsdecode(b"a\xff"), " ", "")] == [
        "'\\n'", "'\\x00'", "'\\udcff'", "nothing", "nothing",
    ]  # fmt: skip
    assert not unprintable("👩‍👩‍👧 مرحبا ü")

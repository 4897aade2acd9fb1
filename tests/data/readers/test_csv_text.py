"""Tables as Excel and others save them: read alike, or the cause is named."""

import numpy as np
import pytest
from data_files import folder_of

from regbench.data import table
from regbench.data.readers.landmarks_file import read_landmarks
from regbench.system.errors import RegbenchError

ROWS = [["subject", "image", "label"]] + [[f"s{k}", f"images/s{k}.nii.gz", f"labels/s{k}.nii.gz"] for k in range(6)]


def text(separator=",", end="\n", rows=ROWS):
    return end.join(separator.join(row) for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        text().encode(),
        text().encode("utf-8-sig"),
        text(";", "\r\n").encode(),
        text("\t").encode(),
        text("|").encode(),
        ("sep=;\r\n" + text(";", "\r\n")).encode(),
        text(";").encode("utf-16"),
        text("\t", "\r\n").encode("utf-16"),
        (text() + "\n\n,,\n").encode(),
        text(",", ",\n").encode() + b",",
        ('"' + text('","', '"\n"') + '"').encode(),
        text(rows=[[f" {cell} " for cell in row] for row in ROWS]).encode(),
    ],
)
def test_what_programs_save_is_read_alike(tmp_path, content):
    folder_of(tmp_path)
    (tmp_path / "all.csv").write_bytes(content)
    entries = table(path=str(tmp_path / "all.csv")).entries
    assert [entry.id for entry in entries] == [f"s{k}" for k in range(6)]
    assert all(set(entry.files) == {"image", "label"} for entry in entries)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text().replace("s3,", "J\xfcrgen,").encode("cp1252"), "line 5: must be .* in UTF-8, but got the byte 0xfc"),
        (b"subject,image,image\na,b,c\n", "column `image` must stand once, but stands 2 times"),
        (text().encode() + b"\ns0,images/s0.nii.gz,", "`s0` stands in the lines 2 and 8"),
        (b'subject,image\n"a,b\n', "line 2: must be a row"),
        (b"subject,image\n", "has no row"),
        (b"", "has no row"),
        (b"subject image\na b\n", "column 'subject image' is unknown.*separated by commas"),
        (b"subject,image\na,images/s0.nii.gz,more\n", "line 2: the row has 3 cells, but the header names 2"),
    ],
)
def test_the_cause_is_named(tmp_path, content, words):
    folder_of(tmp_path)
    (tmp_path / "all.csv").write_bytes(content)
    with pytest.raises(RegbenchError, match=words):
        table(path=str(tmp_path / "all.csv"))


def test_a_row_after_a_quoted_newline_has_its_own_line(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "all.csv").write_text('subject,image,group\ns0,images/s0.nii.gz,"a\nb"\ns1,nowhere.nii.gz,c\n')
    with pytest.raises(RegbenchError, match="line 4, image"):
        table(path=str(tmp_path / "all.csv"))


@pytest.mark.parametrize(
    "content",
    [
        "x,y\n1.5,2\n3,4\n",
        "1,5;2\n3;4\n",
        "1.5\t2\n3\t4",
        "1.5 2\n3  4\n",
        "sep=;\nx;y\n1,5;2;\n3;4;\n",
        "1.5,2,\n3,4,\n\n",
    ],
)
def test_landmarks_as_programs_save_them(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content)
    np.testing.assert_array_equal(read_landmarks(path, 2), [[1.5, 2], [3, 4]])


def test_a_decimal_comma_between_commas_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,5,2,0\n3,5,4,0\n")
    with pytest.raises(RegbenchError, match=r"line 1: must be 2 voxel .*A decimal comma needs semicolons"):
        read_landmarks(path, 2)

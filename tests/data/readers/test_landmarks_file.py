"""Landmarks as programs write them."""

import numpy as np
import pytest
from PIL import Image

from regbench.data.readers.landmarks_file import read_landmarks
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4.5,6,7\n",
        "x,y,z\n1,2,3\n4.5,6,7",
        "\ufeffX;Y;Z\r\n1;2;3\r\n\r\n4.5;6;7\r\n",
        "i\tj\tk\n1\t2\t3\n4.5\t6\t7\n",
        '"x","y","z"\n"1","2","3"\n"4.5","6","7"\n',
        "z,y,x\n3,2,1\n7,6,4.5\n",
        "y, x, z\n2, 1, 3\n6, 4.5, 7\n",
        "first,second,third\n1,2,3\n4.5,6,7\n",
        ",X,Y,Z\n0,1,2,3\n1,4.5,6,7\n",
        "name,z,x,y\nnose,3,1,2\near,7,4.5,6\n",
    ],
)
def test_points_come_in_the_order_of_the_axes(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode())
    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.csv", 3), [[1, 2, 3], [4.5, 6, 7]])


def test_a_point_may_lie_at_the_corner(tmp_path):
    (tmp_path / "a.csv").write_text("0.0,1.0,2.0\n4,5,6\n")
    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.csv", 3), [[0, 1, 2], [4, 5, 6]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2 3\n4 5\n", "line 2: must be 3 voxel coordinates, parted by commas"),
        ("1,2\n", "line 1: must be 3"),
        (",X,Y\n1,59,72\n", "line 1: 3 columns must be called x, y, z"),
        ("x,y,z,i,j,k\n1,2,3,4,5,6\n", "line 1: 3 columns must be called x, y, z"),
        ("x,y,y\n1,2,3\n", "line 1: 3 columns must be called"),
        ("slice,row,col\n1,2,3\n", "line 1: 3 columns must be called"),
        ("case,landmark,fixed_x,fixed_y\n1,2,3,4\n", "line 1: 3 columns must be called"),
        ("id,x,y,z\n1,1,2\n", "line 2: must be 3"),
        ("id,x,y,z\n1,1,2,\n", "line 2: must be 3"),
        ("x,y,z\n1,nan,3\n", "line 2: must be 3"),
        ("nan,nan,nan\n1,2,3\n", "line 1: must be 3"),
        ("1,2,inf\n", "line 1: must be 3"),
        ("1,2,x\n", "line 1: must be 3"),
        ("1,5;2,5;3,5;4,5\n", "line 1: must be 3"),
        ("x_mm,y_mm,z_mm\n1,2,3\n", r"line 1: landmarks must be voxel coordinates.*'x_mm, y_mm, z_mm'.*inverse"),
        ("x (mm),y (mm),z (mm)\n1,2,3\n", "line 1: landmarks must be voxel"),
        ("L,P,S world\n1,2,3\n", "line 1: landmarks must be voxel"),
        ("# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n", "line 1: must be 3"),
        ("0,1,2\n4,5,6\n", "line 1: 0, 1, 2 must not stand first.* x, y, z"),
        ("", "must have a row of 3 voxel coordinates for each landmark, but has none"),
        ("x,y,z\n", "has none"),
        ("\x00\x00,1,2\n", "line 1"),
    ],
)
def test_what_is_no_voxel_coordinate_is_named(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(RegbenchError, match=rf"a\.csv`.*{words}"):
        read_landmarks(tmp_path / "a.csv", 3)


def test_three_coordinates_are_not_two(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(RegbenchError, match="line 1: 2 columns must be called x, y "):
        read_landmarks(tmp_path / "a.csv", 2)


def test_points_of_a_picture_are_counted_from_its_top(tmp_path):
    """As programs that show pictures count: column, then row."""
    pixels = np.zeros((9, 12), np.uint8)
    pixels[2, 5], pixels[7, 1] = 100, 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text(",X,Y\n0,5,2\n1,1,7\n")
    volume = entry("s", tmp_path / "a.png", landmarks=tmp_path / "a.csv").read()
    assert [volume.image[tuple(point.astype(int))] for point in volume.landmarks] == [100, 200]


def test_an_encoding_or_a_folder_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n", encoding="utf-16")
    assert read_landmarks(tmp_path / "a.csv", 2).tolist() == [[1, 2]]
    (tmp_path / "b.csv").write_text("x,y,größe\n1,2,3\n", encoding="latin-1")
    for path in (tmp_path / "b.csv", tmp_path, tmp_path / "no.csv"):
        with pytest.raises(RegbenchError, match=rf"`{path}`.* must be a CSV of landmarks"):
            read_landmarks(path, 2)

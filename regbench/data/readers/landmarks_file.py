"""Landmarks: a CSV with the voxel coordinates of one point a row."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regbench.data.readers.csv_text import Row, read_table
from regbench.system.errors import RegbenchError

ORDERS = ("xyz", "ijk")  # what columns are called, in the order of the array's axes
NAMES = {*"xyzijk", "row", "col", "column"}  # of which the last three say nothing of an array's axes
IN_SPACE = re.compile(r"(?<![a-z])(mm|microns?|[u\u00b5\u03bc]m|lps|ras|world|physical)(?![a-z])", re.IGNORECASE)


def read_landmarks(path: Path, dims: int) -> NDArray[np.float64]:
    """Points ``(n, d)``; cells are parted by comma, semicolon, tab or blanks, and a header row is allowed.

    A decimal comma is read where no comma parts the cells. Columns that a header calls x, y, z (or i, j, k) are taken
    by their names, in whatever order and beside whatever others they stand; without such names there are no other
    columns.

    Raises:
        RegbenchError: naming file and line, if a row is no `dims` finite numbers, the header says that they are no
            voxels or numbers the columns, or there is no row.
    """
    table = read_table(path, "a CSV of landmarks")
    rows = [Row(row.line, row.cells[0].split() if len(row.cells) == 1 else row.cells) for row in table.rows]
    comma = table.separator != "," or all(len(row.cells) == 1 for row in table.rows)
    columns, width = list(range(dims)), dims
    if rows and not any(_number(cell.replace(",", ".")) is not None for cell in rows[0].cells):
        width = len(rows[0].cells)
        columns = _columns(path, rows.pop(0), dims)
    _check_numbered(path, rows, dims)
    points = [_point(path, row, columns, width, decimal_comma=comma) for row in rows]
    if not points:
        raise RegbenchError(f"`{path}` must have a row of {dims} voxel coordinates for each landmark, but has none.")
    return np.array(points, dtype=np.float64)


def _check_numbered(path: Path, rows: list[Row], dims: int) -> None:
    """Raise RegbenchError if the first row is the header that pandas writes of columns without names."""
    numbers = [str(axis) for axis in range(dims)]
    if rows and rows[0].cells == numbers:
        raise RegbenchError(
            f"`{path}`, line {rows[0].line}: {', '.join(numbers)} must not stand first, as programs write it above "
            "columns without names: it would be read as a point. Call the columns "
            f"{', '.join(ORDERS[0][:dims])} or remove the row; a point that lies there is written with decimals (0.0)."
        )


def _point(path: Path, row: Row, columns: list[int], width: int, *, decimal_comma: bool) -> list[float]:
    """The numbers of some columns; empty cells at the end of a row are a separator too many."""
    cells = [*row.cells]
    while len(cells) > width and not cells[-1]:
        cells.pop()
    words = [cells[column] for column in columns if column < len(cells)]
    numbers = [_number(word.replace(",", ".") if decimal_comma else word) for word in words]
    known = [number for number in numbers if number is not None and np.isfinite(number)]
    if len(cells) != width or len(known) != len(columns):
        hint = " A decimal comma needs semicolons between the cells." if len(cells) == 2 * width else ""
        raise RegbenchError(
            f"`{path}`, line {row.line}: must be {len(columns)} voxel coordinates, parted by commas, "
            f"but got {', '.join(row.cells)!r}.{hint}"
        )
    return known


def _columns(path: Path, header: Row, dims: int) -> list[int]:
    """For each axis of the array, the column that a header gives it."""
    words = ", ".join(header.cells)
    if IN_SPACE.search(words):
        raise RegbenchError(
            f"`{path}`, line {header.line}: landmarks must be voxel coordinates of the image's array, counted from "
            f"0, but the header says {words!r}. Convert them by the inverse of the image's affine."
        )
    names = [cell.lower() for cell in header.cells]
    known = sorted(name for name in names if name in NAMES)
    for order in ORDERS:
        if known == sorted(order[:dims]):
            return [names.index(name) for name in order[:dims]]
    if known or len(names) != dims:
        raise RegbenchError(
            f"`{path}`, line {header.line}: {dims} columns must be called {', '.join(ORDERS[0][:dims])} (or "
            f"{', '.join(ORDERS[1][:dims])}), once each, but the header says {words!r}. Rename or remove columns."
        )
    return list(range(dims))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None

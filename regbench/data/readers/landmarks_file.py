"""Landmarks: a CSV with the voxel coordinates of one point a row."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.system.errors import RegbenchError

ORDERS = ("xyz", "ijk")  # what columns are called, in the order of the array's axes
NAMES = {*"xyzijk", "row", "col", "column"}  # of which the last three say nothing of an array's axes
IN_SPACE = re.compile(r"(?<![a-z])(mm|microns?|[u\u00b5\u03bc]m|lps|ras|world|physical)(?![a-z])", re.IGNORECASE)


class Row(NamedTuple):
    """Cells of a line, and its number from 1."""

    number: int
    cells: list[str]


def read_landmarks(path: Path, dims: int) -> NDArray[np.float64]:
    """Points ``(n, d)``; cells are parted by comma, semicolon or tab, and a header row is allowed.

    Columns that a header calls x, y, z (or i, j, k) are taken by their names, in whatever order and beside whatever
    others they stand; without such names there are no other columns.

    Raises:
        RegbenchError: naming file and line, if a row is no `dims` finite numbers, the header says that they are no
            voxels, or there is no row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise RegbenchError(f"`{path}` must be a readable CSV of landmarks, but got: {error}.") from error
    rows = _rows(text)
    columns, width = list(range(dims)), dims
    if rows and not any(_numbers(cell) for cell in rows[0].cells):
        width = len(rows[0].cells)
        columns = _columns(path, rows.pop(0), dims)
    points = []
    for row in rows:
        point = [_number(row.cells[column]) if column < len(row.cells) else None for column in columns]
        if len(row.cells) != width or any(number is None or not np.isfinite(number) for number in point):
            raise RegbenchError(
                f"`{path}`, line {row.number}: must be {dims} voxel coordinates, parted by commas, "
                f"but got {', '.join(row.cells)!r}."
            )
        points.append(point)
    if not points:
        raise RegbenchError(f"`{path}` must have a row of {dims} voxel coordinates for each landmark, but has none.")
    return np.array(points, dtype=np.float64)


def _rows(text: str) -> list[Row]:
    """Lines that are not empty. Semicolons or tabs part the cells where there are any, else commas."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in ";\t" if mark in first), ",")
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip().strip('"').strip() for cell in line.split(delimiter)]
        if any(cells):
            rows.append(Row(number, cells))
    return rows


def _columns(path: Path, header: Row, dims: int) -> list[int]:
    """For each axis of the array, the column that a header gives it."""
    words = ", ".join(header.cells)
    if IN_SPACE.search(words):
        raise RegbenchError(
            f"`{path}`, line {header.number}: landmarks must be voxel coordinates of the image's array, counted from "
            f"0, but the header says {words!r}. Convert them by the inverse of the image's affine."
        )
    names = [cell.lower() for cell in header.cells]
    known = sorted(name for name in names if name in NAMES)
    for order in ORDERS:
        if known == sorted(order[:dims]):
            return [names.index(name) for name in order[:dims]]
    if known or len(names) != dims:
        raise RegbenchError(
            f"`{path}`, line {header.number}: {dims} columns must be called {', '.join(ORDERS[0][:dims])} (or "
            f"{', '.join(ORDERS[1][:dims])}), once each, but the header says {words!r}. Rename or remove columns."
        )
    return list(range(dims))


def _numbers(cell: str) -> bool:
    """Whether a cell is a number, or several that something else than the delimiter parts."""
    words = cell.replace(",", " ").split()
    return bool(words) and all(_number(word) is not None for word in words)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None

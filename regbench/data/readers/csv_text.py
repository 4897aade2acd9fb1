"""Tables as programs save them: Excel's separators, encodings and empty ends, read or named as the cause."""

import codecs
import csv
import io
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from regbench.data.readers.damage import limited_bytes
from regbench.system.errors import RegbenchError, did_you_mean

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}  # a comma may be a decimal one
EXCEL = "In Excel: save as `CSV UTF-8`."


class Row(NamedTuple):
    """Cells of one row, without blanks around them, and the line that it begins at."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """Rows that are not empty, and what separates their cells."""

    rows: list[Row]
    separator: str


def read_table(path: Path, what: str) -> Table:
    """The rows of a CSV: UTF-8 with or without its mark, or UTF-16 with it; separated by comma, semicolon, tab or bar.

    The first row says which one, and a comma only if no other is there; Excel's own line ``sep=;`` says it too. Rows of
    empty cells are left out.

    Args:
        path: of the file.
        what: the file is, for the message.

    Raises:
        RegbenchError: naming the file, the cause and what to do.
    """
    text = _text(path, what)
    first, separator = 1, ""
    head, _, rest = text.partition("\n")
    if head.strip().strip('"').lower().startswith("sep=") and len(head.strip().strip('"')) <= len("sep=;"):
        separator, text, first = head.strip().strip('"')[4:] or "\t", rest, 2
    names = text.lstrip().partition("\n")[0]
    separator = separator or next((known for known in SEPARATORS if known in names), ",")
    rows, line = list[Row](), first
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        for cells in reader:
            row = Row(line, [cell.strip() for cell in cells])
            if any(row.cells):
                rows.append(row)
            line = first + reader.line_num
    except (csv.Error, ValueError, TypeError) as error:  # of a cell, or of what `sep=` says
        raise RegbenchError(f"`{path}`, line {line}: must be a row of {what}, but got: {error}.") from error
    return Table(rows, separator)


def read_records(
    path: Path, what: str, columns: Collection[str], *, needed: Collection[str]
) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of each row under a header; a cell is empty where the row has none.

    Args:
        path: of the file.
        what: the file is, for the message.
        columns: that it may have, in any order.
        needed: those that it must have.

    Raises:
        RegbenchError: naming the file, the line and the column at fault.
    """
    rows, separator = read_table(path, what)
    if len(rows) < 2:
        raise RegbenchError(f"`{path}` must have a header and a row below it ({what}), but has no row.")
    header = _header(path, rows[0].cells, columns, separator)
    for column in needed:
        if column not in header:
            raise RegbenchError(f"`{path}` must have the column `{column}`, but has {', '.join(header)}.")
    return [(row.line, _named(path, header, row, columns)) for row in rows[1:]]


def _header(path: Path, names: list[str], columns: Collection[str], separator: str) -> list[str]:
    """Names of the columns; empty for one that a program left behind the last."""
    for column in names:
        if column and column not in columns:
            hint = did_you_mean(column, list(columns))
            words = f"the cells of its first row are separated by {SEPARATORS.get(separator, repr(separator))}"
            raise RegbenchError(f"`{path}`: column {column!r} is unknown; {hint} ({words})")
        if column and names.count(column) > 1:
            count = names.count(column)
            raise RegbenchError(f"`{path}`: column `{column}` must stand once, but stands {count} times.")
    return names


def _named(path: Path, header: list[str], row: Row, columns: Collection[str]) -> dict[str, str]:
    for number, cell in enumerate(row.cells):
        if cell and (number >= len(header) or not header[number]):
            raise RegbenchError(
                f"`{path}`, line {row.line}: the row has {number + 1} cells, but the header names "
                f"{len([name for name in header if name])}: {cell!r} is of no column. Quote a cell with a separator."
            )
    return dict.fromkeys(columns, "") | {name: cell for name, cell in zip(header, row.cells, strict=False) if name}


def _text(path: Path, what: str) -> str:
    try:
        content = limited_bytes(path)
    except OSError as error:
        raise RegbenchError(f"`{path}` must be {what}, but got: {error.strerror or error}.") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RegbenchError(
            f"`{path}`, line {line}: must be {what} in UTF-8, but got the byte {content[error.start]:#x}, of another "
            f"encoding such as Windows-1252. {EXCEL}"
        ) from error

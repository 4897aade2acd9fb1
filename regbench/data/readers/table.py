"""A CSV with a row for each subject."""

from pathlib import Path

from regbench.data.native import Entry, Raw
from regbench.data.readers.csv_text import SEPARATORS, Row, read_table
from regbench.data.readers.image_file import inside
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import given_path

FILES = ("image", "label", "landmarks", "mask")
COLUMNS = ("subject", *FILES, "split", "group")
SPLITS = ("", "train", "validation", "test")


def table(*, path: str, root: str | None = None, same_affine: bool = True) -> Raw:
    """Your images by a CSV: subject, image and, where you have them, label, landmarks, mask, split, group.

    Args:
        path: the CSV, with any usual separator; relative to where the command runs. Empty cells mean none.
        root: folder that the files' paths start from and must stay in; that of the CSV unless given.
        same_affine: an image and its labels must lie in the same place, not only have one shape.

    Raises:
        RegbenchError: naming the line and column at fault.
    """
    source = given_path(path)
    base = given_path(root) if root is not None else source.parent
    rows, separator = read_table(source, "a CSV with a row for each subject")
    if len(rows) < 2:
        raise RegbenchError(f"`{source}` must have a header and a row for each subject, but has no row.")
    columns = _columns(source, rows[0], separator)
    lines = [(row.line, _cells(source, columns, row)) for row in rows[1:]]
    places: dict[str, int] = {}
    for line, cells in lines:
        first = places.setdefault(cells["subject"], line)
        if first != line:
            raise RegbenchError(
                f"`{source}`: a subject must have one row, but `{cells['subject']}` stands in the lines {first} and "
                f"{line}. Remove one, or give them distinct ids and one `group`."
            )
    entries = tuple(_entry(cells, base, f"`{source}`, line {line}", same_affine) for line, cells in lines)
    return Raw(entries, {}, f"The user's own images, listed in {source.name}.")


def _columns(source: Path, header: Row, separator: str) -> list[str]:
    """Names of the columns; empty for one that a program left behind the last."""
    names = header.cells
    for column in names:
        if column and column not in COLUMNS:
            hint = did_you_mean(column, COLUMNS)
            words = f"the cells of its first row are separated by {SEPARATORS.get(separator, repr(separator))}"
            raise RegbenchError(f"`{source}`: column {column!r} is unknown; {hint} ({words})")
        if column and names.count(column) > 1:
            count = names.count(column)
            raise RegbenchError(f"`{source}`: column `{column}` must stand once, but stands {count} times.")
    for column in ("subject", "image"):
        if column not in names:
            raise RegbenchError(f"`{source}` must have the column `{column}`, but has {', '.join(names)}.")
    return names


def _cells(source: Path, columns: list[str], row: Row) -> dict[str, str]:
    """The cells of a row by column; empty where the row has none."""
    for number, cell in enumerate(row.cells):
        if cell and (number >= len(columns) or not columns[number]):
            raise RegbenchError(
                f"`{source}`, line {row.line}: the row has {number + 1} cells, but the header names "
                f"{len([name for name in columns if name])}: {cell!r} is of no column. Quote a cell with a separator."
            )
    return dict.fromkeys(COLUMNS, "") | {name: cell for name, cell in zip(columns, row.cells, strict=False) if name}


def _entry(cells: dict[str, str], root: Path, where: str, same_affine: bool) -> Entry:
    for column in ("subject", "image"):
        if not cells[column]:
            raise RegbenchError(f"{where}: `{column}` must not be empty.")
    if cells["split"] not in SPLITS:
        raise RegbenchError(
            f"{where}: split: {cells['split']!r} is unknown; {did_you_mean(cells['split'], SPLITS[1:])}"
        )
    image, label, landmarks, mask = (
        inside(root, cells[kind], f"{where}, {kind}") if cells[kind] else None for kind in FILES
    )
    assert image is not None  # checked above: not empty
    return entry(
        cells["subject"], image, label=label, landmarks=landmarks, mask=mask,
        group=cells["group"], split=cells["split"], same_affine=same_affine,
    )  # fmt: skip

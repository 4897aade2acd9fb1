"""A CSV with a row for each subject."""

import csv
from pathlib import Path

from regbench.data.native import Entry, Raw
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
        path: the CSV; relative to where the command runs. Empty cells mean none.
        root: folder that the files' paths start from and must stay in; that of the CSV unless given.
        same_affine: an image and its labels must lie in the same place, not only have one shape.

    Raises:
        RegbenchError: naming the line and column at fault.
    """
    source = given_path(path)
    base = given_path(root) if root is not None else source.parent
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file, strict=True))
            columns = list(lines[0]) if lines else []
    except (OSError, ValueError, csv.Error) as error:
        raise RegbenchError(f"`{source}` must be a readable CSV in UTF-8, but got: {error}.") from error
    if not lines:
        raise RegbenchError(f"`{source}` must have a header and a row for each subject, but has no row.")
    for column in columns:
        if column not in COLUMNS:
            hint = did_you_mean(str(column), COLUMNS)
            raise RegbenchError(f"`{source}`: column {column!r} is unknown (a row may have too many cells); {hint}")
    for column in ("subject", "image"):
        if column not in columns:
            raise RegbenchError(f"`{source}` must have the column `{column}`, but has {', '.join(columns)}.")
    entries = tuple(
        _entry(line, base, f"`{source}`, line {number}", same_affine) for number, line in enumerate(lines, 2)
    )
    return Raw(entries, {}, f"The user's own images, listed in {source.name}.")


def _entry(line: dict[str, str | None], root: Path, where: str, same_affine: bool) -> Entry:
    cells = {column: (line.get(column) or "").strip() for column in COLUMNS}
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

"""A CSV with a row for each subject."""

from dataclasses import replace
from pathlib import Path

from regbench.data.native import Entry, Raw, role_of
from regbench.data.readers.csv_text import read_records
from regbench.data.readers.image_file import inside
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import given_path

FILES = ("image", "label", "landmarks", "mask")
COLUMNS = ("subject", *FILES, "split", "group", "modality", "role")
SPLITS = ("", "train", "validation", "test")


def table(*, path: str, root: str | None = None, same_affine: bool = True) -> Raw:
    """Your images by a CSV: subject, image and, if you like, label, landmarks, mask, split, group, modality, role.

    Args:
        path: the CSV, with any usual separator; relative to where the command runs. Empty cells mean none.
        root: folder that the files' paths start from and must stay in; that of the CSV unless given.
        same_affine: an image and its labels must lie in the same place, not only have one shape.

    Raises:
        RegbenchError: naming the line and column at fault.
    """
    source = given_path(path)
    base = given_path(root) if root is not None else source.parent
    lines = read_records(source, "a CSV with a row for each subject", COLUMNS, needed=("subject", "image"))
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


def _entry(cells: dict[str, str], root: Path, where: str, same_affine: bool) -> Entry:
    for column in ("subject", "image"):
        if not cells[column]:
            raise RegbenchError(f"{where}: `{column}` must not be empty.")
    if cells["split"] not in SPLITS:
        raise RegbenchError(
            f"{where}: split: {cells['split']!r} is unknown; {did_you_mean(cells['split'], SPLITS[1:])}"
        )
    role = role_of(cells["role"], where)
    image, label, landmarks, mask = (
        inside(root, cells[kind], f"{where}, {kind}") if cells[kind] else None for kind in FILES
    )
    assert image is not None  # checked above: not empty
    subject = entry(
        cells["subject"], image, label=label, landmarks=landmarks, mask=mask,
        group=cells["group"], split=cells["split"], same_affine=same_affine,
    )  # fmt: skip
    return replace(subject, modality=cells["modality"], role=role)

"""A folder of displacement fields: which file belongs to which pair, and what else is there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from regbench.data.readers.field_file import FIELDS, FORMS, FieldFile, Form, Kind, open_field
from regbench.system.errors import RegbenchError
from regbench.system.names import on_disk

NAMED = 5  # files that a sentence names


def find(folder: Path, pair: tuple[str, str], names: Sequence[str]) -> Path:
    """The file of a pair.

    Args:
        folder: where it lies.
        pair: its ids.
        names: that it may have, without the ending.

    Raises:
        RegbenchError: if there is none, or more than one; names them.
    """
    files = _candidates(folder, names)
    if not files:
        raise RegbenchError(
            f"`{folder}` must hold a field for the pair {', '.join(pair)}, but has none of "
            f"{', '.join(f'`{name}`' for name in names)} ({', '.join(FIELDS)})."
        )
    if len(files) > 1:
        raise RegbenchError(
            f"`{folder}` must hold one field for the pair {', '.join(pair)}, but has {len(files)}: "
            f"{_some(file.name for file in files)}. Leave one."
        )
    return files[0]


def survey(
    folder: Path, pairs: Mapping[tuple[str, str], Sequence[str]], form: Form, *, not_fields: Iterable[str] = ()
) -> list[str]:
    """What a folder of fields holds for some pairs, counted, in sentences; headers are read, no vectors.

    Args:
        folder: of the fields.
        pairs: fixed and moving ids, and the names that the pair's file may have, without the ending.
        form: as for `fields`.
        not_fields: names of files that are known to be something else.
    """
    candidates = {pair: _candidates(folder, names) for pair, names in pairs.items()}
    files = [_opened(paths[0]) for paths in candidates.values() if len(paths) == 1]
    forms = Counter(_form(file, form) for file in files if file)
    lines = [f"{forms[kind]} fields read as {kind}: {words}" for kind, words in FORMS.items() if forms[kind]]
    integers = [file.path.name for file in files if file and file.dtype.kind != "f"]
    if integers:
        lines.append(
            f"{len(integers)} fields hold whole numbers, so fractions of a voxel or mm are lost: {_some(integers)}"
        )
    half = [file.path.name for file in files if file and file.dtype == np.float16]
    if half:
        lines.append(f"{len(half)} fields are of half precision: 8 voxels are rounded by up to 0.004: {_some(half)}")
    twice = [paths for paths in candidates.values() if len(paths) > 1]
    if twice:
        lines.append(f"{len(twice)} pairs have several files, so none counts: {_some(path.name for path in twice[0])}")
    missing = [pair for pair, paths in candidates.items() if not paths]
    if missing:
        lines.append(f"{len(missing)} pairs have no file: {_some(f'{fixed}, {moving}' for fixed, moving in missing)}")
    known = {path.name for paths in candidates.values() for path in paths} | set(not_fields)
    try:
        others = sorted(entry.name for entry in folder.iterdir() if entry.name not in known and entry.name[0] != ".")
    except OSError as error:
        return [f"`{folder}` must be a readable folder of fields, but got: {error.strerror}"]
    if others:
        lines.append(f"{len(others)} files of the folder are of no pair: {_some(others)}")
    return lines


def _opened(path: Path) -> FieldFile | None:
    """A field's file; None where it is at fault, which the row of its pair says."""
    try:
        return open_field(path)
    except RegbenchError:
        return None


def _form(file: FieldFile, form: Form) -> Kind | None:
    try:
        return file.resolved(form)
    except RegbenchError:
        return None


def _candidates(folder: Path, names: Sequence[str]) -> list[Path]:
    """Files of a pair; two names of one file (a link, or a file system that ignores case) are one."""
    endings = [variant for ending in FIELDS for variant in (ending, ending.upper())]
    distinct: dict[tuple[int, int], Path] = {}
    for path in (on_disk(folder / f"{name}{ending}") for name in names for ending in endings):
        if path.is_file():
            status = path.stat()
            distinct.setdefault((status.st_dev, status.st_ino), path)
    return list(distinct.values())


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(f"`{name}`" for name in listed[:NAMED]) + more

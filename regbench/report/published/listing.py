"""The list of a published folder's files with their SHA-256 (`published.json`), and whether the files are those."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regbench.report.published.compare import Difference
from regbench.report.write import Published
from regbench.system.errors import RegbenchError
from regbench.system.files import file_sha256, read_sealed, write_sealed

LIST = "published.json"
UNLISTED = "a file that the list does not have"


def files_in(folder: Path) -> list[str]:
    """All files below a folder, by their names from it, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def write_list(folder: Path, study: str, published: Published) -> None:
    """Write the list of a folder that is otherwise whole."""
    digests = {name: file_sha256(folder / name) for name in files_in(folder)}
    content = {"study": study, "made_by": published.made_by, "pictures": sorted(published.pictures)}
    write_sealed(folder / LIST, {**content, "files": digests})


def read_list(folder: Path) -> dict[str, Any]:
    """The list of a published folder's files.

    Raises:
        RegbenchError: if there is none, or it was altered.
    """
    path = folder / LIST
    if not path.is_file():
        raise RegbenchError(f"`{folder}` must be a published study, but has no `{LIST}`. `regbench publish` makes one.")
    listed: dict[str, Any] = read_sealed(path)
    return listed


def published_as(listed: Mapping[str, Any]) -> Published:
    """What the report of a folder is, by its list."""
    return Published(listed["made_by"], frozenset(listed["pictures"]))


def altered(folder: Path, listed: Mapping[str, Any]) -> list[Difference]:
    """Where the files of a folder are not those of its list."""
    there, known = set(files_in(folder)) - {LIST}, listed["files"]
    found = [Difference(name, "", UNLISTED, "none") for name in sorted(there) if name not in known]
    for name, digest in known.items():
        if name not in there:
            found.append(Difference(name, "", "no file", "a file"))
        elif (now := file_sha256(folder / name)) != digest:
            found.append(Difference(name, "SHA-256", now, digest))
    return found

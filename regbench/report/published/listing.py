"""The list of a published folder's files with their SHA-256 (`published.json`), and whether the files are those."""

from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError

from regbench.report.published.compare import Difference
from regbench.report.write import Published
from regbench.system.errors import RegbenchError
from regbench.system.files import file_sha256, read_sealed, write_sealed
from regbench.system.provenance import CodeVersion

LIST = "published.json"
UNLISTED = "a file that the list does not have"


class FileList(BaseModel):
    """What `published.json` holds.

    Attributes:
        study: its name.
        made_by: the code that made what is derived.
        pictures: ids of the datasets whose pairs are shown.
        tables_only: whether neither page nor figures are there.
        files: SHA-256 of each, by its name from the folder on.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    study: str
    made_by: dict[str, str | bool | None]
    pictures: list[str]
    tables_only: bool = False
    files: dict[str, str]


def files_in(folder: Path) -> list[str]:
    """All files below a folder, by their names from it, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def write_list(folder: Path, study: str, published: Published) -> None:
    """Write the list of a folder that is otherwise whole."""
    digests = {name: file_sha256(folder / name) for name in files_in(folder)}
    content = {"study": study, "made_by": published.made_by, "pictures": sorted(published.pictures)}
    only = {"tables_only": True} if published.tables_only else {}
    write_sealed(folder / LIST, {**content, **only, "files": digests})


def read_list(folder: Path) -> FileList:
    """The list of a published folder's files.

    Raises:
        RegbenchError: if there is none, it was altered, or somebody else's is no such list.
    """
    path = folder / LIST
    if not path.is_file():
        raise RegbenchError(f"`{folder}` must be a published study, but has no `{LIST}`. `regbench publish` makes one.")
    try:
        return FileList.model_validate(read_sealed(path))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        raise RegbenchError(f"`{path}` must be the list of a published study, but of its entries: {wrong}.") from None


def published_as(listed: FileList) -> Published:
    """What the report of a folder is, by its list."""
    return Published(cast(CodeVersion, listed.made_by), frozenset(listed.pictures), listed.tables_only)


def altered(folder: Path, listed: FileList) -> list[Difference]:
    """Where the files of a folder are not those of its list."""
    there, known = set(files_in(folder)) - {LIST}, listed.files
    found = [Difference(name, "", UNLISTED, "none") for name in sorted(there) if name not in known]
    for name, digest in known.items():
        if name not in there:
            found.append(Difference(name, "", "no file", "a file"))
        elif (now := file_sha256(folder / name)) != digest:
            found.append(Difference(name, "SHA-256", now, digest))
    return found

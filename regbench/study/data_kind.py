"""What lies in a folder of images: which source reads it. For `data: FOLDER`, the short form of a dataset."""

import re
from collections.abc import Iterator
from pathlib import Path

from regbench.study.config_values import LONGEST_ID
from regbench.system.errors import UsageError
from regbench.system.names import given_path, shown_path

OF_FILES = {".csv": "table", ".tsv": "table", ".txt": "table", ".npz": "arrays", ".json": "learn2reg"}
NEURITE = "OASIS_OAS1_*_MR1"
NEEDED = {"subject", "image"}  # columns of the CSV that `table` reads
MOST_READ = 2**16  # bytes of a CSV, for its first rows


def dataset_of(data: str) -> dict[str, object]:
    """The dataset that `data` is short for: its id, its source and the path among its parameters.

    A folder is read by `table` if one CSV in it has the columns subject and image, or one CSV and no ``images`` are
    there; by `learn2reg` if it has a ``*dataset.json``; by `neurite_oasis` if it has folders of that release; by
    `arrays` or `voxelmorph_npz` if it has one or more .npz and no ``images``; by `folder` otherwise. A file is read by
    what its name ends in.

    Args:
        data: path of a folder or a file, from the working folder on.

    Raises:
        UsageError: if nothing is there, or two sources could read it.
    """
    path = given_path(data)
    if not path.exists():
        raise UsageError(
            f"must be a folder or file on this machine, whose content says how it is read, but there is no "
            f"`{shown_path(data)}`; mend the path (in a config it begins at the config's folder), or write `datasets` "
            "with `source`"
        )
    source, file = _source(path)
    return {"id": _id(path), "source": source, "parameters": {"path": data if file == path else str(file)}}


def assumed(data: str) -> dict[str, object]:
    """As `dataset_of`, where nothing is there to look at: a folder of images."""
    return {"id": _id(Path(data)), "source": "folder", "parameters": {"path": data}}


def _id(path: Path) -> str:
    """The name of the folder or file as an id."""
    name = path.name if path.name not in ("", "..") else path.absolute().resolve().name
    words = re.sub(r"[^A-Za-z0-9_-]+", "_", name.removesuffix(path.suffix) if path.is_file() else name)
    return words.strip("_-")[:LONGEST_ID].strip("_-") or "data"


def _source(path: Path) -> tuple[str, Path]:
    """The source that reads `path`, and the file or folder to give to it."""
    if path.is_file():
        if path.suffix.lower() not in OF_FILES:
            known = ", ".join(OF_FILES)
            raise UsageError(f"must be a folder, or a file that ends in one of {known}, but got `{path}`")
        return OF_FILES[path.suffix.lower()], path
    try:
        kinds = dict(_kinds(path))
    except OSError as error:
        raise UsageError(f"must be a readable folder, but got: {error.strerror} (`{path}`)") from error
    if len(kinds) > 1:
        named = " and ".join(f"`{file.name}` ({kind})" for kind, file in kinds.items())
        raise UsageError(f"`{path}` can be read in several ways: {named}; give the file, or write `datasets`")
    return next(iter(kinds.items()), ("folder", path))


def _kinds(folder: Path) -> Iterator[tuple[str, Path]]:
    """Sources other than `folder` that could read a folder."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    written = [path for path in files if path.suffix.lower() in (".csv", ".tsv")]
    tables = [path for path in written if _is_table(path)]
    if len(written) == 1 and not (folder / "images").is_dir():
        tables = written  # whatever its columns: the reader says which it needs
    if len(tables) > 1:
        names = ", ".join(f"`{path.name}`" for path in tables)
        raise UsageError(f"`{folder}` must have one CSV with the columns subject and image, but has {names}; give one")
    if tables:
        yield "table", tables[0]
    if any(path.name.endswith("dataset.json") for path in files):
        yield "learn2reg", folder
    if any(path.match(NEURITE) and path.is_dir() for path in files):
        yield "neurite_oasis", folder
    archives = [path for path in files if path.suffix.lower() == ".npz"]
    if archives and not (folder / "images").is_dir():
        yield ("arrays", archives[0]) if len(archives) == 1 else ("voxelmorph_npz", folder)


def _is_table(path: Path) -> bool:
    """Whether the first rows of a CSV name the columns of `table`; whatever separates them, in UTF-8 or UTF-16."""
    with path.open("rb") as file:
        content = file.read(MOST_READ)
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    rows = text.splitlines()[:2]
    return any(set(re.split(r"\s*[,;\t|]\s*", row.strip().replace('"', ""))) >= NEEDED for row in rows)

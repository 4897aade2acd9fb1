"""Whose a folder of results is: an id that is made once, stays when the folder is moved, and is new in a copy of it.

Servers are shared, and a study's name is no more than a name: what lies there is found by this id.
"""

import getpass
import logging
import platform
import uuid
from pathlib import Path
from typing import TypedDict

from regbench.system.errors import RegbenchError
from regbench.system.file_lock import waiting
from regbench.system.files import read_sealed, write_sealed

LOG = logging.getLogger(__name__)


class Identity(TypedDict):
    """Of a folder of results, as its file stores it."""

    id: str
    owner: str
    host: str
    folder: str


def identity(path: Path) -> Identity:
    """The identity of the folder in which `path` lies, made if there is none yet.

    A folder that was moved keeps its id. A copy gets a new one: it lies elsewhere than its file says, and the folder
    that the file names is still there with this id, or cannot be looked at, being on another host.

    Args:
        path: of the file.

    Raises:
        RegbenchError: if the file is damaged, or the folder cannot be written.
    """
    here, stored = _here(path), _stored(path)
    if stored is not None and stored["folder"] == here["folder"]:
        return stored  # a folder that others can only read has no lock
    with waiting(path.with_name(f"{path.name}.lock")):
        stored = _stored(path)
        if stored is not None and stored["folder"] == here["folder"]:
            return stored
        if stored is not None and not _is_copy(path, stored):
            here["id"] = stored["id"]
        elif stored is not None:
            LOG.warning(
                "`%s` is a copy of `%s` of %s on %s, and becomes a study of its own on shared servers",
                here["folder"], stored["folder"], stored["owner"], stored["host"],
            )  # fmt: skip
        write_sealed(path, here)
        return here


def whose(owner: str, host: str, folder: str) -> str:
    """Words for the folder of somebody's results."""
    return f"`{folder or '(unknown folder)'}` of {owner or '(unknown)'} on {host or '(unknown host)'}"


def _here(path: Path) -> Identity:
    folder = str(path.parent.resolve())
    return {"id": uuid.uuid4().hex, "owner": _user(), "host": platform.node(), "folder": folder}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may have users without a name
        return "unknown"


def _stored(path: Path) -> Identity | None:
    if not path.exists():
        return None
    stored: Identity = read_sealed(path)
    if not isinstance(stored, dict) or not all(isinstance(stored.get(key), str) for key in Identity.__annotations__):
        raise RegbenchError(f"`{path}` must name id, owner, host and folder. Delete it: the folder gets a new id.")
    return stored


def _is_copy(path: Path, stored: Identity) -> bool:
    """Whether the folder that a file names is another one than the file's own, and may still be there."""
    before = Path(stored["folder"], path.name)
    try:
        if before.exists():
            return not before.samefile(path) and read_sealed(before).get("id") == stored["id"]
    except (OSError, RegbenchError, AttributeError):
        return True
    return stored["host"] != platform.node()

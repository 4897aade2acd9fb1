"""SQLite files that are there whole or not at all.

MLflow and Optuna make the tables of a new file in dozens of steps. Killed on the way, or out of disk, they leave a file
that they refuse for ever after. So a file is made under another name and renamed, and one that holds nothing yet is set
aside.
"""

import contextlib
import logging
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

from regbench.system.errors import RegbenchError
from regbench.system.file_lock import waiting
from regbench.system.files import replacing

LOG = logging.getLogger(__name__)


def file_of(url: str) -> Path | None:
    """The file of an SQLAlchemy URL such as ``sqlite:////data/mlflow.db``; None of another database or of memory."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415  comes with mlflow and optuna
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    name = parsed.database or ""
    is_file = parsed.get_backend_name() == "sqlite" and name and not name.startswith((":memory:", "file:"))
    return Path(name) if is_file else None


def url_of(path: Path) -> str:
    """The SQLAlchemy URL of a file."""
    from sqlalchemy.engine import URL  # noqa: PLC0415

    return URL.create("sqlite", database=str(path)).render_as_string()


def born_whole(path: Path, table: str, make: Callable[[Path], None]) -> None:
    """Make a database, unless one is there that holds anything; by one process at a time.

    Args:
        path: of the file.
        table: that has a row in every database that anyone has used.
        make: makes all tables in a new file, and closes it.

    Raises:
        RegbenchError: if `path` is something else than an SQLite database, or its folder cannot be written.
    """
    if not path.parent.is_dir() or (path.exists() and _used(path, table)):
        return  # who opens it says what is wrong; and one that is whole may be where nobody may write
    with waiting(path.with_name(f".{path.name}.lock")):
        if path.exists():
            if _used(path, table):
                return
            aside = path.with_name(f"{path.name}.half-made-{uuid.uuid4().hex[:8]}")
            path.rename(aside)
            LOG.warning("`%s` was half made when its process ended, and held nothing: now `%s`", path, aside.name)
        _make(path, make)


def _make(path: Path, make: Callable[[Path], None]) -> None:
    with replacing(path) as new:
        try:
            make(new)
        finally:
            for end in ("-journal", "-wal", "-shm"):
                new.with_name(new.name + end).unlink(missing_ok=True)


def _used(path: Path, table: str) -> bool:
    """Whether a table of a database is there and has a row; SQLite takes an interrupted write back before it reads."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            known = database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            return known is not None and database.execute(f'SELECT 1 FROM "{table}"').fetchone() is not None
    except sqlite3.DatabaseError as error:
        raise RegbenchError(
            f"`{path}` must be an SQLite database, but got: {error}. Name another file, or move this one away."
        ) from error

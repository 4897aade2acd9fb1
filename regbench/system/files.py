"""Whole files or none: every output is written under a temporary name, flushed and renamed."""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from regbench.system.errors import RegbenchError, UsageError

# The files of a run; named here for those who read them and need no torch.
CHECKPOINT, HISTORY, RUN, LIVE = "checkpoint.pt", "history.parquet", "run.json", "live.jsonl"
DIGITS = 8  # of the name of a file that is being written
OF_RUN = "checkpoint_sha256"  # in the record of a run, and an attribute of its rows
MANIFEST = "manifest.json"  # of a prepared dataset
SEAL = "content_sha256"  # key of the digest of what stands beside it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` if the block succeeds, delete it if not.

    Raises:
        RegbenchError: if the folder cannot be written or the disk is full; names the file and the reason.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:DIGITS]}.{path.name}")  # two nodes may have equal process ids
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RegbenchError(
            f"`{path}` must be writable, but got: {error.strerror or error}. "
            "Free space or change the permissions, then run the same command again; nothing half-written was kept."
        ) from error
    finally:
        # Deleting may fail on the very disk that failed the write; that must not hide the first error.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def clear_half_written(folder: Path) -> None:
    """Delete what processes that were killed had begun to write in a folder that this one owns (see `replacing`)."""
    for path in folder.glob(f".{'[0-9a-f]' * DIGITS}.*"):
        path.unlink(missing_ok=True)


def whole_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The files of a folder, sorted, without those that another process is writing: they have other names soon."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def check_folder(
    path: Path, known: str = "", *, advice: str = "Change `results` in the config, or the permissions."
) -> None:
    """Raise RegbenchError unless `path` is a folder that can be written, or could be made one.

    Args:
        path: of the folder.
        known: a sentence more for the message.
        advice: what to do.
    """
    existing = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = "cannot be written" if existing.is_dir() else "is a file"
        raise RegbenchError(
            f"`{path}` must be a folder that can be written, but `{existing}` {reason}. {known}{advice}"
        )


def check_free(folder: Path, paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raise UsageError if a file that is to be written to `folder` is there, unless `overwrite` is given."""
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise UsageError(
            f"`{folder}` must have none of the files that are to be written, but has {len(there)} of {len(paths)} "
            f"(`{there[0].name}`). Give another folder, or `--overwrite`."
        )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare space: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 16 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write `text` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (sorted keys, NaN and infinity as null) whole or not at all."""
    write_text(path, json.dumps(_finite(value), sort_keys=True, indent=1, allow_nan=False) + "\n")


def write_sealed(path: Path, value: Any) -> None:
    """`write_json` of a mapping, or of a list of them, each with the digest that `read_sealed` holds it to."""
    write_json(path, sealed(value))


def sealed(value: Any) -> Any:
    """A mapping, or a list of them, each with the digest of what stands beside it."""
    plain = _finite(value)
    return [_sealed(entry) for entry in plain] if isinstance(plain, list) else _sealed(plain)


def _sealed(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, SEAL: digest(entry)}


def unsealed(value: Any, path: Path) -> Any:
    """What was sealed, without its seals.

    Args:
        value: a mapping with its seal, or a list of such.
        path: of its file, for the message.

    Raises:
        RegbenchError: if a seal is missing or is of other content.
    """
    if isinstance(value, list):
        return [unsealed(entry, path) for entry in value]
    bare = {key: entry for key, entry in value.items() if key != SEAL} if isinstance(value, dict) else None
    if bare is None or value.get(SEAL) != digest(bare):
        what = "has no" if bare is None or SEAL not in value else "is of other content than its"
        raise RegbenchError(
            f"`{path}` must be as it was written, but was altered or damaged: it {what} `{SEAL}`. Delete it and run "
            "again."
        )
    return bare


def read_sealed(path: Path) -> Any:
    """What `write_sealed` wrote.

    Raises:
        RegbenchError: as `read_json`, or if it is not as it was sealed; names the file.
    """
    return unsealed(read_json(path), path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RegbenchError: if it is missing, unreadable or not JSON; names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegbenchError(f"`{path}` must be readable, but got: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise RegbenchError(f"`{path}` must be JSON, but got: {error}. Delete it and run again.") from error


def _finite(value: Any) -> Any:
    """JSON has no NaN: a missing number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

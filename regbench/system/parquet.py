"""Tables in parquet, each with a digest of all its bytes that every reading holds it to; other tools read them as ever.

The digest stands among the metadata at the end of the file, and is of the file with zeros in its place. (The checksums
that parquet has for its pages leave out the metadata: names and types of columns, where pages begin, a training's log.)
"""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regbench.system.errors import RegbenchError
from regbench.system.files import SEAL, replacing

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_EMPTY = b"0" * 64
_MARK = SEAL.encode() + b"\x18\x40"  # Thrift's compact form: the key, then a text of 64 bytes


def write_table(path: Path, frame: "pd.DataFrame") -> None:
    """Write rows and their attributes, whole or not at all; equal rows give equal bytes."""
    import pyarrow as pa  # noqa: PLC0415  half a second that `--help` needs not
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.Table.from_pandas(frame, preserve_index=False)
    attributes = {b"PANDAS_ATTRS": json.dumps(frame.attrs).encode()} if frame.attrs else {}  # as pandas stores them
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **attributes})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SEAL: _EMPTY.decode()})
    content = buffer.getvalue()
    place = _place(content)
    assert place is not None  # it was just put there
    sealed = content[:place] + hashlib.sha256(content).hexdigest().encode() + content[place + 64 :]
    with replacing(path) as temporary:
        temporary.write_bytes(sealed)


def read_table(path: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """The rows of a table that `write_table` wrote.

    Args:
        path: of the file.
        columns: to read; all unless given.

    Raises:
        RegbenchError: if the file is missing, damaged, altered or no table of those columns; names it.
    """
    import pandas as pd  # noqa: PLC0415

    with _reading(path) as content:
        return pd.read_parquet(io.BytesIO(content), columns=columns)


def read_arrow(path: Path) -> "pa.Table":
    """The same rows without pandas: of ten thousand small files, it would spend most of the time on opening them.

    Raises:
        RegbenchError: as `read_table`.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    with _reading(path) as content, pq.ParquetFile(pa.BufferReader(content)) as file:
        return file.read(use_threads=False)


def read_attributes(path: Path) -> dict[str, str]:
    """The attributes of the rows (`DataFrame.attrs`).

    Raises:
        RegbenchError: as `read_table`.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    with _reading(path) as content:
        metadata = pq.read_schema(pa.BufferReader(content)).metadata or {}
        return dict(json.loads(metadata.get(b"PANDAS_ATTRS", b"{}")))


@contextmanager
def _reading(path: Path) -> Iterator[bytes]:
    """The bytes of a table, held to their digest; whatever fails in the block is the fault of the file."""
    try:
        content = path.read_bytes()
        _check(content, required=True)
        yield content
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, NotImplementedError) as error:
        words = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise RegbenchError(
            f"`{path}` must be a whole table of regbench, but got: {words}. Delete it and run again."
        ) from error


def check_table(path: Path) -> None:
    """Compare a table of anyone's with its digest, if it has one.

    Raises:
        ValueError: if it was altered.
        OSError: if it cannot be read.
    """
    _check(path.read_bytes(), required=False)


def _check(content: bytes, *, required: bool) -> None:
    place = _place(content)
    if place is None:
        if required:
            raise ValueError(f"it has no `{SEAL}`")
        return
    view = memoryview(content)
    sum_of_all = hashlib.sha256(view[:place])
    sum_of_all.update(_EMPTY)
    sum_of_all.update(view[place + 64 :])
    if content[place : place + 64] != sum_of_all.hexdigest().encode():
        raise ValueError(f"it was altered or damaged: its `{SEAL}` is of other content")


def _place(content: bytes) -> int | None:
    """Where the digest begins."""
    at = content.rfind(_MARK)
    return None if at < 0 else at + len(_MARK)

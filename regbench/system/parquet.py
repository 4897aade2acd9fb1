"""Tables in parquet, whose pages carry checksums that every reading holds them to; other tools read them as ever."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from regbench.system.errors import RegbenchError
from regbench.system.files import replacing

if TYPE_CHECKING:
    import pandas as pd


def write_table(path: Path, frame: "pd.DataFrame") -> None:
    """Write rows whole or not at all."""
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False, write_page_checksum=True)


def read_table(path: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """The rows of a table that `write_table` wrote.

    Args:
        path: of the file.
        columns: to read; all unless given.

    Raises:
        RegbenchError: if the file is missing, damaged or no table of those columns; names it.
    """
    import pandas as pd  # noqa: PLC0415  half a second that `--help` needs not

    checked: dict[str, Any] = {"page_checksum_verification": True}
    try:
        return pd.read_parquet(path, columns=columns, **checked)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, NotImplementedError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> RegbenchError:
    """What to say of a table that cannot be read."""
    words = " ".join(str(error).split())
    return RegbenchError(f"`{path}` must be a whole table of regbench, but got: {words}. Delete it and run again.")

"""Tables of rows, which a kill or a full disk may have cut off."""

from pathlib import Path

import pandas as pd

from regbench.system.errors import RegbenchError


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        RegbenchError: if it is missing, unreadable or no whole parquet file; names the file.
    """
    try:
        return pd.read_parquet(path)
    except OSError as error:
        reason = error.strerror or ("No such file or directory" if not path.exists() else error)
        raise RegbenchError(f"`{path}` must be readable, but got: {reason}. Run the study again.") from error
    except ValueError as error:  # pyarrow's own are ValueErrors
        what = str(error).rpartition(": ")[2].rstrip(".")
        raise RegbenchError(f"`{path}` must be whole, but got: {what}. Delete it and run again.") from error

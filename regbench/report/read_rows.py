"""The rows of many runs as one table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from regbench.system.errors import RegbenchError
from regbench.system.parquet import read_arrow


def joined(paths: list[Path], points: Sequence[int] = ()) -> pd.DataFrame:
    """The rows of all runs; columns that a run lacks (a label that its dataset does not have) are NaN.

    Args:
        paths: of the rows.
        points: of curves: the number of each file's, which becomes a column.
    """
    for path in paths:
        if not path.is_file():
            raise RegbenchError(f"`{path}` must exist, but does not. Evaluate the run, or run `regbench run` again.")
    # File by file through pyarrow: of ten thousand small files, pandas spends most of the time on opening them.
    tables = [read_arrow(path).replace_schema_metadata() for path in paths]
    for place, point in enumerate(points):
        tables[place] = tables[place].append_column("point", pa.array([point] * len(tables[place])))
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame

"""A table that is missing or cut off is named."""

import pandas as pd
import pytest

from regbench.report.analyze import joined
from regbench.system.errors import RegbenchError
from regbench.system.parquet_file import read_parquet


@pytest.mark.parametrize("read", [read_parquet, lambda path: joined([path])])
@pytest.mark.parametrize("keep", [0, 3, 200, None])
def test_a_damaged_table_is_named(tmp_path, read, keep):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"a": [1.0, 2.0]}).to_parquet(path)
    whole = path.read_bytes()
    assert len(read(path)) == 2
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(whole[:keep])
    with pytest.raises(RegbenchError, match=r"`.*rows.parquet` must .*, but .*[Rr]un"):
        read(path)

"""Tables in parquet: a flipped bit is refused, or changes no number."""

import numpy as np
import pandas as pd
import pytest

from regbench.report.analyze import joined
from regbench.system.errors import RegbenchError
from regbench.system.parquet import read_table, write_table


@pytest.mark.parametrize("read", [read_table, lambda path: joined([path])], ids=["read_table", "rows of all runs"])
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path, read):
    path, random = tmp_path / "a.parquet", np.random.default_rng(0)
    frame = pd.DataFrame({"dice": random.random(200), "fixed": [f"s{n}" for n in range(200)]})
    write_table(path, frame)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)  # as other tools read it
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        content[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        try:
            found = read(path)
        except RegbenchError:
            refused += 1
            continue
        pd.testing.assert_frame_equal(found, frame)
    assert refused > 200


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_what_is_no_table_is_named(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(RegbenchError, match=r"a\.parquet` must be a whole table.*Delete it and run again"):
        read_table(path)
    with pytest.raises(RegbenchError, match=r"b\.parquet"):
        read_table(tmp_path / "b.parquet")

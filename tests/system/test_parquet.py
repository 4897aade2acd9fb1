"""Tables in parquet: a flipped bit is refused."""

import numpy as np
import pandas as pd
import pytest

from regbench.report.analyze import joined
from regbench.system.errors import RegbenchError
from regbench.system.parquet import check_table, read_arrow, read_attributes, read_table, write_table


@pytest.mark.parametrize("read", [read_table, lambda path: joined([path])], ids=["read_table", "rows of all runs"])
def test_a_flipped_bit_is_refused(tmp_path, read):
    path, random = tmp_path / "a.parquet", np.random.default_rng(0)
    frame = pd.DataFrame({"dice": random.random(200), "fixed": [f"s{n}" for n in range(200)]})
    frame.attrs = {"log": "step 1: 0.5"}
    write_table(path, frame)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)  # as other tools read it
    pd.testing.assert_frame_equal(read(path), frame)
    whole = path.read_bytes()
    for place in (*random.integers(len(whole), size=300), *range(len(whole) - 300, len(whole))):
        content = bytearray(whole)
        content[place] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        with pytest.raises(RegbenchError, match=r"a\.parquet` must be a whole table"):
            read(path)


def test_a_name_in_the_metadata_is_held_to_the_digest(tmp_path):
    """The checksums of parquet's pages leave out names of columns and attributes."""
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"dice": [0.5], "dicf": [0.4]})
    frame.attrs = {"log": "loss 0.123"}
    write_table(path, frame)
    assert read_attributes(path) == {"log": "loss 0.123"}
    path.write_bytes(path.read_bytes().replace(b"loss 0.123", b"loss 0.124"))
    for read in (read_table, read_attributes, read_arrow):
        with pytest.raises(RegbenchError, match=r"a\.parquet.*content_sha256"):
            read(path)


def test_rows_of_the_same_values_have_the_same_bytes(tmp_path):
    frame = pd.DataFrame({"dice": [0.5, None], "fixed": ["a", "b"]})
    for name in "ab":
        write_table(tmp_path / name, frame)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_table_without_a_digest_is_anyones(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"dice": [0.5]}).to_parquet(path)
    check_table(path)
    with pytest.raises(RegbenchError, match="it has no `content_sha256`"):
        read_table(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000])
def test_what_is_no_table_is_named(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(RegbenchError, match=r"a\.parquet` must be a whole table.*Delete it and run again"):
        read_table(path)
    with pytest.raises(RegbenchError, match=r"b\.parquet"):
        read_table(tmp_path / "b.parquet")

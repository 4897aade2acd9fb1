"""A result in JSON is held to its digest: a flipped byte is refused, or changes nothing."""

import json

import numpy as np
import pytest

from regbench.system.errors import RegbenchError
from regbench.system.files import SEAL, read_json, write_sealed

VALUES = [
    [{"lam": 0.1, "dice": 0.75, "reason": "", "pairs": {"dice": [0.5, None]}}, {"lam": 2.0}],
    {"lam": 1e-7, "n": 3},
]


@pytest.mark.parametrize("value", VALUES)
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path, value):
    path, random = tmp_path / "a.json", np.random.default_rng(0)
    write_sealed(path, value)
    assert read_json(path) == value
    whole = path.read_bytes()
    assert isinstance(json.loads(whole), type(value))  # as other tools read it
    for _ in range(300):
        content = bytearray(whole)
        content[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        try:
            found = read_json(path)
        except RegbenchError:
            continue
        entries, wanted = (found, value) if isinstance(value, list) else ([found], [value])
        for entry, whole_entry in zip(entries, wanted, strict=True):  # a seal whose name was hit is no seal
            assert {key: entry[key] for key in whole_entry} == whole_entry


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"a": 1', "\x00"])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(RegbenchError, match=r"a\.json` must be JSON.*Delete it"):
        read_json(tmp_path / "a.json")


def test_nan_is_sealed_as_it_is_read(tmp_path):
    write_sealed(tmp_path / "a.json", {"a": float("nan"), "b": (1, 2)})
    assert SEAL in (tmp_path / "a.json").read_text()
    assert read_json(tmp_path / "a.json") == {"a": None, "b": [1, 2]}

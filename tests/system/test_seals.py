"""A result in JSON is held to its digest: a flipped byte is refused, or changes nothing."""

import json

import numpy as np
import pytest

from regbench.system.errors import RegbenchError
from regbench.system.files import SEAL, read_sealed, write_json, write_sealed

VALUES = [
    [{"lam": 0.1, "dice": 0.75, "reason": "", "pairs": {"dice": [0.5, None]}}, {"lam": 2.0}],
    {"lam": 1e-7, "n": 3},
]


@pytest.mark.parametrize("value", VALUES)
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path, value):
    path, random = tmp_path / "a.json", np.random.default_rng(0)
    write_sealed(path, value)
    assert read_sealed(path) == value
    whole = path.read_bytes()
    assert isinstance(json.loads(whole), type(value))  # as other tools read it
    for _ in range(300):
        content = bytearray(whole)
        content[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        try:
            found = read_sealed(path)
        except RegbenchError as error:
            assert str(path) in str(error)  # noqa: PT017
            continue
        assert found == value  # white space


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"a": 1', "\x00"])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(RegbenchError, match=r"a\.json` must be JSON.*Delete it"):
        read_sealed(tmp_path / "a.json")


@pytest.mark.parametrize(
    "content", [{"a": 1}, [{"a": 1}], [1], None, "x", [[{"a": 1}]], {SEAL: "0" * 16}, {SEAL: None}]
)
def test_what_has_no_seal_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    write_json(path, content)
    with pytest.raises(RegbenchError, match=r"a\.json` must be as it was written, but .*Delete it"):
        read_sealed(path)


def test_nan_is_sealed_as_it_is_read(tmp_path):
    write_sealed(tmp_path / "a.json", {"a": float("nan"), "b": (1, 2)})
    assert SEAL in (tmp_path / "a.json").read_text()
    assert read_sealed(tmp_path / "a.json") == {"a": None, "b": [1, 2]}

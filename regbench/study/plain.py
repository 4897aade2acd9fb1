"""What YAML can hold and a config cannot: dates, sets, bytes, numbers beyond 64 bits, keys that are no text."""

import datetime
import math
from collections.abc import Mapping
from typing import Any

from regbench.study.components import shown
from regbench.study.mistakes import Mistake
from regbench.study.yaml_file import DEEPEST, MOST_VALUES
from regbench.system.errors import UsageError

LARGEST = 2**63 - 1  # integer: what Parquet, MLflow and torch hold


def plain(raw: Mapping[str, Any], mistakes: list[Mistake]) -> dict[str, Any]:
    """`raw` as JSON can hold it.

    Args:
        raw: what YAML or Snakemake read.
        mistakes: receives what was no JSON, each with its key; its text takes its place, so that all else is checked.

    Raises:
        UsageError: if there are too many values to walk through; names the first key of those that are left.
    """
    return _Walk(mistakes).mapping(raw, "", 0)


class _Walk:
    """One way through a config: what was met so far, and what is wrong with it."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self._mistakes, self._met = mistakes, 0

    def mapping(self, value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
        """The mapping at `where`, its keys text."""
        texts: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(key, int) and abs(key) > LARGEST:  # of which Python may refuse to make text
                self._say(where, f"its keys must have at most 64 bits, but one has {key.bit_length()}")
                continue
            place = f"{where}.{key}".lstrip(".")
            if isinstance(key, bool | None) or not isinstance(key, str | int | float):
                self._say(place, f"the key must be text, but YAML reads {_kind(key)}; put it in quotes")
            if str(key) in texts:
                self._say(place, "the key is given twice, once as text and once as a number")
            texts[str(key)] = self._plain(item, place, depth + 1)
        return texts

    def _say(self, where: str, message: str) -> None:
        self._mistakes.append(Mistake(where, message))

    def _plain(self, value: Any, where: str, depth: int) -> Any:
        self._met += 1
        if self._met > MOST_VALUES:  # aliases that stand for aliases: a small file, and no end of values
            raise UsageError(
                f"a config must have at most {MOST_VALUES} values, each YAML alias counted as all that it stands for, "
                f"but at `{where.partition('[')[0].partition('.')[0]}` there are more. Write fewer, or without aliases."
            )
        if depth > DEEPEST:
            self._say(where.partition("[")[0], f"must not be nested deeper than {DEEPEST} levels, nor contain itself")
            return None
        if isinstance(value, Mapping):
            return self.mapping(value, where, depth)
        if isinstance(value, list | tuple):
            return [self._plain(item, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
        if isinstance(value, int | float):
            return self._number(value, where)
        if value is None or isinstance(value, str):
            return value
        self._say(where, f"must be text or a number, but YAML reads {_kind(value)}; put it in quotes")
        return str(value)

    def _number(self, value: float, where: str) -> float:
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            digits = value if value.bit_length() < 256 else f"one of {value.bit_length()} bits"
            self._say(where, f"must be a whole number of at most 64 bits, but got {digits}")
            return 1
        if not math.isfinite(value):
            self._say(where, f"must be a finite number, but got {value}")
            return 0.0
        return value


def _kind(value: Any) -> str:
    kind = "a date" if isinstance(value, datetime.date) else f"a value of the type {type(value).__name__}"
    return f"{shown(value) if isinstance(value, bytes) else value} as {kind}"

"""What YAML can hold and a config cannot: dates, sets, bytes, numbers that are none, keys that are no text."""

import datetime
import math
from collections.abc import Mapping
from typing import Any

from regbench.study.mistakes import Mistake

DEEPEST = 32  # lists and mappings inside each other; a config has eight


def plain(raw: Mapping[str, Any], mistakes: list[Mistake]) -> dict[str, Any]:
    """`raw` as JSON can hold it.

    Args:
        raw: what YAML or Snakemake read.
        mistakes: receives what was no JSON, each with its key; its text takes its place, so that all else is checked.
    """
    return _mapping(raw, "", 0, mistakes)


def _mapping(value: Mapping[Any, Any], where: str, depth: int, mistakes: list[Mistake]) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    for key, item in value.items():
        place = f"{where}.{key}".lstrip(".")
        if isinstance(key, bool | None) or not isinstance(key, str | int | float):
            mistakes.append(Mistake(place, f"the key must be text, but YAML reads {_kind(key)}; put it in quotes"))
        if str(key) in texts:
            mistakes.append(Mistake(place, "the key is given twice, once as text and once as a number"))
        texts[str(key)] = _plain(item, place, depth + 1, mistakes)
    return texts


def _plain(value: Any, where: str, depth: int, mistakes: list[Mistake]) -> Any:
    if depth > DEEPEST:
        mistakes.append(
            Mistake(where.partition("[")[0], f"must not be nested deeper than {DEEPEST} levels, nor contain itself")
        )
        return None
    if isinstance(value, Mapping):
        return _mapping(value, where, depth, mistakes)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{number}]", depth + 1, mistakes) for number, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        mistakes.append(Mistake(where, f"must be a finite number, but got {value}"))
        return 0.0
    if value is None or isinstance(value, str | int | float):
        return value
    mistakes.append(Mistake(where, f"must be text or a number, but YAML reads {_kind(value)}; put it in quotes"))
    return str(value)


def _kind(value: Any) -> str:
    kind = "a date" if isinstance(value, datetime.date) else f"a value of the type {type(value).__name__}"
    return f"{value!s} as {kind}"

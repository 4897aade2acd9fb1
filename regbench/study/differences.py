"""How two configs, or two parts of them, differ: a clause a key, in the config's words."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from regbench.study.components import shown
from regbench.system.files import canonical_json


def differences(before: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> Iterator[str]:
    """A clause for each key that differs, such as `` `seeds` was [0] and is [0, 1] ``; those that are gone come last.

    Args:
        before: JSON of the earlier one.
        now: of the later one.
    """
    earlier, later = dict(_leaves(before)), dict(_leaves(now))
    keys = [*later, *(key for key in earlier if key not in later)]
    for key in (key for key in keys if not _is_filled(key, earlier, later) and not _is_filled(key, later, earlier)):
        texts = [canonical_json(side[key]) if key in side else "" for side in (earlier, later)]  # 1 is not 1.0
        there, here = (shown(side[key]) if key in side else "not given" for side in (earlier, later))
        if texts[0] != texts[1]:
            yield "its source's code has changed" if key == "code" else f"`{key}` was {there} and is {here}"


def _is_filled(key: str, side: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    """Whether a key is empty on one side, and the other has keys below it: they tell the difference."""
    return side.get(key) in ({}, []) and any(below.startswith(f"{key}.") for below in other)


def _leaves(values: Mapping[str, JsonValue], where: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Dotted key and value of whatever is no mapping with entries; parts of a list go by their ids."""
    for key, value in values.items():
        parts = _by_id(value)
        if parts:
            yield from _leaves(parts, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _by_id(value: JsonValue) -> Mapping[str, JsonValue]:
    """A mapping as it is, a list of parts that have ids as a mapping; of all else nothing."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, list) or not all(isinstance(part, Mapping) and "id" in part for part in value):
        return {}
    return {str(part["id"]): part for part in value if isinstance(part, Mapping)}

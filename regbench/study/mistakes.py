"""What is wrong with a config: where, and in words that say what to do."""

import types
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from regbench.study.components import as_yaml_reads, shown
from regbench.study.config import LIST, SHORT, Config
from regbench.study.grid_config import NUMBER, RANGE
from regbench.system.errors import did_you_mean

TOO_MANY = "must have at most "


class Mistake(NamedTuple):
    """One thing wrong with a config: where, and what to do."""

    key: str
    message: str


def _key(location: tuple[Any, ...]) -> str:
    named = (part for part in location if part not in (NUMBER, RANGE, LIST))
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return text.lstrip(".") or "(whole file)"


def readable(error: Mapping[str, Any]) -> Mistake:
    """What pydantic says of one error, in our words."""
    location, kind = error["loc"], error["type"]
    key = _key(location)
    got = error.get("input")
    if kind == "extra_forbidden":
        return Mistake(key, f"unknown key; {did_you_mean(str(location[-1]), _fields_at(location[:-1]))}")
    if kind == "missing":
        short = [name for name, long in SHORT.items() if location[0] in long]
        hint = (
            f"; the short form is {' or '.join(f'`{name}`' for name in short)}" if short and len(location) == 1 else ""
        )
        return Mistake(key, f"is required, but is missing{hint}")
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if kind == "too_long":
        return Mistake(key, f"{TOO_MANY}{error['ctx']['max_length']} entries, but has {error['ctx']['actual_length']}")
    if isinstance(got, dict | list):
        return Mistake(key, message)
    hint = as_yaml_reads(got, "string" if kind == "model_type" else message)
    return Mistake(key, f"{message}, but got {shown(got)}{hint}")


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that may stand at a place of the config."""
    here: list[Any] = [Config]
    for part in location:
        if isinstance(part, int):
            continue  # the elements of a list are already unpacked by _models
        models = [model for annotation in here for model in _models(annotation)]
        here = [model.model_fields[part].annotation for model in models if part in model.model_fields] or here
    known = [name for annotation in here for model in _models(annotation) for name in model.model_fields]
    return known if location else [*known, *SHORT]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The config classes inside an annotation such as `tuple[Component, ...] | None`."""
    if get_origin(annotation) in (tuple, Union, types.UnionType, Annotated, dict):
        return [model for inner in get_args(annotation) for model in _models(inner)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []

"""A whole config as YAML, as it will run: what the user wrote, what a short key stands for, each default marked."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from regbench.study.config import Config
from regbench.study.folds import Place
from regbench.study.plain import plain
from regbench.study.short_form import expanded

WIDTH = 10_000  # letters of a value: one line each
ABSENT = object()
# Defaults that the data complete.
WORDS = {
    "splits": ": whom the data put there, else {train: rest, validation: 0.1, test: 0.2}",
    "lambdas": ": ranges are found before the first round",
    "pairs": ": all ordered pairs of a split, up to `most_pairs`",
}


def whole_config(raw: Mapping[str, Any], config: Config) -> str:
    """YAML of `config`, which loads to the same study; behind each value that `raw` does not give, where it comes from.

    Args:
        raw: what was read.
        config: the study in it.
    """
    long = expanded(plain(raw, []), [])
    return "\n".join(_mapping(config.model_dump(mode="json"), (), long.raw, long.origins)) + "\n"


def _mapping(values: Mapping[str, Any], place: Place, given: Any, origins: Mapping[Place, str]) -> Iterator[str]:
    if isinstance(given, str):
        given = {"name": given}  # a bare name is short for a component
    for key, value in values.items():
        inner = given.get(key, ABSENT) if isinstance(given, Mapping) else ABSENT
        yield from _entry(key, value, (*place, key), inner, origins)


def _entry(key: str, value: Any, at: Place, given: Any, origins: Mapping[Place, str]) -> Iterator[str]:
    mark = "" if given is not ABSENT else f"  # default{WORDS.get(key, '') if not value else ''}"
    if at in origins:
        mark = f"  # from `{origins[at]}`" if origins[at] else "  # default"
    if isinstance(value, Mapping) and value:
        yield f"{_text(key)}:{mark}"
        yield from (f"  {line}" for line in _mapping(value, at, given if at not in origins else value, origins))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        yield f"{_text(key)}:{mark}"
        for number, item in enumerate(value):
            of_item = given[number] if isinstance(given, list) and number < len(given) else ABSENT
            lines = (
                list(_mapping(item, (*at, number), of_item, origins)) if isinstance(item, Mapping) else [_text(item)]
            )
            yield from (f"  {'  ' if k else '- '}{line}" for k, line in enumerate(lines))
    else:
        yield f"{_text(key)}: {_text(value)}{mark}"


def _text(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=WIDTH, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")

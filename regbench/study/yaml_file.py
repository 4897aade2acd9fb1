"""Reading YAML: the file of a study, and what Snakemake's command line overrides."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from regbench.system.errors import UsageError

DEEPEST = 32  # lists and mappings inside each other; a config has eight
MOST_VALUES = 30_000  # in all: ten thousand subjects named in the splits, and a config beside them
MOST_BYTES = 2**20  # of a file: forty letters for each of the values that it may have, and comments
LONGEST_NUMBER = 64  # letters; YAML reads hexadecimal and 1:30:00 without an end


class _UniqueKeys(yaml.SafeLoader):
    """YAML keeps the last of two equal keys without a word; a study must not.

    Depth and number of values are limited while they are read: an alias counts as all that it stands for, because
    whoever walks the config meets it all.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth, self._size = 0, 0
        self._sizes: dict[int, int] = {}  # values of each finished node, by its identity; an alias is the node itself

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # of PyYAML
        is_alias, before = self.check_event(yaml.AliasEvent), self._size
        self._depth += 1
        self._size += 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"lists and mappings nested deeper than {DEEPEST}", mark)
        node = super().compose_node(parent, index)
        if is_alias and id(node) not in self._sizes:
            raise yaml.composer.ComposerError(
                None, None, "an alias inside what it stands for: nor contain itself", mark
            )
        self._size += self._sizes[id(node)] if is_alias else 0
        if self._size > MOST_VALUES:
            words = f"more than {MOST_VALUES} values, each alias counted as all that it stands for"
            raise yaml.composer.ComposerError(None, None, words, mark)
        self._depth -= 1
        if not is_alias:
            self._sizes[id(node)] = self._size - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                words = f"a key must be one word or number, but is a {type(key).__name__}"
                raise yaml.constructor.ConstructorError(None, None, words, key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key `{key}` is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if number and len(node.value) > LONGEST_NUMBER:
            words = f"a number of {len(node.value)} letters, more than {LONGEST_NUMBER}; put it in quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, words, node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # 2024-13-45 looks like a date and is none
            words = f"`{node.value}` looks like a date or a number, but {error}; put it in quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, words, node.start_mark) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, refusing duplicate keys.

    Raises:
        UsageError: if it is missing, too large, not YAML, or not a mapping; names file, line and column.
    """
    try:
        with path.open("rb") as file:  # which may be a device without an end
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(
                f"config `{path}` must have at most {MOST_BYTES} bytes, but has more. Is it the file of a study?"
            )
        value = yaml.load(content.decode("utf-8-sig"), Loader=_UniqueKeys)
    except OSError as error:
        raise UsageError(f"config `{path}` must be readable, but got: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"config `{path}` must be text in UTF-8, but got: {error}. Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        words = " ".join(str(error).split())
        tabs = " Indent with spaces: YAML allows no tab there." if "\\t" in words else ""
        raise UsageError(f"config `{path}` must be YAML, but got: {words}.{tabs}") from error
    if value is None:
        raise UsageError(f"config `{path}` must be a mapping of keys, but is empty.")
    if not isinstance(value, dict):
        raise UsageError(f"config `{path}` must be a mapping of keys, but got {type(value).__name__}.")
    return value


def typed(value: Any) -> Any:
    """Numbers for the texts in lists and mappings: Snakemake reads `--config 'seeds=[0, 1]'` as a list of texts."""
    if isinstance(value, list):
        return [_scalar(item) if isinstance(item, str) else typed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _scalar(item) if isinstance(item, str) else typed(item) for key, item in value.items()}
    return value


def _scalar(text: str) -> Any:
    try:
        value = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError:
        return text
    return text if isinstance(value, dict | list) else value

"""Reading YAML: the file of a study, and what Snakemake's command line overrides."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from regbench.system.errors import UsageError


class _UniqueKeys(yaml.SafeLoader):
    """YAML keeps the last of two equal keys without a word; a study must not."""

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
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # 2024-13-45 looks like a date and is none
            words = f"`{node.value}` looks like a date or a number, but {error}; put it in quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, words, node.start_mark) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, refusing duplicate keys.

    Raises:
        UsageError: if it is missing, not YAML, or not a mapping; names file, line and column.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_UniqueKeys)
    except OSError as error:
        raise UsageError(f"config `{path}` must be readable, but got: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"config `{path}` must be text in UTF-8, but got: {error}. Save it as UTF-8.") from error
    except RecursionError as error:
        raise UsageError(f"config `{path}` must be a study, but is nested too deeply.") from error
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

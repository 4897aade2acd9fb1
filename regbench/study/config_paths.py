"""Paths in a config: they begin at the folder of its file; in the study that is loaded, at the working folder.

Data, lists of pairs, fields of others, weights, and files of the user's own code (``path/to/file.py:function``). What
begins with ``/`` or ``~`` stays as it is. `results` and the URI of MLflow are no files of the user: they stay where the
command runs.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from regbench.study.mistakes import Mistake
from regbench.study.own_files import is_file
from regbench.study.term_checks import Raw, as_mapping, entries
from regbench.study.yaml_file import read_yaml
from regbench.system.files import SEAL
from regbench.system.names import given_path, shown_path

SECTIONS = ("datasets", "test_sets", "models", "baselines", "grid", "similarities", "regularizers")
OF_CODE = ("name", "source", "similarity")  # keys whose text may be a file of code and a function in it
OF_FILES = ("path", "root", "files", "store", "list", "encoder")  # keys whose text is a file or folder


def read_config(path: Path) -> dict[str, Any]:
    """The config in a YAML file, its paths from the working folder on.

    The `config.json` that a study's jobs are made of has them so already.

    Raises:
        UsageError: if it is missing, too large, not YAML, or not a mapping.
    """
    raw = read_yaml(path)
    return raw if path.suffix == ".json" and SEAL in raw else anchored(raw, path.parent)


def anchored(raw: Raw, folder: Path) -> dict[str, Any]:
    """A config, or the part of one that a file has, with paths from the working folder on.

    Args:
        raw: what was read; it may be wrong anywhere.
        folder: of its file.
    """
    return with_paths(raw, partial(_from, os.path.relpath(folder.absolute())))


def with_paths(raw: Raw, change: Callable[[str], str]) -> dict[str, Any]:
    """A config, or the part of one that a file has, with every path changed.

    Args:
        raw: what was read; it may be wrong anywhere.
        change: from a path to another; of ``path/to/file.py:function`` it gets the file alone.
    """
    whole = {key: _changed(key, value, change) if key in SECTIONS else value for key, value in raw.items()}
    if isinstance(raw.get("data"), str):
        whole["data"] = change(raw["data"])
    return whole


def _changed(key: str, value: Any, change: Callable[[str], str]) -> Any:
    """A value and what is in it; entries of a list go by the key of the list, and a bare name is short for one."""
    if isinstance(value, Mapping):
        return {inner: _changed(str(inner), what, change) for inner, what in value.items()}
    if isinstance(value, list):
        return [_changed("name" if isinstance(item, str) else key, item, change) for item in value]
    if not isinstance(value, str):
        return value
    if is_file(value) and key in (*OF_CODE, "encoder"):
        file, _, function = value.rpartition(":")
        return f"{change(file)}:{function}"
    return change(value) if key in OF_FILES and not (key == "encoder" and ":" in value) else value


def _from(start: str, text: str) -> str:
    """A path that begins at the folder `start`, from the working folder on; tidy where the disk agrees."""
    if start == os.curdir or not text.strip() or "\0" in text or text[0] in "/~":
        return text
    whole = os.path.join(start, text)  # noqa: PTH118  a text, whose dots at the end pathlib drops
    tidy = os.path.normpath(whole)
    return tidy if os.path.realpath(tidy) == os.path.realpath(whole) else whole


def missing_files(raw: Raw, *, prepared: Collection[str] = ()) -> Iterator[Mistake]:
    """What a config names as data and is not on this machine.

    Args:
        raw: long form, with paths from the working folder on; it may be wrong anywhere.
        prepared: ids of datasets that need their files no more.
    """
    for section in ("datasets", "test_sets", "baselines"):
        for number, item in enumerate(map(as_mapping, entries(raw, section))):
            if section == "baselines" or item.get("id") not in prepared:
                for part, names in (("parameters", ("path", "root", "files")), ("pairs", ("list",))):
                    yield from _missing(f"{section}[{number}].{part}", item.get(part), names)


def _missing(place: str, given: Any, names: tuple[str, ...]) -> Iterator[Mistake]:
    for name in names if isinstance(given, Mapping) else ():
        text = given.get(name)
        if isinstance(text, str) and text.strip() and "\0" not in text and not given_path(text).exists():
            yield Mistake(
                f"{place}.{name}",
                f"must be on this machine, but there is no `{shown_path(text)}`; mend the path, which begins at the "
                "config's folder, or bring the data there",
            )

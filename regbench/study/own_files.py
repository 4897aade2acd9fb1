"""A user's own Python file as a component: ``path/to/file.py:function``.

The path begins at the working folder; in a config it begins at the config's folder (`regbench.study.config_paths`).
What the file imports from beside it belongs to it: no search path must be set.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from regbench.system.errors import UsageError
from regbench.system.names import given_path

SUFFIX = ".py"


def is_file(name: str) -> bool:
    """Whether a component's name is ``path/to/file.py:function``, not ``package.module:function``."""
    return name.rpartition(":")[0].endswith(SUFFIX)


def file_of(name: str) -> Path:
    """The file in ``path/to/file.py:function``."""
    return given_path(name.rpartition(":")[0])


def trusted_file(name: str, trusted: Collection[str]) -> Path | None:
    """The file behind ``path/to/file.py:function`` where the user trusts it; None where not.

    Args:
        name: that a config, or a record of a run, has.
        trusted: ``file.py:function``, or ``file.py`` with all that is in it. One that was trusted as a whole may lie
            elsewhere by now than where the record has it: its name without folders decides.
    """
    file, function = file_of(name), name.rpartition(":")[2]
    whole = {given_path(one).resolve() for one in trusted if one.endswith(SUFFIX)}
    alone = {file_of(one).resolve() for one in trusted if is_file(one) and one.rpartition(":")[2] == function}
    if file.resolve() in whole | alone:
        return file
    of_this_name = [one for one in whole if one.name == file.name]
    return of_this_name[0] if len(of_this_name) == 1 else None


def module_of(file: Path) -> ModuleType:
    """The module that a file makes; executed once for each content.

    Raises:
        UsageError: if there is no such file, or what it imports from beside it has the name of another module.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        others = ", ".join(f"`{path.name}`" for path in sorted(file.parent.glob(f"*{SUFFIX}"))[:10])
        raise UsageError(
            f"`{file}` must be a Python file, but got: {error.strerror}. In its folder: {others or 'no Python file'}."
        ) from error
    return _executed(file.absolute(), content)


@cache
def _executed(file: Path, content: bytes) -> ModuleType:
    folder = str(file.parent)
    for name, path in _beside(file, file.parent):
        if "." not in name:
            _check_alone(name, path, file)
    if folder not in sys.path:
        sys.path.append(folder)  # last: a file of the user hides no installed package
    module = ModuleType(f"own_{file.stem}_{hashlib.sha256(str(file).encode() + content).hexdigest()[:12]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses and type hints look their module up
    try:
        exec(compile(content, str(file), "exec"), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _check_alone(name: str, path: Path, file: Path) -> None:
    """Refuse that ``import name`` finds something other than what lies beside the file.

    Raises:
        UsageError: with both places.
    """
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return
    origin = None if spec is None else spec.origin
    if spec is not None and (origin is None or Path(origin).resolve() != path.resolve()):
        raise UsageError(
            f"`{file}` imports `{name}`, which must be one module, but is `{path}` and `{origin or name}`. "
            f"Give `{path.name}` another name."
        )


def with_imports(file: Path) -> dict[str, str]:
    """The text of a file and of what it imports from beside it, by their paths from the file's folder.

    Raises:
        UsageError: if one of them cannot be read, or is no Python.
    """
    root, texts = file.absolute().parent, dict[str, str]()
    pending = [file.absolute()]
    while pending:
        path = pending.pop()
        label = os.path.relpath(path, root)
        if label not in texts:
            texts[label] = _text(path)
            pending += [found for _, found in _beside(path, root)]
    return texts


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # which some editors begin with a mark, as Python allows
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"`{path}` must be a Python file, but got: {words}.") from error


def _beside(path: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of each import in `path` that lies in the folder `root`."""
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"`{path}` must be Python, but got: {type(error).__name__}: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names, start = [alias.name for alias in node.names], root
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module] if module else []
            names += [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            if node.level > len(path.parents):
                continue  # above the root of the disk, where Python finds nothing either
            start = path.parents[node.level - 1] if node.level else root
        else:
            continue
        for name in names:
            yield from _files(name, start)


def _files(name: str, start: Path) -> Iterator[tuple[str, Path]]:
    """The files of a dotted name: of each package in it, and of itself."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        place = start.joinpath(*parts[:count])
        for path in (place.parent / f"{place.name}{SUFFIX}", place / f"__init__{SUFFIX}"):
            if path.is_file():
                yield ".".join(parts[:count]), path

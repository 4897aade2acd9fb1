"""A hash of the code that a stage uses, so that a changed formula re-runs what depends on it and nothing else.

Read from the sources' syntax trees: no module is imported, and neither a comment nor a docstring changes the hash.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from regbench.study import own_files
from regbench.system.errors import UsageError
from regbench.system.names import given_path

PACKAGE = Path(__file__).parent.parent

# Registries import every component; a stage depends on the ones that it names, which the caller adds.
# The rest decides what is said and where it is stored, never a number.
_NOT_FOLLOWED = frozenset(
    f"regbench.{name}"
    for name in (
        *("losses", "models", "models.classical", "data"),
        *(
            "study.components",
            "study.config",
            "study.grid_config",
            "study.load",
            "study.checks",
            "study.term_checks",
            "study.mistakes",
            "study.yaml_file",
        ),
        *("study.layout", "system.errors", "system.files", "system.job_usage"),
        *("training.training_log", "tuning.trial_store"),
    )
)


def component_module(registry_module: str, name: str) -> str:
    """The module that defines an entry of a registry package, or the module or file of a function of one's own.

    Args:
        registry_module: for example ``regbench.losses``; its ``__init__`` imports each entry by name.
        name: the entry.
    """
    return name.rpartition(":")[0] if ":" in name else _registered_in(registry_module, name)


@cache
def _registered_in(registry_module: str, name: str) -> str:
    tree = ast.parse(_source(registry_module))
    origin = {
        alias.asname or alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name and isinstance(value, ast.Name):
                    return origin.get(value.id) or registry_module
    return registry_module


def fingerprint(*modules: str) -> str:
    """Hash of `modules` and of every regbench module that they import, directly or not; 16 hex digits.

    A file ``path/to/file.py`` among them counts with what it imports from beside it, and not by where it lies.
    """
    files = sorted({module for module in modules if module.endswith(own_files.SUFFIX)})
    if not files:
        return _of_modules(modules)
    texts = [with_name for file in files for with_name in own_files.with_imports(given_path(file)).items()]
    used = {name for _, text in texts for name in _read(text).imports if name not in _NOT_FOLLOWED}
    total = hashlib.sha256(_of_modules((*(m for m in modules if m not in files), *sorted(used))).encode())
    for label, text in texts:
        total.update(f"{label}\0{_read(text).code}\0".encode())
    return total.hexdigest()[:16]


@cache
def _of_modules(modules: tuple[str, ...]) -> str:
    pending, seen = list(modules), set[str]()
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += [name for name in _read(_source(module)).imports if name not in _NOT_FOLLOWED]
    total = hashlib.sha256()
    for module in sorted(seen):
        total.update(f"{module}\0{_read(_source(module)).code}\0".encode())
    return total.hexdigest()[:16]


@cache
def _source(module: str) -> str:
    path = _file(module)
    if path is None:
        raise UsageError(f"`{module}` must be an importable Python module, but there is none of that name.")
    return path.read_text(encoding="utf-8-sig")


def _file(module: str) -> Path | None:
    """Where a module's source lies. Ours is looked up by name: `find_spec` imports the packages above it, torch too."""
    first, *rest = module.split(".")
    if first == PACKAGE.name:
        place = PACKAGE.joinpath(*rest)
        return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)
    try:
        spec = find_spec(module)
    except ImportError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


class _Read(NamedTuple):
    """What is read of a source.

    Attributes:
        code: hash of the syntax tree without docstrings and positions.
        imports: the regbench modules that import statements name, wherever they stand.
    """

    code: str
    imports: tuple[str, ...]


@cache
def _read(text: str) -> _Read:
    tree, named = ast.parse(text), set[str]()
    for node in [tree, *_statements(tree)]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1:
                node.body = node.body[1:]
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from regbench.study import specs` names a module, `from regbench.study.specs import Spec` what is in one.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if name.startswith("regbench.") and _file(name)}
            named |= modules | (set() if modules == inner else {node.module})
    imports = sorted(name for name in named if name.startswith("regbench."))
    return _Read(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imports))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a module or a statement: `ast.walk` takes every expression, three times as long."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, field, ()):
            yield inner
            yield from _statements(inner)

"""A name and its parameters become a bound function: the only extension mechanism.

A registry is a plain dict from name to function. The function's signature is its schema: data positional-only,
hyper-parameters keyword-only with annotations. A user's own function is named ``package.module:function`` or
``path/to/file.py:function``.

Such a name is code. One in the user's own config is allowed, and so is what ``--allow`` names; one in any other file (a
checkpoint, a record of a run) is refused before anything is imported.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from regbench.study import own_files
from regbench.system.errors import UsageError, did_you_mean

NUMERIC = r"[-+]?\d+([.,]\d*)?([eE][-+]?\d+)?"  # a text that is meant as a number
LONGEST_SHOWN = 200  # letters of a value
Registry = Mapping[str, Callable[..., Any]]
Parameters = Mapping[str, JsonValue]  # of a component: its signature is the schema, by which `mistakes` checks them
_allowed: set[str] = set()  # modules, files, and functions of these, that this process may import


def allow(names: Iterable[str]) -> None:
    """Let this process import modules and files, or single functions of them, that the user trusts."""
    _allowed.update(names)


def allowed(name: str) -> bool:
    """Whether this process may import a function, or load a file that is code."""
    if own_files.is_file(name):
        return own_files.trusted_file(name, _allowed) is not None
    return bool(_allowed & {name, name.rpartition(":")[0] or name})


def code_within(given: object) -> Iterator[str]:
    """What the parameters of a component name that is code: `encoder`, and a `similarity` of the user's own.

    Args:
        given: the parameters, whatever a config has there.
    """
    if isinstance(given, Mapping):
        encoder, similarity = given.get("encoder"), given.get("similarity")
        yield from [encoder] if isinstance(encoder, str) else []
        yield from [similarity] if isinstance(similarity, str) and ":" in similarity else []
        yield from code_within(given.get("parameters"))


def shown(value: object) -> str:
    """A value in a message, of which the first letters tell enough."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} letters)"


def as_yaml_reads(value: Any, expected: str) -> str:
    """What YAML may have made of what was written, where `value` does not fit; empty if nothing.

    Args:
        value: what was read.
        expected: pydantic's words for what should stand there.
    """
    if isinstance(value, bool):
        return f" (YAML reads {'on, yes and true' if value else 'off, no and false'} as {value}; for text, quote it)"
    if isinstance(value, int | float):
        return f" (YAML reads a number, of 1:30 and of 012 too; for text, quote it: '{value}')" * ("string" in expected)
    if isinstance(value, str) and re.fullmatch(NUMERIC, value.strip()) and "string" not in expected:
        number = _number(float(value.replace(",", ".")))
        return f" (YAML reads {value} as text; for a number write {number} without quotes)"
    return ""


def _number(value: float) -> str:
    """As YAML 1.1 reads it as a number: with a point, and a sign in the exponent."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    point = "" if "." in mantissa else ".0"
    return mantissa + (f"{point}e{exponent}" if exponent else "")


def find(registry: Registry, name: str) -> Callable[..., Any]:
    """The function behind `name`: an entry of the registry, or the user's own.

    Raises:
        UsageError: if there is none, with the nearest known name; if a function is not allowed, cannot be imported or
            has not the signature of the registry's.
    """
    if name in registry:
        return registry[name]
    if ":" not in name:
        raise UsageError(f"`{name}` is unknown; {did_you_mean(name, registry)}")
    function = imported(name)
    _check_shape(registry, name, function)
    return function  # type: ignore[no-any-return]  # of a module that nobody knows


def imported(name: str) -> Any:
    """What ``package.module:function`` or ``path/to/file.py:function`` names, of whatever shape; it must be allowed.

    Raises:
        UsageError: if it is not allowed or cannot be imported.
    """
    module_name, _, function_name = name.rpartition(":")
    if not allowed(name):
        raise UsageError(
            f"`{name}` must be allowed before it is imported, because it is code that a file names. "
            f"If you trust it: --allow {module_name}"
        )
    try:
        module = _module(name)
    except UsageError as error:
        raise UsageError(f"`{name}`: {error}") from error
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        form = "path/to/file.py:function" if own_files.is_file(name) else "package.module:function"
        raise UsageError(
            f"`{name}` must be importable as {form}, but got: {type(error).__name__}: {error}" + _as_file(name)
        ) from error
    if not hasattr(module, function_name):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(
            f"`{module_name}` must be importable with `{function_name}`, but has none; "
            f"{did_you_mean(function_name, known)}"
        )
    return getattr(module, function_name)


def _module(name: str) -> ModuleType:
    if not own_files.is_file(name):
        return import_module(name.rpartition(":")[0])
    file = own_files.trusted_file(name, _allowed)
    assert file is not None  # it is allowed
    return own_files.module_of(file)


def _as_file(name: str) -> str:
    """How a module is named that lies in this folder as a file, where Python does not look."""
    module, _, function = name.rpartition(":")
    file = Path(*module.split(".")).with_suffix(own_files.SUFFIX)
    return f". A file is named by its path: `{file}:{function}`" if file.is_file() else ""


def _check_shape(registry: Registry, name: str, function: object) -> None:
    """Refuse what does not take the data that every entry of the registry takes, before it is called.

    Raises:
        UsageError: with the signature that is wanted.
    """
    wanted = _data(next(iter(registry.values())))
    form = f"({', '.join([*wanted, '/', '*']) if wanted else '*'}, ...)"
    if not callable(function):
        raise UsageError(f"`{name}` must be a function {form}, but got {type(function).__name__}.")
    try:
        data = _data(function)
    except (TypeError, ValueError):  # of a function in C
        data = None
    if data is None or len(data) != len(wanted) or not all(argument.isidentifier() for argument in data):
        got = "no signature" if data is None else f"({', '.join(data)})"
        raise UsageError(
            f"`{name}` must be a function {form}, its data by position and its hyper-parameters by keyword alone, "
            f"but has {got}."
        )


def _data(function: Callable[..., Any]) -> list[str]:
    """The arguments of a function before those by keyword alone; ``=`` marks those that may be given by keyword too."""
    forms = {
        inspect.Parameter.POSITIONAL_ONLY: "{}",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "{}=",
        inspect.Parameter.VAR_POSITIONAL: "*{}",
    }
    given = inspect.signature(function).parameters.values()
    return [forms[parameter.kind].format(parameter.name) for parameter in given if parameter.kind in forms]


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The hyper-parameters of a component: its keyword-only arguments that are no tensors and no functions."""
    hints = get_type_hints(function)
    known = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = hints.get(name, Any)
        called = isinstance(annotation, type) and any("__call__" in vars(base) for base in annotation.__mro__)
        if parameter.kind is parameter.KEYWORD_ONLY and not called and "Tensor" not in str(annotation):
            known[name] = parameter.replace(annotation=annotation)
    return known


def mistakes(registry: Registry, name: str, given: Parameters) -> list[tuple[str, str]]:
    """Everything wrong with a name and its parameters, as (key, message); key '' is the name itself."""
    try:
        known = parameters(find(registry, name))
    except UsageError as error:
        return [("", str(error))]
    wrong = []
    for key, value in given.items():
        if key not in known:
            wrong.append((key, f"`{name}` has no parameter `{key}`; {did_you_mean(key, known)}"))
            continue
        try:
            # Configs come from YAML and JSON, which have lists where Python has tuples.
            adapter = TypeAdapter(known[key].annotation, config=ConfigDict(arbitrary_types_allowed=True))
            adapter.validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
        except ValidationError as error:
            expected = "; ".join(dict.fromkeys(item["msg"] for item in error.errors()))
            wrong.append((key, f"`{name}`: `{key}` got {shown(value)}: {expected}{_hint(value, expected)}"))
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in given:
            wrong.append((key, f"`{name}` needs the parameter `{key}`"))
    return wrong


def _hint(value: Any, expected: str) -> str:
    """`as_yaml_reads` of the first value inside a list or mapping that it has a word for."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next(filter(None, (_hint(item, expected) for item in value)), "")
    return as_yaml_reads(value, expected)


def bind(registry: Registry, name: str, given: Parameters) -> Callable[..., Any]:
    """The function with its parameters fixed.

    Raises:
        UsageError: listing everything that is wrong.
    """
    wrong = mistakes(registry, name, given)
    if wrong:
        raise UsageError("\n".join(message for _, message in wrong))
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return partial(find(registry, name), **values)


def summary(function: Callable[..., Any]) -> str:
    """First line of a component's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]

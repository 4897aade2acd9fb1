"""A name and its parameters become a bound function: the only extension mechanism.

A registry is a plain dict from name to function. The function's signature is its schema: data positional-only,
hyper-parameters keyword-only with annotations. A user's own function is named ``package.module:function``.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from regbench.system.errors import UsageError, did_you_mean

NUMERIC = r"[-+]?\d+([.,]\d*)?([eE][-+]?\d+)?"  # a text that is meant as a number
Registry = Mapping[str, Callable[..., Any]]
Parameters = Mapping[str, JsonValue]  # of a component: its signature is the schema, by which `mistakes` checks them


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
    """The function behind `name`: an entry of the registry, or ``package.module:function``.

    Raises:
        UsageError: if there is none; with the nearest known name.
    """
    if name in registry:
        return registry[name]
    if ":" not in name:
        raise UsageError(f"`{name}` is unknown; {did_you_mean(name, registry)}")
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"`{name}` must be importable as package.module:function, but got: {error}") from error
    if not callable(function):
        raise UsageError(f"`{name}` must be a function, but got {type(function).__name__}")
    return function  # type: ignore[no-any-return]  # callable() narrows Any no further


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The hyper-parameters of a component: its keyword-only arguments that JSON can express (no tensors)."""
    hints = get_type_hints(function)
    known = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = hints.get(name, Any)
        if parameter.kind is parameter.KEYWORD_ONLY and "Tensor" not in str(annotation):
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
            wrong.append((key, f"`{name}`: `{key}` got {value!r}: {expected}{_hint(value, expected)}"))
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

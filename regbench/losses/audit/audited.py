"""What is audited: an entry of the registries, or anybody's function or class, and how it is called."""

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, Literal

import torch
from pydantic import JsonValue
from torch import nn

from regbench.losses import AFFINE_REGULARIZERS, CONSISTENCIES, REGULARIZERS, SIMILARITIES, SUPERVISIONS
from regbench.losses.audit.calls import Loss, raised, value_of
from regbench.losses.audit.findings import WORDS, Kind
from regbench.losses.audit.samples import identity
from regbench.study import components
from regbench.study.own_files import is_file
from regbench.system.errors import UsageError, did_you_mean

OURS: Mapping[Kind, components.Registry] = {
    "similarity": SIMILARITIES,
    "regularizer": REGULARIZERS,
    "affine_regularizer": AFFINE_REGULARIZERS,
    "consistency": CONSISTENCIES,
}
DATA: Mapping[Kind, tuple[str, ...]] = {
    "similarity": ("fixed", "moved"),
    "regularizer": ("displacement",),
    "affine_regularizer": ("matrix",),
    "consistency": ("forward", "backward"),
}
Asked = Literal["similarity", "regularizer", "consistency"]  # a regularizer is of displacements or of matrices
BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Audited:
    """One function under audit.

    Attributes:
        name: as it was given.
        kind: what it is audited as.
        parameters: that are set.
        make: a new one of it; what a class keeps from call to call, one dimension's calls do not hand to the other's.
        adapter: the lines that a study needs to name it; empty where it can be named as it is.
        function: behind the name.
    """

    name: str
    kind: Kind
    parameters: Mapping[str, JsonValue]
    make: Callable[[], Loss]
    adapter: str
    function: object


def resolve(name: str, kind: Asked | None = None, parameters: Mapping[str, JsonValue] | None = None) -> Audited:
    """Find what is to be audited, and what it is.

    Args:
        name: a registered name, or ``package.module:function`` or ``path/to/file.py:function`` that is allowed
            (`components.allow`): then it is imported, which runs its code.
        kind: None to know it by its signature.
        parameters: by keyword.

    Raises:
        UsageError: if there is none of that name, it cannot be made with these parameters, or it takes other data.
    """
    given = dict(parameters or {})
    if ":" in name:
        return _of_somebody(name, kind, given)
    if name in SUPERVISIONS:
        raise UsageError(f"`{name}` judges labels or landmarks: audit is for losses of images and of displacements.")
    kinds = [known for known, registry in OURS.items() if name in registry]
    if not kinds:
        hint = did_you_mean(name, [known for registry in OURS.values() for known in registry])
        raise UsageError(f"`{name}` is no loss of ours; {hint} Name one of your own as file.py:function.")
    if kind is not None and not kinds[0].endswith(kind):
        raise UsageError(f"`{name}` is a {WORDS[kinds[0]]}, but --as says {kind}. Leave it out.")
    bound = components.bind(OURS[kinds[0]], name, given)
    return Audited(name, kinds[0], given, lambda: bound, "", OURS[kinds[0]][name])


def _of_somebody(name: str, kind: Asked | None, given: dict[str, JsonValue]) -> Audited:
    target = components.imported(name)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    if not callable(target):
        raise UsageError(f"`{name}` must be a function or a class of losses, but is {type(target).__name__}.")
    make = partial(_instance if isinstance(target, type) else _bound, name, target, values)
    first = make()
    count = _data_count(first)
    decided = _kind(name, kind, count, make)
    wanted = DATA[decided]
    if count is not None and count != len(wanted):
        raise UsageError(
            f"`{name}` takes {count} arguments ({', '.join(_required(first))}), but a {WORDS[decided]} takes "
            f"{len(wanted)} ({', '.join(wanted)}).\n{_adapted(name, target, values, decided, count)}"
        )
    adapter = "" if _fits(target, wanted) else _adapted(name, target, values, decided)
    return Audited(name, decided, given, make, adapter, target)


def keywords(function: object) -> frozenset[str]:
    """The arguments of a function; none where its signature cannot be read."""
    try:
        return frozenset(inspect.signature(function).parameters)  # type: ignore[arg-type]  # asked for
    except (TypeError, ValueError):
        return frozenset()


def _instance(name: str, target: Callable[..., Any], values: Mapping[str, Any]) -> Loss:
    """An object of a class, and what of it is called: itself, or its method `loss`, as in VoxelMorph's."""
    try:
        made = target(**values)
    except Exception as error:
        raise UsageError(
            f"`{name}` must be a class that its parameters make ({_shown(values) or 'none are set'}), but it "
            f"{raised(error)}.\n{_adapter_text(name, f'{_short(name)}(...)', ('fixed', 'moved'))}"
        ) from error
    called: Loss | None = made if callable(made) else getattr(made, "loss", None)
    if not callable(called):
        raise UsageError(
            f"an object of `{name}` must be callable (or have a method `loss`), but is not.\n"
            f"{_adapter_text(name, f'{_short(name)}(...).method', ('fixed', 'moved'))}"
        )
    return called


def _bound(name: str, target: Loss, values: Mapping[str, Any]) -> Loss:
    """A function with its parameters; a module that stands in a file as it is, one copy a call of `make`."""
    _check_keywords(name, target, values)
    loss = copy.deepcopy(target) if isinstance(target, nn.Module) else target
    return partial(loss, **values) if values else loss


def _check_keywords(name: str, target: Loss, values: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # of a function in C
        return
    known = signature.parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for key in values:
        if key not in known:
            raise UsageError(f"`{name}` has no parameter `{key}`; {did_you_mean(key, known)}")
    missing = [
        key for key, p in known.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty and key not in values
    ]
    if missing:
        raise UsageError(f"`{name}` needs the parameter `{missing[0]}`; give it by --set {missing[0]}=...")


def _called(loss: Loss) -> Callable[..., object]:
    """What has the signature: of a module, its `forward`."""
    inner = loss.func if isinstance(loss, partial) else loss
    return inner.forward if isinstance(inner, nn.Module) else loss


def _required(loss: Loss) -> list[str]:
    signature = inspect.signature(_called(loss))
    return [p.name for p in signature.parameters.values() if p.kind in BY_POSITION and p.default is p.empty]


def _data_count(loss: Loss) -> int | None:
    """How many arguments it must be given by position; None where nobody can say."""
    try:
        signature = inspect.signature(_called(loss))
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        return None
    return len(_required(loss))


def _kind(name: str, asked: Asked | None, count: int | None, make: Callable[[], Loss]) -> Kind:
    if asked in ("similarity", "consistency"):
        return asked
    if asked is None and count == 2:
        return "similarity"
    if asked == "regularizer" or count == 1:
        return "affine_regularizer" if _judges_matrices(make) else "regularizer"
    got = "arguments that its signature does not tell" if count is None else f"{count} arguments"
    raise UsageError(
        f"`{name}` must take two images (a similarity) or one displacement or matrix (a regularizer), but takes {got}. "
        "Say which it is by `--as similarity` or `--as regularizer`, or write an adapter:\n"
        + _adapter_text(name, _short(name), ("fixed", "moved"), ", ...")
    )


def _judges_matrices(make: Callable[[], Loss]) -> bool:
    """Whether it is 0 for the affine identity and not for no displacement, which of a displacement nothing is."""
    still = value_of(make(), torch.zeros(1, 2, 12, 13))
    return value_of(make(), identity(2).float()) == 0 and still != 0


def _fits(target: object, wanted: tuple[str, ...]) -> bool:
    """Whether a config may name it: data by position alone, all else by keyword alone."""
    if isinstance(target, type):
        return False
    try:
        signature = inspect.signature(target)  # type: ignore[arg-type]  # it is callable
    except (TypeError, ValueError):
        return False
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    by_position = [kind for kind in kinds if kind is not inspect.Parameter.KEYWORD_ONLY]
    return by_position == [inspect.Parameter.POSITIONAL_ONLY] * len(wanted)


def _adapted(name: str, target: object, values: Mapping[str, Any], kind: Kind, count: int | None = None) -> str:
    """The lines that make a function a component, which may take more arguments than there are data."""
    short, wanted = _short(name), DATA[kind]
    unused = ", None" * ((count or 0) - len(wanted))
    if isinstance(target, type):
        method = ".loss" if not issubclass(target, nn.Module) and "__call__" not in dir(target) else ""
        return _adapter_text(name, f"{short}({_shown(values)}){method}", wanted, unused)
    more = f", {_shown(values)}" if values else ""
    return _adapter_text(name, short, wanted, unused + more)


def _adapter_text(name: str, called: str, wanted: tuple[str, ...], more: str = "") -> str:
    module, short = name.rpartition(":")[0], _short(name)
    module = PurePath(module).stem if is_file(name) else module
    data = ", ".join(wanted)
    return (
        "A study names it by an adapter in a file of your own:\n"
        f"    from {module} import {short}\n"
        f"    def my_{short.lower()}({data}, /):\n"
        f"        return {called}({data}{more})"
    )


def _short(name: str) -> str:
    return name.rpartition(":")[2]


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in values.items())

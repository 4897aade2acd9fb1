"""A user's own function is called on small samples before a study: what it does is a mistake, a note, or nothing."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from regbench.study.components import imported

SAMPLES = ((64, 64), (32, 32, 32))  # voxels of an image; a function may serve one of the two dimensions


class Seen(NamedTuple):
    """What a function does with a sample; both are empty where nothing is wrong.

    Attributes:
        fault: what it gives that no study can take, or what it raises that no image is to blame for.
        refusal: what it raises, where another image might do.
    """

    fault: str = ""
    refusal: str = ""


Trial = Callable[[str, Mapping[str, Any], tuple[int, ...]], Seen]  # by name, parameters and shape of an image


def mistakes(name: str, given: Mapping[str, Any], on_sample: Trial) -> list[tuple[str, str]]:
    """What is wrong with a function of the user's own, as `components.mistakes` lists it; nothing is said of ours.

    It is right if it serves images of 2 or of 3 dimensions.
    """
    tried = _tried(name, given, on_sample)
    faults = [] if Seen() in tried else [seen.fault for seen in tried if seen.fault]
    return [("", f"`{name}`: {faults[0]}")] if faults else []


def notes(name: str, given: Mapping[str, Any], on_sample: Trial, unknown: str) -> list[str]:
    """A line where a function takes neither sample, so that nothing is known of what it gives.

    Args:
        name: of the function.
        given: its parameters.
        on_sample: calls it.
        unknown: what was not looked at, with its verb.
    """
    tried = _tried(name, given, on_sample)
    if not tried or not all(seen.refusal for seen in tried):
        return []
    refusals = "; ".join(f"{size(shape)}: {seen.refusal}" for shape, seen in zip(SAMPLES, tried, strict=True))
    return [f"`{name}` takes no small sample, so {unknown} not looked at ({refusals})"]


def size(shape: tuple[int, ...]) -> str:
    """``64 x 64``."""
    return " x ".join(map(str, shape))


def raised(error: Exception, shape: tuple[int, ...]) -> Seen:
    """A fault that is none of the images."""
    return Seen(f"raised {type(error).__name__} for images of {size(shape)} voxels: {error}")


def refused(error: Exception) -> Seen:
    """What may be due to the sample."""
    return Seen(refusal=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _tried(name: str, given: Mapping[str, Any], on_sample: Trial) -> tuple[Seen, ...]:
    if ":" not in name:
        return ()
    return _on_samples(imported(name), name, json.dumps(given, default=str), on_sample)


@functools.cache
def _on_samples(_: object, name: str, parameters: str, on_sample: Trial) -> tuple[Seen, ...]:
    """Once for each function and set of parameters: a search asks for many."""
    seen: list[Seen] = []
    for shape in SAMPLES:
        if Seen() not in seen:
            seen.append(on_sample(name, json.loads(parameters), shape))
    return tuple(seen)

"""What a grid of synthetic images may ask for, before any of it is made."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod
from typing import Any

from regbench.system.errors import RegbenchError

MOST_VOXELS = 2**25  # of an image: the whole head at 0.7 mm; its grid alone takes a gigabyte
MOST_SUBJECTS = 100_000
FINEST, COARSEST = 0.1, 100.0  # mm; the template has 1 mm
LARGEST = 1e6  # of a length in mm or a strength
STRENGTHS = ("coarse_mm", "fine_mm", "bias", "gamma", "noise")


def mistakes(source: str, function: Callable[..., Any], given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a synthetic dataset would say of its parameters, as (key, message); nothing of any other source.

    Args:
        source: its name.
        function: which makes it.
        given: parameters that have the types of its signature.
    """
    values = {name: each.default for name, each in inspect.signature(function).parameters.items()} | dict(given)
    if not {"shape", "spacing_mm", "dims", "noise"} <= set(values):
        return []
    if values["dims"] not in (2, 3):
        return [("dims", f"must be 2 or 3, but got {values['dims']}")]
    try:
        standard = (8,) * values["dims"]
        check_grid(source, values["dims"], values["shape"] or standard, values["spacing_mm"], values.get("subjects", 2))
        check_strengths(source, values["seed"], **{name: values[name] for name in STRENGTHS if name in values})
    except RegbenchError as error:
        return [(next((key for key in given if f"`{key}`" in str(error)), ""), str(error).rstrip("."))]
    return []


def check_grid(source: str, dims: int, shape: Sequence[int], spacing_mm: float, subjects: int = 2) -> None:
    """Compare a grid with what a machine holds.

    Raises:
        RegbenchError: naming the parameter, its value and what to do.
    """
    if len(shape) != dims or min(shape) < 8:
        raise RegbenchError(f"{source}: `shape` must have {dims} entries of at least 8, but got {list(shape)}.")
    if prod(shape) > MOST_VOXELS:
        raise RegbenchError(
            f"{source}: `shape` must have at most {MOST_VOXELS} voxels, but {list(shape)} has {prod(shape)}. "
            "Take a coarser grid (`spacing_mm`) or fewer voxels."
        )
    if not FINEST <= spacing_mm <= COARSEST:
        raise RegbenchError(f"{source}: `spacing_mm` must be from {FINEST} to {COARSEST}, but got {spacing_mm}.")
    if not 1 <= subjects <= MOST_SUBJECTS:
        raise RegbenchError(f"{source}: `subjects` must be from 1 to {MOST_SUBJECTS}, but got {subjects}.")


def check_strengths(source: str, seed: int, **strengths: float) -> None:
    """Compare seed, lengths and strengths of the noises with what can be drawn.

    Raises:
        RegbenchError: naming the parameter and its value.
    """
    if seed < 0:
        raise RegbenchError(f"{source}: `seed` must be an integer from 0, but got {seed}.")
    for name, value in strengths.items():
        if not (isfinite(value) and 0 <= value <= LARGEST):
            raise RegbenchError(f"{source}: `{name}` must be from 0 to {LARGEST:g}, but got {value}.")

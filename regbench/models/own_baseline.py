"""Whether a user's own baseline gives a displacement: on small samples before a study, and on each pair of it."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.models.classical import BASELINES
from regbench.study.components import bind, imported
from regbench.system.errors import RegbenchError

SAMPLES = ((64, 64), (32, 32, 32))  # voxels of an image; a baseline may serve one of the two dimensions
SUBJECTS = ("fixed", "moving")
# Faults of the code itself. What else it raises may be due to the sample: its size, its contrast, files of subjects.
OF_CODE = (AttributeError, NameError, TypeError, ImportError)


class _Seen(NamedTuple):
    """What a baseline does with a sample; both are empty where nothing is wrong."""

    fault: str = ""
    refusal: str = ""


def fault_of(displacement: object, shape: tuple[int, ...]) -> str:
    """What is wrong with what a baseline gave for images of a shape; empty where nothing is."""
    wanted = (len(shape), *shape)
    if not isinstance(displacement, np.ndarray):
        return f"must give a displacement as a numpy array {wanted}, but gave {type(displacement).__name__}"
    if displacement.shape != wanted:
        return f"must give a displacement {wanted} for images {shape}, but gave {displacement.shape}"
    if not np.issubdtype(displacement.dtype, np.floating):
        return f"must give a displacement in floating point, but gave {displacement.dtype}"
    if bad := int((~np.isfinite(displacement)).sum()):
        return f"must give a finite displacement, but {bad} of its numbers are NaN or inf"
    return ""


def baseline_mistakes(name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a baseline of the user's own, as `components.mistakes` lists mistakes; ours are not judged.

    It is right if it serves images of 2 or of 3 dimensions.
    """
    tried = _tried(name, given)
    faults = [] if _Seen() in tried else [seen.fault for seen in tried if seen.fault]
    return [("", f"`{name}`: {faults[0]}")] if faults else []


def baseline_notes(name: str, given: Mapping[str, Any]) -> list[str]:
    """A line where a baseline takes neither sample, so that nothing is known of what it gives."""
    tried = _tried(name, given)
    if not tried or not all(seen.refusal for seen in tried):
        return []
    refusals = "; ".join(
        f"{' x '.join(map(str, shape))}: {seen.refusal}" for shape, seen in zip(SAMPLES, tried, strict=True)
    )
    return [f"`{name}` takes no small sample, so what it gives was not looked at ({refusals})"]


def _tried(name: str, given: Mapping[str, Any]) -> tuple[_Seen, ...]:
    if ":" not in name:
        return ()
    return _on_samples(imported(name), name, json.dumps(given, default=str))


@functools.cache
def _on_samples(_: object, name: str, parameters: str) -> tuple[_Seen, ...]:
    """Once for each function and set of parameters."""
    seen: list[_Seen] = []
    for shape in SAMPLES:
        if _Seen() not in seen:
            seen.append(_on_sample(name, json.loads(parameters), shape))
    return tuple(seen)


def _on_sample(name: str, given: Mapping[str, Any], shape: tuple[int, ...]) -> _Seen:
    pair = _sample(shape)
    try:
        return _Seen(fault_of(bind(BASELINES, name, given)(pair, *SUBJECTS), shape))
    except OF_CODE as error:
        return _Seen(f"raised {type(error).__name__} for images of {' x '.join(map(str, shape))} voxels: {error}")
    except Exception as error:  # noqa: BLE001  whatever a user's own code does
        return _Seen(refusal=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _sample(shape: tuple[int, ...]) -> Pair:
    """Two images with all that a subject may have."""
    random = np.random.default_rng(0)
    fixed, moving = (random.random(shape, dtype=np.float32) for _ in SUBJECTS)
    labels = (fixed > 0.5).astype(np.uint8)
    points = random.random((8, len(shape))) * (np.array(shape) - 1)
    affine, inside = np.eye(len(shape) + 1), np.ones(shape, np.uint8)
    return Pair(
        fixed, moving, labels, labels, truth=None, spacing_mm=(1.0,) * len(shape), files=("fixed_moving",),
        fixed_landmarks=points, moving_landmarks=points, native_affines=(affine, affine),
        fixed_mask=inside, moving_mask=inside, native_sides_mm=tuple(map(float, shape)),
    )  # fmt: skip


def judged_baseline(name: str, given: Mapping[str, Any]) -> Callable[[Pair, str, str], NDArray[np.floating]]:
    """A baseline, ours or the user's own, that fails on a pair where it gives no displacement ``(d, *S)``."""
    function = bind(BASELINES, name, given)

    def judged(pair: Pair, fixed: str, moving: str) -> NDArray[np.floating]:
        displacement: NDArray[np.floating] = function(pair, fixed, moving)
        if fault := fault_of(displacement, pair.fixed.shape):
            raise RegbenchError(f"`{name}` {fault}")
        return displacement

    return judged

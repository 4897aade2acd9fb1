"""Whether a user's own baseline gives a displacement: on small samples before a study, and on each pair of it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.models.classical import BASELINES
from regbench.models.own_samples import Seen, mistakes, notes, raised, refused
from regbench.study.components import bind
from regbench.system.errors import RegbenchError

SUBJECTS = ("fixed", "moving")
# Faults of the code itself. What else it raises may be due to the sample: its size, its contrast, files of subjects.
OF_CODE = (AttributeError, NameError, TypeError, ImportError)


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
    """What is wrong with a baseline of the user's own (`own_samples.mistakes`)."""
    return mistakes(name, given, _on_sample)


def baseline_notes(name: str, given: Mapping[str, Any]) -> list[str]:
    """A line where a baseline takes no sample."""
    return notes(name, given, _on_sample, "what it gives was")


def _on_sample(name: str, given: Mapping[str, Any], shape: tuple[int, ...]) -> Seen:
    try:
        return Seen(fault_of(bind(BASELINES, name, given)(_sample(shape), *SUBJECTS), shape))
    except OF_CODE as error:
        return raised(error, shape)
    except Exception as error:  # noqa: BLE001  whatever a user's own code does
        return refused(error)


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

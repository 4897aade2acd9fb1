"""What the figures show of a run: slices of its best, median and worst test pair, kept while fields are at hand."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regbench.metrics import metric_of, printed
from regbench.metrics.determinants import central_determinant
from regbench.study.goals import words
from regbench.system.errors import RegbenchError
from regbench.system.files import SEAL, replacing

if TYPE_CHECKING:  # who draws needs no torch
    from regbench.data.cache import Pair

Array = NDArray[Any]
Slices = dict[str, Array]
PLACES = ("best", "median", "worst")


def chosen(merit: Array) -> dict[str, int]:
    """Which pair is best, median and worst by its merit (higher is better); none where no pair has one."""
    order = [int(k) for k in np.argsort(-merit, kind="stable") if np.isfinite(merit[k])]
    return {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]} if order else {}


def slices(pair: "Pair", displacement: Array, moved: Array) -> Slices:
    """Fixed, moving and moved image, in-plane displacement ``(2, *S)`` and determinant of one slice of a pair.

    In 3D it is the slice across the last axis with most labelled voxels, the middle one without labels; the determinant
    is that of the volume.
    """
    shown: dict[str, Array] = {"fixed": pair.fixed, "moving": pair.moving, "moved": moved}
    if pair.fixed.ndim == 3:
        labelled = pair.foreground.sum((0, 1))
        level = int(np.argmax(labelled)) if labelled.any() else pair.fixed.shape[2] // 2
        shown = {name: values[:, :, level] for name, values in shown.items()}
        first = max(level - 1, 0)  # a determinant needs no more than the slices beside its own
        shown["determinant"] = central_determinant(displacement[..., first : level + 2])[..., level - first]
        displacement = displacement[:2, :, :, level]
    else:
        shown["determinant"] = central_determinant(displacement)
    return {name: values.astype(np.float32) for name, values in {**shown, "displacement": displacement}.items()}


def write_panels(
    path: Path, places: Mapping[str, tuple[Mapping[str, object], Mapping[str, Array]]], metric: str
) -> None:
    """Write the slices as ``.npz``: arrays ``<place>_<name>``, and ``<place>_about`` with fixed, moving and score.

    Args:
        path: receives them; an empty archive where no pair was registered.
        places: place to (what the pair is, its slices).
        metric: of the score.
    """
    arrays: dict[str, Array] = {}
    for place, (about, parts) in places.items():
        arrays |= {f"{place}_{name}": values for name, values in parts.items()}
        arrays[f"{place}_about"] = np.array([str(about["fixed"]), str(about["moving"]), _score(about[metric], metric)])
    with replacing(path) as temporary, temporary.open("wb") as file:
        arrays[SEAL] = np.array(_digest(arrays))
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's stubs take the names for options


def read_panels(path: Path) -> Slices:
    """The arrays that `write_panels` wrote; none where no pair was registered.

    Raises:
        RegbenchError: if the file is missing, damaged or altered; names it.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if str(arrays.pop(SEAL, "nothing")) != _digest(arrays):
            raise ValueError(f"it was altered or damaged: its `{SEAL}` is missing or of other content")
    except (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, RuntimeError, zlib.error,
            zipfile.BadZipFile, SyntaxError, MemoryError) as error:  # fmt: skip
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise RegbenchError(
            f"`{path}` must be the slices that `evaluate` wrote, but got: {reason}. Delete it and run again."
        ) from error
    return arrays


def _digest(arrays: Mapping[str, Array]) -> str:
    """Of names, types, shapes and values."""
    sum_of_all = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        sum_of_all.update(f"{name} {values.dtype.str} {values.shape};".encode())
        sum_of_all.update(np.ascontiguousarray(values).tobytes())
    return sum_of_all.hexdigest()


def _score(value: Any, metric: str) -> str:
    """``Dice 0.712``, ``TRE 2.31 mm``."""
    known = metric_of(metric)
    return f"{words(metric)} {printed(value, metric)}{'' if known.unit == '1' else f' {known.unit}'}"

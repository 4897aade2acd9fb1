"""What the figures show of a run: slices of its best, median and worst test pair, kept while fields are at hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.files import replacing
from regbench.metrics.determinants import central_determinant
from regbench.spatial import warp

Array = NDArray[Any]
PLACES = ("best", "median", "worst")


def chosen(dice: Array) -> dict[str, int]:
    """Which pair is best, median and worst by Dice; none where no pair has one."""
    order = [int(k) for k in np.argsort(-dice, kind="stable") if np.isfinite(dice[k])]
    return {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]} if order else {}


def slices(pair: Pair, displacement: Array) -> dict[str, Array]:
    """Fixed, moving and moved image, in-plane displacement ``(2, *S)`` and determinant of one slice of a pair.

    In 3D it is the slice across the last axis with most labelled voxels; the determinant is that of the volume.
    """
    tensors = (
        torch.from_numpy(np.array(values, dtype=np.float32))[None] for values in (pair.moving[None], displacement)
    )
    moved = warp(*tensors)[0, 0].numpy()
    shown: dict[str, Array] = {"fixed": pair.fixed, "moving": pair.moving, "moved": moved}
    shown["determinant"] = central_determinant(displacement.astype(np.float64))
    plane = displacement
    if pair.fixed.ndim == 3:
        level = int(np.argmax(pair.foreground.sum((0, 1))))
        shown = {name: values[:, :, level] for name, values in shown.items()}
        plane = displacement[:2, :, :, level]
    return {name: values.astype(np.float32) for name, values in {**shown, "displacement": plane}.items()}


def write_panels(path: Path, found: Mapping[str, tuple[Mapping[str, str | float], Mapping[str, Array]]]) -> None:
    """Write the slices as ``.npz``: arrays ``<place>_<name>``, and ``<place>_about`` with fixed, moving and Dice.

    Args:
        path: receives them; an empty archive where no pair was registered.
        found: place to (what the pair is, its slices).
    """
    arrays: dict[str, Array] = {}
    for place, (about, parts) in found.items():
        arrays |= {f"{place}_{name}": values for name, values in parts.items()}
        arrays[f"{place}_about"] = np.array([str(about["fixed"]), str(about["moving"]), f"{about['dice']:.3f}"])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's stubs take the names for options

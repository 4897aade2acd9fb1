"""Subjects as people have them on disk: each on a grid of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.system.errors import RegbenchError


@dataclass(frozen=True)
class Header:
    """What can be known of an image without reading its voxels.

    Attributes:
        shape: of the array without its axes of one voxel, so 2 or 3 numbers.
        affine: ``(4, 4)``, voxels to mm; of the array with all its axes.
        axes: which axes of the stored array were kept.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    axes: tuple[int, ...]

    @cached_property
    def spacing_mm(self) -> tuple[float, ...]:
        """Side lengths of a voxel along the kept axes."""
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(0))
        return tuple(round(float(lengths[axis]), 6) for axis in self.axes)


@dataclass(frozen=True)
class Volume:
    """One subject in its own space: image and labels of shape `header.shape`, landmarks in its voxels."""

    header: Header
    image: NDArray[np.float32]
    labels: NDArray[Any] | None = None
    landmarks: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Entry:
    """A subject that can be read; nothing is read before it is asked for."""

    id: str
    header: Callable[[], Header]
    read: Callable[[], Volume]
    files: Mapping[str, Any] = field(default_factory=dict)  # what it is to the file's Path
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Raw:
    """A dataset before preprocessing.

    Attributes:
        names: of labels, by id; of none, some or all.
        remarks: what the reader left out or did not use, a counted sentence each.
    """

    entries: tuple[Entry, ...]
    names: Mapping[int, str]
    notes: str
    licences: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no later stage could sort out."""
        ids = [entry.id for entry in self.entries]
        if not ids:
            raise RegbenchError("a dataset must have subjects, but none was found. Check `path`.")
        seen: set[str] = set()
        for name in ids:
            if name in seen:
                raise RegbenchError(f"subject ids must be distinct, but `{name}` stands twice. Rename one of them.")
            seen.add(name)


def unused_masks(count: int, subjects: int) -> tuple[str, ...]:
    """The remark on masks that were given: no training and no metric counts by one."""
    if not count:
        return ()
    return (f"masks of {count} of {subjects} subjects are not used: no training and no metric counts by masks",)

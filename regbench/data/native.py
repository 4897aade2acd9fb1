"""Subjects as people have them on disk: each on a grid of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc, spelled, twins, unprintable


@dataclass(frozen=True)
class Header:
    """What can be known of an image without reading its voxels.

    Attributes:
        shape: of the array without its axes of one voxel, so 2 or 3 numbers.
        affine: ``(4, 4)``, voxels to mm; of the array with all its axes.
        axes: which axes of the stored array were kept.
        placed: whether the file says where it lies; else the affine is what readers assume.
        notes: how the file was taken where that is not plain: its unit, axes that were left out, and the like.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    axes: tuple[int, ...]
    placed: bool = True
    notes: tuple[str, ...] = ()

    @cached_property
    def spacing_mm(self) -> tuple[float, ...]:
        """Side lengths of a voxel along the kept axes."""
        lengths = [float(length) for length in np.sqrt((self.columns**2).sum(0))]
        # Without the digits that single precision makes up; of a micrograph, all that it has.
        return tuple(round(length, 6) if length > 1 else float(f"{length:.6g}") for length in lengths)

    @property
    def columns(self) -> NDArray[np.float64]:
        """``(3, d)``: the step in mm along each kept axis."""
        return np.asarray(self.affine[:3, list(self.axes)])

    @property
    def array_affine(self) -> NDArray[np.float64]:
        """``(4, 4)``: voxels of the array without its axes of one to mm; the columns of those axes stand last."""
        return self.affine[:, [*self.axes, *(axis for axis in range(4) if axis not in self.axes)]]

    @property
    def plane(self) -> tuple[int, ...]:
        """Which axes of space (0 right, 1 front, 2 top) the kept axes run along, rising."""
        return tuple(sorted(int(axis) for axis in np.abs(self.columns).argmax(0)))

    def __str__(self) -> str:
        """Shape, spacing, directions and origin, for messages."""
        spacing = " x ".join(f"{side:g}" for side in self.spacing_mm)
        least = 1e-5 * min(self.spacing_mm)  # the rounding of a rotation
        rows = [*self.columns.T, self.affine[:3, 3]]
        *steps, origin = (" ".join(f"{n:.6g}" if abs(n) > least else "0" for n in row) for row in rows)
        assumed = "" if self.placed else ", all assumed, for the file does not say"
        return f"shape {self.shape}, voxels of {spacing} mm, steps ({'; '.join(steps)}), origin ({origin}){assumed}"


@dataclass(frozen=True)
class Volume:
    """One subject in its own space: image, labels and mask (1 inside) of shape `header.shape`, landmarks in its voxels.

    An image in colours has red, green and blue as a last axis more.

    `notes` say how its files were taken where that is not plain.
    """

    header: Header
    image: NDArray[np.float32]
    labels: NDArray[Any] | None = None
    landmarks: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    mask: NDArray[np.uint8] | None = None


Role = Literal["", "fixed", "moving"]  # of a subject in its pairs; empty for both


def role_of(text: str, where: str) -> Role:
    """The role that a cell or an array gives a subject; empty for both.

    Raises:
        RegbenchError: if it is none; `where` names the file and the place.
    """
    if text == "fixed":
        return "fixed"
    if text == "moving":
        return "moving"
    if text:
        raise RegbenchError(
            f"{where}: role: {text!r} is unknown; {did_you_mean(text, ('fixed', 'moving'))} (empty: both)"
        )
    return ""


@dataclass(frozen=True)
class Entry:
    """A subject that can be read; nothing is read before it is asked for.

    `labelled` and `landmarked` say whether it has labels and landmarks.
    """

    id: str
    header: Callable[[], Header]
    read: Callable[[], Volume]
    files: Mapping[str, Path] = field(default_factory=dict)  # by what they are
    group: str = ""
    split: str = ""
    labelled: bool = True
    landmarked: bool = False
    modality: str = ""
    role: Role = ""
    masked: bool = False  # whether it brings a mask


@dataclass(frozen=True)
class Raw:
    """A dataset before preprocessing.

    The ids of its subjects are in the composed form of Unicode, whatever form the files have.

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
        """Compose the ids, and refuse what no later stage could sort out."""
        if not self.entries:
            raise RegbenchError("a dataset must have subjects, but none was found. Check `path`.")
        names = (text for one in self.entries for text in (one.id, one.group or one.id, one.modality or one.id))
        for name in names:
            if bad := unprintable(name):
                raise RegbenchError(
                    f"ids of subjects, groups and modalities must be text on one line, but {spelled(name)} has {bad}. "
                    "Rename it."
                )
        if two := twins(entry.id for entry in self.entries):
            raise RegbenchError(_twice(*two))
        entries = tuple(
            replace(entry, id=nfc(entry.id), group=nfc(entry.group), modality=nfc(entry.modality))
            for entry in self.entries
        )
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "pairs", tuple((nfc(fixed), nfc(moving)) for fixed, moving in self.pairs))


def _twice(one: str, other: str) -> str:
    """What to say of two subjects whose ids are one, at least for some file system."""
    if one == other:
        return f"subject ids must be distinct, but `{one}` stands twice. Rename one of them."
    form = "Unicode form (NFC, NFD)" if nfc(one) == nfc(other) else "case"
    return (
        f"subject ids must differ in more than {form}, but got {spelled(one)} and {spelled(other)}: their files would "
        "have one name where that does not count. Rename one of them."
    )

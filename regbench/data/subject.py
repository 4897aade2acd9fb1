"""What every dataset source gives: subjects, and how they were made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

SLAB_VOXELS = 2**20
DIGITS = 16  # hexadecimal, of the digest of a subject's array: enough against accidents


def slabs(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views that together are the array, along its first axis, each of about a million voxels at most."""
    rows = max(SLAB_VOXELS // max(int(np.prod(values.shape[1:])), 1), 1)
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def all_finite(values: NDArray[np.float32]) -> bool:
    """Whether no value is NaN or infinite. A finite sum says so without an array of answers; few others need one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


Record = Mapping[str, JsonValue]  # what was done to a subject to bring it on the grid


@dataclass(frozen=True)
class Subject:
    """One image with its labels, on the grid of the dataset.

    Attributes:
        image: ``(*S)`` float32, scaled to order one.
        labels: ``(*S)`` integers, 0 is background; all 0 where the subject has none.
        forward: ``(d, *S)`` voxels, where the subject was made from a template by a known map: from the subject's grid
            into the template; None for real subjects.
        inverse: ``(d, *S)`` voxels, the way back.
        mask: ``(*S)`` uint8, 1 inside; None where the subject has none.
        landmarks: ``(n, d)`` voxel coordinates; row k of two subjects is the same point of the body. NaN where they
            are not used.
        record: what was done to bring it here, as JSON; stands in the manifest.
    """

    id: str
    image: NDArray[np.float32]
    labels: NDArray[Any]
    forward: NDArray[np.float32] | None = None
    inverse: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float64] | None = None
    record: Record = field(default_factory=dict)
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Source:
    """A dataset before it is cached.

    Attributes:
        labels: id to name; a source may complete it while its subjects are read.
        groups: subject to group (a person with several scans); whoever is missing is a group of one.
        given: subject to the split that the data's authors put it in; whoever is missing may go anywhere.
        remarks: what was left out or is not used, a counted sentence each; complete once all subjects were read.
        masked: those subjects that have a mask.
        true_maps: whether every subject has `forward` and `inverse`.
        unlabelled: subjects without labels.
        landmarked: subjects with landmarks.
        given_pairs: (fixed, moving) pairs that the data's authors or the config's list prescribe; a split that has any
            uses no other.
        listed: where the list has each of its pairs, for messages; empty without one.
        modalities: subject to modality, where the data say it.
        roles: subject to ``fixed`` or ``moving``, where it can be only one of them in a pair.
    """

    ids: tuple[str, ...]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    labels: Mapping[int, str]
    notes: str
    licences: tuple[str, ...]
    subjects: Any = field(repr=False)  # () -> Iterator[Subject], in the order of ids
    groups: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    given_pairs: tuple[tuple[str, str], ...] = ()
    listed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    modalities: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    masked: tuple[str, ...] = ()
    true_maps: bool = False
    unlabelled: frozenset[str] = frozenset()
    landmarked: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Subject]:
        return iter(self.subjects())

    def references(self, pairs: Sequence[Sequence[str]]) -> list[str]:
        """What some pair can be scored by, as far as files tell: labels or landmarks of both of its subjects."""
        labelled = any(self.unlabelled.isdisjoint(pair) for pair in pairs)
        landmarked = any(self.landmarked.issuperset(pair) for pair in pairs)
        return ["labels"] * labelled + ["landmarks"] * landmarked + ["truth"] * self.true_maps

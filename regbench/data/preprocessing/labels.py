"""Which labels count, and which are one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.subject import slabs
from regbench.study.components import shown
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc, spelled, unprintable

LARGEST = 2**31 - 1  # id
MANY = 2**16  # ids below are counted in a table, which is ten times as fast as sorting the voxels


class Labelling:
    """Merges, then selects; remembers what it met.

    Args:
        merge: new id to the old ids that become it; old ids outside are kept.
        keep: ids that count, after merging; None for all that occur.
        refuse_others: an id that `keep` lacks is an error rather than background.
    """

    def __init__(
        self, merge: Mapping[str | int, Iterable[int]] | None, keep: tuple[int, ...] | None, *, refuse_others: bool
    ) -> None:
        self._new: dict[int, int] = {}
        for text, olds in (merge or {}).items():
            if not is_id(text):
                raise RegbenchError(
                    f"preprocessing.merge: new ids must be integers from 0 to {LARGEST}, but got {shown(text)}."
                )
            for old in olds:
                if old in self._new:
                    raise RegbenchError(f"preprocessing.merge: an id goes to one place, but {old} goes to two.")
                self._new[old] = int(text)
        if keep is not None and (min(keep, default=0) < 1 or len(set(keep)) != len(keep)):
            raise RegbenchError(f"preprocessing.labels must be distinct ids from 1, but got {list(keep)}.")
        self._keep, self._refuse = keep, refuse_others
        self.occurring: set[int] = set()
        self.present: dict[str, list[int]] = {}  # labels that count, of each subject
        self._old: set[int] = set()

    def apply(self, labels: NDArray[Any], subject: str) -> tuple[NDArray[Any], dict[str, int]]:
        """Labels that count, in the least type that holds them, and the voxels of each id turned into background.

        Raises:
            RegbenchError: if an id is not among those to keep and others are refused.
        """
        ids, counts = _occurring(labels)
        new = np.array([self._new.get(int(label), int(label)) for label in ids], dtype=np.int32)
        left_out: dict[str, int] = {}
        for place, label in enumerate(new):
            if label and self._keep is not None and int(label) not in self._keep:
                left_out[str(label)] = left_out.get(str(label), 0) + int(counts[place])
                new[place] = 0
        if left_out and self._refuse:
            raise RegbenchError(
                f"subject `{subject}`: labels must be among those of the config, but got {', '.join(left_out)}. "
                "Add them to `labels`, or set `other_labels: drop`."
            )
        self.present[subject] = sorted({int(label) for label in new if label})
        self.occurring |= set(self.present[subject])
        self._old |= set(map(int, ids))
        least = np.min_scalar_type(int(new.max()))
        if (new == ids).all():
            return labels.astype(least, copy=False), left_out
        if ids[-1] < MANY:
            table = np.zeros(int(ids[-1]) + 1, least)
            table[ids] = new
            return table[labels], left_out
        return new.astype(least)[np.searchsorted(ids, labels)], left_out

    def final(self, names: Mapping[int, str]) -> dict[int, str]:
        """The labels of the dataset with their names, once every subject was seen.

        Raises:
            RegbenchError: if an id to keep occurs in no subject, or two labels have one name.
        """
        missing = [label for label in self._keep or () if label not in self.occurring]
        if missing:
            known = did_you_mean(str(missing[0]), map(str, self.occurring))
            raise RegbenchError(f"preprocessing.labels: {missing[0]} occurs in no subject; {known}")
        labels = self._keep if self._keep is not None else tuple(sorted(self.occurring))
        named = {label: names.get(label, f"label {label}") for label in labels}
        if words := one_name(named):
            raise RegbenchError(f"labels must have names of their own, but {words}. Give others (preprocessing.names).")
        return named

    def unmet(self, names: Mapping[int, str]) -> Iterator[str]:
        """What the config says of ids that occur in no subject, counted.

        Args:
            names: by id, as the config gives them.
        """
        for key, ids in (("merge", set(self._new) - self._old), ("names", set(names) - self.occurring - {0})):
            if ids:
                listed = ", ".join(map(str, sorted(ids)))
                yield f"{len(ids)} ids of preprocessing.{key} occur in no subject: {listed}"


def one_name(names: Mapping[int, str]) -> str:
    """Which two ids have one name, by which tables and figures would show them; empty if none."""
    ids: dict[str, int] = {}
    for label, name in names.items():
        if ids.setdefault(name, label) != label:
            return f"{ids[name]} and {label} are both `{name}`; for one label of two ids, merge them"
    return ""


def _occurring(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids in a label map, rising, and their voxels."""
    if int(labels.max()) < MANY:
        counts = np.zeros(int(labels.max()) + 1, np.int64)
        for part in slabs(labels):  # numpy counts in 64 bits: of a whole volume it would make a copy twice the size
            counts += np.bincount(part.ravel(), minlength=len(counts))
        ids = np.flatnonzero(counts)
        return ids, counts[ids]
    ids, counts = np.unique(labels, return_counts=True)
    return ids.astype(np.int64), counts


def is_id(text: object) -> bool:
    """Whether a key of a table of labels is an id: a whole number that a label map holds."""
    digits = str(text)
    return digits.isdecimal() and digits.isascii() and len(digits) <= len(str(LARGEST)) and int(digits) <= LARGEST


def names_by_id(names: Mapping[Any, Any] | None) -> dict[int, str]:
    """Names with integer ids, from JSON or YAML where they are text.

    Raises:
        RegbenchError: if an id is no integer, or a name no text on one line.
    """
    by_id = {}
    for label, given in (names or {}).items():
        name = str(given)
        if not is_id(label):
            raise RegbenchError(
                f"label ids must be integers from 0 to {LARGEST}, but got {shown(label)} (named {shown(name)})."
            )
        if bad := unprintable(name):
            raise RegbenchError(
                f"the name of label {label} must be text on one line, but {spelled(str(name))} has {bad}."
            )
        by_id[int(label)] = nfc(name)
    return by_id

"""What a prepared dataset drops or cannot use: refused where it contradicts, else a counted sentence.

The sentences stand in the manifest; `inspect`, `check` and the page show them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.data.splits import Splits
from regbench.data.subject import Record, Source
from regbench.system.errors import RegbenchError

EVALUATED = ("validation", "test")
Pairs = Mapping[str, list[list[str]]]


class Observed(NamedTuple):
    """A dataset whose subjects were all read.

    Attributes:
        records: of the subjects, by id.
        points: landmarks ``(n, d)`` in voxels of the grid, by id; of the subjects that have any.
    """

    source: Source
    splits: Splits
    pairs: Pairs
    records: Mapping[str, Record]
    points: Mapping[str, NDArray[np.float64]]


def remarks(observed: Observed, dataset: str) -> list[str]:
    """What is left out, counted.

    Raises:
        RegbenchError: if pairs that are to be evaluated have nothing to be evaluated by, or landmarks that do not pair
            up; names the dataset, the subjects and their files.
    """
    check_evaluated(observed, dataset)
    return [
        *observed.source.remarks,
        *without_split(observed.source, observed.splits, observed.pairs),
        *_twins(observed),
        *_left_out_labels(observed),
        *_without_dice(observed, dataset),
        *_landmarks(observed),
    ]


def check_evaluated(observed: Observed, dataset: str) -> None:
    """Whether pairs that are to be evaluated have what they are evaluated by.

    Raises:
        RegbenchError: as `remarks`.
    """
    _check_scored(observed, dataset)
    _check_landmarks(observed, dataset)


def references(observed: Observed, pairs: list[list[str]], *, truth: bool) -> list[str]:
    """What some of the pairs can be scored by: labels, landmarks, truth.

    Args:
        observed: the dataset.
        pairs: of a split.
        truth: whether the true displacements are known.
    """
    labelled = bool(observed.source.labels) and any(
        _labelled(observed, pair) and _shared(observed, pair) for pair in pairs
    )
    landmarked = any(_landmarked(observed, pair) for pair in pairs)
    return ["labels"] * labelled + ["landmarks"] * landmarked + ["truth"] * truth


def _labelled(observed: Observed, pair: list[str]) -> bool:
    return all(observed.records[name].get("labelled", True) for name in pair)


def _landmarked(observed: Observed, pair: list[str]) -> bool:
    """Whether both subjects have landmarks that are used."""
    return all(name in observed.points and bool(np.isfinite(observed.points[name]).all()) for name in pair)


def _check_scored(observed: Observed, dataset: str) -> None:
    """Where some pairs that are to be evaluated have labels or landmarks, each has."""
    for key in EVALUATED:
        pairs = observed.pairs[key]
        scored = [_labelled(observed, pair) or set(pair) <= set(observed.points) for pair in pairs]
        unused = [name for pair in pairs for name in pair if name in observed.points]
        if unused and not references(observed, pairs, truth=False):
            reason = next((line for line in observed.source.remarks if "are not used, and their pairs" in line), "")
            raise RegbenchError(
                f"dataset `{dataset}`: pairs of {key} must have labels, or landmarks of both subjects that lie in "
                f"their images, but none has. {reason or f'Landmarks of one subject alone: `{unused[0]}`...'}."
            )
        if (any(scored) or observed.source.labels) and not all(scored):
            pair = pairs[scored.index(False)]
            bare = [name for name in pair if not observed.records[name].get("labelled", True)]
            raise RegbenchError(
                f"dataset `{dataset}`: subjects of {key} must have labels or landmarks, as others have, but "
                f"`{bare[0]}` has no labels and its pair with `{next((n for n in pair if n != bare[0]), bare[0])}` no "
                "landmarks. Give it a label file or landmarks, or put it into splits.train."
            )


def _check_landmarks(observed: Observed, dataset: str) -> None:
    """Row k of both subjects of a pair must be the same point."""
    for key in EVALUATED:
        for fixed, moving in observed.pairs[key]:
            ours, theirs = observed.points.get(fixed), observed.points.get(moving)
            if ours is not None and theirs is not None and len(ours) != len(theirs):
                raise RegbenchError(
                    f"dataset `{dataset}`: the landmarks of a pair must be the same points in one order, but "
                    f"{_landmark_file(observed, fixed)} of `{fixed}` has {len(ours)} rows and "
                    f"{_landmark_file(observed, moving)} of `{moving}` has {len(theirs)} (pairs of {key}). Remove the "
                    "points that one of them lacks, or the landmarks of one."
                )


def _landmark_file(observed: Observed, name: str) -> str:
    files = observed.records[name].get("files")
    entry = files.get("landmarks") if isinstance(files, dict) else None
    return f"`{entry['name']}`" if isinstance(entry, dict) else "the array"


def unused_masks(masked: int, subjects: int, *, used: bool) -> Iterator[str]:
    """Masks that nothing of a study counts by."""
    if masked and not used:
        yield (
            f"masks of {masked} of {subjects} subjects are not used: `training.mask` and `evaluation.mask` are `none`"
        )


def without_split(source: Source, splits: Splits, pairs: Pairs) -> Iterator[str]:
    """Subjects that are in no split, counted; an atlas is in pairs alone. So are pairs of a list that none uses."""
    used = {name for names in (*splits.values(), *(pair for of in pairs.values() for pair in of)) for name in names}
    unused = [pair for pair in source.listed if used.isdisjoint(pair)]
    if unused:
        first = unused[0]
        yield (
            f"{len(unused)} of {len(source.listed)} pairs of the list are of subjects in no split: they are not used "
            f"({source.listed[first]}: `{first[0]}`, `{first[1]}`)"
        )
    idle = [name for name in source.ids if name not in used]
    if idle:
        yield f"{len(idle)} of {len(source.ids)} subjects are in no split (`{idle[0]}`...): they are not used"


def _twins(observed: Observed) -> Iterator[str]:
    """Subjects with one image file, byte by byte: a test on what was trained on."""
    first: dict[str, str] = {}
    sides = {name: part for part, names in observed.splits.items() for name in names}
    for name, record in observed.records.items():
        files = record.get("files")
        image = files.get("image") if isinstance(files, dict) else None
        if isinstance(image, dict):
            twin = first.setdefault(str(image["sha256"]), name)
            if twin != name:
                yield same_image(twin, name, sides)


def same_image(one: str, other: str, sides: Mapping[str, str]) -> str:
    """The warning of two subjects with one image, and their splits."""
    both = f"{sides.get(one, 'no split')} and {sides.get(other, 'no split')}"
    return f"`{one}` and `{other}` have the same image ({both}). Leave one out, or make them one group."


def _left_out_labels(observed: Observed) -> Iterator[str]:
    subjects, ids = 0, set[str]()
    for record in observed.records.values():
        left_out = record.get("labels_left_out")
        if isinstance(left_out, dict) and left_out:
            subjects, ids = subjects + 1, ids | set(left_out)
    if ids:
        listed = ", ".join(sorted(ids, key=int)[:10]) + (", ..." if len(ids) > 10 else "")
        yield f"{len(ids)} label ids of the files of {subjects} subjects are not among `labels`: background ({listed})"


def _without_dice(observed: Observed, dataset: str) -> Iterator[str]:
    """Pairs whose subjects have no label in common."""
    for key in EVALUATED:
        pairs = observed.pairs[key]
        labelled = [pair for pair in pairs if _labelled(observed, pair)]
        if labelled and len(labelled) < len(pairs):
            yield f"{len(pairs) - len(labelled)} of {len(pairs)} pairs of {key} lack labels and have no Dice"
        pairs = labelled
        apart = [pair for pair in pairs if not _shared(observed, pair)]
        if apart and len(apart) == len(pairs):
            raise RegbenchError(
                f"dataset `{dataset}`: pairs of {key} must share labels, but none has one in common (`{apart[0][0]}`, "
                f"`{apart[0][1]}`...). Merge ids that mean the same (preprocessing.merge), or take other pairs."
            )
        if apart:
            yield (
                f"{len(apart)} of {len(pairs)} pairs of {key} share no label and have no Dice (`{apart[0][0]}` and "
                f"`{apart[0][1]}`...)"
            )


def _shared(observed: Observed, pair: list[str]) -> bool:
    ids = [observed.records[name].get("labels") for name in pair]
    if not isinstance(ids[0], list) or not isinstance(ids[1], list):
        return True  # of subjects that were made with all labels
    return not set(map(str, ids[0])).isdisjoint(map(str, ids[1]))


def _landmarks(observed: Observed) -> Iterator[str]:
    points = {name: rows for name, rows in observed.points.items() if np.isfinite(rows).all()}
    last = np.array(observed.source.shape) - 1
    for key in EVALUATED:
        alone = [pair for pair in observed.pairs[key] if sum(name in observed.points for name in pair) == 1]
        if alone:
            yield (
                f"{len(alone)} of {len(observed.pairs[key])} pairs of {key} have landmarks of one subject alone and no "
                f"TRE (`{alone[0][0]}` and `{alone[0][1]}`...)"
            )
    outside = {name: int(((rows < -0.5) | (rows > last + 0.5)).any(1).sum()) for name, rows in points.items()}
    yield from _counted(points, outside, "lie outside of the grid, where a displacement is that of its edge")
    twice = {name: len(rows) - len(np.unique(rows, axis=0)) for name, rows in points.items()}
    yield from _counted(points, twice, "stand twice in their file")


def _counted(points: Mapping[str, NDArray[Any]], counts: Mapping[str, int], what: str) -> Iterator[str]:
    counted = [name for name, count in counts.items() if count]
    if counted:
        every = sum(map(len, points.values()))
        total = sum(counts.values())
        yield f"{total} of {every} landmarks {what}: in {len(counted)} of {len(points)} subjects (`{counted[0]}`...)"

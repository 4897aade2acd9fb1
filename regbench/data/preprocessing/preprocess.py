"""Subjects of any shape, spacing, orientation and intensity become one grid; every step is recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Entry, Raw, Volume
from regbench.data.preprocessing.agreement import check_placed, common_dims, common_spacing
from regbench.data.preprocessing.align import Kind
from regbench.data.preprocessing.align import align as find_alignment
from regbench.data.preprocessing.colour import Colour, grey
from regbench.data.preprocessing.grid_size import grid_size
from regbench.data.preprocessing.intensity import normalise
from regbench.data.preprocessing.labels import Labelling, names_by_id, one_name
from regbench.data.preprocessing.ordered_pool import in_order
from regbench.data.preprocessing.resample import orient, place, resample
from regbench.data.preprocessing.scaling import ENDS, Intensity, scaling_of
from regbench.data.preprocessing.scaling import mistakes as scaling_mistakes
from regbench.data.space import Space
from regbench.data.subject import Record, Source, Subject, all_finite
from regbench.study import components
from regbench.study.components import Parameters
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.files import file_sha256
from regbench.system.names import nfc

FAR = 0.1  # of the image's side, or two voxels: a landmark further outside is no voxel coordinate
SMALL = 2**20  # voxels of volumes that may wait for the disk in numbers


def preprocess(
    raw: Raw,
    threads: int = 1,
    /,
    *,
    orientation: Literal["RAS", "keep"] = "RAS",
    stored_as: str | None = None,
    spacing_mm: float | tuple[float, ...] | None = None,
    shape: tuple[int, ...] | None = None,
    multiple_of: int = 16,
    centre: Literal["grid", "foreground"] = "grid",
    colour: Colour = "none",
    intensity: Intensity = "percentile",
    percentiles: tuple[float, float] = ENDS,
    window: tuple[float, float] | None = None,
    labels: tuple[int, ...] | None = None,
    merge: dict[str | int, list[int]] | None = None,
    names: dict[str | int, str] | None = None,
    other_labels: Literal["drop", "error"] = "drop",
    nan: Literal["error", "zero"] = "error",
    align: Kind = "none",
    align_to: str | None = None,
) -> Source:
    """All subjects on one grid.

    Args:
        raw: the subjects as they are on disk.
        threads: subjects worked on at once; changes no result.
        orientation: ``RAS`` turns axes to run right, front, top as the affine says; ``keep`` leaves them.
        stored_as: how arrays really lie (such as ``LIA``), where their affine is known to be wrong.
        spacing_mm: to resample to; unless given the subjects' own, which must then be the same.
        shape: to crop or pad to; unless given the least that holds every subject, rounded up to `multiple_of`.
        multiple_of: what the model needs; not applied to a `shape` that is given.
        centre: what comes to the middle: that of the array, or of the box around its labels (else its bright part).
        colour: what is taken of pictures in colours, see `regbench.data.preprocessing.colour.grey`; grey ones stay.
        intensity: see `regbench.data.preprocessing.intensity.normalise`; or a rule for each modality, such as
            ``{MR: percentile, CT: {window: [-1000, 500]}}``.
        percentiles: for ``intensity: percentile``.
        window: for ``intensity: window``.
        labels: ids that count, after merging; all that occur unless given; never 0.
        merge: new id to old ids, for example left and right.
        names: id to name.
        other_labels: ids that `labels` lacks are dropped (recorded in the manifest) or an error.
        nan: NaN and infinite voxels are an error or become 0.
        align: ``rigid`` or ``affine``: bring every subject onto one of them first (needs the extra ``prealign``).
        align_to: that subject; the first unless given.

    Raises:
        RegbenchError: naming the subject or setting at fault.
    """
    if multiple_of < 1:
        raise RegbenchError(f"preprocessing.multiple_of must be at least 1, but got {multiple_of}.")
    headers = [_named(entry.id, entry.header) for entry in raw.entries]
    dims = common_dims({entry.id: len(header.shape) for entry, header in zip(raw.entries, headers, strict=True)})
    keep = orientation == "keep"
    if not keep and stored_as is None:
        check_placed(raw.entries, headers)
    axes = [
        _named(entry.id, partial(orient, header, stored_as=stored_as, keep=keep))
        for entry, header in zip(raw.entries, headers, strict=True)
    ]
    spacing = common_spacing(spacing_mm, dims, raw.entries, headers, axes)
    size = grid_size(
        raw.entries, headers, axes, spacing, shape=shape, step=multiple_of, resampled=spacing_mm is not None
    )
    scalings = scaling_of(raw.entries, intensity, percentiles, window)
    labelling = Labelling(merge, labels, refuse_others=other_labels == "error")
    label_names: dict[int, str] = {}
    remarks = [*raw.remarks]
    far: dict[str, str] = {}  # why landmarks of a subject are not used

    target = _target(raw.entries, align_to)
    onto: list[NDArray[np.float32]] = []  # the image that all others are aligned with, once it is there

    def work(job: tuple[Entry, list[tuple[int, int]]]) -> Subject:
        entry, ways = job
        volume = _named(entry.id, entry.read)
        volume = replace(volume, image=_named(entry.id, partial(_grey, entry, volume, colour)))
        if reason := _far_landmarks(entry, volume):
            far[entry.id] = reason
            volume = replace(volume, landmarks=np.full_like(volume.landmarks, np.nan))  # a TRE of NaN, no hole
        image = _clean(entry.id, volume, nan)
        low, high = float(image.min()), float(image.max())
        labels, left_out = (None, {}) if volume.labels is None else labelling.apply(volume.labels, entry.id)
        volume = replace(volume, image=image, labels=labels)  # what was read is let go
        try:
            image = normalise(image, *scalings[entry.id], overwrite=True)
        except ValueError as error:
            raise RegbenchError(f"subject `{entry.id}`: {error}.") from error
        volume = replace(volume, image=image)
        space = place(
            volume.header, ways, size, spacing, _foreground(image, labels) if centre == "foreground" else None
        )
        if onto and entry is not target:
            before = resample(image, space, order=1, fill=float(image.min()))
            space = space.after(_named(entry.id, partial(find_alignment, before, onto[0], spacing, align)))
        present = labelling.present.get(entry.id)
        record: Record = {
            "range": [low, high],
            "labels_left_out": {**left_out},
            "labelled": labels is not None,
            "labels": None if present is None else [*present],
        }
        return _on_grid(entry, volume, space, record)

    def make() -> Iterator[Subject]:
        jobs = list(zip(raw.entries, axes, strict=True))
        if align != "none":
            onto[:] = [work(next(job for job in jobs if job[0] is target)).image]
        # A volume that is waited for is a volume in memory; of small ones there may be many.
        yield from in_order(work, jobs, threads, held=threads * (1 if prod(size) > SMALL else 4))
        label_names.update(labelling.final({**raw.names, **names_by_id(names)}))
        remarks.extend(_unused_landmarks({entry.id: far[entry.id] for entry in raw.entries if entry.id in far}))
        remarks.extend(labelling.unmet(names_by_id(names)))

    return Source(
        tuple(entry.id for entry in raw.entries), size, spacing, label_names, raw.notes, raw.licences, make,
        groups={entry.id: entry.group for entry in raw.entries if entry.group},
        given={entry.id: entry.split for entry in raw.entries if entry.split},
        given_pairs=raw.pairs,
        modalities={entry.id: entry.modality for entry in raw.entries if entry.modality},
        roles={entry.id: entry.role for entry in raw.entries if entry.role},
        masked=tuple(entry.id for entry in raw.entries if entry.masked),
        remarks=remarks,
        unlabelled=frozenset(entry.id for entry in raw.entries if not entry.labelled),
        landmarked=frozenset(entry.id for entry in raw.entries if entry.landmarked),
    )  # fmt: skip


def mistakes(sources: components.Registry, source: str, settings: Parameters) -> list[tuple[str, str]]:
    """What is wrong with the preprocessing of a dataset, as (setting or "", message)."""
    if not settings:
        return []
    try:
        made = get_type_hints(components.find(sources, source)).get("return")
    except RegbenchError:
        return []  # an unknown source has its own message
    if made is Source:
        return [("", f"`{source}` makes its own grid and takes no preprocessing; set its parameters instead")]
    wrong = components.mistakes({"preprocessing": preprocess}, "preprocessing", settings)
    names = settings.get("names")
    try:
        named = names_by_id(names if isinstance(names, Mapping) else None)
    except RegbenchError as error:
        named = {}
        wrong.append(("names", str(error).rstrip(".")))
    if words := one_name(named):
        wrong.append(("names", f"labels must have names of their own, but {words}"))
    return wrong or list(_idle(settings)) or list(_no_scale(settings))


def _no_scale(settings: Parameters) -> Iterator[tuple[str, str]]:
    """Ends of a scale that no image can be brought to."""
    for key, lowest, highest in (("window", -np.inf, np.inf), ("percentiles", 0, 100)):
        ends: Any = settings.get(key)
        if ends is not None and not lowest <= ends[0] < ends[1] <= highest:
            yield key, f"must rise{' within 0 to 100' if lowest == 0 else ''}, but got {list(ends)}"


def _idle(settings: Parameters) -> Iterator[tuple[str, str]]:
    """Settings that another one leaves without effect, or that need another one."""
    intensity = settings.get("intensity", "percentile")
    if isinstance(intensity, Mapping):
        yield from scaling_mistakes(intensity)
        for key in ("window", "percentiles"):
            if settings.get(key) is not None:
                yield key, "has no effect beside rules by modality; write it into one of them"
    for key in () if isinstance(intensity, Mapping) else ("window", "percentiles"):
        kind = key.removesuffix("s")
        if settings.get(key) is not None and intensity != kind:
            yield key, f"has no effect with `intensity: {intensity}`; set `intensity: {kind}` or leave it out"
    if intensity == "window" and settings.get("window") is None:
        yield "window", "`intensity: window` needs `window: [low, high]`"
    if settings.get("align_to") is not None and settings.get("align", "none") == "none":
        yield "align_to", "has no effect without `align: rigid` or `align: affine`; set one or leave it out"
    if settings.get("shape") is not None and "multiple_of" in settings:
        yield "multiple_of", "has no effect beside `shape`, which is taken as it is; leave one of them out"


def _grey(entry: Entry, volume: Volume, colour: Colour) -> NDArray[np.float32]:
    """The image without colours."""
    return grey(volume.image, len(volume.header.shape), colour, str(entry.files.get("image", entry.id)))


def _named(subject: str, read: Any) -> Any:
    try:
        return read()
    except RegbenchError as error:
        raise RegbenchError(f"subject `{subject}`: {error}") from error


def _target(entries: tuple[Entry, ...], name: str | None) -> Entry:
    """The subject that all are aligned with."""
    known = {entry.id: entry for entry in entries}
    name = None if name is None else nfc(name)
    if name is not None and name not in known:
        raise RegbenchError(f"preprocessing.align_to: no subject `{name}`; {did_you_mean(name, known)}")
    return entries[0] if name is None else known[name]


def on_grid(raw: Raw, settings: Parameters, *, threads: int = 1) -> Source:
    """All subjects on one grid; `settings` are the parameters of `preprocess`."""
    source: Source = components.bind({"preprocessing": preprocess}, "preprocessing", settings)(raw, threads)
    return source


def _mask_on_grid(subject: str, mask: NDArray[np.uint8] | None, space: Space) -> NDArray[np.uint8] | None:
    """By nearest neighbour, 0 outside.

    Raises:
        RegbenchError: if no voxel of the grid is inside.
    """
    if mask is None:
        return None
    inside: NDArray[np.uint8] = resample(mask, space, order=0)
    if not inside.any():
        raise RegbenchError(
            f"subject `{subject}`: the mask must have voxels on the grid of {space.shape}, but none of its "
            f"{int(mask.sum())} lies there. Choose a larger `shape`, another `centre`, or another mask."
        )
    return inside


def _on_grid(entry: Entry, volume: Volume, space: Space, record: Record) -> Subject:
    """The subject resampled; `volume` has its image normalised and its labels chosen."""
    return Subject(
        entry.id,
        resample(volume.image, space, order=1, fill=float(volume.image.min())),
        np.zeros(space.shape, np.int32) if volume.labels is None else resample(volume.labels, space, order=0),
        landmarks=None if volume.landmarks is None else space.to_prepared(volume.landmarks),
        record={**_record(entry, volume, space), **record},
        mask=_mask_on_grid(entry.id, volume.mask, space),
    )


def _far_landmarks(entry: Entry, volume: Volume) -> str:
    """Why landmarks cannot be voxel coordinates of the subject's own array; empty if they can, a few outside or none.

    A TRE of points that lie nowhere in the image is no number to publish.
    """
    if volume.landmarks is None:
        return ""
    sides = np.array(volume.header.shape)
    outside = np.maximum(-volume.landmarks, volume.landmarks - (sides - 1))
    beyond = (outside / np.maximum(FAR * sides, 2)).max(1)
    far, worst = int((beyond > 1).sum()), volume.landmarks[int(np.argmax(beyond))]
    if not far:
        return ""
    point, place = ", ".join(f"{number:g}" for number in worst), int(np.argmax(beyond)) + 1
    file = f" of `{entry.files['landmarks'].name}`" if "landmarks" in entry.files else ""
    return (
        f"{far} of {len(beyond)} lie far outside, such as point {place}{file}, ({point}), in an image of "
        f"{volume.header.shape}"
    )


def _unused_landmarks(reasons: Mapping[str, str]) -> list[str]:
    """The remark on subjects whose landmarks are left out, by their reasons."""
    if not reasons:
        return []
    name, reason = next(iter(reasons.items()))
    return [
        f"landmarks of {len(reasons)} subjects are not used, and their pairs have no TRE: of `{name}` {reason}. "
        "Landmarks must be voxel coordinates from 0, in the order of the array's axes"
    ]


def _clean(subject: str, volume: Volume, nan: str) -> NDArray[np.float32]:
    if all_finite(volume.image):
        return volume.image
    finite = np.isfinite(volume.image)
    if nan == "error":
        raise RegbenchError(
            f"subject `{subject}`: the image must be finite, but {int((~finite).sum())} voxels are NaN or infinite. "
            "Repair it, leave it out, or set preprocessing.nan to `zero`."
        )
    return np.where(finite, volume.image, np.float32(0))


def _foreground(image: NDArray[np.float32], labels: NDArray[np.int32] | None) -> NDArray[np.float64]:
    """The middle of the box around the labels, or around what is brighter than a tenth of the range."""
    low, high = float(image.min()), float(image.max())
    inner = labels > 0 if labels is not None and labels.any() else image > low + 0.1 * (high - low)
    places = [np.flatnonzero(inner.any(tuple(k for k in range(inner.ndim) if k != axis))) for axis in range(inner.ndim)]
    return np.array([(ends[0] + ends[-1]) / 2 for ends in places])


def _record(entry: Entry, volume: Volume, space: Space) -> Record:
    files = {kind: {"name": Path(path).name, "sha256": file_sha256(path)} for kind, path in entry.files.items()}
    return {
        "files": files,
        "native_shape": list(volume.header.shape),
        "native_spacing_mm": list(volume.header.spacing_mm),
        "native_affine": volume.header.array_affine.tolist(),
        "read_as": list(volume.notes),
        "prepared_to_native": space.matrix.tolist(),
    }

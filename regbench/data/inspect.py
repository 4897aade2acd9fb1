"""What the loader sees, before any hour of a GPU is spent on it."""

import hashlib
import warnings as warnings_of
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from regbench.data.cache import Dataset, load
from regbench.data.prepare import prepare
from regbench.data.remarks import same_image
from regbench.metrics.displacement_errors import tre_mm
from regbench.metrics.overlap import dice, mean_over_labels
from regbench.study.specs import PrepareSpec
from regbench.system.escaping import pictured
from regbench.system.files import MANIFEST, read_sealed, replacing
from regbench.system.plain_figures import plain_style

SHOWN = 24  # rows of a table before it is cut
NEAR = 2.0  # voxels from the slice of a sheet, within which landmarks are drawn


def inspect(spec: PrepareSpec, picture: Path | None = None, *, threads: int = 1) -> str:
    """Prepare a dataset in a temporary folder and describe it.

    Args:
        spec: of the dataset.
        picture: PNG that receives a contact sheet; none unless given.
        threads: subjects worked on at once.

    Returns:
        Text: subjects, labels with volumes, landmarks, Dice and TRE before registration, warnings.

    Raises:
        RegbenchError: whatever `prepare` finds wrong.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / spec.id
        prepare(spec, folder, threads=threads)
        data, manifest = load(folder), read_sealed(folder / MANIFEST)
        lines = [*_summary(data, manifest), "", *_subjects(data), "", *_read_as(data)]
        lines += [*_pairs(data), *_labels(data), "", *_landmarks(data), *_before(data)]
        problems = list(dict.fromkeys([*data.remarks, *warnings(data)]))
        lines += ["", *(f"WARNING {line}" for line in problems)] if problems else ["", "no warnings"]
        if picture is not None:
            contact_sheet(data, picture, str(manifest["notes"]))
        return "\n".join(lines) + "\n"


def warnings(data: Dataset) -> Iterable[str]:
    """What may be meant, but usually is not."""
    present: Counter[int] = Counter()
    edge, seen, sides = [], dict[str, str](), dict[str, str]()
    for part in ("train", "validation", "test"):
        sides |= dict.fromkeys(data.split(part), part)
    for name in data.subjects:
        labels = data.label_map(name)
        present.update(int(label) for label in np.unique(labels) if label)
        if any(np.take(labels, side, axis).any() for axis in range(labels.ndim) for side in (0, -1)):
            edge.append(name)
        mark = hashlib.sha256(data.images((name,)).tobytes()).hexdigest()
        if mark in seen:
            yield same_image(seen[mark], name, sides)
        seen.setdefault(mark, name)
    if edge:
        yield f"labels touch the edge of the grid in {len(edge)} subjects (`{edge[0]}`...): is `shape` too small?"
    rare = [f"{label}" for label in data.labels if present[label] < len(data.subjects) / 2]
    if rare:
        yield f"in less than half of the subjects: label {', '.join(rare)}. Such labels count in few pairs."
    if max(data.spacing_mm) > 3 * min(data.spacing_mm):
        yield f"voxels are {data.spacing_mm} mm, far from cubes. Consider preprocessing.spacing_mm."
    if len(data.split("train")) < 10 and "train" not in data.spec.unneeded:
        yield f"only {len(data.split('train'))} subjects to train on."
    ranges = [np.ptp(data.record(name)["range"]) for name in data.subjects if "range" in data.record(name)]
    if ranges and max(ranges) > 100 * min(ranges) and not _scaled(data):
        yield "intensity ranges differ by more than 100 times, and `intensity: none` leaves them so."


def contact_sheet(data: Dataset, path: Path, title: str) -> None:
    """The middle slice of up to 12 subjects, or of 6 pairs of a list or a rule, with labels and landmarks."""
    with plain_style():
        _contact_sheet(data, path, title)


def _contact_sheet(data: Dataset, path: Path, title: str) -> None:
    from matplotlib.figure import Figure

    panels = _panels(data)
    columns = len(panels[0])
    rows = len(panels)
    figure = Figure(figsize=(2 * columns, 2.3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in axes:
        place.set_axis_off()
    for place, (name, words) in zip(axes, (panel for row in panels for panel in row), strict=False):
        image, labels, points = data.images((name,))[0], data.label_map(name), data.landmarks(name)
        if image.ndim == 3:
            level = int(np.argmax((labels > 0).sum((0, 1)))) if labels.any() else image.shape[2] // 2
            image, labels = image[:, :, level], labels[:, :, level]
            points = None if points is None else points[np.abs(points[:, 2] - level) <= NEAR]
        aspect = data.spacing_mm[1] / data.spacing_mm[0]
        place.imshow(image.T, cmap="gray", origin="lower", aspect=aspect, interpolation="nearest")
        if labels.any():
            # One outline for all borders between labels: ids need not be near each other.
            edges = (np.diff(labels, axis=0, append=labels[-1:]) != 0) | (
                np.diff(labels, axis=1, append=labels[:, -1:]) != 0
            )
            shade = np.ma.masked_where(~edges.T, np.ones(edges.T.shape))
            place.imshow(shade, cmap="autumn", origin="lower", aspect=aspect, alpha=0.6, interpolation="nearest")
        if points is not None:
            place.plot(points[:, 0], points[:, 1], "+", color="cyan", markersize=4, scalex=False, scaley=False)
        place.set_title(words, fontsize=7)
    figure.suptitle(f"{data.id}: {pictured(title.partition(':')[0], 140)}", fontsize=8)
    with replacing(path) as temporary, warnings_of.catch_warnings():
        warnings_of.filterwarnings("ignore", "Glyph")
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def _panels(data: Dataset) -> list[list[tuple[str, str]]]:
    """Rows of (subject, title): six subjects each; where pairs are prescribed, fixed images above their moving ones."""
    if not data.pairs("train") and not data.spec.pairs.prescribed:
        titles = [(name, pictured(name)) for name in data.subjects[:12]]
        return [titles[:6], *([titles[6:]] if titles[6:] else [])]
    pairs = [(part, pair) for part in ("test", "validation", "train") for pair in data.pairs(part)][:6]
    return [
        [(pair[number], f"{part}, {side}\n{pictured(pair[number])}") for part, pair in pairs]
        for number, side in enumerate(("fixed", "moving"))
    ]


def _summary(data: Dataset, manifest: Mapping[str, Any]) -> list[str]:
    parts = ", ".join(f"{len(data.split(part))} {part}" for part in ("train", "validation", "test"))
    grid = " x ".join(map(str, data.shape)) + " voxels of " + " x ".join(f"{side:g}" for side in data.spacing_mm)
    return [
        f"dataset {data.id} ({data.spec.source}): {len(data.subjects)} subjects ({parts}), {grid} mm",
        str(manifest["notes"]),
        *(f"licence: {licence}" for licence in manifest["licences"]),
        *_masks(data),
    ]


def _masks(data: Dataset) -> list[str]:
    """Who has a mask, and how much of the grid is inside."""
    shares = [float(mask.mean()) for name in data.masked if (mask := data.mask(name)) is not None]
    if not shares:
        return []
    return [
        f"masks: {len(shares)} of {len(data.subjects)} subjects, {100 * min(shares):.0f} to {100 * max(shares):.0f} % "
        "of the grid inside; `training.mask` and `evaluation.mask` say what counts by them"
    ]


def _subjects(data: Dataset) -> list[str]:
    more = [any(map(of, data.subjects)) for of in (data.modality, data.role)]
    head = [title for title, there in zip(("modality", "role"), more, strict=True) if there]
    rows = [("subject", "split", "own shape", "own spacing mm", "own range", "labels", *head)]
    place = {name: part for part in ("train", "validation", "test") for name in data.split(part)}
    for name in data.subjects:
        record = data.record(name)
        low, high = record.get("range", (float(data.images((name,)).min()), float(data.images((name,)).max())))
        rows.append(
            (
                name,
                place.get(name, "-"),
                "x".join(map(str, record.get("native_shape", data.shape))),
                "x".join(f"{side:g}" for side in record.get("native_spacing_mm", data.spacing_mm)),
                f"{low:g} to {high:g}",
                str(np.count_nonzero(np.unique(data.label_map(name)))),
                *(of(name) or "-" for of, there in zip((data.modality, data.role), more, strict=True) if there),
            )
        )
    return _table(rows)


def _read_as(data: Dataset) -> list[str]:
    """How files were taken where that is not plain: each way once, with its subjects counted."""
    subjects: dict[str, list[str]] = {}
    for name in data.subjects:
        for note in data.record(name).get("read_as", []):
            subjects.setdefault(note, []).append(name)
    total = len(data.subjects)
    lines = [f"  {len(names)} of {total} (`{names[0]}`...): {note}" for note, names in subjects.items()]
    return ["how files were read, in subjects", *lines, ""] if lines else []


def _pairs(data: Dataset) -> list[str]:
    """The pairs of each split by a list, a rule or the data, counted, and the first of them."""
    rows: list[tuple[str, ...]] = [("pairs", "number", "first fixed", "first moving", "second fixed", "second moving")]
    for part in ("train", "validation", "test"):
        pairs = data.pairs(part)
        if pairs:
            second = pairs[1] if len(pairs) > 1 else ("-", "-")
            rows.append((part, str(len(pairs)), *pairs[0], *second))
        elif part == "train" and data.split(part):
            rows.append((part, "any two", "-", "-", "-", "-"))
    return [*_table(rows), ""]


def _labels(data: Dataset) -> list[str]:
    if not data.labels:
        return ["no labels"]
    unit, size = ("mm3" if len(data.shape) == 3 else "mm2"), float(np.prod(data.spacing_mm))
    volumes: dict[int, list[float]] = {label: [] for label in data.labels}
    for name in data.subjects:
        ids, counts = np.unique(data.label_map(name), return_counts=True)
        for label, count in zip(ids, counts, strict=True):
            if int(label) in volumes:
                volumes[int(label)].append(float(count) * size)
    rows: list[tuple[str, ...]] = [("label", "name", "in subjects", f"median {unit}", f"least {unit}", f"most {unit}")]
    for label, sizes in volumes.items():
        numbers = (np.median(sizes), min(sizes), max(sizes)) if sizes else (np.nan,) * 3
        rows.append((str(label), data.labels[label], str(len(sizes)), *(f"{number:.0f}" for number in numbers)))
    return _table(rows)


def _landmarks(data: Dataset) -> list[str]:
    """How many landmarks subjects have, and how far those of a pair lie apart."""
    counts = [len(points) for name in data.subjects if (points := data.landmarks(name)) is not None]
    if not counts:
        return []
    number = str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    lines = [f"landmarks: {number} in each of {len(counts)} of {len(data.subjects)} subjects"]
    for part in ("validation", "test"):
        errors = [error for names in data.pairs(part) if np.isfinite(error := _apart(data, *names))]
        if errors:
            lines.append(
                f"TRE before registration, {part}: mean {np.mean(errors):.2f} mm, from {min(errors):.2f} to "
                f"{max(errors):.2f} mm ({len(errors)} of {len(data.pairs(part))} pairs)"
            )
    return [*lines, ""]


def _apart(data: Dataset, fixed: str, moving: str) -> float:
    """Mean distance of the landmarks of a pair; NaN without."""
    points = data.landmarks(fixed), data.landmarks(moving)
    if points[0] is None or points[1] is None:
        return float("nan")
    still = np.zeros((len(data.shape), *data.shape), np.float32)
    return tre_mm(still, *points, data.spacing_mm)


def _before(data: Dataset) -> list[str]:
    lines = []
    for part in ("validation", "test") if data.labels else ():
        scores = [
            mean_over_labels(
                dice(data.label_map(fixed), data.label_map(moving), list(data.labels), moving=data.label_map(moving))
            )
            for fixed, moving in data.pairs(part)
        ]
        numbers = [score for score in scores if not np.isnan(score)]
        if numbers:
            lines.append(
                f"Dice before registration, {part}: mean {np.mean(numbers):.3f}, "
                f"from {min(numbers):.3f} to {max(numbers):.3f} ({len(scores)} pairs)"
            )
    return lines


def _scaled(data: Dataset) -> bool:
    return all(float(np.ptp(data.images((name,)))) < 100 for name in data.subjects)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cut = [*rows[: SHOWN + 1]]
    widths = [max(len(row[k]) for row in cut) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]
    return lines if len(rows) <= SHOWN + 1 else [*lines, f"... and {len(rows) - SHOWN - 1} more"]

"""Every test pair of a run becomes one row of metrics; NaN and a reason where it failed."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from regbench.data.cache import Dataset, Pair
from regbench.evaluation.controls import CONTROLS, SIMILARITY, control_pairs, no_displacement
from regbench.evaluation.slices import chosen, slices, write_panels
from regbench.losses import SIMILARITIES
from regbench.metrics import (
    METRICS,
    dice,
    displacement_mm,
    endpoint_error_mm,
    folding_metrics,
    hd95_l2r,
    inverse_consistency_mm,
    mean_over_labels,
    surface_metrics,
    tre_l2r_mm,
    tre_mm,
)
from regbench.models.classical import BASELINES, software
from regbench.models.predict import registered, self_displacements
from regbench.spatial.displacement import warp, warp_labels
from regbench.study.components import bind
from regbench.study.plan import PANELS
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import canonical_json, replacing
from regbench.system.job_usage import clocked_items
from regbench.training.final_run import load_run

SOFTWARE = "software"  # column of a baseline's rows: versions as JSON
Registered = Iterator[tuple[tuple[str, str], Pair, Any]]  # (fixed, moving), pair, displacement or an error


def evaluate(job: Mapping[str, Any], data: Dataset, folder: Path | None, out: Path) -> None:
    """Evaluate a run on all test pairs: one parquet row each, and beside it slices of three pairs for the figures.

    The controls that a job brings with it get the same, as ``<control>.parquet`` and ``.npz`` beside `out`.

    Args:
        job: slice of the config (`plan.evaluate_job`).
        data: prepared dataset.
        folder: of the run; None for a baseline and for `identity`, whose displacement is zero.
        out: parquet file.
    """
    record, found_all = _method(job, folder, data)
    frame, panels = _table(job, record, found_all, data, out.parent)
    write_panels(out.with_name(PANELS), panels)
    if job.get("baseline"):
        frame[SOFTWARE] = canonical_json(software(job["baseline"]["name"]))
    with replacing(out) as temporary:
        frame.to_parquet(temporary, index=False)
    for control in job.get("controls", ()):
        pairs = ((names, data.pair(*names)) for names in control_pairs(control, data))
        found_all = ((names, pair, CONTROLS[control](pair)) for names, pair in pairs)
        frame, panels = _table({**job, "method": control}, record, found_all, data, out.parent)
        write_panels(out.with_name(f"{control}.npz"), panels)
        with replacing(out.with_name(f"{control}.parquet")) as temporary:
            frame.to_parquet(temporary, index=False)


def _table(
    job: Mapping[str, Any], record: Mapping[str, Any], found_all: Registered, data: Dataset, folder: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A row of each registration, and the slices of three."""
    compare = _similarity(record, job.get("similarities", ()))
    own = record.get("self_displacement_mm")
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    found_all = clocked_items("register", found_all)
    for (fixed, moving), pair, displacement in _both_ways(found_all, rows, data, folder):
        row: dict[str, Any] = {"dataset": data.id, "method": job["method"], "seed": job["seed"], "lam": record["lam"]}
        row["replicate"] = job.get("replicate", 0)
        row |= {"fixed": fixed, "moving": moving, "status": record["status"], "reason": record["reason"]}
        if isinstance(displacement, RegbenchError):
            row |= {"status": "failed", "reason": str(displacement)}
        if row["status"] == "complete":
            moved = _moved(pair, displacement)
            row |= measure(pair, displacement, list(data.labels)) | compare(pair, moved)
            row |= {} if own is None else {"self_displacement_mm": own.get(fixed, np.nan)}
        rows.append(row)
        shown.append(slices(pair, displacement, moved) if row["status"] == "complete" else {})
    frame = pd.DataFrame(rows, columns=_columns(rows, data, compare))
    places = chosen(frame["dice"].to_numpy(dtype=np.float64))
    frame["lam"] = frame["lam"].astype(float)
    return frame, {place: (rows[k], shown[k]) for place, k in places.items()}


def _columns(rows: list[dict[str, Any]], data: Dataset, compare: Callable[[Pair, Any], dict[str, float]]) -> list[str]:
    """Of all rows, those that failed too; where every pair failed, a zero displacement tells what they would be."""
    whole = next((row for row in rows if row["status"] == "complete"), None)
    if whole is not None:
        return list(whole)
    pair = data.pair(rows[0]["fixed"], rows[0]["moving"])
    named = [*measure(pair, no_displacement(pair), list(data.labels)), *compare(pair, pair.moving)]
    *about, last = rows[0]
    return [*about, *named, last]


def means(path: Path) -> str:
    """The mean and SD over pairs of each metric in a file of rows, for a terminal; failed pairs are named.

    Raises:
        RegbenchError: if every pair failed; names them too.
    """
    frame = pd.read_parquet(path)
    known = [name for name in METRICS if name in frame and frame[name].notna().any()]
    lines = [f"{name:<30} {_words(frame[name].dropna())} {METRICS[name].unit}" for name in known]
    failed = frame[frame["status"] != "complete"]
    lines += [f"failed: {row.fixed}, {row.moving}: {row.reason}" for row in failed.itertuples()]
    text = "\n".join([f"{len(frame)} pairs, {len(failed)} failed", *lines])
    if len(failed) == len(frame):
        raise RegbenchError(text)
    return text


def _words(scores: "pd.Series[float]") -> str:
    """Mean and SD; where a label vanished, whose distance is infinite, the median, as in the tables."""
    infinite = int(np.isinf(scores).sum())
    if infinite:
        return f"{scores.median():10.4f} median, {infinite} infinite,"
    return f"{scores.mean():10.4f} ± {scores.std(ddof=1):.4f}"


def _method(job: Mapping[str, Any], folder: Path | None, data: Dataset) -> tuple[dict[str, Any], Registered]:
    """The record of a method, and the displacements of its test pairs, or why one has none."""
    record: dict[str, Any] = {"lam": None, "status": "complete", "reason": ""}
    if folder is not None:
        record, model = load_run(folder)
        if model is not None and record["status"] == "complete":
            record["self_displacement_mm"] = self_displacements(model, data)
            return record, registered(model, data, "test")
    return record, _by_baseline(job.get("baseline"), data)


def _by_baseline(baseline: Mapping[str, Any] | None, data: Dataset) -> Registered:
    """A classical method pair by pair; zero displacements where there is none."""
    function = bind(BASELINES, baseline["name"], baseline["parameters"]) if baseline else None
    for fixed, moving in data.pairs("test"):
        pair = data.pair(fixed, moving)
        try:
            yield (fixed, moving), pair, function(pair, fixed, moving) if function else no_displacement(pair)
        except UsageError:
            raise  # a missing package is no property of a pair
        except RegbenchError as error:
            yield (fixed, moving), pair, error


def _both_ways(found_all: Registered, rows: list[dict[str, Any]], data: Dataset, folder: Path) -> Registered:
    """Hand each registration on; where both directions of a pair are, complete their rows with how well they agree.

    The direction that comes first waits on disk: many fields of full size would not fit in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ordered = [tuple(names) for names in data.pairs("test")]
    both = {names for names in ordered if names[::-1] in ordered}
    with tempfile.TemporaryDirectory(prefix=".directions-", dir=folder) as waiting:
        for number, (names, pair, displacement) in enumerate(found_all):
            yield names, pair, displacement
            other = ordered.index(names[::-1]) if names in both and names[0] != names[1] else number
            rows[number]["inverse_consistency_mm"] = np.nan
            if rows[number]["status"] != "complete":
                continue
            if other > number:
                np.save(Path(waiting) / f"{number}.npy", displacement)
            elif other < number and rows[other]["status"] == "complete":
                path = Path(waiting) / f"{other}.npy"
                back = np.load(path)
                for row, one, two in ((number, displacement, back), (other, back, displacement)):
                    rows[row]["inverse_consistency_mm"] = inverse_consistency_mm(one, two, pair.spacing_mm)
                path.unlink()


def _similarity(
    record: Mapping[str, Any], grid: Sequence[Mapping[str, Any]]
) -> Callable[[Pair, Any], dict[str, float]]:
    """The training similarity of a pair before and after its registration; those of `grid`, after it."""
    component = record["job"]["similarity"] if "job" in record else None
    own = bind(SIMILARITIES, component["name"], component["parameters"]) if component else None
    asked = {f"{SIMILARITY}{each['id']}": bind(SIMILARITIES, each["name"], each["parameters"]) for each in grid}

    def compare(pair: Pair, moved: Any) -> dict[str, float]:
        if own is None and not asked:
            return {}
        fixed, before, after = (
            torch.from_numpy(np.array(image))[None, None] for image in (pair.fixed, pair.moving, moved)
        )
        found = {name: float(between(fixed, after)) for name, between in asked.items()}
        if own is not None:
            found |= {"similarity_before": float(own(fixed, before)), "similarity_after": float(own(fixed, after))}
        return found

    return compare


def _moved(pair: Pair, displacement: Any) -> Any:
    """The moving image ``(*S)``, warped: what is compared with the fixed one, and what the figures show."""
    moving, field = (
        torch.from_numpy(np.array(values, np.float32))[None] for values in (pair.moving[None], displacement)
    )
    return warp(moving, field)[0, 0].numpy()


def measure(pair: Pair, displacement: Any, labels: list[int]) -> dict[str, float]:
    """All metrics of one pair and its displacement ``(d, *S)`` in voxels."""
    foreground = pair.foreground
    moved = warp_labels(pair.moving_labels, displacement)
    per_label = dice(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    counted = [label for label, value in per_label.items() if not np.isnan(value)]
    found = {
        "dice": mean_over_labels(per_label),
        "labels_counted": float(len(counted)),
        "labels_vanished": float(len(set(counted) - set(np.unique(moved)))),
        "displacement_mm": displacement_mm(displacement, pair.spacing_mm),
        **folding_metrics(displacement, foreground),
    }
    surfaces = surface_metrics(pair.fixed_labels, moved, labels, pair.spacing_mm, moving=pair.moving_labels)
    surfaces["hd95_l2r"] = hd95_l2r(pair.fixed_labels, moved, labels, moving=pair.moving_labels)
    found |= {name: mean_over_labels(values) for name, values in surfaces.items()}
    if pair.fixed_landmarks is not None and pair.moving_landmarks is not None:
        points = (pair.fixed_landmarks, pair.moving_landmarks)
        found["tre_mm"] = tre_mm(displacement, *points, pair.spacing_mm)
        found["tre_l2r_mm"] = tre_l2r_mm(displacement, *points, pair.spacing_mm)
    if pair.truth is not None:
        found["endpoint_error_mm"] = endpoint_error_mm(displacement, pair.truth, pair.spacing_mm)
        found["endpoint_error_foreground_mm"] = endpoint_error_mm(
            displacement, pair.truth, pair.spacing_mm, mask=foreground
        )
    every = {"dice": per_label, **surfaces}
    return found | {f"{name}_{label}": value for name, values in every.items() for label, value in values.items()}

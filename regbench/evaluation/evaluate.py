"""Every test pair of a run becomes one row of metrics; NaN and a reason where it failed."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from regbench.data.cache import Dataset
from regbench.evaluation.controls import CONTROLS, control_pairs, no_displacement
from regbench.evaluation.measure import Measured, Registered, measure, metric_names
from regbench.evaluation.refined_run import load_row
from regbench.evaluation.slices import Slices, chosen, slices, write_panels
from regbench.losses import SIMILARITIES
from regbench.losses.objective import MaskRule, Objective, objective
from regbench.metrics import METRICS, SIMILARITY, inverse_consistency_mm, metric_of
from regbench.models.classical import software
from regbench.models.own_baseline import judged_baseline
from regbench.models.predict import masks_of, registered, self_displacements
from regbench.study.components import bind
from regbench.study.goals import is_higher_better, leading
from regbench.study.layout import PANELS
from regbench.study.specs import ComponentSpec, EvaluateSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import OF_RUN, canonical_json
from regbench.system.job_usage import clocked_items
from regbench.system.parquet import read_table, write_table

SOFTWARE = "software"  # column of a baseline's rows: versions as JSON
INVERSE = "inverse_consistency_mm"
OWN = ("similarity_before", "similarity_after")  # of the loss that a run was trained with
Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Failed:
    """A pair that could not be registered, and why."""

    fixed: str
    moving: str
    reason: str


@dataclass(frozen=True)
class _Run:
    """What all rows of a method have in common.

    Attributes:
        lam: weight of the regularizer; None where there is none.
        training: what the run was trained with; None where nothing was.
        self_displacement_mm: mean length by which the model moves a test image that meets itself, by its subject.
        checkpoint: digest of the run's, which its rows carry; empty where there is none.
    """

    lam: float | None = None
    status: str = "complete"
    reason: str = ""
    training: Objective | None = None
    self_displacement_mm: dict[str, float] | None = field(default=None)
    checkpoint: str = ""


def evaluate(spec: EvaluateSpec, data: Dataset, folder: Path | None, out: Path) -> None:
    """Evaluate a run on all test pairs: one parquet row each, and beside it slices of three pairs for the figures.

    The controls that a job brings with it get the same, as ``<control>.parquet`` and ``.npz`` beside `out`.

    Args:
        spec: of the evaluation.
        data: prepared dataset.
        folder: of the run; None for a baseline and for `identity`, whose displacement is zero.
        out: parquet file.
    """
    run, model = (_Run(), None) if folder is None else _run(folder, data, spec)
    frame, panels = _table(spec, run, registrations(spec, data, model), data, out.parent)
    if spec.baseline is not None:
        frame[SOFTWARE] = canonical_json(software(spec.baseline.name))
    best_by = leading(spec.objective.metrics, data.references("test"))
    write_panels(out.with_name(PANELS), panels, best_by)
    write_table(out, frame)
    for control in spec.controls:
        controlled = spec.model_copy(update={"method": control})
        frame, panels = _table(controlled, run, _by_control(control, data), data, out.parent)
        write_panels(out.with_name(f"{control}.npz"), panels, best_by)
        write_table(out.with_name(f"{control}.parquet"), frame)


def rows_on(spec: EvaluateSpec, data: Dataset, folder: Path, waiting: Path) -> pd.DataFrame:
    """The rows of a run on the test pairs of any data; what has to wait meanwhile lies in `waiting`."""
    run, model = _run(folder, data, spec)
    return _table(spec, run, registrations(spec, data, model), data, waiting)[0]


def registrations(spec: EvaluateSpec, data: Dataset, model: nn.Module | None) -> Iterator[Registered | Failed]:
    """Every test pair with its displacement: of a model, else of the baseline of `spec`, else none."""
    return _by_baseline(spec.baseline, data) if model is None else _by_model(model, data)


def _run(folder: Path, data: Dataset, spec: EvaluateSpec) -> tuple[_Run, nn.Module | None]:
    """What a run's rows have in common, and its model; no model where the run is not complete."""
    record, model = load_row(folder, spec.refine)
    if record["status"] != "complete":
        model = None
    similarity, regularizer = (ComponentSpec.from_json(record["job"][kind]) for kind in ("similarity", "regularizer"))
    use = record["job"]["training"].get("mask", "none")
    own = None if model is None else self_displacements(model, data, masked=spec.mask == "fixed")
    training = objective(similarity, regularizer, record["lam"] or 0.0, MaskRule(use))
    checkpoint = record.get("checkpoint_sha256", "")
    return _Run(record["lam"], record["status"], record["reason"], training, own, checkpoint), model


def _by_model(model: nn.Module, data: Dataset) -> Iterator[Registered | Failed]:
    for names, pair, displacement in registered(model, data, "test"):
        yield Registered(*names, pair, displacement)


def _by_control(control: str, data: Dataset) -> Iterator[Registered | Failed]:
    for names in control_pairs(control, data):
        pair = data.pair(*names)
        yield Registered(*names, pair, CONTROLS[control](pair))


def _by_baseline(baseline: ComponentSpec | None, data: Dataset) -> Iterator[Registered | Failed]:
    """A classical method pair by pair; zero displacements where there is none."""
    function = judged_baseline(baseline.name, baseline.parameters) if baseline else None
    for fixed, moving in data.pairs("test"):
        pair = data.pair(fixed, moving)
        try:
            displacement = function(pair, fixed, moving) if function else no_displacement(pair)
        except UsageError:
            raise  # a missing package is no property of a pair
        except RegbenchError as error:
            yield Failed(fixed, moving, str(error))
        else:
            yield Registered(fixed, moving, pair, displacement)


def _table(
    spec: EvaluateSpec, run: _Run, registered_pairs: Iterable[Registered | Failed], data: Dataset, folder: Path
) -> tuple[pd.DataFrame, dict[str, tuple[Row, Slices]]]:
    """A row of each registration, and the slices of three.

    Where both directions of a pair are test pairs, displacements wait on disk in `folder` to be compared: many fields
    of full size would not fit in memory.
    """
    compare, by = _similarities(run, spec), Measured.of(data, spec.nsd_tolerance_mm, spec.mask)
    rows: list[Row] = []
    shown: list[Slices] = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".directions-", dir=folder) as waiting:
        directions = _Directions(Path(waiting), data, masked=spec.mask == "fixed")
        for registration in clocked_items("register", registered_pairs):
            row = _row(spec, run, registration, data)
            if row["status"] == "complete" and isinstance(registration, Registered):
                row |= measure(registration, by) | compare(registration)
                if run.self_displacement_mm is not None:
                    row["self_displacement_mm"] = run.self_displacement_mm.get(registration.fixed, np.nan)
                directions.keep(registration)
                shown.append(slices(registration.pair, registration.displacement, registration.moved))
            else:
                shown.append({})
            rows.append(row)
        for row in rows:
            row[INVERSE] = directions.inverse_consistency(str(row["fixed"]), str(row["moving"]))
    complete = next((row for row in rows if row["status"] == "complete"), None)
    failed = _row(spec, run, Failed("", "", ""), data)
    names = list(complete) if complete else [*failed, *metric_names(data), *_similarity_names(run, spec), INVERSE]
    frame = pd.DataFrame(rows, columns=names)
    metric = leading(spec.objective.metrics, data.references("test"))
    scores = frame[metric].to_numpy(dtype=np.float64)
    places = chosen(scores if is_higher_better(metric) else -scores)
    frame["lam"] = frame["lam"].astype(float)
    if run.checkpoint:
        frame.attrs[OF_RUN] = run.checkpoint
    return frame, {place: (rows[k], shown[k]) for place, k in places.items()}


def _row(spec: EvaluateSpec, run: _Run, registration: Registered | Failed, data: Dataset) -> Row:
    """What a row says beside its metrics."""
    row: Row = {
        "dataset": data.id, "method": spec.method, "seed": spec.seed, "lam": run.lam, "replicate": spec.replicate,
        "fixed": registration.fixed, "moving": registration.moving, "status": run.status, "reason": run.reason,
    }  # fmt: skip
    if spec.split is not None:
        row["split"] = spec.split
    if isinstance(registration, Failed):
        row |= {"status": "failed", "reason": registration.reason}
    return row


class _Directions:
    """Displacements of pairs that are test pairs in both directions, on disk."""

    def __init__(self, folder: Path, data: Dataset, *, masked: bool) -> None:
        pairs = data.pairs("test")
        number = {names: k for k, names in enumerate(pairs)}
        both = [names for names in pairs if names[::-1] in number and names[0] != names[1]]
        self.paths = {names: folder / f"{number[names]}.npy" for names in both}
        self.spacing_mm, self._mask = data.spacing_mm, data.mask if masked else lambda _: None

    def keep(self, registration: Registered) -> None:
        """Keep a displacement that another direction will be compared with."""
        path = self.paths.get((registration.fixed, registration.moving))
        if path is not None:
            np.save(path, registration.displacement)

    def inverse_consistency(self, fixed: str, moving: str) -> float:
        """How far there and back again ends from the start, in mm; NaN without both directions."""
        there, back = self.paths.get((fixed, moving)), self.paths.get((moving, fixed))
        if there is None or back is None or not (there.exists() and back.exists()):
            return np.nan
        return inverse_consistency_mm(np.load(there), np.load(back), self.spacing_mm, mask=self._mask(fixed))


def _similarity_names(run: _Run, spec: EvaluateSpec) -> list[str]:
    """The columns that `_similarities` fills, in their order."""
    return [*(f"{SIMILARITY}{part.id}" for part in spec.similarities), *(OWN if run.training else ())]


def _similarities(run: _Run, spec: EvaluateSpec) -> Callable[[Registered], dict[str, float]]:
    """The training similarity of a pair before and after its registration; those of the grid, after it."""
    own = run.training
    grid = {f"{SIMILARITY}{s.id}": bind(SIMILARITIES, s.name, s.parameters) for s in spec.similarities}

    def compare(registration: Registered) -> dict[str, float]:
        if own is None and not grid:
            return {}
        pair = registration.pair
        fixed, before, after = (
            torch.from_numpy(np.array(image))[None, None] for image in (pair.fixed, pair.moving, registration.moved)
        )
        values = {name: float(similarity(fixed, after)) for name, similarity in grid.items()}
        if own is not None:
            values |= dict(zip(OWN, _own(own, registration, (fixed, before, after)), strict=True))
        return values

    return compare


def _own(own: Objective, registration: Registered, images: tuple[Tensor, Tensor, Tensor]) -> tuple[float, float]:
    """The training's similarity of the fixed image with the moving and with the moved one, by the training's masks."""
    fixed, before, after = images
    if own.rule.use == "none":
        return float(own.compare(fixed, before)), float(own.compare(fixed, after))
    masks = masks_of([(registration.pair.fixed_mask, registration.pair.moving_mask)], own.rule.use)
    field = torch.from_numpy(np.array(registration.displacement, np.float32))[None]
    one, other = (own.dissimilarity(fixed, before, part, masks) for part in (torch.zeros_like(field), field))
    return float(one), float(other)


def means(path: Path) -> str:
    """The mean and SD over pairs of each metric in a file of rows, for a terminal; failed pairs are named.

    Raises:
        RegbenchError: if every pair failed; names them too.
    """
    frame = read_table(path)
    names = [*METRICS, *(name for name in map(str, frame) if name.startswith(SIMILARITY))]
    known = [name for name in names if name in frame and frame[name].notna().any()]
    lines = [f"{name:<30} {_words(frame[name].dropna())} {metric_of(name).unit}" for name in known]
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
    return f"{scores.mean():10.4f}" + (f" ± {scores.std(ddof=1):.4f}" if len(scores) > 1 else "")

"""What would decide a difference before a study is run: from the noise that a pilot measured."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from regbench.metrics import COMPARABLE, METRICS
from regbench.statistics import needs
from regbench.statistics.power import Needs
from regbench.study.layout import Layout
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError, did_you_mean
from regbench.system.files import read_sealed

ALPHA = 0.05


def wish(text: str) -> tuple[str, float]:
    """Metric and width of ``dice=0.005``.

    Raises:
        UsageError: if it is of another form, of an unknown metric, or no positive number.
    """
    metric, _, width = text.partition("=")
    if metric not in COMPARABLE:
        raise UsageError(
            f"--to-decide must name a metric, as in dice=0.005, but got `{text}`; {did_you_mean(metric, COMPARABLE)}"
        )
    try:
        value = float(width)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise UsageError(f"--to-decide must give a positive width, as in {metric}=0.005, but got `{text}`.")
    return metric, value


class Needed(TypedDict):
    """What a pilot says of one dataset and model."""

    pilot: str
    dataset: str
    model: str
    comparisons: int
    noise: dict[str, float | None]
    needs: Needs


def to_decide(study: Study, metric: str, width: float, measured: Sequence[Path] = ()) -> list[Needed]:
    """Seeds, subjects and pairs that tell two cells apart that differ by `width`, or show equal ones to be so.

    Args:
        study: to come; it says how many cells are compared at once.
        metric: what is compared.
        width: of the difference, in the metric's unit.
        measured: folders of pilots; the study's own results, and others of its results folder, otherwise.

    Returns:
        One entry a pilot's dataset and model: the pilot, its noise, and `needs`.

    Raises:
        RegbenchError: if no pilot has judged a model of the study by that metric.
    """
    lay = study.layout
    others = sorted(path for path in Path(study.config.results).glob("*/") if path != lay.root)
    folders = list(measured) or [lay.root, *others]
    models = {method.model.id for method in study.methods if method.model}
    cells = len(study.config.grid.similarities) * len(study.config.grid.regularizers)
    needed = [
        _needed((str(folder), dataset, model), entry, width, cells)
        for folder in folders
        for dataset, model, entry in _judged(folder, metric)
        if model in models
    ]
    if not needed:
        looked = ", ".join(f"`{folder}`" for folder in folders[:3])
        raise RegbenchError(
            f"--to-decide must have a pilot that judged {', '.join(sorted(models))} by {metric}, but there is none in "
            f"{looked}. Run a short study of the same grid first (two seeds), or name its folder by --measured."
        )
    return needed


def text(needed: Sequence[Needed], study: Study, metric: str, width: float) -> str:
    """What `to_decide` found, for a terminal."""
    unit = METRICS[metric].unit
    size = f"{width:g}{'' if unit == '1' else ' ' + unit} of {metric}"
    lines = [
        f"to decide {size} between cells, four times in five, all comparisons of a model together at 95 % "
        f"(this config: {len(study.config.seeds)} seeds):"
    ]
    for entry in needed:
        noise = entry["noise"]
        lines.append(
            f"  {entry['dataset']}, {entry['model']}: {entry['needs']['text']}; {entry['comparisons']} comparisons, "
            f"noise of {noise['seeds']} seeds and {noise['subjects']} test subjects in {entry['pilot']}"
        )
    return "\n".join(lines)


def _judged(folder: Path, metric: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    path = Layout(folder).summary
    if not path.is_file():
        return
    for dataset, models in read_sealed(path).get("verdicts", {}).items():
        for model, metrics in models.items():
            if metric in metrics and any(c["se_subjects"] is not None for c in metrics[metric]["pairs"]):
                yield dataset, model, metrics[metric]


def _needed(place: tuple[str, str, str], entry: Mapping[str, Any], width: float, cells: int) -> Needed:
    """From the mean of what the pilot's comparisons say of each noise."""
    known = [c for c in entry["pairs"] if c["se_subjects"] is not None]
    subjects, cases, units = (int(np.median([c[name] for c in known])) for name in ("subjects", "n", "runs"))
    by_subject = float(np.mean([c["se_subjects"] ** 2 for c in known]))
    by_run = float(np.mean([c["se_runs"] ** 2 for c in known]))
    comparisons = max(cells * (cells - 1) // 2, 1)
    runs = (by_run, max(float(entry["noise"]["df_runs"] or 1.0), 1.0), units) if by_run else None
    pilot, dataset, model = place
    return {
        "pilot": pilot,
        "dataset": dataset,
        "model": model,
        "comparisons": comparisons,
        "noise": dict(entry["noise"]),
        "needs": needs(
            width,
            1 - ALPHA / (2 * comparisons),
            subjects=(by_subject, max(subjects - 1.0, 1.0), subjects, cases),
            runs=runs,
            unit={"tuning": "searches", "splits": "splits"}.get(entry.get("scope", ""), "seeds"),
        ),
    }

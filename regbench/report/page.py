"""One self-contained HTML page for a study: works offline, from a mail attachment, ten years from now."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from regbench.files import read_json, write_text
from regbench.plan import Layout
from regbench.report.controls import has_controls

TABLES = {
    "main": "Results",
    "selection": "Choice of lambda",
    "significance": "Tests",
    "grid": "What similarity and regularizer contribute",
    "per_structure": "Structures",
    "controls": "Controls: which columns can be fooled",
    "runtime": "Time and memory",
}
FIGURES = {
    "lambda": "Lambda against validation Dice and NDV; the chosen lambda is ringed.",
    "pareto": "Every trial, with the Pareto front of each similarity.",
    "dice": "Test Dice of each method.",
    "critical_difference": "Mean ranks, and what the tests do not tell apart.",
    "rank_stability": "How often each method holds each rank when subjects are drawn again.",
    "structures": "Dice of each structure, before registration and by the best method.",
    "panels": "Best, median and worst pair of the best method. Folds (determinant <= 0) are magenta.",
    "training": "Training similarity over the steps, a running mean.",
    "runtime_dice": "Time of a registration against Dice.",
}


def write_page(
    summary: Mapping[str, Any],
    lay: Layout,
    pairs: Sequence[tuple[str, bytes]],
    tuning: Sequence[tuple[str, Sequence[bytes]]],
    tracking: str | None,
) -> None:
    """Write ``report.html`` from the tables and figures that lie there.

    Args:
        summary: of the analysis.
        lay: of the study.
        pairs: caption and PNG of single pairs.
        tuning: caption and PNGs of the search of each cell.
        tracking: MLflow tracking URI without password; None where tracking is off.
    """
    provenance = read_json(lay.tables / "main.provenance.json")
    environment = Environment(loader=PackageLoader("regbench.report", "."), autoescape=True, undefined=StrictUndefined)
    text = environment.get_template("page.html.j2").render(
        summary=summary,
        tables=[
            (name, title, (lay.tables / f"{name}.html").read_text("utf-8"))
            for name, title in TABLES.items()
            if name != "controls" or has_controls(summary)
        ],
        pairs=[(words, _inline(image, "png")) for words, image in pairs],
        tuning=[(words, [_inline(image, "png") for image in images]) for words, images in tuning],
        figures=[
            (name, words, _inline((lay.figures / f"{name}.svg").read_bytes(), "svg+xml"))
            for name, words in FIGURES.items()
        ],
        provenance=json.dumps(provenance, indent=1, sort_keys=True),
        commit=provenance["tables_made_by"]["git_commit"] or "unknown",
        dirty=provenance["tables_made_by"]["git_dirty"],
        traces=[_trace(summary["study"], entry) for entry in summary["methods"]],
        tracking=tracking,
        config=lay.config,
    )
    write_text(lay.page, text)


def _inline(image: bytes, kind: str) -> str:
    """The figure as a data URI: as an image, no two figures' ids can meet in one page."""
    return f"data:image/{kind};base64," + base64.b64encode(image).decode()


def _trace(study: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Where a row of the table comes from: its run folders, and what finds it in MLflow."""
    key = f"{study}/{entry['dataset']}/{entry['method']}"
    seeds = [run["seed"] for run in entry["runs"]]
    return {
        "dataset": entry["dataset"],
        "method": entry["method"],
        "folders": [f"runs/{entry['dataset']}/{entry['method']}/seed{seed}" for seed in seeds],
        "filter": f"tags.`regbench.key` LIKE '{key}%'",
    }

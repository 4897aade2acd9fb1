"""The table of all published studies, from their folders: a row a study, dataset and model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "results" / "reference"
NONE = "-"
COLUMNS = (
    "study", "data", "model", "cells", "seeds", "test pairs", "best cell", "by", "its mean", "decided pairs of cells",
    "hours of final trainings", "regbench",
)  # fmt: skip


def reference_table(reference: Path = REFERENCE) -> Iterator[str]:
    """Lines of Markdown.

    Args:
        reference: folder of published studies.
    """
    folders = sorted(path.parent for path in reference.glob("*/published.json"))
    if not folders:
        yield "No study is published in `results/reference/` yet."
        return
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * len(COLUMNS)}"
    for folder in folders:
        for row in _rows(folder):
            yield f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |"


def _rows(folder: Path) -> Iterator[list[object]]:
    summary = json.loads((folder / "analysis" / "summary.json").read_text(encoding="utf-8"))
    made_by = json.loads((folder / "published.json").read_text(encoding="utf-8"))["made_by"]
    hours = _hours(folder)
    for dataset in summary["goals"]:
        entries = [one for one in summary["methods"] if one["dataset"] == dataset and one["similarity"]]
        for model in dict.fromkeys(one["model"] for one in entries):
            cells = [one for one in entries if one["model"] == model]
            metric = summary["goals"][dataset]["leading"]
            best = next((one for one in cells if one["rank"] == 1), None)
            mean = best["metrics"][metric]["mean"] if best else None
            spent = hours.get((dataset, model))
            yield [
                f"[{summary['study']}](../results/reference/{folder.name}/report.html)",
                f"`{dataset}`",
                f"`{model}`",
                len(cells),
                max(len(one["runs"]) or one.get("pooled", {}).get("seeds", 0) for one in cells),
                max(one["pairs"] for one in cells),
                f"`{best['similarity']}` x `{best['regularizer']}`" if best else NONE,
                f"`{metric}`",
                NONE if mean is None else f"{mean:.4g}",
                _decided(summary, dataset, model, metric),
                NONE if spent is None else f"{spent:.2f}",
                f"{made_by['regbench']} {(made_by.get('git_commit') or '')[:8]}".strip(),
            ]


def _decided(summary: dict[str, Any], dataset: str, model: str, metric: str) -> str:
    verdicts = summary.get("verdicts", {}).get(dataset, {}).get(model, {}).get(metric, {})
    pairs = verdicts.get("pairs", [])
    decided = sum(pair["verdict"] != "undecided" for pair in pairs)
    return f"{decided} of {len(pairs)}" if pairs else NONE


def _hours(folder: Path) -> dict[tuple[str, str], float]:
    """What the final trainings took, by dataset and model."""
    hours: dict[tuple[str, str], float] = {}
    for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        place, _, name = record["file"].rpartition("/")
        if name == "run.json" and place.startswith("runs/"):
            _, dataset, method, _ = place.split("/")
            key = dataset, method.partition(".")[0]
            hours[key] = hours.get(key, 0.0) + record["content"].get("seconds", 0.0) / 3600
    return hours

"""The table of all published studies, from their folders: a row a study, dataset and model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

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
    main = pd.read_csv(folder / "tables" / "main.csv")
    verdicts = pd.read_csv(folder / "tables" / "verdicts.csv")
    listed = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    made_by, hours = listed["made_by"], _hours(folder)
    leading = next(name for name in main if name.endswith("_mean"))  # what the table is led by stands first
    metric = leading.removesuffix("_mean")
    cells_of = main[main["similarity"].notna()].groupby(["dataset", "model"], sort=False)
    for (dataset, model), cells in cells_of:
        best = next(cells[cells["rank"] == 1].itertuples(), None)
        spent = hours.get((dataset, model))
        of_model = (verdicts["dataset"] == dataset) & (verdicts["model"] == model)
        pairs = verdicts[of_model & (verdicts["metric"] == metric) & (verdicts["family"] == "pairs")]
        yield [
            f"[{listed['study']}](../results/reference/{folder.name}/report.html)",
            f"`{dataset}`",
            f"`{model}`",
            len(cells),
            cells["seeds"].max(),
            cells["pairs"].max(),
            f"`{best.similarity}` x `{best.regularizer}`" if best else NONE,
            f"`{metric}`",
            f"{getattr(best, leading):.4g}" if best else NONE,
            f"{(pairs['verdict'] != 'undecided').sum()} of {len(pairs)}" if len(pairs) else NONE,
            NONE if spent is None else f"{spent:.2f}",
            f"{made_by['regbench']} {(made_by.get('git_commit') or '')[:8]}".strip(),
        ]


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

"""The table of controls: each column for a registration that cannot fail, and for one that means nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.metrics import METRICS
from regbench.report.summary_file import MethodEntry, Summary, digits_of, foremost, number
from regbench.report.tables.column_titles import METRIC_TITLES
from regbench.report.tables.main_caption import by_masks
from regbench.report.tables.main_table import MAIN
from regbench.report.tables.table_format import ARROWS, NONE, Form, escape, header, plain, write_table
from regbench.study.layout import IDENTITY

SORT = "control_sort"
EXTRA = ("inverse_consistency_mm", "displacement_mm", "self_displacement_mm")
SHOWN = ("dice", "hd95_mm", "nsd", "tre_mm", "fold_central_percent", "ndv_percent", "endpoint_error_mm", *EXTRA)
SIMILARITY_DIGITS = 4
NOT_JUDGED = ("displacement_mm", "self_displacement_mm")


def has_controls(summary: Summary) -> bool:
    """Whether a study has rows of controls."""
    return any(entry.get("control") for entry in summary["methods"])


def write_controls(summary: Summary, folder: Path) -> None:
    """Write `controls.{csv,md,tex,html}`; nothing for a study without controls."""
    if not has_controls(summary):
        return
    frame = controls_table(summary)
    shown = _foremost(frame, summary)
    last = int(shown["method"].isin(_controls(summary)).sum())
    write_table(
        folder / "controls", frame, lambda form: _shown(shown, form, summary), caption(summary), summary["study"],
        ruled=(0, last if shown["dataset"].nunique() == 1 else 0),
    )  # fmt: skip


def controls_table(summary: Summary) -> pd.DataFrame:
    """One row a method, controls last: the mean of each metric, and of each similarity after registration.

    Where cases are infinite, the median. A trained method has the similarity that it was trained with.
    """
    rows = []
    for entry in summary["methods"]:
        row: dict[str, object] = {"dataset": entry["dataset"], "method": entry["method"]}
        row |= {name: _score(entry, name) for name in (*MAIN, *EXTRA) if _known(summary, name)}
        similarities = _similarities(entry)
        row |= {f"similarity_{name}": similarities.get(name, np.nan) for name in _names(summary)}
        rows.append(row)
    digits = {name: _digits(summary, name) for name in list(rows[0])[2:]}
    return pd.DataFrame(rows).astype(dict.fromkeys(digits, float)).round(digits)


def fooled(summary: Summary, dataset: str) -> tuple[list[str], list[str]]:
    """The columns that the sorting of intensities improves, and those that it does not.

    It improves a column by being better than no registration, or than every method that is ranked.

    Args:
        summary: of the analysis.
        dataset: one of its datasets.

    Returns:
        Names of metrics, and `similarity_<id>`; a column without numbers is in neither.
    """
    frame = controls_table(summary)
    table = frame[frame["dataset"] == dataset].set_index("method")
    table = table.drop(columns=["dataset", *NOT_JUDGED], errors="ignore")
    ranked = [e["method"] for e in summary["methods"] if e["dataset"] == dataset and e["rank"] is not None]
    improved, others = list[str](), list[str]()
    for name in map(str, table) if SORT in table.index else ():
        sign = 1 if name in METRICS and METRICS[name].direction == "higher" else -1
        scores = sign * table[name]
        rivals = [rival for rival in (scores[ranked].max(), scores[IDENTITY]) if not np.isnan(rival)]
        if np.isnan(scores[SORT]) or not rivals:
            continue
        (improved if any(scores[SORT] > rival for rival in rivals) else others).append(name)
    return improved, others


def caption(summary: Summary) -> str:
    """What the controls are, and what they show on these data."""
    lines = [
        f"Study {summary['study']}: controls. control_self registers each fixed image with itself, by no displacement: "
        "the best that a column can say on these data. control_sort gives each fixed voxel the moving voxel of the "
        "same intensity rank, wherever that lies (Rohlfing 2012, doi:10.1109/TMI.2011.2163944): what it improves is no "
        "evidence of a registration.",
        *(_sentence(summary, dataset) for dataset in foremost(summary)),
        "Means over test pairs (the median where cases are infinite). Similarities (lower is better) after "
        "registration; a trained method has the one that it was trained with. Self-displacement: mean length of what a "
        "trained method does to an image and itself, for which nothing is right. Beside the controls: no registration, "
        "baselines, the best method of each model; all others stand in the CSV.",
        by_masks(summary).strip(),
    ]
    return " ".join(line for line in lines if line)


def _sentence(summary: Summary, dataset: str) -> str:
    improved, other = fooled(summary, dataset)
    if not improved and not other:
        return ""
    first = f"On {dataset} it is better than no registration, or than every method, in {_words(improved)}"
    return f"{first}; not in {_words(other)}." if other else f"{first}: in all that is measured."


def _words(names: Sequence[str]) -> str:
    """Columns as their titles have them, without units."""
    words = [METRIC_TITLES.get(name, name.replace("_", " ", 1)).partition(",")[0] for name in names]
    return ", ".join(words) or "nothing"


def _foremost(frame: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The rows that are printed: all that is not ranked, and the best of each model."""
    printed = [entry["rank"] == 1 or entry["similarity"] is None for entry in summary["methods"]]
    return frame[printed].reset_index(drop=True)


def _digits(summary: Summary, column: str) -> int:
    return digits_of(summary, column) if column in METRICS else SIMILARITY_DIGITS


def _shown(frame: pd.DataFrame, form: Form, summary: Summary) -> pd.DataFrame:
    text = plain(frame[["dataset", "method"]], form).set_axis(
        [header(name, form) for name in ("dataset", "method")], axis=1
    )
    for name in (str(column) for column in list(frame)[2:]):
        known = METRICS.get(name)
        if (known and name not in SHOWN) or frame[name].isna().all():
            continue
        digits = _digits(summary, name)
        title = header(name, form) if known else escape(f"{name.replace('_', ' ', 1)} {ARROWS['lower']}", form)
        cells = [NONE if np.isnan(value) else f"{value:.{digits}f}" for value in frame[name]]
        text[title] = [escape(cell, form) for cell in cells]
    return text


def _controls(summary: Summary) -> set[str]:
    return {entry["method"] for entry in summary["methods"] if entry.get("control")}


def _known(summary: Summary, metric: str) -> bool:
    return any(metric in entry["metrics"] for entry in summary["methods"])


def _names(summary: Summary) -> list[str]:
    """The similarities of the grid, by their ids."""
    return list(dict.fromkeys(name for entry in summary["methods"] for name in entry.get("similarities", {})))


def _similarities(entry: MethodEntry) -> Mapping[str, float]:
    if entry["similarity"] is None:
        return {name: number(value) for name, value in entry.get("similarities", {}).items()}
    return {entry["similarity"]: _score(entry, "similarity_after")}


def _score(entry: MethodEntry, metric: str) -> float:
    spread = entry["metrics"].get(metric)
    return number(spread["median"] if spread["infinite"] else spread["mean"]) if spread else float("nan")

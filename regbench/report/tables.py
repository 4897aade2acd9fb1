"""Tables as CSV, Markdown and LaTeX from one frame by one rounding rule, each with its provenance."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regbench import provenance
from regbench.files import digest, write_json, write_text
from regbench.metrics import METRICS

MAIN = (
    "dice",
    "fold_central_percent",
    "fold_foreground_percent",
    "ndv_percent",
    "endpoint_error_mm",
    "endpoint_error_foreground_mm",
)
NONE = "–"  # noqa: RUF001  an en dash, as printed tables have it
ARROWS = {"higher": "↑", "lower": "↓"}


def main_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """One row a method: lambda, counts, and mean and SD over cases of each metric; numbers rounded for print."""
    rows = []
    for entry in summary["methods"]:
        row = {key: entry[key] for key in ("dataset", "model", "similarity", "regularizer")}
        row["model"] = entry["model"] or entry["method"]
        row["lambda"] = entry["lam"]
        row |= {"trials": len(entry["trials"]), "seeds": max(len(entry["runs"]), 1), "pairs": entry["pairs"]}
        row["failed"] = entry["failed_rows"]
        for name in MAIN:
            if name in entry["metrics"]:
                spread = entry["metrics"][name]
                for kind in ("mean", "sd", "seed_sd"):
                    row[f"{name}_{kind}"] = _round(spread[kind], name)
        row["rank"] = entry["rank"]
        rows.append(row)
    return pd.DataFrame(rows).astype({"rank": "Int64"})


def terminal_table(summary: Mapping[str, Any]) -> str:
    """The main table in the width of a terminal: means only, best method first, identity on top."""
    frame = main_table(summary).sort_values(["dataset", "rank"], na_position="first", kind="stable")
    columns = {"dice_mean": "dice", "fold_central_percent_mean": "fold %", "ndv_percent_mean": "NDV %"}
    columns |= {"endpoint_error_foreground_mm_mean": "EPE mm"}
    names = ["dataset", "model", "similarity", "regularizer", "lambda", *columns, "failed", "rank"]
    shown = frame[[name for name in names if name in frame]].rename(columns=columns)
    if frame["dataset"].nunique() == 1:
        shown = shown.drop(columns="dataset")
    shown["lambda"] = [NONE if pd.isna(value) else f"{value:.3g}" for value in frame["lambda"]]
    shown["rank"] = [NONE if pd.isna(value) else str(value) for value in frame["rank"]]
    return shown.fillna(NONE).to_string(index=False)


def runtime_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of inference time, batch 1, and peak memory, one row a method."""
    timed = rows.dropna(subset=["inference_seconds"])
    found = []
    for (dataset, method), mine in timed.groupby(["dataset", "method"], sort=False):
        low, middle, high = mine["inference_seconds"].quantile([0.25, 0.5, 0.75]) * 1000
        found.append(
            {
                "dataset": dataset,
                "method": method,
                "pairs": len(mine),
                "inference_ms_median": round(middle, 3),
                "inference_ms_q1": round(low, 3),
                "inference_ms_q3": round(high, 3),
                "peak_memory_mib_median": round(mine["peak_memory_mib"].median(), 2),
                "device": ", ".join(sorted(set(mine["device"]))),
            }
        )
    return pd.DataFrame(found)


def write_main(summary: Mapping[str, Any], folder: Path, config: Mapping[str, Any]) -> None:
    """Write `main.{csv,md,tex}` and `main.provenance.json`."""
    frame = main_table(summary)
    _write(folder / "main.csv", frame.to_csv(index=False, lineterminator="\n"))
    _write(folder / "main.md", f"{caption(summary)}\n\n{_shown(frame, 'md').to_markdown(index=False)}\n")
    shown = _shown(frame, "tex")
    text = shown.to_latex(
        index=False,
        escape=False,
        caption=_tex(caption(summary)),
        label=f"tab:{summary['study']}-main",
        column_format="llll" + "r" * (len(shown.columns) - 4),
        position="t",
    )
    _write(
        folder / "main.tex",
        "% needs \\usepackage{booktabs} and, if the table is too wide, \\usepackage{graphicx}\n" + text,
    )
    write_json(folder / "main.provenance.json", _provenance(summary, config))


def write_runtime(rows: pd.DataFrame, summary: Mapping[str, Any], folder: Path, config: Mapping[str, Any]) -> None:
    """Write `runtime.{csv,md,tex}`: the only table that differs between repetitions."""
    frame = runtime_table(rows)
    words = (
        f"Study {summary['study']}: time and memory of one registration, batch 1, network alone with the copy of the "
        "displacement to the host, first calls discarded, nothing else of the study on the device. Median and "
        "quartiles over test pairs and seeds. Memory is the peak above what was held before: "
        "allocated on a GPU, resident on a CPU."
    )
    _write(folder / "runtime.csv", frame.to_csv(index=False, lineterminator="\n"))
    _write(folder / "runtime.md", f"{words}\n\n{frame.to_markdown(index=False)}\n")
    plain = frame.rename(columns=_tex).map(lambda value: _tex(value) if isinstance(value, str) else value)
    _write(
        folder / "runtime.tex",
        plain.to_latex(index=False, escape=False, caption=_tex(words), label=f"tab:{summary['study']}-runtime"),
    )
    write_json(folder / "runtime.provenance.json", _provenance(summary, config))


def caption(summary: Mapping[str, Any]) -> str:
    """Everything that convention changes, in words."""
    metrics = [METRICS[name] for name in MAIN if any(name in entry["metrics"] for entry in summary["methods"])]
    seeds = len(summary["seeds"])
    datasets = "; ".join(
        f"{name}: {'x'.join(str(n) for n in manifest['shape'])} voxels of "
        f"{' x '.join(f'{mm:g}' for mm in manifest['spacing_mm'])} mm, {len(manifest['labels'])} labels"
        for name, manifest in summary["datasets"].items()
    )
    rule = {
        "dice": "best validation Dice",
        "dice_ndv": f"best validation Dice with NDV at most {summary['ndv_limit_percent']:g} %",
    }[summary["selection"]]
    lines = [
        f"Study {summary['study']} ({datasets}). Mean ± SD over test pairs (ddof 1) of the score averaged over {seeds} "
        f"seed{'s' if seeds > 1 else ''}; lambda chosen by {rule} with the same number of trials in every cell, then "
        f"{summary['steps']} training steps. Labels warped by nearest neighbour; a case's Dice is the mean over its "
        "labels, a label absent before registration is left out, one that vanishes in the warp counts 0."
    ]
    lines += [f"{metric.name} ({metric.unit}, {metric.direction} is better): {metric.definition}" for metric in metrics]
    return " ".join(line if line.endswith(".") else line + "." for line in lines)


def _shown(frame: pd.DataFrame, form: str) -> pd.DataFrame:
    """The frame as text: mean ± SD in one column, best bold, second underlined, per dataset and without identity."""
    shown = (
        frame[["dataset", "model", "similarity", "regularizer"]]
        .fillna(NONE)
        .map(lambda v: _tex(v) if form == "tex" else v)
    )
    shown["lambda"] = [f"{value:.3g}" if np.isfinite(value) else NONE for value in frame["lambda"].astype(float)]
    for name in MAIN:
        if f"{name}_mean" not in frame:
            continue
        metric = METRICS[name]
        title = f"{name} {ARROWS[metric.direction]}"
        marks = _marks(frame, f"{name}_mean", metric.direction)
        cells = []
        for mean, sd, mark in zip(frame[f"{name}_mean"], frame[f"{name}_sd"], marks, strict=True):
            cells.append(_cell(mean, sd, metric.digits, mark, form))
        shown[_tex(title) if form == "tex" else title] = cells
    shown["rank"] = [NONE if pd.isna(value) else str(value) for value in frame["rank"]]
    return shown.rename(columns={"lambda": "$\\lambda$"}) if form == "tex" else shown


def _cell(mean: float, sd: float, digits: int, mark: str, form: str) -> str:
    if not np.isfinite(mean):
        return "failed"
    number = f"{mean:.{digits}f}"
    if form == "tex":
        number = {"best": rf"\textbf{{{number}}}", "second": rf"\underline{{{number}}}"}.get(mark, number)
        return rf"{number} $\pm$ {sd:.{digits}f}"
    number = {"best": f"**{number}**", "second": f"<u>{number}</u>"}.get(mark, number)
    return f"{number} ± {sd:.{digits}f}"


def _marks(frame: pd.DataFrame, column: str, direction: str) -> list[str]:
    """'best' and 'second' by the printed number (ties share the mark), within a dataset, identity left out."""
    marks = [""] * len(frame)
    for _, mine in frame[frame["similarity"].notna()].groupby("dataset"):
        values = sorted(set(mine[column].dropna()), reverse=direction == "higher")[:2]
        for index, value in mine[column].items():
            if value in values and len(set(mine[column].dropna())) > 1:
                marks[int(str(index))] = ("best", "second")[values.index(value)]
    return marks


def _round(value: float | None, metric: str) -> float:
    return float("nan") if value is None else round(value, METRICS[metric].digits)


def _tex(text: str) -> str:
    for plain, escaped in (
        ("%", r"\%"),
        ("_", r"\_"),
        ("&", r"\&"),
        ("±", r"$\pm$"),
        ("↑", r"$\uparrow$"),
        ("↓", r"$\downarrow$"),
        (NONE, "--"),
        ("<=", r"$\leq$"),
        ("lambda", r"$\lambda$"),
    ):
        text = text.replace(plain, escaped)
    return text


def _write(path: Path, text: str) -> None:
    write_text(path, re.sub(r"[ \t]+\n", "\n", text))


def _provenance(summary: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Where every number of a table came from."""
    runs: Sequence[dict[str, Any]] = [
        {
            "dataset": entry["dataset"],
            "method": entry["method"],
            **{key: run[key] for key in ("seed", "lam", "status", "checkpoint_sha256")},
        }
        for entry in summary["methods"]
        for run in entry["runs"]
    ]
    environments = {
        digest(run["environment"]): run["environment"] for entry in summary["methods"] for run in entry["runs"]
    }
    return {
        "study": summary["study"],
        "config": dict(config),
        "config_sha256": digest(dict(config)),
        "seeds": summary["seeds"],
        "data_sha256": {name: manifest["data_sha256"] for name, manifest in summary["datasets"].items()},
        "tables_made_by": provenance.code(),
        "runs_made_by": list(environments.values()),
        "device": sorted({environment["device"] for environment in environments.values()}),
        "runs": runs,
        "warnings": summary["warnings"],
    }

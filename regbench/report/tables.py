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
from regbench.report.text import ARROWS, NONE, Form, cell, escape, exact, marks, plain, write_table

OF_SURFACES = ("hd95_mm", "assd_mm")
MAIN = (
    "dice",
    "hd95_mm",
    "assd_mm",
    "tre_mm",
    "fold_central_percent",
    "fold_foreground_percent",
    "ndv_percent",
    "endpoint_error_mm",
    "endpoint_error_foreground_mm",
)


def main_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """One row a method: lambda, counts, and mean and SD over cases of each metric; numbers rounded for print."""
    rows = []
    for entry in summary["methods"]:
        row = {key: entry[key] for key in ("dataset", "method", "model", "similarity", "regularizer")}
        row["model"] = entry["model"] or entry["method"]
        row["lambda"] = entry["lam"]
        row |= {name: entry.get("values", {}).get(name) for name in searched(summary)}
        row |= {"trials": len(entry["trials"]), "seeds": max(len(entry["runs"]), 1), "pairs": entry["pairs"]}
        row["failed"] = entry["failed_rows"]
        for name in MAIN:
            if name in entry["metrics"]:
                spread = entry["metrics"][name]
                for kind in ("mean", "sd", "seed_sd", "median"):
                    row[f"{name}_{kind}"] = _round(spread[kind], name)
                if name in OF_SURFACES:
                    row[f"{name}_infinite"] = spread["infinite"]
            if name == "dice":
                row["dice30"] = _round(entry["dice30"], "dice30")
        row["rank"] = entry["rank"]
        rows.append(row)
    return exact(pd.DataFrame(rows).astype({"rank": "Int64"}), rows, searched(summary))


def searched(summary: Mapping[str, Any]) -> list[str]:
    """What was searched beside lambda in any cell, in the order of the table."""
    return list(dict.fromkeys(name for entry in summary["methods"] for name in entry.get("values", {})))


def terminal_table(summary: Mapping[str, Any]) -> str:
    """The main table in the width of a terminal: means only, best method first, identity on top."""
    frame = main_table(summary).sort_values(["dataset", "model", "rank"], na_position="first", kind="stable")
    columns = {"dice_mean": "dice", "fold_central_percent_mean": "fold %", "ndv_percent_mean": "NDV %"}
    columns |= {"endpoint_error_foreground_mm_mean": "EPE mm"}
    tuned = searched(summary)
    names = ["dataset", "model", "similarity", "regularizer", "lambda", *tuned, *columns, "failed", "rank"]
    shown = frame[[name for name in names if name in frame]].rename(columns=columns)
    if frame["dataset"].nunique() == 1:
        shown = shown.drop(columns="dataset")
    shown["lambda"] = [NONE if pd.isna(value) else f"{value:.3g}" for value in frame["lambda"]]
    shown["rank"] = [NONE if pd.isna(value) else str(value) for value in frame["rank"]]
    return shown.fillna(NONE).to_string(index=False)


def runtime_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of inference time, batch 1, and peak memory, one row a method."""
    timed = rows.dropna(subset=["inference_seconds"])
    by_method = ["dataset", "method"]
    trainings: dict[Any, float] = (
        rows.groupby([*by_method, "seed"])["training_seconds"].first().groupby(by_method).median().to_dict()
    )
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
                "pipeline_ms_median": round(mine["pipeline_seconds"].median() * 1000, 3),
                "peak_memory_mib_median": round(mine["peak_memory_mib"].median(), 2),
                "parameters": mine["parameters"].iloc[0],
                "training_s_median": round(trainings[dataset, method], 1),
                "device": ", ".join(sorted(set(mine["device"]))),
            }
        )
    frame = pd.DataFrame(found)
    return frame.astype({"parameters": "Int64"}) if found else frame  # a baseline has none


def write_main(summary: Mapping[str, Any], folder: Path, config: Mapping[str, Any]) -> None:
    """Write `main.{csv,md,tex,html}`, the same numbers in long form, and `main.provenance.json`."""
    frame, tuned = main_table(summary), searched(summary)
    alike = _like_best(summary)
    untuned = frame["similarity"].isna()
    last = sum(entry.get("control", False) for entry in summary["methods"])
    ruled = (int(untuned.sum()) - last, last) if frame["dataset"].nunique() == 1 else (0, 0)
    words, study = caption(summary), summary["study"]
    write_table(folder / "main", frame, lambda form: _shown(frame, alike, form, tuned), words, study, ruled=ruled)
    write_text(folder / "main_long.csv", _long(frame).to_csv(index=False, lineterminator="\n"))
    write_json(folder / "main.provenance.json", provenance_of(summary, config))


def write_runtime(rows: pd.DataFrame, summary: Mapping[str, Any], folder: Path, config: Mapping[str, Any]) -> None:
    """Write `runtime.{csv,md,tex,html}`: the only table that differs between repetitions."""
    frame = runtime_table(rows)
    words = (
        f"Study {summary['study']}: time and memory of one registration, batch 1, network alone with the copy of the "
        "displacement to the host, first calls discarded, nothing else of the study on the device. Median and "
        "quartiles over the first test pairs (`pairs` says how many; memory: of the first three) of one seed: others "
        "differ in the values of weights, and no time depends on these. Pipeline: the same call from the prepared "
        "images on disk to the written NIfTI displacement. A baseline is timed as a whole, on the CPU threads that its "
        "row names; fields from files have no time. Training: wall time of a final training, median over seeds; "
        "others may have shared the machine. Memory is the peak above what was held before: "
        "allocated on a GPU, resident on a CPU (of a program that a baseline starts, too)."
    )
    write_table(folder / "runtime", frame, lambda form: plain(frame, form), words, summary["study"])
    write_json(folder / "runtime.provenance.json", provenance_of(summary, config))


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
        "labels, a label absent before registration is left out, one that vanishes in the warp counts 0.",
        "Best of each model bold, second underlined; † not significantly worse than the best (Wilcoxon signed-rank on "
        "pairs, two-sided, Holm over the methods of a metric, 0.05).",
    ]
    if any(entry["metrics"].get(name, {}).get("infinite") for entry in summary["methods"] for name in OF_SURFACES):
        lines.append(
            "Where a label vanished in the warp, its surface distance is infinite: the median over cases is given, and "
            "how many cases are infinite."
        )
    if any(entry["failed_rows"] for entry in summary["methods"]):
        lines.append(
            "Failed: registrations (pairs times seeds) without a result; the means are of the pairs that have one."
        )
    lines += [f"{metric.name} ({metric.unit}, {metric.direction} is better): {metric.definition}" for metric in metrics]
    return " ".join(line if line.endswith(".") else line + "." for line in lines)


def _shown(
    frame: pd.DataFrame, alike: Mapping[tuple[str, str], set[str]], form: Form, tuned: Sequence[str] = ()
) -> pd.DataFrame:
    """The frame as text: mean ± SD in one column; best bold, second underlined, of each model and dataset."""
    shown = plain(frame[["dataset", "model", "similarity", "regularizer"]], form)
    lams = [f"{value:.3g}" if np.isfinite(value) else NONE for value in frame["lambda"].astype(float)]
    shown[escape("λ", form)] = [escape(text, form) for text in lams]
    for name in tuned:
        texts = [_value(value) for value in frame[name]]
        shown[escape(name, form)] = [escape(text, form) for text in texts]
    for name in MAIN:
        if f"{name}_mean" not in frame:
            continue
        metric = METRICS[name]
        found = marks(frame, f"{name}_mean", metric.direction, frame["similarity"].notna())
        cells = []
        for row, mark in zip(frame.to_dict(orient="records"), found, strict=True):
            if row.get(f"{name}_infinite", 0) > 0 and np.isfinite(row[f"{name}_median"]):
                median = f"median {row[f'{name}_median']:.{metric.digits}f} ({row[f'{name}_infinite']:.0f} infinite)"
                cells.append(median)
                continue
            mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
            same = row["method"] in alike.get((row["dataset"], name), ())
            cells.append(cell(mean, sd, metric.digits, form, mark=mark, alike=same))
        shown[escape(f"{name} {ARROWS[metric.direction]}", form)] = cells
    if frame["failed"].any():
        of = frame["pairs"] * frame["seeds"]
        shown["failed"] = [
            f"{lost} of {count}" if lost else "0" for lost, count in zip(frame["failed"], of, strict=True)
        ]
    shown["rank"] = [escape(NONE if pd.isna(value) else str(value), form) for value in frame["rank"]]
    return shown


def _value(value: Any) -> str:
    """A searched value as text; cells that were not searched have none."""
    if pd.isna(value):
        return NONE
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _like_best(summary: Mapping[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Methods that are not significantly worse than the best, by dataset and metric; none where no test could say."""
    found: dict[tuple[str, str], set[str]] = {}
    for dataset, models in summary.get("comparisons", {}).items():
        for metric, entry in ((metric, entry) for metrics in models.values() for metric, entry in metrics.items()):
            like = {row["a"] for row in entry["against_best"] if not row["significant"] and not row["too_few"]}
            found.setdefault((dataset, metric), set()).update(like)
    return found


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a method, metric and statistic."""
    keys = ["dataset", "method", "model", "similarity", "regularizer", "lambda", "trials", "seeds", "pairs"]
    numbers = [name for name in frame if re.fullmatch(rf"({'|'.join(MAIN)})_\w+", str(name))]
    long = frame.melt(keys, numbers, var_name="column", value_name="value")
    parts = long["column"].str.extract(rf"^({'|'.join(sorted(MAIN, key=len, reverse=True))})_(.*)$")
    long.insert(len(keys), "metric", parts[0])
    long.insert(len(keys) + 1, "statistic", parts[1])
    return long.drop(columns="column")


def _round(value: float | None, metric: str) -> float:
    return float("nan") if value is None else round(value, METRICS[metric].digits)


def provenance_of(summary: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
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
        "baselines": [
            {"dataset": entry["dataset"], "method": entry["method"], **entry["baseline"]}
            for entry in summary["methods"]
            if "baseline" in entry
        ],
        "warnings": summary["warnings"],
    }

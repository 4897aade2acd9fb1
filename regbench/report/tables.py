"""Tables as CSV, Markdown and LaTeX from one frame by one rounding rule, each with its provenance."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regbench.metrics import METRICS
from regbench.report import caption as words_of
from regbench.report.against_best import against_best, judged, rank_intervals
from regbench.report.headline import headline
from regbench.report.printed import pieces, printed, rules
from regbench.report.table_format import exact, plain, write_table
from regbench.report.verdict_tables import to_decide
from regbench.system import provenance
from regbench.system.files import digest, write_json, write_text

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
    """One row a method: lambda, counts, mean, SD over cases and over seeds, and verdict of each metric; rounded."""
    rows = []
    standing, intervals = against_best(summary), rank_intervals(summary)
    of_verdicts = {metric for *_, metric, _ in judged(summary)}
    infinite = [name for name in MAIN if name in OF_SURFACES or _any_infinite(summary, name)]
    for entry in summary["methods"]:
        row = {key: entry[key] for key in ("dataset", "method", "model", "similarity", "regularizer")}
        row["model"] = entry["model"] or entry["method"]
        row |= _lambda(entry) | {name: entry.get("values", {}).get(name) for name in searched(summary)}
        row |= {"trials": len(entry["trials"]), "seeds": max(len(entry["runs"]), 1), "pairs": entry["pairs"]}
        row["failed"] = entry["failed_rows"]
        for name in MAIN:
            if name in entry["metrics"]:
                spread = entry["metrics"][name]
                for kind in ("mean", "sd", "seed_sd", "median"):
                    row[f"{name}_{kind}"] = _round(spread[kind], name)
                if name in infinite:
                    row[f"{name}_infinite"] = spread["infinite"]
                if name in of_verdicts:
                    row[f"{name}_verdict"] = standing.get((entry["dataset"], entry["method"], name))
            if name == "dice":
                row["dice30"] = _round(entry["dice30"], "dice30")
        row["rank"] = entry["rank"]
        if of_verdicts:
            row["rank_low"], row["rank_high"] = intervals.get((entry["dataset"], entry["method"]), (None, None))
        rows.append(row)
    frame = pd.DataFrame(rows).astype({"rank": "Int64"})
    if of_verdicts:
        frame = frame.astype({"rank_low": "Int64", "rank_high": "Int64"})
    return exact(frame, rows, searched(summary))


def _lambda(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The lambda of an entry, and where several searches chose one each the ends of their range."""
    lams = [lam for lam in entry.get("lams") or () if lam is not None]
    ends = {"lambda_low": min(lams), "lambda_high": max(lams)} if len(lams) > 1 else {}
    return {"lambda": entry["lam"], **ends}


def _any_infinite(summary: Mapping[str, Any], name: str) -> bool:
    return any(entry["metrics"].get(name, {}).get("infinite") for entry in summary["methods"])


def searched(summary: Mapping[str, Any]) -> list[str]:
    """What was searched beside lambda in any cell, in the order of the table."""
    return list(dict.fromkeys(name for entry in summary["methods"] for name in entry.get("values", {})))


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
    controls = [entry["method"] for entry in summary["methods"] if entry.get("control")]
    write_table(
        folder / "main", frame, lambda form: printed(frame, MAIN, form, tuned), caption(summary), summary["study"],
        ruled=rules(frame, controls), pieces=pieces(frame, MAIN, tuned, controls),
    )  # fmt: skip
    write_text(folder / "main_long.csv", _long(frame).to_csv(index=False, lineterminator="\n"))
    told = {"headline": headline(summary), "to_decide": to_decide(summary)}
    write_json(folder / "main.provenance.json", provenance_of(summary, config) | told)


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
    """Everything that convention changes, and what the marks claim, in words."""
    lines = [words_of.protocol(summary), words_of.marks(summary)]
    if any(_any_infinite(summary, name) for name in MAIN):
        lines.append(
            "Where a label vanished in the warp, its surface distance is infinite: the median over cases is given, and "
            "how many cases are infinite."
        )
    if any(entry["failed_rows"] for entry in summary["methods"]):
        lines.append(
            "Failed: registrations (pairs times seeds) without a result; the means are of the pairs that have one."
        )
    return " ".join([*lines, *words_of.metrics(summary, MAIN)])


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a method, metric and statistic, with the verdict on that metric."""
    keys = ["dataset", "method", "model", "similarity", "regularizer", "lambda", "trials", "seeds", "pairs"]
    names = "|".join(sorted(MAIN, key=len, reverse=True))
    numbers = [name for name in frame if re.fullmatch(rf"({names})_(mean|sd|seed_sd|median|infinite)", str(name))]
    long = frame.melt(keys, numbers, var_name="column", value_name="value")
    parts = long["column"].str.extract(rf"^({names})_(.*)$")
    long.insert(len(keys), "metric", parts[0])
    long.insert(len(keys) + 1, "statistic", parts[1])
    words = {
        (row["dataset"], row["method"], name): row.get(f"{name}_verdict")
        for row in frame.to_dict(orient="records") for name in MAIN
    }  # fmt: skip
    long["verdict"] = [words[key] for key in zip(long["dataset"], long["method"], long["metric"], strict=True)]
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

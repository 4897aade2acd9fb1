"""From rows to a summary: seeds are averaged first, then cases; what failed is counted, not hidden."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from regbench.evaluation.controls import SIMILARITY
from regbench.metrics import METRICS, TIMED, dice30
from regbench.report.caveats import caveats, made_by
from regbench.report.compare_methods import compare_methods, judge_methods
from regbench.report.study_verdicts import Cell
from regbench.statistics import spread
from regbench.study import plan
from regbench.study.config import Config
from regbench.system.errors import RegbenchError
from regbench.system.files import read_json, replacing, write_json

OF_LABEL = ("dice", "hd95_mm", "assd_mm")
OF_TRIAL = ("replicate", "number", "lam", "values", "status", "dice", "ndv_percent", "environment")
OF_RUN = (
    "seed",
    "lam",
    "status",
    "reason",
    "validation",
    "checkpoint_sha256",
    "data_sha256",
    "environment",
    "second_half",
)
KEY = ["dataset", "method", "seed", "fixed", "moving"]


def analyze(config: Config) -> None:
    """Join the rows of all runs (`analysis/rows.parquet`) and summarise every method (`analysis/summary.json`).

    The summary holds nothing that was timed: it is the same in every repetition. Times stand in the rows.
    """
    lay = plan.layout(config)
    frame = joined([lay.pairs(*run) for run in plan.runs(config)])
    timed = pd.concat([pd.read_parquet(lay.runtime(dataset.id)) for dataset in config.datasets], ignore_index=True)
    frame = frame.merge(timed, on=KEY, how="left", validate="one_to_one")
    with replacing(lay.rows) as temporary:
        frame.to_parquet(temporary, index=False)
    known = (*plan.methods(config), *plan.controls(config))
    cells = {method.id: _cell(method) for method in known if method.tuned}
    parts = {(str(dataset), str(method)): part for (dataset, method), part in frame.groupby(["dataset", "method"])}
    # Controls have pairs of their own and are compared with nothing: they are not among the rows.
    parts |= {run[:2]: joined([lay.pairs(*run)]) for run in plan.control_runs(config)}
    trained = {method.model.id: method.needs_training for method in known if method.tuned and method.model}
    manifests = {dataset.id: read_json(lay.manifest(dataset.id)) for dataset in config.datasets}
    entries = [
        _entry(config, dataset.id, method, parts[dataset.id, method.id])
        for dataset in config.datasets
        for method in known
    ]
    write_json(
        lay.summary,
        {
            "study": config.study,
            "description": config.description,
            "seeds": list(config.seeds),
            "selection": config.tuning.selection,
            "ndv_limit_percent": config.tuning.ndv_limit_percent,
            "steps": config.training.steps,
            "datasets": manifests,
            "methods": _ranked(entries),
            "equivalence": config.equivalence,
            "verdicts": {
                str(dataset): judge_methods(part, cells, trained, config.equivalence)
                for dataset, part in frame.groupby("dataset", sort=False)
            },
            "comparisons": {
                str(dataset): compare_methods(part, cells) for dataset, part in frame.groupby("dataset", sort=False)
            },
            "warnings": caveats(entries, manifests, steps=(config.tuning.steps, config.training.steps)),
        },
    )


def joined(paths: list[Path]) -> pd.DataFrame:
    """The rows of all runs; columns that a run lacks (a label that its dataset does not have) are NaN."""
    for path in paths:
        if not path.is_file():
            raise RegbenchError(f"`{path}` must exist, but does not. Evaluate the run, or run Snakemake again.")
    # File by file through pyarrow: of ten thousand small files, pandas spends most of the time on opening them.
    tables = [pq.ParquetFile(path).read(use_threads=False).replace_schema_metadata() for path in paths]
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame


def _cell(method: plan.Method) -> Cell:
    parts = (method.model, method.similarity, method.regularizer)
    model, similarity, regularizer = (part.id if part else plan.IDENTITY for part in parts)
    return model, similarity, regularizer


def _entry(config: Config, dataset: str, method: plan.Method, mine: pd.DataFrame) -> dict[str, Any]:
    lay = plan.layout(config)
    entry: dict[str, Any] = {
        "dataset": dataset,
        "method": method.id,
        "control": method.control,
        "lam": None,
        "edge": False,
        "trials": [],
        "runs": [],
    }
    for kind in ("model", "similarity", "regularizer"):
        component = getattr(method, kind)
        entry[kind] = component.id if component else None
    failed = mine[mine["status"] != "complete"]
    entry |= {
        "pairs": len(mine[["fixed", "moving"]].drop_duplicates()),
        "failed_rows": len(failed),
        "reasons": sorted(set(failed["reason"])),
        "vanished_labels": int(np.nansum(mine["labels_vanished"])),
        "metrics": metrics_of(mine),
        "dice30": dice30(mine.groupby(["fixed", "moving"], sort=False)["dice"].mean().to_list()),
        "structures": _structures(mine, read_json(lay.manifest(dataset))["labels"]),
    }
    columns = {f"{SIMILARITY}{part.id}": part.id for part in config.grid.similarities}
    if method.control or method.id == plan.IDENTITY:
        entry["similarities"] = {name: float(mine[column].mean()) for column, name in columns.items() if column in mine}
    if method.baseline:
        from regbench.models.classical import settings  # noqa: PLC0415  loads torch

        component = method.baseline
        # As rows hold it: what is installed now may be newer than what they were made with.
        made_with = list(mine["software"].dropna()) if "software" in mine else []
        entry["baseline"] = {
            "name": component.name,
            "parameters": settings(component.name, component.parameters),
            "software": json.loads(made_with[0]) if made_with else {},
        }
    if method.tuned:
        entry |= _searches(config, dataset, method.id)
        for seed in plan.seeds(config, method.id):
            record = read_json(lay.run_record(dataset, method.id, seed))
            entry["runs"].append({key: record[key] for key in OF_RUN if key in record})
        entry |= {"trained": method.needs_training, "made_by": made_by(entry)}
        for trial in entry["trials"]:
            trial.pop("environment", None)  # `made_by` has it once
    return entry


def _searches(config: Config, dataset: str, method: str) -> dict[str, Any]:
    """What the searches of a cell tried and chose; `lam` of several is the geometric mean of their choices, `lams`."""
    each = plan.replicates(config, method)
    searches = [read_json(plan.layout(config).selected(dataset, method, replicate)) for replicate in each]
    trials = [
        {"replicate": replicate, **trial}
        for replicate in each
        for path in plan.trial_files(config, dataset, method, replicate=replicate)
        for trial in read_json(path)
    ]
    lams = [chosen["lam"] for chosen in searches]
    known = [lam for lam in lams if lam is not None]
    found = {
        "selected": searches[0],
        "searches": searches,
        "lam": lams[0] if len(lams) == 1 or not known else float(f"{np.exp(np.mean(np.log(known))):.6g}"),
        "lams": lams,
        "edge": any(chosen["edge"] for chosen in searches),
        "trials": [{key: trial[key] for key in OF_TRIAL if key in trial} for trial in trials],
    }
    return found | ({"values": searches[0]["values"]} if searches[0].get("values") else {})


def metrics_of(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Every metric of a method's rows that is the same in each repetition: its mean and spreads."""
    return {
        name: _spread(rows, name)
        for name in METRICS
        if name in rows and name not in timed_columns() and (name == "dice" or rows[name].notna().any())
    }


def timed_columns() -> tuple[str, ...]:
    """What differs between two repetitions of one study."""
    return TIMED


def _spread(rows: pd.DataFrame, metric: str) -> dict[str, float]:
    """Mean and SD over cases (ddof 1) of the seed-averaged score, and the SD over seeds of the mean over cases.

    Where a label vanished, its surface distance and with it the mean are infinite: `infinite` counts such cases, and
    the median is what can be compared.
    """
    table = rows.set_index(["fixed", "moving", "seed"])[metric].unstack("seed", sort=False).to_numpy()
    found = spread(table)
    by_case = table.mean(axis=1)
    by_case = by_case[~np.isnan(by_case)]
    return {
        "mean": found.mean,
        "sd": found.sd,
        "seed_sd": found.seed_sd,
        "median": float(np.median(by_case)) if len(by_case) else np.nan,
        "infinite": int(np.isinf(by_case).sum()),
        "cases": found.cases,
    }


def _structures(rows: pd.DataFrame, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Mean and SD over cases of the metrics of each label; cases without the label are not counted."""
    found = []
    wanted = [f"{metric}_{label}" for metric in OF_LABEL for label in labels]
    by_case = rows.groupby(["fixed", "moving"], sort=False)[[name for name in wanted if name in rows]].mean()
    for label, name in sorted(labels.items(), key=lambda item: int(item[0])):
        entry: dict[str, Any] = {"label": int(label), "name": name}
        for metric in OF_LABEL:
            if f"{metric}_{label}" in by_case:
                values = by_case[f"{metric}_{label}"].to_numpy()
                finite = values[np.isfinite(values)]
                entry[f"{metric}_mean"] = float(finite.mean()) if len(finite) else np.nan
                entry[f"{metric}_sd"] = float(finite.std(ddof=1)) if len(finite) > 1 else np.nan
                entry |= {f"{metric}_cases": len(finite), f"{metric}_vanished": int(np.isinf(values).sum())}
        found.append(entry)
    return found


def _ranked(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rank 1 is the highest mean Dice of its dataset and model; `identity`, baselines and failed cells have none.

    Models are ranked apart: an optimisation of each pair says which loss is best for it, not that networks are worse.
    """
    tuned = [entry for entry in entries if entry["similarity"] is not None]
    for dataset, model in {(entry["dataset"], entry["model"]) for entry in entries}:
        scores = {
            entry["method"]: entry["metrics"]["dice"]["mean"]
            for entry in tuned
            if (entry["dataset"], entry["model"]) == (dataset, model)
        }
        order = sorted((name for name, score in scores.items() if np.isfinite(score)), key=lambda name: -scores[name])
        for entry in entries:
            if (entry["dataset"], entry["model"]) == (dataset, model):
                entry["rank"] = order.index(entry["method"]) + 1 if entry["method"] in order else None
    return entries

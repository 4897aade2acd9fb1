"""From rows to a summary: seeds are averaged first, then cases; what failed is counted, not hidden."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from regbench.report.caveats import caveats
from regbench.report.compare_methods import compare_methods, judge_methods
from regbench.report.lambda_transfers import lambda_transfers
from regbench.report.looked import look_entries, looks_at
from regbench.report.method_entries import method_entry, pooled_entry
from regbench.report.pooling import merged_warnings, pooled_manifest, pooled_rows, with_pools
from regbench.report.read_rows import joined
from regbench.report.study_verdicts import GridCell
from regbench.report.summary_file import Goals, Manifest, MethodEntry, Summary, number
from regbench.report.trade_offs import trade_off_caveats, trade_offs
from regbench.report.transfers import transfer_entries
from regbench.study.frozen import kept, not_kept
from regbench.study.goals import default_goal, is_higher_better, leading
from regbench.study.job_specs import objective_spec, selection_spec
from regbench.study.layout import IDENTITY
from regbench.study.methods import Method, Study
from regbench.study.prepared_for import check_prepared_for
from regbench.study.specs import PrepareSpec
from regbench.system.files import read_sealed, write_json, write_sealed
from regbench.system.parquet import read_table, write_table

KEY = ["dataset", "method", "seed", "fixed", "moving"]


def analyze(study: Study) -> None:
    """Join the rows of all runs (`analysis/rows.parquet`) and summarise every method (`analysis/summary.json`).

    The summary holds nothing that was timed: it is the same in every repetition. The rows hold the times.

    Raises:
        RegbenchError: if the prepared data are of another config, or a file is missing or damaged.
    """
    lay = study.layout
    for dataset in study.config.datasets:
        stored = read_sealed(lay.manifest(dataset.id)).get("spec")
        check_prepared_for(study, dataset.id, PrepareSpec.from_json(stored))
    rows = rows_of(study)
    write_table(lay.rows, rows)
    summary = summarised(study, rows)
    if any(study.transfers()):
        transfers = transfer_rows_of(study)
        write_table(lay.transfer_rows, transfers)
        summary["transfers"] = transfer_entries(study, rows, transfers)
    if study.config.curve is not None:
        curve_rows = curve_rows_of(study)
        write_table(lay.curve_rows, curve_rows)
        summary["trade_offs"] = trade_offs(study, summary, rows, curve_rows)
        summary["warnings"] = [*summary["warnings"], *trade_off_caveats(summary)]
    if "lambda_transfer" in study.optional_tables:
        summary["lambda_transfers"] = lambda_transfers(summary["methods"])
    write_sealed(lay.summary, summary)


def note_drawn(study: Study) -> None:
    """Note time and size of each file that the report draws (`state/drawn.json`), for Snakemake.

    It hashes every input of a job once for each of its outputs: the report has sixty, and would have all these files.
    One that is missing is left out: Snakemake makes it, and the note with it.
    """
    root = study.layout.root
    stats = {path.relative_to(root).as_posix(): path.stat() for path in study.drawn_files() if path.is_file()}
    write_json(study.layout.drawn, {name: [stat.st_mtime_ns, stat.st_size] for name, stat in stats.items()})


def rows_of(study: Study) -> pd.DataFrame:
    """The rows of all runs of a study, with their times."""
    lay = study.layout
    rows = joined([lay.pairs(*run) for run in study.runs()])
    by_dataset = [read_table(lay.runtime(dataset.id)) for dataset in study.config.datasets]
    return rows.merge(pd.concat(by_dataset, ignore_index=True), on=KEY, how="left", validate="one_to_one")


def transfer_rows_of(study: Study) -> pd.DataFrame:
    """The rows of all runs on data that they were not trained on."""
    return joined([study.layout.transfer(*cell) for cell in study.transfers()])


def curve_rows_of(study: Study) -> pd.DataFrame:
    """The rows of the further points of all curves."""
    points = list(study.curve_points())
    return joined([study.layout.curve_pairs(*point) for point in points], [point[-1] for point in points])


def summarised(study: Study, rows: pd.DataFrame) -> Summary:
    """The summary of a study, from the rows of all its methods; those of the controls are read here.

    Controls have pairs of their own and are compared with nothing, so they are not among the rows.
    """
    lay = study.layout
    known = (*study.methods, *study.controls)
    compared = [method for method in known if method.cell]
    cells = {method.id: grid_cell(method) for method in compared}
    trained = {method.model.id: method.has_weights for method in compared if method.model}
    by_method = {(str(dataset), str(method)): part for (dataset, method), part in rows.groupby(["dataset", "method"])}
    by_method |= {run[:2]: joined([lay.pairs(*run)]) for run in study.control_runs()}
    by_dataset = {str(dataset): part for dataset, part in rows.groupby("dataset", sort=False)}
    by_dataset |= {pool.id: pooled_rows(rows, pool) for pool in study.pools}
    by_dataset = {name: by_dataset[name] for name in with_pools(study)}
    prepared: dict[str, Manifest] = {
        dataset.id: read_sealed(lay.manifest(dataset.id)) for dataset in study.config.datasets
    }
    pooled = {pool.id: pooled_manifest(pool, prepared) for pool in study.pools}
    manifests = {name: (prepared | pooled)[name] for name in with_pools(study)}
    goals = {name: goals_of(study, manifest["references"]) for name, manifest in manifests.items()}
    by_key = {
        (dataset.id, method.id): method_entry(
            study, dataset.id, method, by_method[dataset.id, method.id], goals[dataset.id]["leading"]
        )
        for dataset in study.config.datasets
        for method in known
    }
    warnings = caveats(
        list(by_key.values()),
        prepared,
        goals,
        steps=(study.config.tuning.steps, study.config.training.steps),
        masks_used=study.uses_masks,
        fairness=study.config.tuning.fairness,
    )
    for pool, method in product(study.pools, known):
        folds = pd.concat([by_method[fold, method.id] for fold in pool.folds], ignore_index=True)
        by_key[pool.id, method.id] = pooled_entry(
            study,
            (pool.id, manifests[pool.id]["labels"]),
            pooled_rows(folds, pool),
            goals[pool.id]["leading"],
            [by_key[fold, method.id] for fold in pool.folds],
        )
    entries = [by_key[dataset, method.id] for dataset in manifests for method in known]
    summary: Summary = {
        "study": study.name,
        "description": study.config.description,
        "seeds": list(study.config.seeds),
        "replicates": study.config.tuning.replicates,
        "goals": goals,
        "limited": selection_spec(study).limited,
        "ndv_limit_percent": study.config.tuning.ndv_limit_percent,
        "nsd_tolerance_mm": study.config.evaluation.nsd_tolerance_mm,
        "steps": study.config.training.steps,
        "datasets": manifests,
        "methods": ranked(entries, {name: goal["leading"] for name, goal in goals.items()}),
        "equivalence": study.config.equivalence,
        "verdicts": {
            dataset: judge_methods(
                part,
                cells,
                trained,
                study.config.equivalence,
                goals[dataset],
                looks=looks_at(study, dataset, trained),
            )
            for dataset, part in by_dataset.items()
        },
        "comparisons": {dataset: compare_methods(part, cells, goals[dataset]) for dataset, part in by_dataset.items()},
        "warnings": merged_warnings(warnings, study.pools),
    }
    if study.config.looks is not None:
        summary["looks"] = list(look_entries(study))
    if any(entry.get("terms") for entry in entries):
        tuning = study.config.tuning
        summary["budget"] = {"fairness": tuning.fairness, "trials": tuning.trials}
    if study.redraws:
        summary["splits"] = study.config.tuning.splits
    if study.pools:
        summary["pools"] = {pool.id: list(pool.folds) for pool in study.pools}
        if deals := {pool.id: pool.repeats for pool in study.pools if pool.repeats > 1}:
            summary["deals"] = deals
    if (registration := kept(study)) is not None:
        summary["frozen"] = registration
        summary["warnings"] = [*not_kept(registration), *summary["warnings"]]
    if study.uses_masks:
        training, evaluation = study.config.training, study.config.evaluation
        summary["masks"] = {
            "training": training.mask,
            "regularizer": training.mask_regularizer,
            "evaluation": evaluation.mask,
        }
    return summary


def goals_of(study: Study, references: Mapping[str, Sequence[str]]) -> Goals:
    """What a dataset was searched, chosen and is told by.

    Args:
        study: with the dataset.
        references: of its manifest.
    """
    objective, selection = (
        list(goal.metrics or default_goal(references["validation"] or references["test"]))
        for goal in (objective_spec(study), selection_spec(study))
    )
    declared = objective_spec(study).metrics
    return {"objective": objective, "selection": selection, "leading": leading(declared, references["test"])}


def ranked(entries: list[MethodEntry], by: Mapping[str, str]) -> list[MethodEntry]:
    """The entries with their ranks: 1 is the best mean of a dataset and model.

    Args:
        entries: of methods.
        by: the metric of each dataset.

    `identity`, baselines and failed cells have none. Models are ranked apart: an optimisation of each pair says which
    loss is best for it, not that networks are worse.
    """
    groups: dict[tuple[str, str | None], dict[str, float]] = {}
    for entry in entries:
        score = _merit(entry, by[entry["dataset"]])
        if entry["similarity"] is not None and np.isfinite(score):
            groups.setdefault((entry["dataset"], entry["model"]), {})[entry["method"]] = score
    orders = {key: sorted(scores, key=lambda name: -scores[name]) for key, scores in groups.items()}
    ranks = {
        (dataset, method): place for (dataset, _), order in orders.items() for place, method in enumerate(order, 1)
    }
    return [{**entry, "rank": ranks.get((entry["dataset"], entry["method"]))} for entry in entries]


def _merit(entry: MethodEntry, metric: str) -> float:
    """The mean of a method, turned so that higher is better; NaN where it has none."""
    spread = entry["metrics"].get(metric)
    return (1 if is_higher_better(metric) else -1) * number(spread["mean"] if spread else None)


def grid_cell(method: Method) -> GridCell:
    """The place of a method in the grid."""
    components = (method.model, method.similarity, method.regularizer)
    model, similarity, regularizer = (part.id if part else IDENTITY for part in components)
    return GridCell(model, similarity, regularizer)

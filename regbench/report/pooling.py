"""Folds pooled: the test pairs of all folds as those of one dataset, whose rows stand before the rows of each fold."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from regbench.metrics import TIMED
from regbench.report.summary_file import Manifest
from regbench.study.methods import Study
from regbench.study.pools import Pool
from regbench.system.files import digest

FOLD = "fold"  # column of pooled rows: the dataset of the fold that tested a pair
DEAL = "deal"  # column of pooled rows, where the folds were dealt several times: which of them
SPLITS = ("train", "validation", "test")


def with_pools(study: Study) -> list[str]:
    """The ids of all datasets, each pool before its folds."""
    first = {pool.folds[0]: pool.id for pool in study.pools}
    ids = [dataset.id for dataset in study.config.datasets]
    return [name for dataset in ids for name in (first.get(dataset), dataset) if name]


def pooled_rows(rows: pd.DataFrame, pool: Pool) -> pd.DataFrame:
    """The rows of all folds under the name of the pool, with a column `fold`.

    Where all pairs of a training failed, that method and seed has no number in any fold: the pairs of the other folds
    would be other pairs than those of other methods.

    Args:
        rows: of a study.
        pool: of its folds.
    """
    parts = rows[rows["dataset"].isin(pool.folds)]
    pooled = with_folds(parts, pool).assign(dataset=pool.id).reset_index(drop=True)
    lost = (
        (pooled["status"] != "complete").groupby([pooled[name] for name in ("method", "seed", FOLD)]).transform("all")
    )
    unknown = lost.groupby([pooled[name] for name in ("method", "seed")]).transform("any")
    scores = [name for name in pooled.select_dtypes("float") if name not in TIMED]
    pooled.loc[unknown, scores] = np.nan
    return pooled


def with_folds(rows: pd.DataFrame, pool: Pool) -> pd.DataFrame:
    """Rows with the column `fold`, and `deal` where there are several; their `dataset` is that of their fold."""
    marked = rows.assign(**{FOLD: rows["dataset"]})
    if pool.repeats == 1:
        return marked
    deals = {fold: number // pool.of_one_deal for number, fold in enumerate(pool.folds)}
    return marked.assign(**{DEAL: rows["dataset"].map(deals)})


def case_of(rows: pd.DataFrame) -> list[str]:
    """The columns that name a case: of several deals each may test a pair, by trainings of its own."""
    return ["fixed", "moving", *([FOLD] if FOLD in rows else [])]


def pooled_manifest(pool: Pool, manifests: Mapping[str, Manifest]) -> Manifest:
    """What the manifests of the folds say of all of them; subjects train in some folds and are tested in one.

    Args:
        pool: of the folds.
        manifests: of all datasets.
    """
    parts = [manifests[fold] for fold in pool.folds]
    first = parts[0]
    tested = [*dict.fromkeys(subject for part in parts for subject in part.get("splits", {}).get("test", ()))]
    masked = {subject for part in parts for subject in part.get("masked", ())}
    manifest: Manifest = {
        "shape": first["shape"],
        "spacing_mm": first["spacing_mm"],
        "labels": {label: name for part in parts for label, name in part["labels"].items()},
        "splits": {"train": [], "validation": [], "test": tested},
        "pairs": {"test": [pair for part in parts for pair in part.get("pairs", {}).get("test", ())]},
        "references": {split: _common([part["references"].get(split, []) for part in parts]) for split in SPLITS},
        "subjects": first.get("subjects", []),
        "data_sha256": digest([part["data_sha256"] for part in parts]),
    }
    if masked:
        manifest["masked"] = sorted(masked)
    return manifest


def _common(references: Sequence[Sequence[str]]) -> list[str]:
    """What the pairs of every fold can be scored by."""
    return [name for name in references[0] if all(name in other for other in references)]


def merged_warnings(warnings: Sequence[str], pools: Sequence[Pool]) -> list[str]:
    """Warnings with one that all folds have said once, of the pool."""
    merged = dict.fromkeys(warnings)
    for pool in pools:
        for warning in warnings:
            sentence = warning.removeprefix(f"{pool.folds[0]}: ")
            each = [f"{fold}: {sentence}" for fold in pool.folds]
            if sentence != warning and all(one in merged for one in each):
                merged = dict.fromkeys(
                    f"{pool.id}, in each fold: {sentence}" if one == each[0] else one
                    for one in merged
                    if one not in each[1:]
                )
    return list(merged)

"""Folds pooled: what a failed training does to the rows of all, what the folds say together, and what is said once."""

import numpy as np
import pandas as pd
import pytest

from regbench.report.method_entries import metric_spread
from regbench.report.pooling import merged_warnings, pooled_manifest, pooled_rows
from regbench.report.study_verdicts import GridCell, study_verdicts
from regbench.study.pools import Pool

POOL = Pool("brains", ("brains_fold0", "brains_fold1", "brains_fold2"))
CELLS = {name: GridCell("m", name.partition(".")[2], "l2") for name in ("m.lcc", "m.mse")}


def rows_of(failed=()):
    """Two methods and `identity`, two seeds, three folds of two pairs; `failed` holds (method, seed, fold)."""
    random = np.random.default_rng(0)
    rows = []
    for method in ("identity", *CELLS):
        for seed in (0, 1) if method != "identity" else (0,):
            for fold in range(3):
                for pair in ("ab", "ba"):
                    lost = (method, seed, fold) in failed
                    rows.append({
                        "dataset": POOL.folds[fold], "method": method, "seed": seed, "replicate": 0,
                        "fixed": f"{pair[0]}{fold}", "moving": f"{pair[1]}{fold}",
                        "dice": np.nan if lost else random.normal(0.5, 0.1), "status": "failed" if lost else "complete",
                    })  # fmt: skip
    return pd.DataFrame(rows)


def test_rows_of_all_folds_have_the_name_of_the_pool_and_their_fold():
    rows = rows_of()
    other = rows.assign(dataset="other")
    pooled = pooled_rows(pd.concat([rows, other], ignore_index=True), POOL)
    assert len(pooled) == len(rows)
    assert set(pooled["dataset"]) == {"brains"}
    assert pooled["fold"].tolist() == rows["dataset"].tolist()
    assert pooled["dice"].tolist() == rows["dice"].tolist()


def test_a_training_that_failed_in_one_fold_has_no_number_in_any():
    pooled = pooled_rows(rows_of(failed=[("m.lcc", 1, 2)]), POOL)
    lost = pooled[(pooled["method"] == "m.lcc") & (pooled["seed"] == 1)]
    assert lost["dice"].isna().all()
    assert (lost["status"] != "complete").sum() == 2
    assert pooled.drop(lost.index)["dice"].notna().all()
    found = study_verdicts(pooled, "dice", list(CELLS), cells=CELLS, trained=True)
    assert [(c["verdict"], c["reason"]) for c in found["pairs"]] == [("undecided", "m.lcc failed in 1 of 2 runs")]


def test_a_metric_that_a_fold_lacks_decides_nothing():
    """Of two folds nobody would see how far folds differ, and of three with one lost the interval had no part of it."""
    rows = rows_of()
    rows.loc[rows["dataset"] == POOL.folds[1], "dice"] = np.nan
    found = study_verdicts(pooled_rows(rows, POOL), "dice", list(CELLS), cells=CELLS, trained=True)
    assert [(c["verdict"], c["reason"]) for c in found["pairs"]] == [("undecided", "no number in 1 of 3 folds")]


def test_a_pair_that_failed_is_left_out_alone():
    rows = rows_of()
    rows.loc[3, ["dice", "status"]] = np.nan, "failed"
    assert pooled_rows(rows, POOL)["dice"].isna().sum() == 1


def test_verdicts_know_the_folds_of_pooled_rows():
    pooled = study_verdicts(pooled_rows(rows_of(), POOL), "dice", list(CELLS), cells=CELLS, trained=True)
    plain = study_verdicts(rows_of(), "dice", list(CELLS), cells=CELLS, trained=True)
    rows = rows_of().set_index(["method", "seed", "fixed", "moving"])
    means = (rows.loc["m.lcc", "dice"] - rows.loc["m.mse", "dice"]).groupby(rows.loc["m.lcc", "dataset"]).mean()
    assert pooled["pairs"][0]["se_folds"] == pytest.approx(np.sqrt((1 / 3 + 1) * means.var(ddof=1)))
    assert "se_folds" not in plain["pairs"][0]
    assert "Pooled over 3 folds" in pooled["claim"]
    assert "Pooled" not in plain["claim"]


def test_a_pair_that_several_deals_test_is_a_case_of_each():
    """Two deals of the three folds, with the same pairs: as many cases again, a part of the folds' own."""
    pool = Pool("brains", (*POOL.folds, *(f"again{fold}" for fold in range(3))), repeats=2)
    rows = rows_of()
    again = rows.assign(dataset=["again" + name[-1] for name in rows["dataset"]], dice=rows["dice"] + 0.1)
    pooled = pooled_rows(pd.concat([rows, again], ignore_index=True), pool)
    assert pooled.groupby("fold")["deal"].unique().map(list).to_dict() == {
        name: [number // 3] for number, name in enumerate(pool.folds)
    }
    found = study_verdicts(pooled, "dice", list(CELLS), cells=CELLS, trained=True)
    assert [(c["n"], c["subjects"]) for c in found["pairs"]] == [(12, 6)]
    assert (found["scope"], found["noise"]["deals"]) == ("splits", 2)
    assert "they carry 2 deals of the folds, 1 search and 2 trainings a cell in each fold" in found["claim"]
    assert "Pooled over 6 folds, 3 of each deal" in found["claim"]
    once = study_verdicts(pooled_rows(rows, POOL), "dice", list(CELLS), cells=CELLS, trained=True)
    assert "deals" not in once["noise"]
    spread = metric_spread(pooled[pooled["method"] == "m.lcc"], "dice")
    assert spread["cases"] == 12
    assert spread["mean"] == pytest.approx(rows[rows["method"] == "m.lcc"]["dice"].mean() + 0.05)


def manifest(number, **changes):
    return {
        "shape": [8, 8], "spacing_mm": [1.0, 1.0], "labels": {"1": "a"}, "data_sha256": str(number),
        "splits": {"train": ["x"], "validation": ["y"], "test": [f"a{number}", f"b{number}"]},
        "pairs": {"test": [[f"a{number}", f"b{number}"]], "validation": []},
        "references": {"train": [], "validation": ["labels"], "test": ["labels", "landmarks"]}, **changes,
    }  # fmt: skip


def test_a_pool_is_tested_on_the_subjects_of_all_folds():
    parts = {name: manifest(number) for number, name in enumerate(POOL.folds)}
    parts["brains_fold1"] = manifest(1, labels={"2": "b"}, references={"validation": [], "test": ["labels"]})
    pooled = pooled_manifest(POOL, parts)
    assert pooled["splits"] == {"train": [], "validation": [], "test": ["a0", "b0", "a1", "b1", "a2", "b2"]}
    assert pooled["pairs"]["test"] == [["a0", "b0"], ["a1", "b1"], ["a2", "b2"]]
    assert pooled["labels"] == {"1": "a", "2": "b"}
    assert pooled["references"] == {"train": [], "validation": [], "test": ["labels"]}
    twice = Pool("brains", (*POOL.folds, "again"), repeats=2)
    assert pooled_manifest(twice, {**parts, "again": manifest(0)})["splits"]["test"] == pooled["splits"]["test"]
    assert pooled["data_sha256"] != pooled_manifest(POOL, parts | {"brains_fold1": manifest(7)})["data_sha256"]


def test_what_all_folds_say_is_said_once():
    each = [f"{fold}: 5 test subjects" for fold in POOL.folds]
    assert merged_warnings(["first", *each, "last"], [POOL]) == [
        "first",
        "brains, in each fold: 5 test subjects",
        "last",
    ]
    assert merged_warnings(each[:2], [POOL]) == each[:2]
    assert merged_warnings(each, []) == each

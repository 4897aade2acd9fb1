"""`regbench verdicts` on tables of others: published numbers, spreadsheets, and what may be wrong with them."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_study import ROOT

from regbench.cli.main import main
from regbench.report.row_verdicts import text, verdicts_of_rows
from regbench.system.errors import UsageError

IXI = ROOT.parent / "shared" / "data" / "ixi_published" / "percase_long.csv.gz"


def table(seeds=(0, 1, 2), shift=0.05, cases=10):
    random = np.random.default_rng(0)
    base = random.uniform(0.6, 0.8, cases)
    return pd.DataFrame(
        {"method": method, "case": f"c{case}", "seed": seed, "dice": base[case] + k * shift + random.normal(0, 0.003)}
        for k, method in enumerate(("ours", "theirs"))
        for seed in seeds
        for case in range(cases)
    )


def judged(rows, folder, **how):
    path = folder / "rows.csv"
    rows.to_csv(path, index=False)
    return verdicts_of_rows(path, how.pop("metric", "dice"), **how)


@pytest.mark.skipif(not IXI.exists(), reason="../shared/data/ixi_published is not here")
def test_the_published_ixi_cases(tmp_path, capsys):
    long = pd.read_csv(IXI)
    dice = long[long["structure_or_metric"] != "fold_percent"].groupby(["method", "subject"])["value"].mean()
    rows = dice.rename("dice").reset_index().rename(columns={"subject": "case"})
    rows.to_csv(tmp_path / "ixi.csv", index=False)
    out = tmp_path / "verdicts.json"
    main(["verdicts", str(tmp_path / "ixi.csv"), "--metric", "dice", "--equivalence", "0.005", "--json", str(out)])
    assert "nothing is claimed about trainings" in capsys.readouterr().out
    found = json.loads(out.read_text())
    said = {frozenset((pair["a"], pair["b"])): pair for pair in found["pairs"]}
    assert said[frozenset(("TransMorph", "TransMorph-Bayes"))]["verdict"] == "equal"
    assert said[frozenset(("VoxelMorph-1", "VoxelMorph-2"))]["verdict"] == "equal"
    assert said[frozenset(("deedsBCV", "VoxelMorph-2"))]["verdict"] == "undecided"
    midir = said[frozenset(("TransMorph", "MIDIR"))]
    assert midir["verdict"] == ("better" if midir["a"] == "TransMorph" else "worse")
    assert len(found["pairs"]) == 18 * 17 / 2
    assert found["scope"] == "networks"


def test_rows_of_several_trainings_carry_them(tmp_path):
    found = judged(table(), tmp_path, equivalence=0.01)
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"], pair["verdict"], pair["runs"]) == ("ours", "theirs", "worse", 3)
    assert found["scope"] == "lambdas"
    assert "3 trainings" in found["claim"]
    assert [part["source"] for part in found["components"]["difference"]] == ["seed", "subject", "residual"]
    assert [entry["method"] for entry in found["methods"]] == ["theirs", "ours"]


def test_searches_are_told_by_a_column(tmp_path):
    rows = table(seeds=(0, 1, 2, 3))
    found = judged(rows.assign(replicate=rows["seed"] // 2), tmp_path)
    assert (found["scope"], found["noise"]["replicates"], found["pairs"][0]["runs"]) == ("tuning", 2, 2)


def test_splits_are_told_by_a_column_and_searches_may_be_counted_in_each(tmp_path):
    rows = table(seeds=(0, 1, 2, 3))
    rows = rows.assign(split=rows["seed"] // 2, replicate=rows["seed"] % 2)
    found = judged(rows, tmp_path)
    assert (found["scope"], found["noise"]["splits"], found["noise"]["replicates"]) == ("splits", 2, 4)
    assert found["pairs"][0]["runs"] == 2
    assert [part["source"] for part in found["components"]["score"]] == [
        "split", "tuning + seed", "subject", "residual"
    ]  # fmt: skip
    assert "2 draws of these, 4 independent searches a cell" in found["claim"]


def test_a_baseline_needs_no_search(tmp_path):
    """Its rows have no `replicate`, and its seed is one of theirs."""
    rows = table(seeds=(0, 1, 2, 3))
    rows = rows.assign(replicate=rows["seed"] // 2)
    whole = judged(rows, tmp_path)
    once = rows[(rows["method"] == "ours") | (rows["seed"] == 0)]
    found = judged(once.assign(replicate=once["replicate"].where(once["method"] == "ours")), tmp_path)
    assert (found["scope"], found["noise"]["replicates"]) == ("tuning", 2)
    assert found["noise"] == whole["noise"]


def test_a_method_with_fewer_trainings_is_said(tmp_path):
    rows = table()
    found = judged(rows[(rows["method"] == "ours") | (rows["seed"] == 0)], tmp_path)
    assert "they carry" not in found["claim"]
    assert "Claims carry 1 to 3 trainings and the test subjects" in found["claim"]
    assert "Of a method with one training nothing is claimed about trainings" in found["claim"]
    assert "10 cases of 10 subjects, 1 to 3 trainings each" in text(found)
    two = judged(rows[(rows["method"] == "ours") | (rows["seed"] < 2)], tmp_path)
    assert "Claims carry 2 to 3 trainings" in two["claim"]
    assert "one training" not in two["claim"]
    assert "3 trainings each" in text(judged(rows, tmp_path))
    assert "1 training each" in text(judged(table(seeds=(0,)), tmp_path))


@pytest.mark.parametrize("ending", ["csv", "parquet", "semicolons", "tabs"])
def test_every_form_of_a_table_says_the_same(tmp_path, ending):
    rows, path = table(), tmp_path / f"rows.{ending if ending == 'parquet' else 'csv'}"
    if ending == "parquet":
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False, sep={"semicolons": ";", "tabs": "\t"}.get(ending, ","), encoding="utf-8-sig")
    assert verdicts_of_rows(path, "dice")["pairs"] == judged(rows, tmp_path)["pairs"]


def test_pairs_that_share_subjects_are_no_independent_cases(tmp_path):
    rows = table(seeds=(0,), cases=20)
    names = [(a, b) for a in "abcde" for b in "abcde" if a != b]
    pairs = pd.DataFrame(names, columns=["fixed", "moving"])
    rows = pd.concat([rows, pd.concat([pairs, pairs], ignore_index=True)], axis=1)
    assert judged(rows, tmp_path)["pairs"][0]["subjects"] == 5
    assert judged(rows.drop(columns=["fixed", "moving"]), tmp_path)["pairs"][0]["subjects"] == 20


def test_an_unknown_metric_needs_a_direction(tmp_path):
    rows = table().rename(columns={"dice": "mine"})
    with pytest.raises(UsageError, match="--direction"):
        judged(rows, tmp_path, metric="mine")
    up, down = (judged(rows, tmp_path, metric="mine", direction=which)["pairs"][0] for which in ("higher", "lower"))
    assert (up["verdict"], down["verdict"]) == ("worse", "better")


def test_a_metric_of_ours_knows_its_direction(tmp_path):
    rows = table().rename(columns={"dice": "hd95_mm"})
    assert judged(rows, tmp_path, metric="hd95_mm")["pairs"][0]["verdict"] == "better"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.assign(dice=0.5), "no spread"),
        (lambda rows: rows[rows["case"] == "c0"], "1 case"),
        (lambda rows: rows.assign(fixed="a", moving="b", case=None).drop_duplicates(["method", "seed"]), "1 case"),
        (lambda rows: rows.assign(dice=rows["dice"].where(rows["method"] == "ours")), "theirs failed"),
        (lambda rows: rows.assign(dice=rows["dice"].where(rows["case"] != "c3", np.inf)), "infinite in 1 of 10"),
    ],
)
def test_what_cannot_be_judged_is_undecided(tmp_path, change, reason):
    found = judged(change(table()), tmp_path, equivalence=0.01)
    assert found["pairs"][0]["verdict"] == "undecided"
    assert reason in found["pairs"][0]["reason"]
    assert reason in text(found)


@pytest.mark.parametrize(
    ("change", "how", "words"),
    [
        (lambda rows: rows.drop(columns="method"), {}, "column `method`"),
        (lambda rows: rows.drop(columns="case"), {}, "column `case` (or `fixed` and `moving`)"),
        (lambda rows: rows, {"metric": "Dice", "direction": "higher"}, "did you mean `dice`"),
        (lambda rows: rows.assign(replicate=rows["method"]), {}, "but seed 0 is of several"),
        (lambda rows: pd.concat([rows, rows[:1]]), {}, "method ours, seed 0, case c0 stands twice"),
        (lambda rows: rows.assign(dice=rows["dice"].astype(object).where(rows.index != 4, "n/a?")), {}, "row 5"),
        (lambda rows: rows.assign(case=rows["case"].where(rows.index != 2)), {}, "row 3"),
        (lambda rows: rows[rows["method"] == "ours"], {}, "at least two methods"),
        (lambda rows: rows[:0], {}, "at least two methods"),
        (lambda rows: rows.assign(dataset=["x", "y"] * 30), {}, "--dataset"),
        (lambda rows: rows.assign(dataset="oasis"), {"dataset": "oasi"}, "did you mean `oasis`"),
        (lambda rows: rows, {"equivalence": -0.1}, "--equivalence must be a positive number"),
        (lambda rows: rows, {"equivalence": 0.0}, "--equivalence must be a positive number"),
        (lambda rows: rows, {"equivalence": 1.0}, "less than the whole range of dice"),
        (lambda rows: rows, {"equivalence": float("nan")}, "--equivalence"),
        (lambda rows: rows, {"alpha": 1.5}, "--alpha"),
    ],
)
def test_a_table_or_an_argument_that_makes_no_sense_is_named(tmp_path, change, how, words):
    with pytest.raises(UsageError) as caught:
        judged(change(table()), tmp_path, **how)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"PAR1"])
def test_a_file_that_is_no_table_is_named(tmp_path, content):
    for name in ("rows.csv", "rows.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=name):
            verdicts_of_rows(tmp_path / name, "dice")
    with pytest.raises(UsageError, match="nowhere"):
        verdicts_of_rows(tmp_path / "nowhere.csv", "dice")


def test_one_dataset_of_several_can_be_chosen(tmp_path):
    rows = pd.concat([table().assign(dataset="x"), table(shift=-0.05).assign(dataset="y")])
    said = [judged(rows, tmp_path, dataset=name)["pairs"][0]["verdict"] for name in "xy"]
    assert said == ["worse", "better"]


def test_a_mean_over_fewer_cases_says_so(tmp_path):
    rows = table(seeds=(0,))
    rows.loc[(rows["method"] == "ours") & (rows["case"] == "c1"), "dice"] = np.nan
    missing = (rows["method"] == "ours") & (rows["case"] == "c2")
    found = text(judged(rows[~missing], tmp_path))
    assert "(mean of 8 of 10 cases: the others have no number)" in found
    assert "of 10 cases" not in text(judged(table(seeds=(0,)), tmp_path))

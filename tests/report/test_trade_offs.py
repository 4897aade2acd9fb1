"""A study with `curve`, from its files to the summary, the tables and the page; no training."""

import copy
import math
import re

import numpy as np
import pandas as pd
import pytest
from made_results import make_results

from regbench.report.analyze import analyze
from regbench.report.summary_file import load_summary
from regbench.report.tables.main_table import main_table
from regbench.report.write import report
from regbench.statistics.trade_off import Curve, at_levels, reached
from regbench.study import report_files
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import read_sealed, write_sealed
from regbench.system.parquet import read_table, write_table

LCC, MSE = "voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"


def made(tiny, curve=5, **changes):
    study = Study(load({**copy.deepcopy(tiny), "curve": curve, **changes}))
    make_results(study)
    return study


def entry_of(study):
    return load_summary(study)["trade_offs"][0]


def cell_of(entry, method):
    return next(cell for cell in entry["cells"] if cell["method"] == method)


def own_curve(study, method, seed):
    """Regularity and score of each lambda of a run, straight from the files."""
    lay = study.layout
    paths = [(lay.run_record("brains", method, seed), lay.pairs("brains", method, seed))]
    paths += [
        (lay.curve_point("brains", method, seed, k) / "run.json", lay.curve_pairs("brains", method, seed, k))
        for k in study.further_points
    ]
    frames = sorted(((read_sealed(run)["lam"], pd.read_parquet(rows)) for run, rows in paths), key=lambda one: one[0])
    return Curve(
        np.array([lam for lam, _ in frames]),
        np.stack([frame["sdlogj"] for _, frame in frames]),
        np.stack([frame["dice"] for _, frame in frames]),
    )


def test_scores_at_levels_are_those_of_each_run_read_off_its_own_files(tiny):
    study = made(tiny)
    entry = entry_of(study)
    assert len(entry["levels"]) == 3
    assert entry["headline"] == entry["levels"][1]
    for method in (LCC, MSE):
        by_hand = np.mean([at_levels(own_curve(study, method, seed), entry["levels"]).mean(1) for seed in (0, 1)], 0)
        heights = cell_of(entry, method)["heights"]
        assert [height["level"] for height in heights] == [*entry["levels"], None]
        np.testing.assert_allclose([height["score"] for height in heights[:-1]], by_hand, rtol=1e-9)
        assert all(height["low"] < height["score"] < height["high"] for height in heights)


def test_a_cell_reaches_what_all_of_its_runs_do(tiny):
    study = made(tiny)
    for path in (
        study.layout.pairs("brains", LCC, 1),
        *(study.layout.curve_pairs("brains", LCC, 1, k) for k in study.further_points),
    ):
        rows = read_table(path)
        write_table(path, rows.assign(sdlogj=1.1 * rows["sdlogj"]))
    analyze(study)
    (low, high), (higher_low, higher) = (reached(own_curve(study, LCC, seed)) for seed in (0, 1))
    assert (higher_low > low, higher > high) == (True, True)
    assert cell_of(entry_of(study), LCC)["reached"] == pytest.approx([higher_low, high])


def test_the_interval_of_a_cell_has_the_noise_of_its_trainings(tiny):
    """Where one seed scores higher by as much as nothing else does, the interval holds that."""
    study = made(tiny)
    for path in (
        study.layout.pairs("brains", LCC, 0),
        *(study.layout.curve_pairs("brains", LCC, 0, k) for k in study.further_points),
    ):
        rows = read_table(path)
        write_table(path, rows.assign(dice=rows["dice"] + 0.2))
    analyze(study)
    widths = {
        method: height["high"] - height["low"]
        for method in (LCC, MSE)
        for height in cell_of(entry_of(study), method)["heights"][:1]
    }
    assert widths[LCC] > widths[MSE] + 0.2


def test_levels_are_inside_what_all_curves_have_and_come_from_validation_pairs_alone(tiny):
    study = made(tiny)
    before = entry_of(study)
    low, high = before["span"]
    assert all(low < level <= before["used"] for level in before["levels"])
    assert before["used"] <= high
    for run in study.curve_points():  # the test pairs fold twice as much
        path = study.layout.curve_pairs(*run)
        rows = read_table(path)
        write_table(path, rows.assign(sdlogj=2 * rows["sdlogj"]))
    analyze(study)
    after = entry_of(study)
    assert (after["levels"], after["span"]) == (before["levels"], before["span"])
    assert cell_of(after, LCC)["heights"] != cell_of(before, LCC)["heights"]


def change_validation(study, method, change):
    """Give the validation pairs of a method's further points another regularity."""
    for seed in (0, 1):
        for point in study.further_points:
            path = study.layout.curve_point("brains", method, seed, point) / "run.json"
            record = read_sealed(path)
            scores = {**record["validation"], "sdlogj": change(record["validation"]["sdlogj"])}
            write_sealed(path, {**record, "validation": scores})
    analyze(study)


def test_the_range_is_what_every_run_has_and_ends_by_the_least_regular_choice(tiny):
    study = made(tiny)
    change_validation(study, MSE, lambda value: 1.3 * value)
    entry, lay = entry_of(study), study.layout
    lows, highs, chosen = {}, {}, []
    for method in (LCC, MSE):
        for seed in (0, 1):
            own = read_sealed(lay.run_record("brains", method, seed))
            records = [
                read_sealed(lay.curve_point("brains", method, seed, k) / "run.json") for k in study.further_points
            ]
            known = sorted((record["lam"], record["validation"]["sdlogj"]) for record in records)
            values = [value for _, value in known]
            lows[min(values)], highs[max(values)] = method, method
            # The run of the chosen lambda was not scored by it: a line over log lambda between the roots beside it.
            after = next(place for place, (lam, _) in enumerate(known) if lam > own["lam"])
            (left, low), (right, high) = known[after - 1 : after + 1]
            share = math.log(own["lam"] / left) / math.log(right / left)
            chosen.append(((1 - share) * math.sqrt(low) + share * math.sqrt(high)) ** 2)
    assert entry["span"] == [max(lows), min(highs)]
    assert entry["ends"] == [lows[max(lows)], highs[min(highs)]]
    assert len(set(chosen)) > 1  # else nothing is said of which one counts
    assert entry["used"] == pytest.approx(max(chosen), rel=1e-12)


def test_a_run_whose_regularity_lambda_does_not_change_ends_no_range(tiny):
    study = made(tiny)
    whole = entry_of(study)["span"]
    change_validation(study, MSE, lambda value: 0.0)
    ended = entry_of(study)
    assert set(ended["ends"]) == {LCC}
    assert ended["span"][0] <= whole[0]


def test_cells_without_a_common_level_are_not_compared_and_it_is_said(tiny):
    study = made(tiny)
    change_validation(study, MSE, lambda value: 100 * value)
    entry = entry_of(study)
    assert (entry["span"], entry["levels"], entry["headline"]) == (None, [], None)
    assert any("no level of SDlogJ is common to the curves" in words for words in load_summary(study)["warnings"])


def test_given_levels_outside_of_the_range_are_said(tiny):
    study = made(tiny, {"points": 5, "levels": [1e-6, 2e-6]})
    assert any("the given levels of SDlogJ are not common" in words for words in load_summary(study)["warnings"])
    inside = made(tiny, {"points": 5, "levels": [0.15]})
    assert not any("the given levels" in words for words in load_summary(inside)["warnings"])


@pytest.mark.parametrize("folds", [0.0, 0.1])
def test_choices_that_fold_nothing_are_said(tiny, folds):
    """Each run folds at its least lambda, and at the chosen one by `folds`."""
    study = made(tiny, {"points": 5, "regularity": "ndv_percent"})
    for method in (LCC, MSE):
        for seed in (0, 1):
            own = study.layout.run_record("brains", method, seed)
            paths = [study.layout.curve_point("brains", method, seed, k) / "run.json" for k in study.further_points]
            for path, value in ((own, folds), (paths[0], 0.5), *((path, 0.0) for path in paths[1:])):
                record = read_sealed(path)
                write_sealed(path, {**record, "validation": {**record["validation"], "ndv_percent": value}})
    analyze(study)
    assert entry_of(study)["used"] == pytest.approx(folds)
    said = any("no chosen lambda folds anything" in words for words in load_summary(study)["warnings"])
    assert said == (folds == 0)


def test_given_levels_are_taken_and_those_that_a_curve_does_not_reach_have_no_number(tiny):
    study = made(tiny, {"points": 5, "levels": [0.15, 1e-6]})
    entry = entry_of(study)
    assert entry["levels"] == [1e-6, 0.15]
    first, second, mean = cell_of(entry, LCC)["heights"]
    assert first["score"] is None
    assert second["score"] is not None
    assert mean["score"] is None
    (comparison,) = entry["verdicts"][0]["pairs"]
    assert comparison["verdict"] == "undecided"
    assert (
        comparison["reason"]
        == f"{LCC} does not reach this level in 2 of 2 runs; {MSE} does not reach this level in 2 of 2 runs"
    )


def test_a_point_that_failed_is_left_out_and_counted(tiny):
    study = made(tiny)
    path = study.layout.curve_pairs("brains", LCC, 0, 1)
    rows = read_table(path)
    write_table(path, rows.assign(dice=np.nan, sdlogj=np.nan, ndv_percent=np.nan, status="failed", reason="diverged"))
    analyze(study)
    summary = load_summary(study)
    assert cell_of(summary["trade_offs"][0], LCC)["lost"] == 1
    assert cell_of(summary["trade_offs"][0], MSE)["lost"] == 0
    for point in study.further_points:  # one run without any curve
        path = study.layout.curve_pairs("brains", LCC, 0, point)
        write_table(path, read_table(path).assign(dice=np.nan, sdlogj=np.nan))
    analyze(study)
    assert cell_of(entry_of(study), LCC)["reached"] is None
    assert any(
        "points of curves without numbers" in warning and f"{LCC} (1)" in warning for warning in summary["warnings"]
    )


def test_a_search_that_chose_no_lambda_leaves_a_cell_without_a_curve(tiny):
    study = made(tiny)
    lay = study.layout
    for seed in (0, 1):
        for path in (
            lay.run_record("brains", LCC, seed),
            *(lay.curve_point("brains", LCC, seed, k) / "run.json" for k in study.further_points),
        ):
            record = read_sealed(path)
            write_sealed(path, {**record, "lam": None, "status": "failed", "reason": "no lambda", "validation": {}})
            rows = read_table(path.with_name("pairs.parquet"))
            lost = {"lam": np.nan, "dice": np.nan, "sdlogj": np.nan, "status": "failed"}
            write_table(path.with_name("pairs.parquet"), rows.assign(**lost))
    analyze(study)
    entry = entry_of(study)
    assert cell_of(entry, LCC)["reached"] is None
    assert all(height["score"] is None for height in cell_of(entry, LCC)["heights"])
    assert all(height["score"] is not None for height in cell_of(entry, MSE)["heights"])
    assert entry["verdicts"][0]["best"] == MSE


def test_other_regularity_and_metrics(tiny):
    study = made(tiny, {"points": 4, "regularity": "ndv_percent", "metrics": ["dice", "hd95_mm"], "levels": 1})
    entries = load_summary(study)["trade_offs"]
    assert [entry["metric"] for entry in entries] == ["dice", "hd95_mm"]
    assert {entry["regularity"] for entry in entries} == {"ndv_percent"}
    assert len(entries[0]["verdicts"]) == 1  # of one level there is no mean height
    for entry, better in zip(entries, (max, min), strict=True):
        scores = {cell["method"]: cell["heights"][0]["score"] for cell in entry["cells"]}
        assert entry["verdicts"][0]["best"] == better(scores, key=scores.get)


def test_folds_are_read_each_by_itself_and_pooled(tiny):
    raw = copy.deepcopy(tiny)
    raw["datasets"][0]["splits"] = {"folds": 3}
    study = Study(load({**raw, "curve": 4}))
    make_results(study)
    entries = {entry["dataset"]: entry for entry in load_summary(study)["trade_offs"]}
    pooled, *folds = entries.values()
    assert pooled["dataset"] == study.pools[0].id
    assert len(folds) == 3
    score = cell_of(pooled, LCC)["heights"][1]["score"]
    assert score is not None
    assert "Pooled over 3 folds" in pooled["verdicts"][0]["claim"]
    assert pooled["verdicts"][0]["pairs"][0]["n"] == 3 * folds[0]["verdicts"][0]["pairs"][0]["n"]


@pytest.mark.slow  # its quick sibling is in test_pooling.py
def test_deals_of_the_folds_are_pooled_through_the_whole_report(tiny):
    raw = copy.deepcopy(tiny)
    raw["datasets"][0] |= {"splits": {"folds": 3, "repeats": 2}}
    study = Study(load({**raw, "curve": 4}))
    make_results(study)
    summary = load_summary(study)
    (pool,) = study.pools
    first, *folds = (entry for entry in summary["trade_offs"] if entry["metric"] == "dice")
    assert first["dataset"] == pool.id
    assert len(folds) == 6
    assert "Pooled over 6 folds, 3 of each deal" in first["verdicts"][0]["claim"]
    assert first["verdicts"][0]["pairs"][0]["n"] == 6 * folds[0]["verdicts"][0]["pairs"][0]["n"]
    assert summary["deals"] == {pool.id: 2}
    report(study)
    assert "is tested 2 times, once in each deal" in (study.layout.tables / "main.md").read_text()
    assert "in 6 folds in 2 deals" in study.layout.page.read_text()


@pytest.mark.slow
def test_a_run_without_a_curve_in_one_fold_has_no_pooled_number(tiny):
    raw = copy.deepcopy(tiny)
    raw["datasets"][0]["splits"] = {"folds": 3}
    study = Study(load({**raw, "curve": 4}))
    make_results(study)
    lay, fold = study.layout, study.config.datasets[0].id
    for path in (lay.pairs(fold, LCC, 0), *(lay.curve_pairs(fold, LCC, 0, k) for k in study.further_points)):
        write_table(path, read_table(path).assign(sdlogj=np.nan))
    analyze(study)
    pooled = entry_of(study)
    assert [height["score"] for height in cell_of(pooled, LCC)["heights"]] == [None] * 4
    assert None not in [height["score"] for height in cell_of(pooled, MSE)["heights"]]


def test_tables_figure_and_page(tiny):
    study = made(tiny, {"points": 5, "metrics": ["dice", "hd95_mm"]}, equivalence={"dice": 0.2})
    report(study)
    lay, entry = study.layout, entry_of(study)
    assert [part["pairs"][0]["verdict"] for part in entry["verdicts"]] == ["equal"] * 4  # three levels, the mean height
    names = report_files.table_names(study.optional_tables)
    assert {"curve", "curve_verdicts"} <= set(names)
    assert {path.name for path in lay.tables.iterdir() if path.is_file()} == {f"{name}.csv" for name in names} | set(
        report_files.beside_tables(study.optional_tables)
    )
    assert (lay.figures / "curve.svg").is_file()
    table = pd.read_csv(lay.tables / "curve.csv")
    assert set(table["method"]) == {LCC, MSE}
    assert set(table["metric"]) == {"dice", "hd95_mm"}
    assert table["level"].isna().sum() == 2 * 2  # the mean heights
    shown = (lay.tables / "curve.md").read_text()
    assert f"Dice at SDlogJ {entry['headline']:g}" in shown
    assert "chosen by the validation pairs alone" in shown
    main = (lay.tables / "main.md").read_text()
    assert "Dice at equal SDlogJ ↑" in main
    frame = main_table(load_summary(study)).set_index("method")
    assert frame.loc[LCC, "matched_level"] == entry["headline"]
    assert frame.loc[LCC, "matched_score"] == pytest.approx(cell_of(entry, LCC)["heights"][1]["score"], abs=1e-3)
    assert pd.isna(frame.loc["identity", "matched_score"])
    page = lay.page.read_text()
    assert 'id="figure-curve"' in page
    assert 'id="table-curve"' in page


@pytest.mark.slow
def test_the_same_bytes_each_time(tiny, tmp_path):
    study = made(tiny)
    report(study)
    first = {
        path.name: path.read_bytes()
        for folder in (study.layout.tables, study.layout.figures)
        for path in folder.iterdir()
        if path.name.startswith(("curve", "main."))
    }
    analyze(study)
    report(study)
    again = {
        path.name: path.read_bytes()
        for folder in (study.layout.tables, study.layout.figures)
        for path in folder.iterdir()
        if path.name in first
    }
    assert first == again


def test_without_curve_nothing_of_it_is_anywhere(tiny):
    study = Study(load(tiny))
    make_results(study)
    report(study)
    assert "curve" not in study.protocol
    assert "trade_offs" not in load_summary(study)
    assert not (study.layout.tables / "curve.csv").exists()
    assert not (study.layout.figures / "curve.svg").exists()
    assert not re.search(r"matched|equal SDlogJ", (study.layout.tables / "main.csv").read_text())
    assert 'id="figure-curve"' not in study.layout.page.read_text()

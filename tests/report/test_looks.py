"""Studies in looks: a file each, further seeds where it left a pair open, verdicts of the look that ended a pair."""

import json
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from made_results import write_results
from tiny_study import TINY

from regbench.cli.main import main
from regbench.report.analyze import analyze
from regbench.report.looked import against_in_looks, looks_at
from regbench.report.make_look import make_look
from regbench.report.read_rows import joined
from regbench.report.study_verdicts import collect
from regbench.report.tables.looks_table import looks_table, write_looks
from regbench.report.tables.main_caption import protocol
from regbench.report.tables.main_table import main_table
from regbench.report.write import report
from regbench.statistics import Family, Scores, judge_at
from regbench.study.layout import IDENTITY
from regbench.study.load import load
from regbench.study.looks import made, read_look
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed, write_sealed
from regbench.system.parquet import write_table

ENDS = ("low", "high", "df")
MEANS = (0.0, 0.0, 0.002, 0.03, 0.1, 0.13)  # of the cells
NOISE = 0.006  # SD of a training
GRID = {"similarities": ["lcc", "gcc", "mse"], "regularizers": ["grad_l1", "grad_l2"]}


def in_looks(folder, **changes):
    raw = {**TINY, "results": str(folder), "grid": GRID, "seeds": list(range(6)), "looks": {"first": 2, "step": 2}}
    return Study(load(raw | {"equivalence": {"dice": 0.01}} | changes))


def go_through(study):
    """As Snakemake does: the runs that were given, then the look at them, until one gives nobody more."""
    goes_on, number = True, 0
    while goes_on:
        number += 1
        write_results(study, subjects=6)
        for place, cell in enumerate(study.cells_of("voxelmorph")):
            for seed in study.seeds(cell, "brains"):
                path = study.layout.pairs("brains", cell, seed)
                rows = pd.read_parquet(path)
                moved = NOISE * np.random.default_rng([place, seed]).standard_normal()
                write_table(path, rows.assign(dice=0.7 + MEANS[place] + (rows["dice"] - rows["dice"].mean()) + moved))
        make_look(study, "brains", "voxelmorph", number)
        goes_on = read_look(study.layout.look("brains", "voxelmorph", number))["further"]
    return list(made(study.layout, "brains", "voxelmorph"))


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    study = in_looks(tmp_path_factory.mktemp("looks"))
    files = go_through(study)
    analyze(study)
    return study, files, read_sealed(study.layout.summary)


def names(pairs):
    return {(pair["comparison"]["a"], pair["comparison"]["b"]) for pair in pairs}


def test_further_seeds_go_to_both_cells_of_the_open_pairs_alone(looked):
    study, files, _ = looked
    cells = study.cells_of("voxelmorph")
    assert names(files[0]["pairs"]) == set(combinations(cells, 2))
    assert len(files) > 1
    for before, after in pairwise(files):
        still_open = [pair for pair in before["pairs"] if pair["goes_on"]]
        assert names(after["pairs"]) == names(still_open)
        assert set(before["further"]) == {name for pair in names(still_open) for name in pair}
        assert {name: after["units"][name] for name in before["further"]} == before["further"]
        rest = set(cells) - set(before["further"])
        assert {name: after["units"][name] for name in rest} == {name: before["units"][name] for name in rest}
    assert not files[-1]["further"]
    seeds = {name: len(study.seeds(name, "brains")) for name in cells}
    assert [seeds[name] for name in cells] == [4, 4, 6, 6, 6, 6]
    assert files[-1]["units"] == seeds


def test_what_is_spent_rises_to_alpha(looked):
    assert [look["spent"] for look in looked[1]] == pytest.approx([0.05 / 27, 0.05 * 8 / 27, 0.05][: len(looked[1])])
    assert all(0 < look["level"] < 0.05 / 15 for look in looked[1])


def test_a_look_has_the_same_bytes_again_and_sees_no_later_run(looked):
    study, files, _ = looked
    for number in range(1, len(files) + 1):
        path = study.layout.look("brains", "voxelmorph", number)
        before = path.read_bytes()
        make_look(study, "brains", "voxelmorph", number)
        assert path.read_bytes() == before


def test_the_page_prints_the_decision_of_the_look_that_made_it(looked):
    """By the metric that the looks judge, the summary has their very intervals."""
    _, files, summary = looked
    decided = {
        (pair["comparison"]["a"], pair["comparison"]["b"]): pair["comparison"]
        for look in files for pair in look["pairs"] if not pair["goes_on"]
    }  # fmt: skip
    verdicts = summary["verdicts"]["brains"]["voxelmorph"]
    printed = {(one["a"], one["b"]): one for one in verdicts["dice"]["pairs"]}
    assert {pair: one["verdict"] for pair, one in printed.items()} == {p: one["verdict"] for p, one in decided.items()}
    for pair, one in printed.items():
        assert (one["low"], one["high"], one["df"]) == pytest.approx([decided[pair][name] for name in ENDS])
    assert {one["verdict"] for one in decided.values()} > {"undecided"}
    runs = {(one["a"], one["b"]): one["runs"] for one in verdicts["hd95_mm"]["pairs"]}
    assert runs == {pair: one["runs"] for pair, one in decided.items()}, "other metrics, with the runs of that look"
    assert {one["runs"] for one in verdicts["dice"]["similarity"]} == {4}, "that all cells have"
    against = {one["a"]: one["runs"] for one in verdicts["dice"]["against_identity"]}
    assert against == {**files[-1]["units"]}
    assert "they carry 4 to 6 trainings" in verdicts["dice"]["claim"]
    assert "Seeds were given out in 3 looks, at most 6 seeds a cell" in verdicts["dice"]["claim"]


def test_every_level_is_that_of_its_look(looked):
    """The half widths of the families beside the pairs, against a judge that gets the level by hand."""
    study, files, summary = looked
    of_model = looks_at(study, "brains", ["voxelmorph"])["voxelmorph"]
    scores, subjects, _, _ = collect(joined([study.layout.pairs(*run) for run in study.runs()]), "dice")
    scores[IDENTITY] = Scores(scores[IDENTITY].values, scores[IDENTITY].runs, drawn=False)
    cells = [*of_model.units]
    found = against_in_looks(scores, cells, Family(subjects, borrowed=0.0), of_model)
    level = of_model.looks.levels(0.05 / len(cells))[of_model.looks.counts.index(files[-1]["units"][cells[0]])]
    pair = [(cells[0], IDENTITY)]
    runs = study.seeds(cells[0], "brains")
    (alone,) = judge_at(scores, Family(subjects, borrowed=0.0), pair, runs=runs, level=level)
    assert (found[0].low, found[0].high) == pytest.approx((alone.low, alone.high))
    printed = summary["verdicts"]["brains"]["voxelmorph"]["dice"]["against_identity"]
    assert {one["a"]: one["low"] for one in printed}[cells[0]] == pytest.approx(alone.low)


def test_tables_say_what_was_spent_where(looked, tmp_path):
    study, files, summary = looked
    frame = looks_table(summary["looks"])
    assert dict(zip(frame["method"], frame["seeds"], strict=True)) == files[-1]["units"]
    assert frame["look1_seeds"].tolist() == [2] * 6
    assert (frame[["look1_decided", "look1_given_up", "look1_open"]].sum(axis=1) == 5).all(), "of five other cells"
    left = [name for name in study.cells_of("voxelmorph") if name not in files[0]["further"]]
    assert frame.set_index("method").loc[left, "look2_seeds"].isna().all()
    write_looks(summary, tmp_path)
    text = (tmp_path / "looks.md").read_text()
    assert "beaten" not in text
    total = sum(files[-1]["units"].values())
    assert f"registrations of the test pairs: {total}, where all seeds at once would have been 36." in text
    assert f"Look 1: {len(summary['looks'][0]['decided'])} decided" in text
    main = main_table(summary).set_index("method")["seeds"]
    assert main[list(files[-1]["units"])].to_dict() == files[-1]["units"]
    assert "over 4 to 6 seeds (each row says how many; they were given out in looks)" in protocol(summary)
    alike = [entry for entry in summary["methods"] if len(entry["runs"]) == 4]
    assert "over 4 seeds (each row says how many; they were given out in looks)" in protocol(
        {**summary, "methods": alike}
    )


def test_the_looks_of_a_study_that_looks_for_the_best_leave_out_who_is_beaten(tmp_path):
    study = in_looks(tmp_path, looks={"first": 2, "step": 2, "find": "best"})
    first, *later = go_through(study)
    beaten = {pair["comparison"]["b" if pair["comparison"]["verdict"] == "better" else "a"] for pair in first["pairs"]
              if pair["comparison"]["verdict"] in ("better", "worse")}  # fmt: skip
    assert beaten
    assert not beaten & set(first["further"])
    assert later, "the best are not told apart at once"
    analyze(study)
    summary = read_sealed(study.layout.summary)
    write_looks(summary, tmp_path / "tables")
    assert "another cell has beaten one of it" in (tmp_path / "tables/looks.md").read_text()


def test_a_study_that_lacks_a_look_is_not_analysed(looked):
    study, files, _ = looked
    path = study.layout.look("brains", "voxelmorph", len(files))
    content = path.read_bytes()
    path.unlink()
    try:
        words = f"all looks at `voxelmorph` on `brains` must be made, but look {len(files)} is not"
        with pytest.raises(RegbenchError, match=words):
            analyze(study)
    finally:
        path.write_bytes(content)


def test_a_look_behind_the_last_is_refused(looked):
    study, files, _ = looked
    if len(files) == 3:
        short = files[-1] | {"pairs": [pair | {"goes_on": False} for pair in files[1]["pairs"]], "further": {}}
        path = study.layout.look("brains", "voxelmorph", 2)
        content = path.read_bytes()
        write_sealed(path, short)
        try:
            with pytest.raises(RegbenchError, match="look 3 at `voxelmorph` on `brains` must follow one that left a"):
                make_look(study, "brains", "voxelmorph", 3)
        finally:
            path.write_bytes(content)


@pytest.mark.slow
def test_the_report_of_a_study_in_looks_has_their_table(looked):
    study, _, _ = looked
    report(study)
    assert "Looks: which cells got further seeds" in study.layout.page.read_text()
    assert (study.layout.tables / "looks.csv").is_file()


def test_the_verb_makes_a_look(tmp_path):
    study = in_looks(tmp_path)
    write_results(study)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(study.config.model_dump(mode="json")))
    main(["look", str(config), "--dataset", "brains", "--model", "voxelmorph", "--number", "1"])
    assert read_look(study.layout.look("brains", "voxelmorph", 1))["metric"] == "dice"

"""Which verdicts change by which convention, on rows made so that one does."""

import numpy as np
import pandas as pd
import pytest

from regbench.report.compare_methods import judge_methods
from regbench.report.looked import Looked
from regbench.report.robustness.compare import Change, Compared, outcomes
from regbench.report.study_verdicts import GridCell
from regbench.statistics import Looks
from regbench.system.errors import RegbenchError

CELLS = {f"net.{name}.grad": GridCell("net", name, "grad") for name in ("lcc", "mse", "mi")}
LABELS = {"1": "left", "2": "right"}
GOALS = {"objective": ["dice"], "selection": ["dice"], "leading": "dice"}
SIZES = {"1": 9.0, "2": 4.0}


def made(means, equivalence=None, *, cases=16, seeds=2, change=None, looks=None):
    """A dataset whose methods have these means of both labels; subjects are shared, trainings drawn."""
    rng, parts = np.random.default_rng(0), []
    of_case = rng.normal(0, 0.05, (2, cases))
    for method, of in means.items():
        for seed in range(seeds):
            left, right = (mean + of_case[k] + rng.normal(0, 0.002, cases) for k, mean in enumerate(of))
            parts.append(
                pd.DataFrame({
                    "dataset": "d", "method": method, "seed": seed, "replicate": 0, "status": "complete",
                    "fixed": [f"s{k}" for k in range(cases)], "moving": "atlas", "dice_1": left, "dice_2": right,
                    "dice": (left + right) / 2, "hd95_mm_1": 1.0, "hd95_mm_2": 1.0,
                })
            )  # fmt: skip
    rows = pd.concat(parts, ignore_index=True)
    if change is not None:
        rows = change(rows)
    summary = {
        "study": "made", "goals": {"d": GOALS}, "equivalence": equivalence or {},
        "datasets": {"d": {"labels": LABELS, "spacing_mm": [1.0, 1.0]}},
        "verdicts": {"d": judge_methods(rows, CELLS, {"net": True}, equivalence or {}, GOALS, looks=looks or {})},
    }  # fmt: skip
    return Compared(summary, rows, CELLS, {"net": True}, SIZES, looks or {})


def found(of):
    return {(one.place.metric, one.words): one for one in outcomes("d", of)}


LCC, MSE, MI = CELLS
MEANS = {LCC: (0.8, 0.5), MSE: (0.6, 0.65), MI: (0.65, 0.65)}


def test_a_model_of_which_every_cell_failed_has_no_best_one():
    """Beside another that did not: `identity` has numbers in both."""

    def fail(rows):
        return rows.assign(dice=rows["dice"].where(rows["method"] == "identity"))

    cells, trained = CELLS | {"deep.lcc.grad": GridCell("deep", "lcc", "grad")}, {"net": True, "deep": True}
    rows = pd.concat(
        [made({**MEANS, "identity": (0.5, 0.5)}, change=fail).rows, made({"deep.lcc.grad": (0.8, 0.8)}).rows]
    )
    models = judge_methods(rows, cells, trained, {}, GOALS, looks={})
    assert models["net"]["dice"]["best"] is None
    assert {pair["verdict"] for pair in models["net"]["dice"]["pairs"]} == {"undecided"}
    assert models["deep"]["dice"]["best"] == "deep.lcc.grad"


def test_a_subset_of_labels_reverses_gains_and_loses():
    of = made(MEANS)
    one = found(of)["dice", "without left"]
    assert one.changes == [
        Change(LCC, MSE, "better", "worse", "reversed"),
        Change(LCC, MI, "undecided", "worse", "gained"),
        Change(MSE, MI, "worse", "undecided", "lost"),
    ]
    assert [one.count(kind) for kind in ("reversed", "gained", "lost", "equal_or_not")] == [1, 1, 1, 0]
    assert one.now.scores == pytest.approx(of.rows.groupby("method")["dice_2"].mean().to_dict())
    ordered = sorted(one.now.scores, key=lambda name: -one.now.scores[name])
    assert [one.now.ranks[name] for name in ordered] == [1, 2, 3]
    assert one.now.best == ordered[0] != one.own.best
    assert one.moved == sum(one.own.ranks[name] != one.now.ranks[name] for name in MEANS)


def test_the_studys_own_stands_first_and_changes_nothing():
    by_words = found(made(MEANS))
    assert next(iter(by_words)) == ("dice", "the study's own")
    own = by_words["dice", "the study's own"]
    assert (own.changes, own.moved) == ([], 0)
    assert own.note == f"2 of 3 decided; best {own.own.best.removeprefix('net.')}"


def test_equal_becomes_worse_and_the_region_goes_along():
    one = found(made(MEANS, {"dice": 0.03}))["dice", "without left"]
    assert Change(LCC, MSE, "equal", "worse", "equal_or_not") in one.changes
    assert {pair["verdict"] for pair in one.now.pairs if {pair["a"], pair["b"]} == {MSE, MI}} == {"equal"}


def test_a_metric_of_another_size_has_no_region_unless_it_is_declared():
    def more(rows):
        return rows.assign(ndv_percent=rows["dice"], fold_central_percent=rows["dice_1"])

    words = "central differences, whole box"
    for regions, note in (
        ({"ndv_percent": 9.0}, "no region of equivalence declared for fold_central_percent: nothing can be equal"),
        ({"ndv_percent": 9.0, "fold_central_percent": 9.0}, ""),
        ({}, ""),
    ):
        one = found(made(MEANS, regions, change=more))["ndv_percent", words]
        assert one.note == note
        assert ("equal" in {pair["verdict"] for pair in one.now.pairs}) is (len(regions) == 2)


def test_vanished_labels_left_out_give_distances_a_verdict():
    def vanish(rows):
        gone = (rows["method"] == LCC) & (rows["fixed"] == "s3")
        far = np.where(gone, np.inf, 1 + rows["dice_1"])
        return rows.assign(hd95_mm_1=far, hd95_mm=(far + rows["hd95_mm_2"]) / 2)

    one = found(made(MEANS, change=vanish))["hd95_mm", "vanished labels left out"]
    assert {change.kind for change in one.changes} == {"gained"}
    assert all(change.own == "undecided" and LCC in (change.a, change.b) for change in one.changes)
    assert LCC not in one.own.ranks
    assert one.now.ranks[LCC] == 3


def test_the_same_numbers_are_not_judged_again():
    one = found(made(MEANS))["dice", "vanished labels left out"]
    assert one.note == "the same numbers in every row"
    assert one.now is one.own


def test_a_failed_run_is_undecided_by_every_convention():
    def fail(rows):
        failed = (rows["method"] == MSE) & (rows["seed"] == 1)
        rows.loc[failed, ["dice", "dice_1", "dice_2"]] = np.nan
        return rows

    for (metric, words), one in found(made(MEANS, change=fail)).items():
        assert {pair["verdict"] for pair in one.now.pairs if MSE in (pair["a"], pair["b"])} == {"undecided"}, words
        assert metric == "dice" or words


def test_pooled_sd_is_told_and_changes_nothing():
    of = made(MEANS)
    one = found(of)["dice", "± as SD over structures and cases"]
    best = of.rows[of.rows["method"] == one.own.best]
    cases = best.groupby("fixed")[["dice", "dice_1", "dice_2"]].mean()
    sd, pooled = cases["dice"].std(ddof=1), cases[["dice_1", "dice_2"]].to_numpy().std(ddof=0)
    assert one.note == f"± {sd:.3f} of the best would read ± {pooled:.3f}; no verdict rests on it"
    assert pooled > sd
    assert one.changes == []


def test_verdicts_that_are_not_those_of_the_summary_are_refused():
    of = made(MEANS)
    of.summary["equivalence"]["dice"] = 0.5  # the config is newer
    with pytest.raises(RegbenchError, match=r"d, net: the verdicts on dice must be those of the study's summary"):
        list(outcomes("d", of))


def test_pairs_are_judged_at_the_level_of_the_look_that_ended_them():
    """One cell got two seeds, the others four; by another convention as by the study's own."""
    ended = {frozenset((LCC, MSE)): 0, frozenset((MSE, MI)): 0, frozenset((LCC, MI)): 1}
    looked = Looked(Looks([{0, 1}, {0, 1, 2, 3}], (2, 4)), ended, {LCC: 4, MSE: 2, MI: 4}, "seeds")

    def given(rows):
        return rows[(rows["method"] != MSE) | (rows["seed"] < 2)].reset_index(drop=True)

    of = made(MEANS, seeds=4, change=given, looks={"net": looked})
    one = found(of)["dice", "without left"]
    assert {(pair["a"], pair["b"]): pair["runs"] for pair in one.now.pairs} == {
        (LCC, MSE): 2,
        (LCC, MI): 4,
        (MSE, MI): 2,
    }
    assert one.count("reversed") == 1
    with pytest.raises(RegbenchError, match="must be those of the study's summary"):
        list(outcomes("d", of._replace(looks={})))


def test_one_method_alone_has_no_outcomes():
    assert list(outcomes("d", made({LCC: (0.8, 0.5)}))) == []

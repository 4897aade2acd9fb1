"""Objectives of several terms in summaries, tables, captions and warnings."""

import pytest
from made_summary import entry, summary

from regbench.report.caveats import caveats
from regbench.report.method_entries import _pooled_terms
from regbench.report.objectives import by_count, caption_of, formula, weight_names, weights_searched
from regbench.report.tables.main_table import beside_lambda, caption, main_table
from regbench.report.tables.main_table_text import as_text
from regbench.report.tables.secondary_tables import selection_table

TRIALS = [{"number": 0, "lam": 0.1, "status": "complete", "scores": {}}]
JAC = {
    "id": "jac",
    "name": "jacobian",
    "behind": "grad_l2",
    "range": [0.01, 100.0],
    "weight": 3.0,
    "weights": [1.0, 9.0],
}
FIXED = {
    "id": "ic",
    "name": "inverse_consistency",
    "behind": "grad_l2",
    "range": None,
    "weight": 0.1,
    "weights": [0.1, 0.1],
}


def two_cells(fairness="trials", **more):
    made = summary(
        entry("identity", 0.4),
        entry("lcc.grad_l2", 0.6, trials=TRIALS, trained=True),
        entry(
            "lcc.grad+jac", 0.61, trials=TRIALS, trained=True, terms=[JAC, FIXED], values={"weight.jac": 1.0}, passes=2
        ),
    )  # fmt: skip
    made["budget"] = {"fairness": fairness, "trials": 5}
    return made | more


def test_the_table_has_each_weight_and_how_many_were_searched():
    made = two_cells()
    frame = main_table(made)
    assert weight_names(made["methods"]) == ["weight.jac", "weight.ic"]
    assert [weights_searched(one) for one in made["methods"]] == [0, 1, 2]
    rows = frame.set_index("method")
    assert rows.loc["lcc.grad+jac", ["weight.jac", "weight.jac_low", "weight.jac_high", "weight.ic"]].tolist() == [
        3.0, 1.0, 9.0, 0.1
    ]  # fmt: skip
    assert rows["weights_searched"].tolist() == [0, 1, 2]
    assert rows["weight.jac"].isna().tolist() == [True, True, False]
    text = as_text(frame, ("dice",), "md", beside_lambda(made))
    assert text["weight.jac"].tolist() == ["\u2013", "\u2013", "1\u20139"]  # of two searches that chose 1 and 9
    assert text["weight.ic"].tolist() == ["\u2013", "\u2013", "0.1"]
    assert text["Weights searched"].tolist() == ["0", "1", "2"]
    tex = as_text(frame, ("dice",), "tex", beside_lambda(made))
    assert "grad+jac" in tex["Regularizer"].tolist()[-1]


def test_without_terms_there_is_no_new_column():
    made = summary(entry("identity", 0.4), entry("lcc.grad_l2", 0.6, trials=TRIALS))
    assert not [name for name in main_table(made) if "weight" in name]
    assert beside_lambda(made) == []
    assert caption_of(made) == ""
    assert "in every cell" in caption(made)


def test_the_caption_has_the_formula_the_weights_and_the_passes():
    made = two_cells()
    words = caption(made)
    assert formula([JAC, FIXED]) == "λ grad_l2 + w(jac in [0.01, 100]) jacobian + 0.1 inverse_consistency"
    assert f"grad+jac is {formula([JAC, FIXED])}." in words
    assert "how many weights they searched (1: 1 cell, 2: 1 cell) and had the same trials" in words
    assert "cells with grad+jac registers both directions: two forward passes" in words
    assert "10 training steps are 20 forward passes" in words
    fair = caption(two_cells("trials_per_weight"))
    assert "the same number of trials for every weight that is searched" in fair
    assert "5 trials a search for each weight that they searched (1: 1 cell, 2: 1 cell)" in fair
    assert "handicap" not in fair


def test_a_study_in_both_directions_says_so_of_all_cells():
    made = summary(entry("identity", 0.4), entry("lcc.grad_l2", 0.6, trials=TRIALS, passes=2))
    assert "Each step of the cells registers both directions" in caption(made)


@pytest.mark.parametrize(("fairness", "warned"), [("trials", True), ("trials_per_weight", False)])
def test_unequal_cells_are_warned_of(fairness, warned):
    made = two_cells()
    goals = {"brains": {"objective": ["dice"], "selection": ["dice"], "leading": "dice"}}
    manifests = {"brains": {**made["datasets"]["brains"], "splits": {}}}
    for one in made["methods"]:
        one["runs"] = []
    lines = caveats(made["methods"], manifests, goals, fairness=fairness)
    wanted = "cells search different numbers of weights with the same number of trials (1: 1 cell, 2: 1 cell)"
    assert any(wanted in line for line in lines) == warned
    assert any("different numbers of forward passes a step" in line for line in lines)


def test_a_weight_at_the_edge_is_warned_of():
    made = two_cells()
    made["methods"][2]["terms"][0]["weights"] = [0.0101, 9.0]
    manifests = {"brains": {**made["datasets"]["brains"], "splits": {}}}
    lines = caveats(made["methods"], manifests, made["goals"])
    assert "brains/lcc.grad+jac: the weight of jac 0.0101 is at the edge of its range [0.01, 100]; widen it" in lines


def test_counts_of_cells():
    cells = [entry("a.b", 0.5)] * 4
    assert by_count(cells, [1, 1, 2, 0]) == "1: 2 cells, 2: 1 cell"
    assert by_count(cells, [2, 2, 0, 2]) == ""


def test_the_choice_of_each_search_has_its_weight():
    made = two_cells()
    scores = {"dice": 0.6, "ndv_percent": 0.1}
    best = {"number": 1, "lam": 0.1, "values": {"weight.jac": 9.0}, "scores": scores}
    choice = {"range": [0.01, 1], "lam": 0.1, "metrics": ["dice"], "best": best, "best_limited": best, "edge": False}
    cell = made["methods"][2]
    cell["searches"] = [choice, {**choice, "best": {**best, "values": {"weight.jac": 1.0}}}]
    cell["selected"] = choice
    made["methods"] = [cell]
    assert selection_table(made)["by_dice_weight.jac"].tolist() == [9.0, 1.0]


def test_folds_pool_the_weights_that_their_searches_chose():
    folds = [[JAC, FIXED], [{**JAC, "weights": [3.0], "weight": 3.0}, {**FIXED, "weights": [0.1]}]]
    jac, fixed = _pooled_terms(folds)
    assert (jac["weights"], jac["weight"]) == ([1.0, 9.0, 3.0], pytest.approx(3.0))
    assert (fixed["weights"], fixed["weight"]) == ([0.1, 0.1, 0.1], 0.1)
    assert folds[0][0] == JAC
    pooled = {"trials": [], "pooled": {"folds": 2, "trials": 12, "seeds": 1}, "terms": [jac, fixed]}
    assert weights_searched(pooled) == 2

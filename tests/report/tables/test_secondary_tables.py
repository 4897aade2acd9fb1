"""The tables behind the main one, from a grid with planted effects."""

import numpy as np
import pandas as pd
import pytest
from made_summary import summary
from made_tables import CELLS, summary_of_scores

from regbench.report.compare_methods import compare_methods
from regbench.report.figures.rank_figures import difference_figure, stability_figure
from regbench.report.figures.trial_figures import pareto_figure
from regbench.report.study_verdicts import GridCell
from regbench.report.tables import secondary_tables
from regbench.report.tables.secondary_tables import (
    grid_table,
    selection_table,
    significance_table,
    structures_table,
    write_secondary,
)

GOALS = {"objective": ["dice"], "selection": ["dice"], "leading": "dice"}


@pytest.fixture(scope="module")
def grid():
    """A full 2 x 2 grid: lcc is better by 0.2, and bending adds 0.1 to it alone."""
    noise = np.random.default_rng(0).normal(0, 0.01, (5, 12))
    means = {"identity": 0.3, "lcc.bending": 0.8, "lcc.grad_l2": 0.7, "mse.bending": 0.5, "mse.grad_l2": 0.5}
    return summary_of_scores({name: mean + noise[k] for k, (name, mean) in enumerate(means.items())})


def test_tests_say_what_they_condition_on(grid):
    assert set(significance_table(grid)["conditions_on"]) == {"these trained networks"}
    fixed = {"brains": {"voxelmorph": {"dice": {"scope": "fixed"}}}}
    assert set(significance_table({**grid, "verdicts": fixed})["conditions_on"]) == {"these lambdas"}


def test_comparisons_find_what_was_planted(grid):
    found = significance_table(grid)
    against = found[found["family"] == "against_best"].set_index("a")
    assert set(against["b"]) == {"lcc.bending"}
    assert against.loc["lcc.grad_l2", "significant"]
    assert against.loc["lcc.grad_l2", "mean_difference"] == pytest.approx(-0.1, abs=0.02)
    assert against.loc["lcc.grad_l2", "ci_high"] < 0
    same = found[(found["family"] == "pairs") & (found["a"] == "mse.bending") & (found["b"] == "mse.grad_l2")]
    assert not same["significant"].item()
    assert len(found[found["family"] == "against_identity"]) == 4
    effects = grid_table(grid).set_index(["term", "similarity", "regularizer"])
    assert effects.loc[("similarity", "lcc", "*"), "effect"] == pytest.approx(0.125, abs=0.01)
    assert effects.loc[("interaction", "lcc", "bending"), "effect"] == pytest.approx(0.025, abs=0.01)


def test_so_few_pairs_that_nothing_can_be_said_is_said():
    rows = pd.DataFrame(
        [
            {"method": method, "seed": 0, "fixed": f"s{k}", "moving": "t", "dice": value + 0.01 * k}
            for method, value in (("lcc.a", 0.7), ("mse.a", 0.5))
            for k in range(4)
        ]
    )
    found = compare_methods(rows, {"lcc.a": GridCell("m", "lcc", "a"), "mse.a": GridCell("m", "mse", "a")}, GOALS)
    assert found["m"]["dice"]["against_best"][0]["too_few"]
    made = {**summary(*CELLS), "comparisons": {"brains": found}}
    assert "n too small" in secondary_tables._tests_shown(significance_table(made)).to_string()


def test_details_are_written_in_four_forms_with_equal_bytes(grid, tmp_path):
    trials = [{"number": 0, "lam": 0.1, "scores": {"dice": 0.5, "ndv_percent": 0.1}, "status": "complete"}]
    chosen = {"lam": 0.1, "scores": {"dice": 0.5, "ndv_percent": 0.1}, "number": 0}
    for method in grid["methods"][1:]:
        method |= {
            "trials": trials,
            "selected": {"metrics": ["dice"], "best": chosen, "best_limited": None, "range": [0.01, 1.0]},
        }
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_secondary(grid, folder)
        for draw in (pareto_figure, difference_figure, stability_figure):
            draw(grid, folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    stems = ("per_structure", "selection", "significance", "grid", "verdicts", "variance")
    assert {f"{stem}.{form}" for stem in stems for form in ("csv", "md", "tex", "html")} <= set(names)
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert selection_table(grid)["by_dice_ndv_lambda"].isna().all()
    assert set(structures_table(grid)["name"]) == {"a"}


def test_methods_that_all_tie_are_no_error(tmp_path):
    made = summary_of_scores({"lcc.a": np.full(12, 0.5), "mse.a": np.full(12, 0.5), "gcc.a": np.full(12, 0.5)})
    stability_figure(made, tmp_path)
    difference_figure(made, tmp_path)
    assert not significance_table(made)["significant"].any()

"""The scores of a method: seeds averaged first, SD over cases."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_summary import entry, summary
from made_tables import CELLS

from regbench.report.method_entries import _evaluated, metric_spread
from regbench.report.tables.main_table import MAIN, caption, main_table
from regbench.report.tables.main_table_text import as_text


def test_seeds_are_averaged_before_the_spread_over_cases():
    rows = pd.DataFrame(
        {"fixed": ["a", "a", "b", "b"], "moving": ["c"] * 4, "seed": [0, 1, 0, 1], "dice": [0.5, 0.7, 0.8, 0.9]}
    )
    found = metric_spread(rows, "dice")
    assert found["mean"] == pytest.approx((0.6 + 0.85) / 2)
    assert found["sd"] == pytest.approx(np.std([0.6, 0.85], ddof=1))
    assert found["seed_sd"] == pytest.approx(np.std([0.65, 0.8], ddof=1))


def test_seeds_that_happened_to_work_do_not_make_a_mean():
    """Otherwise a method would be rewarded for diverging; the row says `failed`, and why."""
    rows = pd.DataFrame({"fixed": ["a", "a"], "moving": ["c"] * 2, "seed": [0, 1], "dice": [0.5, np.nan]})
    assert np.isnan(metric_spread(rows, "dice")["mean"])


def test_seeds_that_happened_to_work_make_no_score_of_a_structure_and_no_dice30():
    rows = pd.DataFrame({
        "fixed": ["a", "a", "b", "b"], "moving": ["c"] * 4, "seed": [0, 1, 0, 1], "status": "complete", "reason": "",
        "dice": [0.5, np.nan, 0.6, 0.8], "dice_1": [0.5, np.nan, 0.6, 0.8],
    })  # fmt: skip
    method = SimpleNamespace(id="m", model=None, similarity=None, regularizer=None, control=False)
    found = _evaluated(("brains", {"1": "left"}), method, rows, "dice")
    assert found["dice30"] == pytest.approx(0.7)
    (structure,) = found["structures"]
    assert (structure["dice_mean"], structure["dice_cases"]) == (pytest.approx(0.7), 1)


def test_a_pair_that_failed_is_left_out_and_counted():
    rows = pd.DataFrame(
        {"fixed": list("aabb"), "moving": ["c"] * 4, "seed": [0, 1, 0, 1], "dice": [0.5, np.nan, 0.6, 0.8]}
    )
    found = metric_spread(rows, "dice")
    assert (found["mean"], found["cases"]) == (pytest.approx(0.7), 1)


def test_an_infinite_distance_is_counted_and_the_median_stands():
    rows = pd.DataFrame({"fixed": list("abc"), "moving": ["d"] * 3, "seed": [0] * 3, "hd95_mm": [1.0, 2.0, np.inf]})
    found = metric_spread(rows, "hd95_mm")
    assert (found["infinite"], found["median"]) == (1, 2.0)
    assert not np.isfinite(found["mean"])
    made = entry("lcc.bending", 0.7)
    made["metrics"]["hd95_mm"] = found
    text = as_text(main_table(summary(CELLS[0], made)), MAIN, "md").to_string()
    assert "median 2.00 (1 infinite)" in text
    assert "vanished" in caption(summary(CELLS[0], made))

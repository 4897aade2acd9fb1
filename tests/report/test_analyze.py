"""The ranks of the summary, and verdicts on methods that all failed."""

import numpy as np
import pandas as pd
import pytest
from made_summary import entry

from regbench.report.analyze import ranked
from regbench.report.compare_methods import judge_methods
from regbench.report.study_verdicts import GridCell


def test_ranks_leave_identity_and_failures_out():
    entries = ranked(
        [entry("identity", 0.9), entry("lcc.bending", 0.6), entry("mse.bending", 0.7), entry("gcc.x", np.nan)],
        {"brains": "dice"},
    )
    assert [one["rank"] for one in entries] == [None, 2, 1, None]


def test_of_distances_the_lowest_is_first():
    entries = [entry("identity", 0.9), entry("lcc.bending", 0.6), entry("mse.bending", 0.7), entry("gcc.x", np.nan)]
    for one in entries:
        one["metrics"] = {"tre_mm": one["metrics"]["dice"]}
    assert [one["rank"] for one in ranked(entries, {"brains": "tre_mm"})] == [None, 1, 2, None]
    assert [one["rank"] for one in ranked(entries, {"brains": "dice"})] == [None] * 4  # without a score no rank


@pytest.mark.parametrize("metric", ["dice", "tre_mm"])
def test_a_model_whose_trainings_all_failed_has_verdicts_and_no_best(metric):
    names = {f"m.{name}.l2": GridCell("m", name, "l2") for name in ("lcc", "mse")}
    rows = pd.DataFrame(
        {"method": method, "seed": 0, "fixed": f"s{case}", "moving": f"s{case + 1}", metric: score + case}
        for method, score in {"identity": 0.5, **dict.fromkeys(names, np.nan)}.items()
        for case in range(3)
    )
    goals = {"objective": [metric], "selection": [metric], "leading": metric}
    found = judge_methods(rows, names, {"m": True}, {}, goals, looks={})["m"][metric]
    assert found["best"] is None
    assert found["methods"] == list(names)
    (pair,) = found["pairs"]
    assert (pair["verdict"], pair["reason"]) == ("undecided", "m.lcc.l2 failed; m.mse.l2 failed")

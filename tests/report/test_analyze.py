"""The ranks of the summary."""

import numpy as np
from made_summary import entry

from regbench.report.analyze import ranked


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

"""The ranks of the summary."""

import numpy as np
from made_summary import entry

from regbench.report.analyze import ranked


def test_ranks_leave_identity_and_failures_out():
    entries = ranked(
        [entry("identity", 0.9), entry("lcc.bending", 0.6), entry("mse.bending", 0.7), entry("gcc.x", np.nan)]
    )
    assert [one["rank"] for one in entries] == [None, 2, 1, None]

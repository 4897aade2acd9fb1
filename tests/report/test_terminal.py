"""The main table in a terminal."""

import re

from made_summary import summary
from made_tables import CELLS, judged

from regbench.report import terminal
from regbench.report.terminal import terminal_table


def test_the_terminal_table_starts_with_identity():
    lines = terminal_table(summary(*CELLS)).splitlines()
    assert "identity" in lines[1]
    assert "lcc" in lines[2]
    assert max(map(len, lines)) <= 100


def test_the_terminal_shows_marks_and_ends_with_the_headline():
    made = judged(*CELLS, verdicts={"lcc.bending mse.bending": "equal"}) | {"warnings": ["one", "two", "three", "four"]}
    text = terminal_table(made)
    assert re.search(r"lcc +bending +0.123 +0.700 ± 0.010 \(0.001\) \+ .* 1 \(1-2\)$", text, re.MULTILINE)
    assert re.search(r"mse +bending +0.123 +0.700 ± 0.010 \(0.001\) = .* 2 \(1-2\)$", text, re.MULTILINE)
    assert re.search(r"gcc +bending +0.123 +0.650 ± 0.010 \(0.001\)  +0.123", text)
    assert "? undecided" in terminal.legend(made)
    assert "Not judged: fold %, NDV %." in terminal.legend(made)
    assert re.search(r"0.700 ± 0.010 \(0.001\) \*", terminal_table(judged(*CELLS)))
    lines = terminal.closing(made).splitlines()
    assert lines[3] == "4 warnings: the others stand on the page"
    assert lines[-2].startswith("With `voxelmorph`, lcc x bending has the best mean")
    assert max(map(len, [*lines, *text.splitlines(), *terminal.legend(made).splitlines()])) <= 120


def test_a_table_that_is_too_wide_for_a_terminal_leaves_out_the_last_metrics():
    made = judged(*CELLS)
    for one in made["methods"]:
        one["metrics"] |= dict.fromkeys(("tre_mm", "hd95_mm"), one["metrics"]["dice"])
        one["model"] = one["model"] and "a_model_with_a_name_that_is_long_beyond_reason"
    text = terminal_table(made)
    assert max(map(len, text.splitlines())) <= 120
    assert "Dice" in text
    assert "HD95" not in text

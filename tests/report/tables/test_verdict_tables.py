"""The tables of verdicts and of their noise."""

import json

import pandas as pd
from made_summary import entry, summary
from made_tables import CELLS, column, judged
from made_verdicts import compared as one_verdict

from regbench.report import terminal
from regbench.report.tables import verdict_tables
from regbench.report.tables.main_table import MAIN, main_table, write_main
from regbench.report.tables.main_table_text import as_text


def test_every_verdict_stands_in_its_table(tmp_path):
    many = [entry(f"{similarity}.{regularizer}", 0.7) for similarity in "abc" for regularizer in "xyz"]
    made = judged(CELLS[0], *many, verdicts={"a.x a.y": "undecided"})
    made["verdicts"]["brains"]["voxelmorph"]["ndv_percent"] = made["verdicts"]["brains"]["voxelmorph"]["dice"]
    verdict_tables.write_verdicts(made, tmp_path)
    frame = pd.read_csv(tmp_path / "verdicts.csv")
    assert frame["metric"].value_counts().to_dict() == {"dice": 45, "ndv_percent": 45}
    assert frame["family"].value_counts().to_dict() == {"pairs": 72, "against_identity": 18}
    first = frame[(frame["a"] == "a.x") & (frame["b"] == "a.y")].iloc[0]
    assert (first["verdict"], first["would_decide"]) == ("undecided", "8 seeds, or 6 seeds and 60 pairs")
    text = (tmp_path / "verdicts.md").read_text()
    assert "All rest on 30 pairs, 8 subjects, 4 runs." in text
    assert text.count("| a.x ") == 9, "Dice alone is printed"
    assert column(text, "Interval")[9] == "-0.0010 to +0.0070"
    assert "longtable" in (tmp_path / "verdicts.tex").read_text()
    variance = pd.read_csv(tmp_path / "variance.csv")
    assert variance.loc[:2, "source"].tolist() == ["seed", "subject", "residual"]
    assert variance.loc[:2, "share"].tolist() == [0.3, 0.7, 0.0]
    assert variance.loc[:2, "below_0"].tolist() == ["no", "no", "yes"]
    assert variance.groupby(["metric", "of"]).size().tolist() == [3, 3, 3, 3]
    assert "splits" not in variance
    text = (tmp_path / "variance.md").read_text()
    assert column(text, "SD")[:2] == ["0.012 (0.006 to 0.024)", "0.018 (0.009 to 0.036)"]
    assert column(text, "Share") == ["30 %", "70 %", "0 %"] * 2, "Dice alone is printed"
    assert "estimated below 0 counts as 0" in text
    write_main(made, tmp_path, {})
    told = json.loads((tmp_path / "main.provenance.json").read_text())
    assert [(one["a"], one["b"], one["needs"]["seeds"]) for one in told["to_decide"]] == [("a.x", "a.y", 8)]
    assert told["headline"][0].startswith("With `voxelmorph`")


def test_a_reason_stands_where_no_number_would_decide(tmp_path):
    made = judged(*CELLS)
    pairs = made["verdicts"]["brains"]["voxelmorph"]["dice"]["pairs"]
    usual = {
        "seeds": None,
        "subjects": None,
        "pairs": None,
        "both": None,
        "unit": "seeds",
        "text": "no number in reach",
    }
    pairs[:2] = [
        one_verdict("lcc.bending", "mse.bending", "undecided", needs=usual),
        one_verdict("lcc.bending", "gcc.bending", "undecided", needs=None, reason="1 of 2 runs failed", low=None),
    ]
    verdict_tables.write_verdicts(made, tmp_path)
    found = column((tmp_path / "verdicts.md").read_text(), "Would decide")
    assert [text for text in found if text] == ["out of reach", "1 of 2 runs failed"]


def test_nothing_that_could_be_judged_is_no_crash(tmp_path):
    made = judged(*CELLS)
    empty = dict.fromkeys(("difference", "low", "high", "se_subjects", "se_runs", "df"))
    empty |= {"reason": "1 subject", "needs": None, "verdict": "undecided", "n": 0, "subjects": 0, "runs": 0}
    for family_of in ("pairs", "against_identity"):
        for one in made["verdicts"]["brains"]["voxelmorph"]["dice"][family_of]:
            one.update(empty)
    verdict_tables.write_verdicts(made, tmp_path)
    write_main(made, tmp_path, {})
    assert set(column((tmp_path / "verdicts.md").read_text(), "Interval")) == {"–"}  # noqa: RUF001
    assert set(column((tmp_path / "verdicts.md").read_text(), "Would decide")) == {"1 subject"}
    assert "but against the other 2 cells nothing is decided" in terminal.closing(made).replace("\n", " ")


def test_one_cell_has_its_verdict_against_no_registration(tmp_path):
    made = judged(CELLS[0], CELLS[1])
    verdict_tables.write_verdicts(made, tmp_path)
    frame = pd.read_csv(tmp_path / "verdicts.csv")
    assert frame[["a", "verdict", "b"]].to_numpy().tolist() == [["lcc.bending", "better", "identity"]]
    assert as_text(main_table(made), MAIN, "md")["Dice ↑"][1] == "0.700 ± 0.010 (seeds 0.001)"
    assert terminal.closing(made) == "With `voxelmorph`, lcc x bending is better than no registration. This holds at " \
        "these lambdas."  # fmt: skip


def test_a_summary_without_verdicts_still_has_its_tables(tmp_path):
    verdict_tables.write_verdicts(summary(*CELLS), tmp_path)
    write_main(summary(*CELLS), tmp_path, {})
    assert "verdict" not in (tmp_path / "main.csv").read_text()
    assert terminal.closing(summary(*CELLS)) == ""

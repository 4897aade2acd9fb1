"""The main table: one rounding rule, honest marks, and a caption with every convention."""

import re

import numpy as np
import pandas as pd
import pytest
from made_summary import entry, summary
from made_tables import CELLS, column, judged

from regbench.report.tables.main_table import MAIN, caption, main_table, write_main
from regbench.report.tables.main_table_text import as_text
from regbench.report.terminal import terminal_table


def test_rounding_is_by_the_metric():
    frame = main_table(summary(*CELLS))
    assert list(frame["dice_mean"]) == [0.9, 0.7, 0.7, 0.65]
    assert frame["fold_central_percent_mean"][0] == pytest.approx(0.123)
    assert frame["ndv_percent_mean"][0] == pytest.approx(0.0001, abs=1e-4)


def test_a_best_mean_is_bold_only_where_it_is_better_than_every_other(tmp_path):
    earned = judged(*CELLS)
    write_main(earned, tmp_path, {})
    text = (tmp_path / "main.md").read_text()
    seeds = " ± 0.010 (seeds 0.001)"
    assert column(text, "Dice") == [f"0.900{seeds}", f"**0.700**{seeds}", f"0.700{seeds}", f"0.650{seeds}"]
    assert r"\textbf{0.700} $\pm$ 0.010 (0.001)" in (tmp_path / "main.tex").read_text()
    assert "<b>0.700</b> ± 0.010<br><small>seeds 0.001</small>" in (tmp_path / "main.html").read_text()
    for verdict, sign, tex in (("equal", "=", r"\rlap{ $=$}"), ("undecided", "?", r"\rlap{ ?}")):
        write_main(judged(*CELLS, verdicts={"lcc.bending mse.bending": verdict}), tmp_path, {})
        found = column((tmp_path / "main.md").read_text(), "Dice")
        assert found == [f"0.900{seeds}", f"<u>0.700</u>{seeds}", f"0.700{seeds} {sign}", f"0.650{seeds}"]
        text = (tmp_path / "main.tex").read_text()
        assert r"\underline{0.700} $\pm$ 0.010 (0.001)" in text
        assert rf"0.700 $\pm$ 0.010 (0.001){tex}" in text
        assert f"0.700 ± 0.010 {sign}<br><small>seeds 0.001</small>" in (tmp_path / "main.html").read_text()
        frame = pd.read_csv(tmp_path / "main.csv")
        assert frame["dice_verdict"].fillna("").tolist() == ["", "best", verdict, "worse"]
        assert pd.read_csv(tmp_path / "main_long.csv").set_index(["method", "metric", "statistic"])["verdict"][
            "mse.bending", "dice", "mean"] == verdict  # fmt: skip


def test_a_metric_without_verdicts_claims_nothing():
    frame = main_table(judged(*CELLS))
    frame["fold_central_percent_mean"] = [0.0, 0.2, 0.1, 0.2]
    shown = as_text(frame, MAIN, "md")["Folding, % ↓"]
    assert [("<u>" in text, "**" in text) for text in shown] == [(False, False)] * 2 + [(True, False), (False, False)]
    assert "Without verdicts: Folding" in caption(judged(*CELLS))


def test_a_method_that_was_not_compared_keeps_the_best_from_being_bold():
    made = judged(*CELLS[:3])
    made["methods"] = judged(*CELLS)["methods"]
    assert as_text(main_table(made), MAIN, "md")["Dice ↑"][1].startswith("<u>")
    made["methods"][3]["metrics"]["dice"]["mean"] = made["methods"][3]["metrics"]["dice"]["median"] = None
    assert as_text(main_table(made), MAIN, "md")["Dice ↑"][1].startswith("**"), "what failed does not compete"


def test_a_rank_has_the_interval_that_the_verdicts_leave(tmp_path):
    made = judged(*CELLS, verdicts={"lcc.bending mse.bending": "undecided"})
    write_main(made, tmp_path, {})
    assert column((tmp_path / "main.md").read_text(), "Rank") == ["–", "1 (1–2)", "2 (1–2)", "3"]  # noqa: RUF001
    assert "1 (1--2)" in (tmp_path / "main.tex").read_text()
    frame = pd.read_csv(tmp_path / "main.csv")
    assert frame[["rank_low", "rank_high"]].dropna().to_numpy().tolist() == [[1, 2], [1, 2], [3, 3]]


def test_the_caption_explains_the_marks_and_of_what_they_are_said():
    text = caption(judged(*CELLS, claim="Claims hold at these lambdas."))
    for expected in (
        "= equal to the best", "? undecided", "No mark: worse", "95 % simultaneous", "Bold: better than every other",
        "Claims hold at these lambdas.", "Region of equivalence: Dice within 0.005.", "SD over seeds",
    ):  # fmt: skip
        assert expected in text
    assert "nothing can be equal" in caption(judged(*CELLS, region=None))


def test_a_range_of_lambdas_where_several_searches_chose():
    made = entry("lcc.bending", 0.7, lams=[0.3, 0.1, 0.2], lam=0.2)
    frame = main_table(summary(CELLS[0], made, CELLS[2]))
    assert as_text(frame, MAIN, "md")["λ"].tolist() == ["–", "0.1–0.3", "0.123"]  # noqa: RUF001
    assert frame[["lambda_low", "lambda_high"]].iloc[1].tolist() == [0.1, 0.3]
    assert "0.1-0.3" in terminal_table(summary(CELLS[0], made))


def test_one_seed_has_no_spread_over_seeds():
    one = entry("lcc.bending", 0.7)
    one["metrics"]["dice"]["seed_sd"] = np.nan
    assert as_text(main_table(summary(one)), MAIN, "md")["Dice ↑"].tolist() == ["0.700 ± 0.010"]


def test_latex_leaves_out_what_says_nothing_and_has_a_table_a_model_where_one_is_wide(tmp_path):
    write_main(judged(*CELLS), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert "brains &" not in text
    assert "voxelmorph" not in text.partition("tabular")[2]
    assert r"\footnotesize" in text
    assert text.count(r"\begin{table}") == 2, "of one model: what answers first, and the rest"
    assert "Here: part 1 of 2." in text
    other = [{**one, "model": "instance", "method": f"i.{one['method']}"} for one in CELLS[1:]]
    write_main(summary(*CELLS, *other), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert text.count(r"\begin{table}") == text.count("identity &") == 4
    assert "Here: voxelmorph, part 1 of 2." in text
    assert r"instance, part 1 of 2; else as in Table~\ref{tab:s-main}." in text


def test_a_rule_parts_controls(tmp_path):
    write_main(summary(*CELLS, {**entry("identity", 0.5), "method": "control_sort", "control": True}), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert re.search(r"\\midrule\ncontrol\\_sort .*\\\\\n\\bottomrule", text)
    assert (tmp_path / "main.html").read_text().count("<tbody>") == 2


def test_a_failed_cell_says_so(tmp_path):
    write_main(summary(CELLS[0], CELLS[1], entry("gcc.bending", np.nan, failed_rows=30)), tmp_path, {})
    assert "failed" in (tmp_path / "main.md").read_text()
    assert not re.search(r"\bnan\b", (tmp_path / "main.md").read_text(), re.IGNORECASE)


def test_latex_is_balanced_and_escaped(tmp_path):
    write_main(judged(*CELLS), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert r"\textbf{0.700}" in text
    assert r"\toprule" in text
    body = "\n".join(line.removesuffix("%") for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#]", body)
    assert not re.search(r"(?<!\\)_", re.sub(r"\\label\{[^}]*\}", "", body))
    assert body.count("{") == body.count("}")


def test_the_caption_says_what_convention_changes():
    text = caption(summary(*CELLS))
    for expected in (
        "ddof 1",
        "2 seeds",
        "nearest neighbour",
        "80x96",
        "best validation Dice",
        "lower is better",
        "10 training",
    ):
        assert expected in text


def test_infinite_is_no_failure_in_any_form(tmp_path):
    """A mean that is infinite is null in the summary: without the count it would read as a failure."""
    made = entry("lcc.bending", 0.7)
    made["metrics"]["hd95_mm"] = {
        "mean": np.inf, "sd": np.nan, "seed_sd": np.nan, "median": 2.5, "infinite": 3, "cases": 30,
    }  # fmt: skip
    most = entry("mse.bending", 0.6)
    most["metrics"]["hd95_mm"] = made["metrics"]["hd95_mm"] | {"median": np.inf, "infinite": 20}
    write_main(summary(CELLS[0], made, most), tmp_path, {})
    for ending in ("md", "tex", "html"):
        text = (tmp_path / f"main.{ending}").read_text()
        assert "median 2.50 (3 infinite)" in text
        assert "20 infinite" in text
        assert "failed" not in text.replace("failed rows", "")
    text = terminal_table(summary(CELLS[0], made, most))
    assert "2.50, 3 infinite" in text
    assert "failed" not in text


def test_failed_is_said_only_where_rows_failed():
    nothing = entry("lcc.bending", np.nan)
    assert as_text(main_table(summary(nothing)), MAIN, "md")["Dice ↑"].tolist() == ["–"]  # noqa: RUF001
    nothing["failed_rows"] = 30
    assert as_text(main_table(summary(nothing)), MAIN, "md")["Dice ↑"].tolist() == ["failed"]


def test_a_mean_over_the_pairs_that_worked_says_so(tmp_path):
    """A method that fails on the hard pairs must not pass for the best in print."""
    lucky = entry("mse.bending", 0.9, failed_rows=25, runs=[{"seed": 0}, {"seed": 1}])
    made = summary(CELLS[0], entry("lcc.bending", 0.7), lucky)
    frame, form = main_table(made), "md"
    shown = as_text(frame, MAIN, form)
    assert shown["Failed"].tolist() == ["0", "0", "25 of 60"]
    assert "the means are of the pairs that have one" in caption(made)
    sound = summary(*CELLS)
    assert "Failed" not in as_text(main_table(sound), MAIN, form)
    assert "Failed" not in caption(sound)


def test_the_caption_says_what_counts_by_masks():
    made = summary(entry("identity", 0.5), entry("lcc.grad_l2", 0.7))
    plain = caption(made)
    assert "mask" not in plain
    assert "over the whole box" in plain
    for training, regularizer, evaluation, words in (
        ("fixed", False, "none", "The similarity is weighted by the fixed mask, in trainings"),
        ("moving", True, "none", "Similarity and regularizer are weighted by the moving mask, warped with its image"),
        ("none", False, "fixed", "are measured inside the fixed mask alone"),
    ):
        made["masks"] = {"training": training, "regularizer": regularizer, "evaluation": evaluation}
        assert words in caption(made)
        assert ("over the whole box" in caption(made)) == (evaluation == "none")
        assert ("over the fixed mask" in caption(made)) == (evaluation == "fixed")


@pytest.mark.parametrize(
    ("side", "printed"), [(1.0, "0.00 ± 0.00"), (0.05, "0.00 ± 0.00"), (0.002, "0.00412 ± 0.00030")]
)
def test_lengths_of_micrometres_have_the_digits_that_their_voxels_ask_for(tmp_path, side, printed):
    spread = {"mean": 0.0041234, "sd": 0.0003, "seed_sd": None, "median": 0.004, "infinite": 0, "cases": 4}
    cells = [entry("identity", dice=0.5), entry("lcc.bending", dice=0.7)]
    for one in cells:
        one["metrics"] |= {"tre_mm": spread}
    made = summary(*cells)
    for manifest in made["datasets"].values():
        manifest["spacing_mm"] = [side, side]
    write_main(made, tmp_path, {})
    assert column((tmp_path / "main.md").read_text(), "TRE") == [printed, printed]
    assert pd.read_csv(tmp_path / "main.csv")["tre_mm_mean"].tolist() == [round(0.0041234, 5 if side < 0.01 else 2)] * 2
    assert column((tmp_path / "main.md").read_text(), "Dice")[1].startswith("0.700")
    assert printed.split()[0] in terminal_table(made)


def test_the_caption_tells_given_lambdas_and_what_is_not_trained():
    given, searched = {"selected": {"range": None}}, {"selected": {"range": [0.01, 1.0]}}
    both = summary(
        entry("lcc.grad_l2", 0.6, trained=True, **given), entry("mse.grad_l2", 0.5, trained=True, **searched)
    )
    words = caption(both)
    assert "Lambda chosen by best validation Dice" in words
    assert "(given, not searched, in 1 of 2 cells), then 10 training steps." in words
    fixed = summary(entry("identity", 0.4), entry("lcc.grad_l2", 0.6, trained=False, **given))
    assert "Lambda given, not searched; nothing is trained." in caption(fixed)
    assert "training steps" not in caption(fixed)
    assert "given, not searched" not in caption(summary(entry("lcc.grad_l2", 0.6, trained=True, **searched)))

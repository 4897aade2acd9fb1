"""Numbers of the tables: seeds averaged first, SD over cases, one rounding rule, honest marks."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from made_summary import entry, summary
from made_verdicts import compared as one_verdict
from made_verdicts import family
from made_verdicts import verdicts as made_verdicts
from PIL import Image

from regbench.report import terminal
from regbench.report.analyze import ranked
from regbench.report.compare_methods import compare_methods
from regbench.report.figures.comparison_figures import dice_figure, speed_figure
from regbench.report.figures.pair_figures import write_thumbnail
from regbench.report.figures.rank_figures import difference_figure, stability_figure
from regbench.report.figures.trial_figures import lambda_figure, pareto_figure
from regbench.report.method_entries import metric_spread
from regbench.report.study_verdicts import GridCell
from regbench.report.tables import secondary_tables, verdict_tables
from regbench.report.tables.main_table import MAIN, caption, main_table, write_main
from regbench.report.tables.main_table_text import as_text
from regbench.report.tables.runtime_table import runtime_table, write_runtime
from regbench.report.tables.secondary_tables import (
    grid_table,
    selection_table,
    significance_table,
    structures_table,
    write_secondary,
)
from regbench.report.terminal import terminal_table
from regbench.system.files import _finite

CELLS = (entry("identity", 0.9), entry("lcc.bending", 0.7004), entry("mse.bending", 0.6996), entry("gcc.bending", 0.65))


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


def test_ranks_leave_identity_and_failures_out():
    entries = ranked(
        [entry("identity", 0.9), entry("lcc.bending", 0.6), entry("mse.bending", 0.7), entry("gcc.x", np.nan)]
    )
    assert [one["rank"] for one in entries] == [None, 2, 1, None]


def test_rounding_is_by_the_metric():
    frame = main_table(summary(*CELLS))
    assert list(frame["dice_mean"]) == [0.9, 0.7, 0.7, 0.65]
    assert frame["fold_central_percent_mean"][0] == pytest.approx(0.123)
    assert frame["ndv_percent_mean"][0] == pytest.approx(0.0001, abs=1e-4)


def judged(*entries, verdicts=(), metric="dice", **changes):
    """A summary with verdicts between its methods, 'a b': verdict; 'better' where nothing is said."""
    names = [one["method"] for one in entries if one["method"] != "identity"]
    found = made_verdicts(family(names, dict(verdicts)), identity={} if len(names) > 1 else {names[0]: "better"})
    return {**summary(*entries), "verdicts": {"brains": {"voxelmorph": {metric: {**found, **changes}}}}}


def column(text, title, wanted="|"):
    """A column of a Markdown table by the beginning of its title."""
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    place = next(k for k, name in enumerate(lines[0].split("|")) if name.strip().startswith(title))
    return [line.split("|")[place].strip() for line in lines[2:]]


def test_a_best_mean_is_bold_only_where_it_is_better_than_every_other(tmp_path):
    earned = judged(*CELLS)
    write_main(earned, tmp_path, {})
    text = (tmp_path / "main.md").read_text()
    seeds = " ± 0.010 (seeds 0.001)"
    assert column(text, "Dice") == [f"0.900{seeds}", f"**0.700**{seeds}", f"0.700{seeds}", f"0.650{seeds}"]
    assert r"\textbf{0.700} {\scriptsize $\pm$ 0.010 (0.001)}" in (tmp_path / "main.tex").read_text()
    assert "<b>0.700</b> ± 0.010<br><small>seeds 0.001</small>" in (tmp_path / "main.html").read_text()
    for verdict, sign, tex in (("equal", "=", r"\rlap{ $=$}"), ("undecided", "?", r"\rlap{ ?}")):
        write_main(judged(*CELLS, verdicts={"lcc.bending mse.bending": verdict}), tmp_path, {})
        found = column((tmp_path / "main.md").read_text(), "Dice")
        assert found == [f"0.900{seeds}", f"<u>0.700</u>{seeds}", f"0.700{seeds} {sign}", f"0.650{seeds}"]
        text = (tmp_path / "main.tex").read_text()
        assert r"\underline{0.700} {\scriptsize $\pm$ 0.010 (0.001)}" in text
        assert rf"0.700 {{\scriptsize $\pm$ 0.010 (0.001)}}{tex}" in text
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
    assert r"\small" in text
    assert text.count(r"\begin{table}") == 1
    other = [{**one, "model": "instance", "method": f"i.{one['method']}"} for one in CELLS[1:]]
    write_main(summary(*CELLS, *other), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert text.count(r"\begin{table}") == 2
    assert text.count("identity &") == 2
    assert "Here: voxelmorph." in text
    assert r"instance; else as in Table~\ref{tab:s-main}." in text


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
    assert variance.loc[0, ["share_subject", "share_seed", "share_residual"]].tolist() == [0.5, 0.3, 0.2]
    assert np.isnan(variance.loc[0, "share_tuning"])
    assert "–" in (tmp_path / "variance.md").read_text()  # noqa: RUF001
    write_main(made, tmp_path, {})
    told = json.loads((tmp_path / "main.provenance.json").read_text())
    assert [(one["a"], one["b"], one["needs"]["seeds"]) for one in told["to_decide"]] == [("a.x", "a.y", 8)]
    assert told["headline"][0].startswith("With `voxelmorph`")


def test_a_reason_stands_where_no_number_would_decide(tmp_path):
    made = judged(*CELLS)
    pairs = made["verdicts"]["brains"]["voxelmorph"]["dice"]["pairs"]
    usual = {"seeds": None, "subjects": None, "pairs": None, "both": None, "text": "no number in reach"}
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


def test_tests_say_what_they_condition_on(grid):
    assert set(significance_table(grid)["conditions_on"]) == {"these trained networks"}
    fixed = {"brains": {"voxelmorph": {"dice": {"scope": "fixed"}}}}
    assert set(significance_table({**grid, "verdicts": fixed})["conditions_on"]) == {"these lambdas"}


def test_runtime_quotes_the_median_and_quartiles():
    rows = pd.DataFrame(
        {
            "dataset": "d",
            "method": "m",
            "seed": [0, 0, 1, 1],
            "inference_seconds": [0.001, 0.002, 0.003, np.nan],
            "pipeline_seconds": [0.004, 0.005, 0.007, np.nan],
            "peak_memory_mib": 5.0,
            "parameters": 12,
            "training_seconds": [10.0, 10.0, 14.0, 14.0],
            "device": "cpu",
        }
    )
    found = runtime_table(rows).iloc[0]
    assert (found["inference_ms_median"], found["inference_ms_q1"], found["inference_ms_q3"]) == (2.0, 1.5, 2.5)
    assert found["pairs"] == 3
    assert (found["pipeline_ms_median"], found["parameters"], found["training_s_median"]) == (5.0, 12, 12.0)


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


def test_a_baseline_has_times_but_neither_parameters_nor_a_training(tmp_path):
    common = {"dataset": "brains", "seed": 0, "inference_seconds": 0.5, "pipeline_seconds": 0.6, "peak_memory_mib": 5.0}
    rows = pd.DataFrame(
        [
            {"method": "identity", **common, "inference_seconds": np.nan, "device": None},
            {"method": "sitk_demons", **common, "device": "cpu (x), 1 thread"},
            {"method": "lcc.bending", **common, "parameters": 12, "training_seconds": 9.0, "device": "H100"},
        ]
    )
    made = summary(CELLS[0], {**entry("identity", 0.6), "method": "sitk_demons"}, CELLS[1])
    write_runtime(rows, made, tmp_path, {})
    text = (tmp_path / "runtime.md").read_text()
    assert re.search(r"sitk_demons .*\| – +\| – +\| cpu \(x\), 1 thread", text)  # noqa: RUF001
    assert re.search(r"lcc.bending .*\| 12 +\| 9.0 +\| H100", text)
    speed_figure(made, rows, tmp_path)
    frame = pd.read_csv(tmp_path / "runtime_dice.csv")
    assert frame["series"].tolist() == ["sitk_demons", "voxelmorph.lcc"]
    assert frame["device"].tolist() == ["cpu (x), 1 thread", "H100"]
    assert "devices differ" in (tmp_path / "runtime_dice.svg").read_text()
    speed_figure(made, rows.iloc[:1], tmp_path)
    assert "nothing timed" in (tmp_path / "runtime_dice.svg").read_text()


def test_figures_have_the_same_bytes_each_time(tmp_path):
    trials = [
        {"number": k, "lam": 10.0**k, "dice": 0.5 + k / 10, "ndv_percent": 0.1, "status": "complete"} for k in range(3)
    ]
    made = summary(CELLS[0], entry("lcc.bending", 0.7, trials=trials, lam=10.0))
    rows = pd.DataFrame(
        {
            "dataset": "d",
            "method": ["a", "a", "b", "b"],
            "fixed": list("ffff"),
            "moving": list("mnmn"),
            "dice": [0.1, 0.2, 0.3, 0.4],
        }
    )
    for folder in (tmp_path / "a", tmp_path / "b"):
        lambda_figure(made, folder)
        dice_figure(rows, folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["dice.csv", "dice.png", "dice.svg", "lambda.csv", "lambda.png", "lambda.svg"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_study_without_trials_has_its_figure_too(tmp_path):
    lambda_figure(summary(*CELLS), tmp_path)
    assert (tmp_path / "lambda.png").exists()


def compared(scores, **changes):
    """A summary whose comparisons come from these Dice scores: method to one number a pair."""
    pairs = [(f"s{a}", f"s{b}") for a in range(4) for b in range(4) if a != b]
    rows = pd.DataFrame(
        [
            {"method": method, "seed": 0, "fixed": fixed, "moving": moving, "dice": value}
            for method, values in scores.items()
            for (fixed, moving), value in zip(pairs, values, strict=True)
        ]
    )
    cells = {method: GridCell("voxelmorph", *method.split(".")) for method in scores if method != "identity"}
    made = summary(*(entry(name, float(np.mean(values))) for name, values in scores.items()))
    found = {"brains": compare_methods(rows, cells)}
    return {**made, "comparisons": json.loads(json.dumps(_finite(found))), **changes}


@pytest.fixture(scope="module")
def grid():
    """A full 2 x 2 grid: lcc is better by 0.2, and bending adds 0.1 to it alone."""
    noise = np.random.default_rng(0).normal(0, 0.01, (5, 12))
    means = {"identity": 0.3, "lcc.bending": 0.8, "lcc.grad_l2": 0.7, "mse.bending": 0.5, "mse.grad_l2": 0.5}
    return compared({name: mean + noise[k] for k, (name, mean) in enumerate(means.items())})


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
    found = compare_methods(rows, {"lcc.a": GridCell("m", "lcc", "a"), "mse.a": GridCell("m", "mse", "a")})
    assert found["m"]["dice"]["against_best"][0]["too_few"]
    made = {**summary(*CELLS), "comparisons": {"brains": found}}
    assert "n too small" in secondary_tables._tests_shown(significance_table(made)).to_string()


def test_details_are_written_in_four_forms_with_equal_bytes(grid, tmp_path):
    trials = [{"number": 0, "lam": 0.1, "dice": 0.5, "ndv_percent": 0.1, "status": "complete"}]
    chosen = {"lam": 0.1, "dice": 0.5, "ndv_percent": 0.1, "number": 0}
    for method in grid["methods"][1:]:
        method |= {"trials": trials, "selected": {"by_dice": chosen, "by_dice_ndv": None, "range": [0.01, 1.0]}}
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
    made = compared({"lcc.a": np.full(12, 0.5), "mse.a": np.full(12, 0.5), "gcc.a": np.full(12, 0.5)})
    stability_figure(made, tmp_path)
    difference_figure(made, tmp_path)
    assert not significance_table(made)["significant"].any()


def test_a_thumbnail_shows_the_median_pair_upright_and_its_folds(tmp_path):
    fixed, determinant = np.zeros((4, 6), np.float32), np.ones((4, 6), np.float32)
    fixed[3, 5] = 1  # the end of both axes: right, up
    determinant[0, 0] = -0.5  # left, down
    parts = {"fixed": fixed, "moving": fixed, "moved": fixed, "determinant": determinant}
    stored = {f"median_{name}": values for name, values in parts.items()} | {
        "median_about": np.array(["a", "b", "0.5"])
    }
    for name in ("a.png", "b.png"):
        write_thumbnail(stored, (1.0, 2.0), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = Image.open(tmp_path / "a.png")
    width, height = (image.width + 2) // 4 - 2, image.height
    assert width / height == pytest.approx(4 / 12, abs=0.02)  # in mm
    assert image.getpixel((width - 1, 0)) == (255, 255, 255)
    assert image.getpixel((0, height - 1)) == (0, 0, 0)
    assert image.getpixel((3 * (width + 2), height - 1)) == (255, 0, 255)
    write_thumbnail({}, (1.0, 2.0), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()

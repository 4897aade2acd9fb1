"""The tables of docs/findings.md, by hand on two small made-up studies."""

import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from script_files import script
from tiny_study import ROOT

SCRIPT = ROOT / "benchmarks/findings.py"
CELLS = ("net.lcc.bending", "net.lcc.grad_l2", "net.mse.grad_l2")


@pytest.fixture(scope="module")
def findings():
    """The names of the script and of the files beside it."""
    files = ("published_studies", "lambda_findings", "verdict_findings", "repetition_findings", "findings")
    return SimpleNamespace(
        **{name: value for file in files for name, value in vars(script(f"benchmarks/{file}.py")).items()}
    )


def study(findings, name, verdicts, dice=(0.80, 0.82, 0.70)):
    """Three cells, two seeds, six pairs; `verdicts` of (0, 1), (0, 2), (1, 2)."""
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            {"method": cell, "seed": seed, "fixed": f"f{pair}", "moving": "m", "dice": mean + 0.001 * random.normal()}
            for cell, mean in zip(CELLS, dice, strict=True)
            for seed in (0, 1)
            for pair in range(6)
        ]
    )
    main = pd.DataFrame(
        [
            {"method": cell, "model": "net", "similarity": cell.split(".")[1], "regularizer": cell.split(".")[2],
             "dice_mean": mean, "hd95_mm_mean": 3 * mean}
            for cell, mean in zip(CELLS, dice, strict=True)
        ]
    )  # fmt: skip
    table = pd.DataFrame(
        [
            {"model": "net", "metric": "dice", "family": "pairs", "a": CELLS[i], "b": CELLS[j], "verdict": verdict,
             "difference": dice[i] - dice[j], "low": 0.0, "high": 0.0}
            for (i, j), verdict in zip([(0, 1), (0, 2), (1, 2)], verdicts, strict=True)
        ]
    )  # fmt: skip
    trials = pd.DataFrame(
        [
            {"method": cell, "lam": lam, "dice": 0.7 - 0.02 * np.log10(lam) ** 2}
            for cell in CELLS
            for lam in np.geomspace(0.01, 100, 9)
        ]
    )
    return findings.Published(name, rows, main, table, trials, 0.005)


def test_one_seed_is_answered_by_the_study(findings):
    """All three pairs differ by far more than their noise: each of the usual tests claims them."""
    one = findings.one_seed([study(findings, "a", ["undecided", "better", "worse"])])
    assert list(one["called different"]) == ["3.0", "0.0"]  # the smallest p of six pairs is .031, and .094 by Holm
    one = one.iloc[0]
    answers = {name: one[f"the study{name}"] for name in (" agrees", ": equal", ": undecided", ": the other one")}
    assert list(answers.values()) == ["1.0", "0.0", "1.0", "1.0"]


def test_agreement(findings):
    first = study(findings, "a", ["undecided", "better", "better"])
    again = study(findings, "a_again", ["equal", "better", "worse"])
    (line,) = [row for row in findings.agreement([first, again]).to_dict("records") if row["of"]]
    assert line["decided first"] == 2
    assert (line["confirmed"], line["contradicted"], line["then undecided"]) == (1, 1, 0)
    assert line["decided then only"] == 1


def test_one_study_judged_anew_is_its_own_table(findings):
    made = findings.read(ROOT / "results/reference/quick")
    for model in made.models:
        anew = findings.judged(made, model, made.of_cells)
        for family in ("pairs", "similarity", "regularizer"):
            table = made.verdicts[(made.verdicts["model"] == model) & (made.verdicts["family"] == family)]
            lines = [(one["a"], one["b"], one["verdict"], round(one["low"], 4)) for one in anew[family]]
            assert lines == list(table[["a", "b", "verdict", "low"]].round(4).itertuples(index=False, name=None))


def repeated(findings, seeds):
    """A study of two cells and four searches, and its repetition with these seeds; the first cell is .008 better.

    The runs of a cell lie .006 apart, so that four of them leave the sign open and eight do not.
    """
    noise = (-0.003, 0.003, -0.003, 0.003)
    studies = []
    for name, numbers in (("a", (0, 1, 2, 3)), ("a_again", seeds)):
        made = study(findings, name, ["undecided"] * 3)
        rows = pd.DataFrame([
            {"method": cell, "seed": seed, "replicate": search, "fixed": f"f{pair}", "moving": f"m{pair}",
             "dice": mean + sign * noise[search] + 1e-5 * pair * sign}
            for cell, mean, sign in zip(CELLS[1:], (0.808, 0.8), (1, -1), strict=True)
            for search, seed in enumerate(numbers)
            for pair in range(30)
        ])  # fmt: skip
        studies.append(replace(made, rows=rows, main=made.main[made.main["method"] != CELLS[0]]))
    return studies


def test_searches_of_both_decide_more_than_those_of_one(findings):
    first, again = repeated(findings, (4, 5, 6, 7))
    (alone,) = findings.judged(first, "net", first.of_cells)["pairs"]
    rows = findings.rows_of_both(first, again)
    (both,) = findings.judged(first, "net", rows)["pairs"]
    assert (alone["verdict"], both["verdict"]) == ("undecided", "better")
    assert both["runs"] == 2 * alone["runs"] == 8
    assert set(rows["replicate"]) == set(range(8))
    pairs = first.verdicts[first.verdicts["a"] == CELLS[1]]
    levels = pd.DataFrame(
        [{"model": "net", "family": "similarity", "a": "mse", "b": "lcc", "verdict": "worse", "difference": 0}]
    )
    tables = pd.concat([pairs, levels])
    lines = findings.together([replace(one, verdicts=tables) for one in (first, again)]).to_dict("records")
    assert [line[""] for line in lines] == ["lcc against mse", "pairs of cells decided"]
    assert [line["first"] for line in lines] == ["better", "0 of 1"]
    assert [line["together"] for line in lines] == ["better", "1 of 1"]


def test_a_repetition_with_the_same_seeds_is_none(findings):
    with pytest.raises(ValueError, match=r"`a_again` shares \[3\]"):
        findings.rows_of_both(*repeated(findings, (3, 4, 5, 6)))


def test_two_usual_papers_beside_each_other(findings):
    """The repetition turns the first two cells, far beyond their noise; six pairs are too few for Holm's."""
    first = study(findings, "a", ["undecided"] * 3)
    again = study(findings, "a_again", ["undecided"] * 3, dice=(0.82, 0.80, 0.70))
    line, corrected = findings.usual_again([first, again]).to_dict("records")
    counts = [line[name] for name in ("called different", "again the same", "then no difference", "then the other one")]
    assert counts == ["3.0", "2.0", "0.0", "1.0"]
    assert line["share"] == "33%"
    assert (corrected["called different"], corrected["share"]) == ("0.0", "0%")


def test_an_order_of_names_turns_a_verdict(findings):
    made = study(findings, "a", ["better", "equal", "undecided"])
    turned = made.verdicts.copy()
    turned[["a", "b"]] = turned[["b", "a"]].to_numpy()
    turned["difference"] *= -1
    turned["verdict"] = turned["verdict"].replace({"better": "worse"})
    assert findings.claims(replace(made, verdicts=turned), "net") == findings.claims(made, "net")


def test_a_width_in_decades(findings):
    """Of 0.02 x^2 below the best, .005 is reached at half a decade on both sides."""
    made = study(findings, "a", ["undecided"] * 3)
    logs, dice = findings.curve(made.trials[made.trials["method"] == CELLS[0]])
    assert (logs[0], logs[-1]) == (-2, 2)
    assert findings.width(logs, dice, 0.005) == pytest.approx(1.0, abs=0.06)
    assert findings.width(np.arange(5.0), np.array([1, 0, 1.1, 1.1, 0]), 0.05) == 1.0


def searched(made, best):
    """The study with two searches a cell over the same lambdas; `best` has the logarithm of each cell's."""
    trials = [
        {"method": cell, "replicate": replicate, "lam": 10.0**log, "dice": 0.7 - 0.02 * (log - best[cell]) ** 2,
         "ndv_percent": 0.4 / 10.0**log, "chosen": log == best[cell]}
        for cell in CELLS
        for replicate in (0, 1)
        for log in np.arange(-2, 3)
    ]  # fmt: skip
    return replace(made, trials=pd.DataFrame(trials))


def test_a_borrowed_lambda_costs_what_the_curve_says(findings):
    """A decade away from its best a cell loses .02; only grad_l2 has both similarities."""
    made = study(findings, "a", ["undecided"] * 3)
    made = replace(made, main=made.main[made.main["regularizer"] == "grad_l2"])
    made = searched(made, dict(zip(CELLS, (0, 0, -1), strict=True)))
    (line,) = findings.borrowed([made]).to_dict("records")
    assert line[""] == "lcc minus mse"
    own, first, second = (float(line[f"{words}"]) for words in list(line)[3:])
    assert own == pytest.approx(0, abs=0.001)
    assert first == pytest.approx(0.02, abs=0.001)
    assert second == pytest.approx(-0.02, abs=0.001)


def test_other_rules_choose_from_each_search(findings):
    """At a lambda of 1 NDV is .4, at 10 it is .04; nothing else is within .005 of the best trial."""
    lines = findings.rules([searched(study(findings, "a", ["undecided"] * 3), dict.fromkeys(CELLS, 0))])
    lines = lines.set_index("rule")
    factors = dict(zip(lines.index, lines["factor of lambda, median"], strict=True))
    assert list(factors.values()) == ["1.0", "10.0", "1.0"]
    lost = dict(zip(lines.index, lines["Dice lost, median"].astype(float), strict=True))
    assert list(lost.values()) == pytest.approx([0, 0.02, 0], abs=0.001)


@pytest.mark.parametrize(
    ("ndv", "best", "regular", "flat"),
    [((0.05, 0.3, 0.2), 10, 100, 1), ((0.5, 0.3, 0.2), 10, 100, 100), ((0, 0, 0), 10, 100, 10)],
)
def test_what_a_rule_takes(findings, ndv, best, regular, flat):
    trials = pd.DataFrame({"lam": [1.0, 10.0, 100.0], "dice": [0.70, 0.71, 0.706], "ndv_percent": ndv})
    assert findings.best_trial(trials, 0.005) == best
    assert findings.most_regular(trials, 0.005) == regular
    assert findings.hardly_folded(trials, 0.005) == flat


def test_orders_know_which_way_is_better(findings):
    (line,) = findings.orders([study(findings, "a", ["undecided"] * 3)]).to_dict("records")
    assert line["hd95_mm"] == "-1.00"


def test_equal_regularity_may_turn_the_order(findings):
    made = study(findings, "a", ["undecided"] * 3)
    assert findings.regularity([made]).empty
    matched = {"matched_score": [0.5, 0.4, np.nan], "matched_regularity": "sdlogj", "matched_level": 0.25}
    (line,) = findings.regularity([replace(made, main=made.main.assign(**matched))]).to_dict("records")
    assert (line["cells"], line["level"], line["Kendall's tau"]) == (2, "sdlogj 0.25", "-1.00")
    assert (line["best as tuned"], line["best at the level"]) == ("lcc.grad_l2", "lcc.bending")


def test_tables_stand_in_the_page_and_a_wrong_name_is_refused(findings):
    studies = [study(findings, "a", ["equal", "better", "better"])]
    page = "# Page\n\n<!-- table: counts -->\nold\n<!-- end -->\n\nText.\n"
    once = findings.with_tables(page, studies)
    assert "| a | net | pairs of cells | 3 | 2 | 1 | 0 |" in once
    assert "old" not in once
    assert once.endswith("<!-- end -->\n\nText.\n")
    assert findings.with_tables(once, studies) == once
    with pytest.raises(ValueError, match="but got `count`"):
        findings.with_tables(page.replace("counts", "count"), studies)


def test_a_page_with_another_number_is_told(findings, tmp_path, monkeypatch):
    """Of the smallest study alone."""
    shutil.copytree(ROOT / "results/reference/histology", tmp_path / "reference/histology")
    page = tmp_path / "findings.md"
    page.write_text("<!-- table: stains -->\n<!-- end -->\n")
    words = ["findings.py", "--page", str(page), "--figures", str(tmp_path), "--reference", str(tmp_path / "reference")]
    monkeypatch.setattr(sys, "argv", words)
    assert findings.main() == 0
    monkeypatch.setattr(sys, "argv", [*words, "--check"])
    assert findings.main() == 0
    text = page.read_text()
    assert "| histology | lcc.grad_l2 | 6.82 | 10.69 | 6.36 | 6.93 |" in text
    page.write_text(text.replace("10.69", "10.68"))
    assert findings.main() == 1


def test_the_page_has_the_tables_of_the_published_studies():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""The page: the grid as a picture, tables as people read them, what is said in words; nothing here needs a browser."""

import re

import numpy as np
import pandas as pd
import pytest
from judged import judge
from made_summary import entry, summary

from regbench.report.figures.grid_figure import _colours, _readable, single_panels, verdict_grid
from regbench.report.figures.grid_words import caption, described, grid_frame, meanings
from regbench.report.page.certainty import how_sure, marked
from regbench.report.page.page_tables import page_table
from regbench.report.tables.table_format import NONE
from regbench.study.report_files import FIGURES

DICE = {"lcc.bending": 0.7004, "lcc.grad_l2": 0.6996, "mse.bending": 0.6930, "mse.grad_l2": 0.65}
HEAD = "<figure>\n<table>\n  <thead>\n    <tr>{}</tr>\n  </thead>\n  <tbody>\n{}  </tbody>\n</table>\n"


def cells(dice=DICE, datasets=("brains",), models=("voxelmorph",), **changes):
    """A summary of the cells `dice` of each model and dataset."""
    found = []
    for dataset in datasets:
        found.append({**entry("identity", 0.5), "dataset": dataset})
        for model in models:
            for method, value in dice.items():
                one = entry(method, value, **changes)
                found.append({**one, "dataset": dataset, "model": model, "method": f"{model}.{method}"})
    made = summary(*found)
    return {**made, "datasets": dict.fromkeys(datasets, made["datasets"]["brains"])}


def verdicts_of(made):
    return dict(zip(grid_frame(made)["method"].str.partition(".")[2], grid_frame(made)["verdict"], strict=True))


def test_each_cell_says_how_it_stands_against_the_best():
    assert verdicts_of(judge(cells(), half=0.004)) == {
        "lcc.bending": "best", "lcc.grad_l2": "equal", "mse.bending": "worse", "mse.grad_l2": "worse",
    }  # fmt: skip
    assert verdicts_of(judge(cells(), half=0.008))["mse.bending"] == "undecided"
    assert verdicts_of(judge(cells(), region=None, half=0.0001))["lcc.bending"] == "better than all"
    assert set(verdicts_of(cells()).values()) == {""}, "no verdicts, no marks"
    assert set(verdicts_of(judge(cells({"lcc.bending": 0.7}))).values()) == {""}, "a cell alone is not the best"


def test_a_method_that_was_not_compared_is_not_called_worse():
    made = judge(cells())
    judged = made["verdicts"]["brains"]["voxelmorph"]["dice"]
    judged["pairs"] = [one for one in judged["pairs"] if "voxelmorph.mse.grad_l2" not in (one["a"], one["b"])]
    assert verdicts_of(made)["mse.grad_l2"] == "not compared"
    assert ("·", "not compared") in meanings(made, grid_frame(made))


def test_the_legend_has_only_what_the_picture_has():
    made = judge(cells(), half=0.004)
    assert [sign for sign, _ in meanings(made, grid_frame(made))] == ["★", "=", ""]
    assert dict(meanings(made, grid_frame(made)))["="] == "equal within 0.005"
    nothing = judge(cells(), region=None, half=0.008)
    assert "=" not in dict(meanings(nothing, grid_frame(nothing)))
    failed = judge(cells({**DICE, "mse.grad_l2": np.nan}))
    assert ("", "hatched: no result") in meanings(failed, grid_frame(failed))
    assert verdicts_of(failed)["mse.grad_l2"] == ""


def test_folding_is_ndv_where_there_is_one():
    assert set(grid_frame(cells())["folding_metric"]) == {"ndv_percent"}
    made = cells()
    for one in made["methods"]:
        del one["metrics"]["ndv_percent"]
    frame = grid_frame(made)
    assert set(frame["folding_metric"]) == {"fold_central_percent"}
    assert frame["folding"].tolist() == pytest.approx([0.12345] * 4)


def test_a_study_without_dice_shows_what_it_was_compared_by():
    made = judge(cells())
    made["verdicts"]["brains"]["voxelmorph"]["endpoint_error_mm"] = made["verdicts"]["brains"]["voxelmorph"].pop("dice")
    frame = grid_frame(made)
    assert set(frame["metric"]) == {"endpoint_error_mm"}
    assert frame["mean"].tolist() == [2.0] * 4


@pytest.mark.parametrize(
    "made",
    [
        judge(cells(), half=0.004),
        judge(cells(datasets=("brains", "lungs"), models=("voxelmorph", "instance"))),
        judge(cells({**DICE, "mse.grad_l2": np.nan}), half=0.008),
        judge(cells({"lcc.bending": 0.7})),
        cells(dict.fromkeys(DICE, np.nan)),
        judge(cells({f"s{k}.r{j}": 0.5 + 0.01 * k + 0.001 * j for k in range(7) for j in range(9)})),
        summary(entry("identity", 0.5)),
    ],
    ids=["one", "four", "failed", "a cell", "nothing", "many", "identity"],
)
def test_the_picture_has_the_same_bytes_each_time(made, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        verdict_grid(made, folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [f"verdict_grid.{kind}" for kind in ("csv", "pdf", "png", "svg", "tex")]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert b"CreationDate" not in (tmp_path / "a/verdict_grid.pdf").read_bytes()
    assert single_panels(grid_frame(made)) == single_panels(grid_frame(made))


def test_the_picture_as_a_figure_of_a_paper(tmp_path):
    made = judge(cells(), half=0.004)
    verdict_grid(made, tmp_path)
    text = (tmp_path / "verdict_grid.tex").read_text()
    assert r"\includegraphics[width=\columnwidth]{verdict_grid.pdf}" in text
    assert r"$\star$ best mean" in text
    assert "= equal within 0.005" in text
    assert r"NDV in per cent" in text
    assert "another search could choose another" in text, "the scope of the claims"
    assert text.isascii()
    assert text.count("{") == text.count("}")
    assert text.count("\\begin{figure}") == text.count("\\end{figure}") == 1
    verdict_grid(judge(cells(models=("voxelmorph", "instance"))), tmp_path)
    assert r"\begin{figure*}" in (tmp_path / "verdict_grid.tex").read_text()


def test_numbers_and_marks_stand_in_the_picture(tmp_path):
    verdict_grid(judge(cells(), half=0.004), tmp_path)
    text = (tmp_path / "verdict_grid.svg").read_text()
    for expected in ("0.700\N{THIN SPACE}★", "0.700\N{THIN SPACE}=", ">0.650<", "Dice ↑", "NDV, % ↓", "&lt;.01"):
        assert expected in text, expected


def test_text_on_every_cell_can_be_read():
    def luminance(colour):
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
        return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))

    for name in ("Blues", "Oranges"):
        shades = [_colours(name, rising=True)(value) for value in np.linspace(0, 1, 101)]
        heights = [luminance(shade) for shade in shades]
        assert heights == sorted(heights, reverse=True), "dark is much, in grey too"
        for shade, height in zip(shades, heights, strict=True):
            dark, light = sorted((height, {"black": 0.0, "white": 1.0}[_readable(shade)]))
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_picture_in_words():
    frame = grid_frame(judge(cells(models=("voxelmorph", "instance"))))
    text = described(frame)
    assert "voxelmorph on brains: Dice from 0.650 to 0.700, best lcc with bending; NDV, % from <.01 to <.01." in text
    assert "instance on brains" in text
    assert "no cell has a result" in described(grid_frame(cells(dict.fromkeys(DICE, np.nan))))
    assert [alt for alt, _ in single_panels(frame)] == [
        described(mine) for _, mine in frame.groupby("model", sort=False)
    ]


def test_every_figure_has_words_for_those_who_do_not_see_it():
    for name, words in ((name, figure.alt) for name, figure in FIGURES.items()):
        assert len(words) > len(name) + 40, "what it shows, not only its name"


def test_how_sure_in_a_line():
    made = judge(cells(models=("voxelmorph", "instance")))
    made["datasets"]["brains"] |= {"splits": {"test": list("abc")}, "pairs": {"test": [["a", "b"]] * 6}}
    judged = made["verdicts"]["brains"]
    judged["instance"]["dice"] |= {"scope": "fixed", "noise": {"seeds": 1, "replicates": 1, "subjects": 8, "pairs": 30}}
    assert dict(how_sure(made)) == {
        "Seeds": "2 (voxelmorph), 1 (instance)",
        "Searches of each lambda": "1",
        "Test": "3 subjects in 6 pairs",
        "Equal within": "Dice 0.005",
        "Holds for": "voxelmorph: these lambdas; instance: these lambdas (nothing here is random)",
    }
    assert dict(how_sure(judge(cells(), region=None)))["Equal within"] == "none declared: nothing can be equal"
    assert dict(how_sure(cells())) == {"Seeds": "2", "Test": "unknown"}


def test_names_in_a_sentence_are_code_and_nothing_else_is_html():
    assert marked("With `a<b`, lcc < mse.") == "With <code>a&lt;b</code>, lcc &lt; mse."


def table(head, rows, name="Results"):
    row = "    <tr>\n{}\n    </tr>\n"
    heads = "".join(f"<th>{text}</th>" for text in head)
    body = "".join(row.format("\n".join(f"      <td>{text}</td>" for text in each)) for each in rows)
    return page_table(HEAD.format(heads, body) + "<figcaption>Words &amp; so on.</figcaption>\n</figure>\n", name)


def texts(found):
    """Rows of text of each table."""
    return [
        [
            [re.sub(r"<.*?>", "", text) for text in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)]
            for row in re.findall(r"<tr.*?</tr>", one, re.DOTALL)
        ]
        for one in re.findall(r"<table.*?</table>", found, re.DOTALL)
    ]


def test_what_all_rows_share_stands_above_them_and_what_some_share_in_headings():
    rows = [["d", "identity", NONE, NONE, "0.5"], ["d", "m", "lcc", "x", "0.6"], ["d", "n", "lcc", "x", "0.7"]]
    rows.append(["d", "control_self", NONE, NONE, "1.0"])
    found = table(["Dataset", "Model", "Similarity", "Regularizer", "Dice ↑"], rows)
    assert texts(found) == [[
        ["Similarity", "Regularizer", "Dice ↑"], ["for comparison"], ["identity", NONE, "0.5"], ["m"],
        ["lcc", "x", "0.6"], ["n"], ["lcc", "x", "0.7"], ["controls"], ["control_self", NONE, "1.0"],
    ]]  # fmt: skip
    assert "<caption>d</caption>" in found
    assert found.count("<tbody>") == 4
    assert "Words &amp; so on." in found


def test_the_model_of_methods_becomes_a_heading():
    rows = [["against_best", "m.lcc.x", "m.mse.x"], ["against_identity", "m.lcc.x", "identity"],
            ["against_best", "n.lcc.x", "n.mse.x"]]  # fmt: skip
    (found,) = texts(table(["Family", "a", "b"], rows, "Tests"))
    assert found == [
        ["a", "b"], ["against best · m"], ["lcc.x", "mse.x"], ["against identity · m"], ["lcc.x", "identity"],
        ["against best · n"], ["lcc.x", "mse.x"],
    ]  # fmt: skip
    mixed = [["x", "m.lcc.x", "n.lcc.x"]]
    assert texts(table(["Family", "a", "b"], mixed)) == [[["a", "b"], ["m.lcc.x", "n.lcc.x"]]], (
        "of two models: as it is"
    )


def test_methods_across_make_a_table_a_model():
    head = ["Dataset", "Label", "Name", "identity", "m.lcc.x", "m.mse.x", "n.lcc.x"]
    found = table(
        head, [["d", "1", "left", "0.1", "0.2", "0.3", "0.4"], ["d", "2", "right", "0.5", "0.6", "0.7", "0.8"]]
    )
    assert texts(found) == [
        [
            ["Label", "Name", "identity", "lcc.x", "mse.x"],
            ["1", "left", "0.1", "0.2", "0.3"],
            ["2", "right", "0.5", "0.6", "0.7"],
        ],
        [["Label", "Name", "identity", "lcc.x"], ["1", "left", "0.1", "0.4"], ["2", "right", "0.5", "0.8"]],
    ]  # fmt: skip
    assert "<caption>d · m</caption>" in found


def test_an_index_that_pandas_wrote_is_left_out():
    row = "<tr>\n<th></th>\n<td>d</td>\n<td>1</td>\n</tr>"
    found = page_table(HEAD.format("<th>method</th><th>Dataset</th><th>Label</th>", row), "x")
    assert texts(found) == [[["Label"], ["1"]]]


def test_spreads_are_small_and_marks_stay_with_the_mean():
    found = table(["Similarity", "Dice ↑"], [["lcc", "<u>0.700</u> ± 0.010 =<br><small>seeds 0.001</small>"]])
    mark = '<u>0.700</u><span class="mark">=</span> <small>± 0.010</small><br><small>seeds 0.001</small>'
    assert mark in found
    assert 'class="verdict better"' in table(["a", "Verdict"], [["x", "better"]])
    assert "Nothing of this kind" in table(["a", "b"], [])


def test_numbers_are_aligned_and_names_may_break():
    found = table(["Method", "n", "Rank"], [["wide.lcc.displacement_l1", "12", "1 (1–3)"]])  # noqa: RUF001
    assert '<td class="n">12</td>' in found
    assert "<td>lcc.<wbr>displacement_<wbr>l1</td>" in found
    assert '<td class="long">' in table(
        ["a", "Reason"], [["x", "the interval holds 0 and reaches beyond the region of equivalence"]]
    )
    assert "<td>0.5</td>" not in table(["x"], [["0.5"]]), "a number does not break"


def test_the_caption_names_the_scope_of_each_model():
    made = judge(cells(models=("voxelmorph", "instance")))
    made["verdicts"]["brains"]["instance"]["dice"]["claim"] = "Nothing is random."
    text = caption(made, grid_frame(made))
    assert "voxelmorph: Claims hold at these lambdas" in text
    assert "instance: Nothing is random." in text


def test_the_csv_has_what_the_picture_shows(tmp_path):
    made = judge(cells(), half=0.004)
    verdict_grid(made, tmp_path)
    frame = pd.read_csv(tmp_path / "verdict_grid.csv")
    assert frame["verdict"].tolist() == ["best", "equal", "worse", "worse"]
    assert frame["mean"].tolist() == pytest.approx(list(DICE.values()))

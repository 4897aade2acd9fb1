"""A main table prints at eight points: its width is computed here, and measured by LaTeX where there is one."""

import re
import shutil
import subprocess

import pytest
from made_summary import entry
from made_tables import CELLS, judged

from regbench.report.tables.latex_width import LINE, natural_width
from regbench.report.tables.main_table import main_metrics, main_table, write_main
from regbench.report.tables.main_table_text import as_text, pieces
from regbench.report.tables.table_format import caption_and_notes

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}\usepackage{graphicx}
\begin{document}
%s
\end{document}
"""


def wide():
    """A study whose table has every usual metric, with names as long as ours."""
    made = judged(*CELLS, *(entry(f"{one}.elastic", 0.6) for one in ("correlation_ratio", "local_nmi")))
    for one in made["methods"]:
        for name in (
            "hd95_mm",
            "assd_mm",
            "nsd",
            "tre_mm",
            "fold_foreground_percent",
            "ndv_percent",
            "endpoint_error_mm",
        ):
            one["metrics"][name] = one["metrics"]["dice"] | {"mean": 12.345, "sd": 1.234, "infinite": 0}
    return made


def test_what_latex_prints_fits_the_width_of_a_text():
    made = wide()
    frame, metrics = main_table(made), main_metrics(made)
    assert natural_width(as_text(frame, metrics, "tex")) > 1.5 * LINE, "or nothing is tried here"
    parts = pieces(frame, metrics, ((), {}), ())
    assert len(parts) > 1
    assert max(natural_width(part.table) for part in parts) <= LINE
    assert "Dice" in " ".join(parts[0].table)
    assert "NDV" in " ".join(parts[0].table), "the first answers whether the fields are plausible"
    assert all("Rank" in part.table for part in parts)
    shown = [name for part in parts for name in part.table]
    assert set(as_text(frame, metrics, "tex")) == set(shown), "no metric is lost"


def test_a_caption_has_few_lines_and_the_rest_are_notes(tmp_path):
    write_main(wide(), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    captions = re.findall(r"\\caption\{(.*?)\}\n", text)
    assert max(map(len, captions)) < 6 * 72
    assert r"Notes to Table~\ref{tab:s-main}." in text
    short, notes = caption_and_notes("A table of 2 x 2 mm. It has more. " + "Words of notes. " * 40)
    assert short.startswith("A table of 2 x 2 mm. It has more. Words of notes.")
    assert notes.endswith("Words of notes. ")
    assert len(short) < 350


def test_the_width_is_that_of_computer_modern():
    frame = as_text(main_table(wide()), ["dice"], "tex")
    assert natural_width(frame.iloc[:, :0]) == 0
    one = frame.iloc[:1, :1].set_axis(["a"], axis=1).assign(a="0000000000")
    assert natural_width(one) == pytest.approx(10 * 4.25 + 6)  # a digit of cmr8 is 4.25 points wide


@pytest.mark.slow
def test_latex_scales_no_main_table(tmp_path):
    found = shutil.which("pdflatex") and shutil.which("kpsewhich")
    needed = ("booktabs.sty", "graphicx.sty")
    if not found or any(
        subprocess.run(["kpsewhich", one], check=False, capture_output=True).returncode for one in needed
    ):
        pytest.skip("needs pdflatex with booktabs and graphicx")
    write_main(wide(), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    boxes = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL)
    measured = "\n".join(
        r"{\footnotesize\setlength{\tabcolsep}{3pt}\setbox0=\hbox{" + box + r"}\typeout{WIDTH \the\wd0}}"
        for box in boxes
    )
    (tmp_path / "paper.tex").write_text(DOCUMENT % f"{text}\n{measured}\\typeout{{LINE \\the\\textwidth}}")
    for _ in range(2):  # references
        done = subprocess.run(
            ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-3000:]
    widths = [float(width) for width in re.findall(r"WIDTH ([\d.]+)pt", log)]
    assert len(widths) == len(boxes) > 1
    assert float(re.search(r"LINE ([\d.]+)pt", log)[1]) == LINE
    assert max(widths) <= LINE, "no table is scaled: it stands at eight points"
    assert "Overfull" not in log
    made = wide()
    parts = pieces(main_table(made), main_metrics(made), ((), {}), ())
    computed = [natural_width(part.table) for part in parts]
    assert all(0.97 < one / other < 1.2 for one, other in zip(computed, widths, strict=True)), (computed, widths)

"""Figures of trials and of test scores: the same bytes each time."""

import pandas as pd
from made_summary import entry, summary
from made_tables import CELLS

from regbench.report.figures.comparison_figures import scores_figure
from regbench.report.figures.trial_figures import lambda_figure


def test_figures_have_the_same_bytes_each_time(tmp_path):
    trials = [
        {"number": k, "lam": 10.0**k, "scores": {"dice": 0.5 + k / 10, "ndv_percent": 0.1}, "status": "complete"}
        for k in range(3)
    ]
    made = summary(CELLS[0], entry("lcc.bending", 0.7, trials=trials, lam=10.0))
    rows = pd.DataFrame(
        {
            "dataset": "brains",
            "method": ["a", "a", "b", "b"],
            "fixed": list("ffff"),
            "moving": list("mnmn"),
            "dice": [0.1, 0.2, 0.3, 0.4],
        }
    )
    for folder in (tmp_path / "a", tmp_path / "b"):
        lambda_figure(made, folder)
        scores_figure(made, rows, folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["lambda.csv", "lambda.png", "lambda.svg", "scores.csv", "scores.png", "scores.svg"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_study_without_trials_has_its_figure_too(tmp_path):
    lambda_figure(summary(*CELLS), tmp_path)
    assert (tmp_path / "lambda.png").exists()

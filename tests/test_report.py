"""Numbers of the tables: seeds averaged first, SD over cases, one rounding rule, honest marks."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from regbench.analyze import _ranked, _spread, _warnings
from regbench.files import _finite
from regbench.report.figures import dice_figure, lambda_figure
from regbench.report.tables import caption, main_table, runtime_table, terminal_table, write_main


def entry(method, dice, sd=0.01, **changes):
    model, similarity, regularizer = (None, None, None) if method == "identity" else ("voxelmorph", *method.split("."))
    metrics = {"dice": dice, "fold_central_percent": 0.12345, "ndv_percent": 0.00005, "endpoint_error_mm": 2.0}
    return {
        "dataset": "brains", "method": method, "model": model, "similarity": similarity, "regularizer": regularizer,
        "lam": None if method == "identity" else 0.123456, "edge": False, "trials": [], "runs": [], "rank": None,
        "pairs": 30, "failed_rows": 0, "reasons": [], "selected": {"range": [0.01, 1.0]},
        "metrics": {name: {"mean": value, "sd": sd, "seed_sd": 0.001} for name, value in metrics.items()}, **changes,
    }  # fmt: skip


def summary(*entries):
    manifest = {"shape": [80, 96], "spacing_mm": [2.0, 2.0], "labels": {"1": "a"}, "data_sha256": "0"}
    made = {
        "study": "s", "seeds": [0, 1], "selection": "dice", "ndv_limit_percent": 0.5, "steps": 10,
        "datasets": {"brains": manifest}, "methods": _ranked(list(entries)), "warnings": [],
    }  # fmt: skip
    return json.loads(json.dumps(_finite(made)))  # as `analyze` stores it


CELLS = (entry("identity", 0.9), entry("lcc.bending", 0.7004), entry("mse.bending", 0.6996), entry("gcc.bending", 0.65))


def test_seeds_are_averaged_before_the_spread_over_cases():
    rows = pd.DataFrame(
        {"fixed": ["a", "a", "b", "b"], "moving": ["c"] * 4, "seed": [0, 1, 0, 1], "dice": [0.5, 0.7, 0.8, 0.9]}
    )
    found = _spread(rows, "dice")
    assert found["mean"] == pytest.approx((0.6 + 0.85) / 2)
    assert found["sd"] == pytest.approx(np.std([0.6, 0.85], ddof=1))
    assert found["seed_sd"] == pytest.approx(np.std([0.65, 0.8], ddof=1))


def test_a_failed_seed_is_left_out_of_the_mean():
    rows = pd.DataFrame({"fixed": ["a", "a"], "moving": ["c"] * 2, "seed": [0, 1], "dice": [0.5, np.nan]})
    assert _spread(rows, "dice")["mean"] == 0.5


def test_ranks_leave_identity_and_failures_out():
    ranked = _ranked(
        [entry("identity", 0.9), entry("lcc.bending", 0.6), entry("mse.bending", 0.7), entry("gcc.x", np.nan)]
    )
    assert [one["rank"] for one in ranked] == [None, 2, 1, None]


def test_warnings_name_edges_failures_and_runs_below_identity():
    found = list(
        _warnings(
            [
                entry("identity", 0.6),
                entry("lcc.x", 0.5, edge=True),
                entry("mse.x", 0.7, failed_rows=2, reasons=["why"]),
            ]
        )
    )
    assert [("edge" in text, "below identity" in text, "why" in text) for text in found] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip


def test_rounding_is_by_the_metric():
    frame = main_table(summary(*CELLS))
    assert list(frame["dice_mean"]) == [0.9, 0.7, 0.7, 0.65]
    assert frame["fold_central_percent_mean"][0] == pytest.approx(0.123)
    assert frame["ndv_percent_mean"][0] == pytest.approx(0.0001, abs=1e-4)


def test_best_and_second_are_marked_by_the_printed_number(tmp_path):
    write_main(summary(*CELLS), tmp_path, {})
    text = (tmp_path / "main.md").read_text()
    dice = [line.split("|")[6].strip() for line in text.splitlines() if "| brains" in line]
    assert dice == ["0.900 ± 0.010", "**0.700** ± 0.010", "**0.700** ± 0.010", "<u>0.650</u> ± 0.010"]


def test_a_failed_cell_says_so(tmp_path):
    write_main(summary(CELLS[0], CELLS[1], entry("gcc.bending", np.nan, failed_rows=30)), tmp_path, {})
    assert "failed" in (tmp_path / "main.md").read_text()
    assert not re.search(r"\bnan\b", (tmp_path / "main.md").read_text(), re.IGNORECASE)


def test_latex_is_balanced_and_escaped(tmp_path):
    write_main(summary(*CELLS), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert r"\textbf{0.700}" in text
    assert r"\underline{0.650}" in text
    assert r"\toprule" in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
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


def test_runtime_quotes_the_median_and_quartiles():
    rows = pd.DataFrame(
        {
            "dataset": "d",
            "method": "m",
            "inference_seconds": [0.001, 0.002, 0.003, np.nan],
            "peak_memory_mib": 5.0,
            "device": "cpu",
        }
    )
    found = runtime_table(rows).iloc[0]
    assert (found["inference_ms_median"], found["inference_ms_q1"], found["inference_ms_q3"]) == (2.0, 1.5, 2.5)
    assert found["pairs"] == 3


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

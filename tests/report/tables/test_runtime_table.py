"""The table of times and memory, and the figure of time against Dice."""

import re

import numpy as np
import pandas as pd
from made_summary import entry, summary
from made_tables import CELLS

from regbench.report.figures.comparison_figures import speed_figure
from regbench.report.tables.runtime_table import runtime_table, write_runtime


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
    frame = pd.read_csv(tmp_path / "runtime_scores.csv")
    assert frame["series"].tolist() == ["sitk_demons", "voxelmorph.lcc"]
    assert frame["device"].tolist() == ["cpu (x), 1 thread", "H100"]
    assert "devices differ" in (tmp_path / "runtime_scores.svg").read_text()
    speed_figure(made, rows.iloc[:1], tmp_path)
    assert "nothing timed" in (tmp_path / "runtime_scores.svg").read_text()

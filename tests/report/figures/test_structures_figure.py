"""The figures of scores and structures: every label, or how many are left out; no mean over the seeds that worked."""

import numpy as np
import pandas as pd
import pytest
from made_summary import entry, summary

from regbench.report.figures.comparison_figures import SHOWN_STRUCTURES, scores_figure, structures_figure


@pytest.mark.parametrize(("count", "shown", "words"), [(41, 41, ""), (83, SHOWN_STRUCTURES, "44 of 83 labels")])
def test_every_label_is_there_or_is_counted(count, shown, words, tmp_path):
    made = summary(entry("identity", 0.5), entry("lcc.bending", 0.7))
    made["datasets"]["brains"]["labels"] = {str(label): f"part {label:03d}" for label in range(1, count + 1)}
    scores = {f"dice_{label}": [0.4, 0.5, 0.6, 0.7] for label in range(1, count + 1)}
    keys = {
        "dataset": "brains",
        "method": ["identity"] * 2 + ["lcc.bending"] * 2,
        "fixed": ["a", "b"] * 2,
        "moving": "c",
    }
    structures_figure(made, pd.DataFrame({**keys, **scores}), tmp_path)
    text = (tmp_path / "structures.svg").read_text()
    names = [f"part {label:03d}" for label in range(1, count + 1) if f"part {label:03d}" in text]
    assert len(names) == shown
    assert words in text
    assert ("labels, the CSV has all" in text) == bool(words)
    assert pd.read_csv(tmp_path / "structures.csv")["label"].nunique() == count


def test_a_case_of_which_a_training_failed_is_not_drawn(tmp_path):
    made = summary(entry("identity", 0.5), entry("lcc.bending", 0.7))
    rows = pd.DataFrame({"dataset": "brains", "method": ["identity", "identity", "lcc.bending", "lcc.bending"]})
    rows = rows.assign(fixed="a", moving="b", seed=[0, 1, 0, 1], dice=[0.4, 0.6, 0.9, np.nan])
    rows["dice_1"] = rows["dice"]
    scores_figure(made, rows, tmp_path)
    structures_figure(made, rows, tmp_path)
    for name in ("scores", "structures"):
        frame = pd.read_csv(tmp_path / f"{name}.csv").set_index("method")["dice"]
        assert frame["identity"] == pytest.approx(0.5)
        assert np.isnan(frame["lcc.bending"])

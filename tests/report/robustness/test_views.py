"""The conventions of each metric, on rows by hand."""

import numpy as np
import pandas as pd
import pytest

from regbench.report.robustness import views as module
from regbench.report.robustness.views import LEFT_OUT, OWN, over_labels, views

LABELS = {"1": "left", "2": "right", "3": "stem", "10": "tail"}
SIZES = {"1": 50.0, "2": 50.0, "3": 400.0, "10": 7.0}
INF, NAN = float("inf"), float("nan")


def rows(cases=4, **columns):
    frame = pd.DataFrame({"method": "a", "seed": 0, "fixed": "s", "moving": [f"m{k}" for k in range(cases)]})
    return frame.assign(**columns)


def by_words(frame, metric, sizes=SIZES, labels=LABELS):
    return {view.words: view for view in views(frame, metric, labels, sizes)}


def overlap():
    """Label 2 vanished in the second case; label 10 is absent in the third."""
    dice = {"1": [0.8, 0.6, 0.4, 0.2], "2": [0.6, 0.0, 0.4, 0.2], "3": [0.9] * 4, "10": [0.1, 0.1, NAN, 0.1]}
    far = {"1": [1.0] * 4, "2": [1.0, INF, 1.0, 1.0], "3": [2.0] * 4, "10": [3.0, 3.0, NAN, 3.0]}
    columns = {f"dice_{label}": values for label, values in dice.items()}
    columns |= {f"hd95_mm_{label}": values for label, values in far.items()}
    columns |= {f"linear.dice_{label}": np.array(values) + 0.05 for label, values in dice.items()}
    return rows(dice=[0.6, 0.4, 1.7 / 3, 0.35], hd95_mm=[1.75, INF, 4 / 3, 1.75], **columns)


def test_the_mean_over_all_labels_is_the_studys_own():
    frame = overlap()
    for metric in ("dice", "hd95_mm"):
        assert over_labels(metric, list(LABELS))(frame) == pytest.approx(frame[metric].to_numpy())


def test_labels_linear_vanished_left_out_and_subsets():
    frame = overlap()
    found = by_words(frame, "dice")
    assert list(found) == [
        "labels warped linearly", "vanished labels left out",
        "without left", "without right", "without stem", "without tail",
        "large structures", "small structures", "median over cases",
    ]  # fmt: skip
    scores = {words: view.scores(frame) for words, view in found.items()}
    assert scores["labels warped linearly"] == pytest.approx(frame["dice"].to_numpy() + 0.05)
    assert scores["vanished labels left out"] == pytest.approx([0.6, 1.6 / 3, 1.7 / 3, 0.35])
    assert scores["without right"] == pytest.approx([0.6, 1.6 / 3, 1.3 / 2, 1.2 / 3])
    assert scores["large structures"] == pytest.approx([0.85, 0.75, 0.65, 0.55]), "stem and left: 50 voxels come first"
    assert scores["small structures"] == pytest.approx([0.35, 0.05, 0.4, 0.15])
    assert {view.group for words, view in found.items() if words.startswith("without")} == {LEFT_OUT}
    assert {view.region for view in found.values()} == {"dice"}


def test_distances_of_vanished_labels_are_left_out():
    frame = overlap()
    found = by_words(frame, "hd95_mm", sizes={})
    assert found["vanished labels left out"].scores(frame) == pytest.approx([1.75, 2.0, 4 / 3, 1.75])
    assert not any(view.group for view in found.values()), "subsets are of the metric that leads"


def test_few_labels_are_neither_large_nor_small_and_one_is_not_left_out():
    frame = overlap()
    two = {label: LABELS[label] for label in ("1", "2")}
    assert "large structures" not in by_words(frame, "dice", labels=two)
    assert "without left" in by_words(frame, "dice", labels=two)
    assert not any(view.group for view in views(frame, "dice", {"1": "left"}, SIZES))


@pytest.mark.parametrize(
    ("metric", "columns", "schemes"),
    [
        ("tre_mm", ["tre_median_mm", "tre70_mm", "tre_l2r_mm"], ["tre_mm", "tre_mm", "tre_mm"]),
        ("sdlogj", ["sdlogj_l2r"], ["sdlogj_l2r"]),
        ("sdlogj_l2r", ["sdlogj"], ["sdlogj"]),
        ("ndv_percent", ["fold_central_percent", "fold_foreground_percent", "nd_points_percent"], None),
        ("endpoint_error_mm", ["endpoint_error_foreground_mm"], None),
        ("hd95_mm", ["hd95_l2r"], None),
    ],
)
def test_other_metrics_of_the_same_property(metric, columns, schemes):
    frame = rows(**{name: [float(k), 1.0, 2.0, 3.0] for k, name in enumerate([metric, *columns])})
    found = [view for view in views(frame, metric, {}, {}) if view.words != module.MEDIAN]
    order = [name for scheme in module.SCHEMES for name in scheme if name in columns]
    assert [list(view.scores(frame)) for view in found] == [list(frame[name]) for name in order]
    assert [view.region for view in found] == (schemes or order), "a region holds for numbers of one size and unit"


def test_pooled_distances_are_averaged_over_labels():
    frame = overlap().assign(**{f"hd95_pooled_mm_{label}": float(label) for label in LABELS})
    view = by_words(frame, "hd95_mm")["both directions pooled"]
    assert list(view.scores(frame)) == [4.0] * 4
    assert view.region == "hd95_mm"


def test_medians_are_of_each_run_and_of_the_cases_that_all_methods_have():
    values = {("a", 0): [1, 2, 30, 4], ("a", 1): [5, 6, 7, 100], ("b", 0): [9, 8, NAN, 7], ("b", 1): [NAN] * 4}
    frame = pd.concat(
        [rows(dice=np.array(of, float)).assign(method=name, seed=seed) for (name, seed), of in values.items()],
        ignore_index=True,
    )[::-1]
    frame["medians"] = by_words(frame, "dice", labels={})["median over cases"].scores(frame)
    means = frame.groupby(["method", "seed"])["medians"].mean()
    assert means["a", 0] == pytest.approx(2)
    assert means["a", 1] == pytest.approx(6)
    assert means["b", 0] == pytest.approx(8)
    assert np.isnan(means["b", 1]), "a run that failed stays one"
    assert frame[frame["moving"] == "m2"]["medians"].isna().all()


def test_the_studys_own_is_no_other_convention():
    assert OWN not in by_words(overlap(), "dice")


def test_a_pair_that_several_deals_test_is_a_case_of_each_in_a_median():
    once = rows(cases=5, dice=[0.6, 0.62, 0.68, 0.7, 0.9])
    again = once.assign(dice=once["dice"] + 0.1)
    pooled = pd.concat([once.assign(fold="f0"), again.assign(fold="f1")], ignore_index=True)
    scores = by_words(pooled, "dice", labels={})["median over cases"].scores(pooled)
    assert scores.mean() == pytest.approx(np.median(pooled["dice"]))

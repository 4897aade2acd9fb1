"""The table of metrics says of each number what a reader must know."""

import re

import numpy as np
import pytest
from tiny_study import ROOT

import regbench.metrics
from regbench.metrics import METRICS, ndv_percent, tre_metrics, widest_difference

UNITS = {"mm": "mm", "percent": "%", "seconds": "s", "mib": "MiB", "l2r": ("voxel", "1")}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_described(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.direction == ("higher" if name.startswith("dice") or name == "nsd" else "lower")
    assert 0 <= metric.digits <= 4
    assert metric.definition
    assert not metric.definition.endswith(".")
    assert "\n" not in metric.definition
    assert not metric.reference or re.search(r"doi:10\.\d{4,}/\S+$", metric.reference)


@pytest.mark.parametrize("name", METRICS)
def test_a_name_carries_its_unit(name):
    for ending, unit in UNITS.items():
        if name.endswith(f"_{ending}"):
            assert METRICS[name].unit in unit


def test_every_public_function_of_one_number_is_in_the_table():
    functions = {
        "dice", "dice30", "hd95_mm", "assd_mm", "hd95_l2r", "fold_central_percent", "fold_forward_percent",
        "fold_backward_percent", "ndv_percent", "nd_points_percent", "sdlogj", "sdlogj_l2r", "tre_mm",
        "tre_l2r_mm", "endpoint_error_mm", "inverse_consistency_mm", "displacement_mm",
    }  # fmt: skip
    assert functions <= set(METRICS)
    assert functions <= set(regbench.metrics.__all__)
    assert all(hasattr(regbench.metrics, name) for name in regbench.metrics.__all__)


def test_the_docs_name_every_metric_with_its_unit_and_direction():
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    found = {}
    for names, unit, direction in re.findall(r"^\| (`.*?`) \| (\S+) \| (higher|lower) \|", text, flags=re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), (unit, direction))
    assert found == {name: (metric.unit, metric.direction) for name, metric in METRICS.items()}


def test_what_can_exceed_a_hundred_percent_has_no_widest_difference():
    stretched = np.zeros((2, 12, 12))
    stretched[0] = -5 * np.arange(12)[:, None]
    assert ndv_percent(stretched) > 100
    far = tre_metrics(np.full((2, 4, 4), 9.0), [[1, 1]], [[1, 1]], (1.0, 1.0), diagonal_mm=4.0)
    assert far["rtre_percent"] > 100
    assert widest_difference("ndv_percent") == widest_difference("rtre_percent") == np.inf
    assert widest_difference("nd_points_percent") == 100


def test_a_metric_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        METRICS["dice"].unit = "%"

"""A finished run by other conventions: it gives its own rows again, or is refused."""

import copy
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny_study import TINY

from regbench.data.cache import load as load_data
from regbench.evaluation import conventions
from regbench.evaluation.conventions import LINEAR, convention_rows
from regbench.metrics import hd95_mm
from regbench.models.predict import register
from regbench.spatial.displacement import warp_labels
from regbench.spatial.linear_labels import warp_labels_linearly
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed, write_sealed
from regbench.system.parquet import read_table, write_table
from regbench.training.checkpoint import load_run

RUN = ("brains", "voxelmorph.lcc.grad_l2", 1)


@pytest.fixture
def tiny_done(finished_study, tmp_path):
    shutil.copytree(finished_study, tmp_path / "results")
    return Study(load({**copy.deepcopy(TINY), "results": str(tmp_path / "results")}))


def measured(study, run=RUN):
    lay = study.layout
    convention_rows(study, run, load_data(lay.data(run[0])), lay.convention_rows(*run))
    return read_table(lay.convention_rows(*run))


def test_rows_stay_as_they_are_and_get_the_numbers_of_other_conventions(tiny_done):
    lay = tiny_done.layout
    before, rows = lay.pairs(*RUN).read_bytes(), read_table(lay.pairs(*RUN))
    found = measured(tiny_done)
    pd.testing.assert_frame_equal(found[list(rows)], rows)
    assert lay.pairs(*RUN).read_bytes() == before
    data, (_, model) = load_data(lay.data("brains")), load_run(lay.run(*RUN))
    for row in found.to_dict(orient="records"):
        pair = data.pair(row["fixed"], row["moving"])
        field = register(model, pair.fixed, pair.moving)
        label = max(data.labels, key=lambda one: int((pair.fixed_labels == one).sum()))
        for prefix, warped in (("", warp_labels(pair.moving_labels, field)),
                               (LINEAR, warp_labels_linearly(pair.moving_labels, field))):  # fmt: skip
            mine = hd95_mm(pair.fixed_labels, warped, [label], pair.spacing_mm, moving=pair.moving_labels)
            assert row[f"{prefix}hd95_mm_{label}"] == mine[label]
        assert 0 < row[f"{LINEAR}dice_{label}"] <= 1
        assert row[f"hd95_pooled_mm_{label}"] <= row[f"hd95_mm_{label}"]


def test_a_number_that_does_not_come_again_is_refused(tiny_done):
    path = tiny_done.layout.pairs(*RUN)
    rows = read_table(path)
    rows.loc[1, "sdlogj"] = np.nextafter(rows.loc[1, "sdlogj"], 1)
    write_table(path, rows)
    names = ", ".join(rows.loc[1, ["fixed", "moving"]])
    with pytest.raises(
        RegbenchError,
        match=rf"seed 1: the pair {names} must give its own row again, but `sdlogj` is .*now it is on cpu \(",
    ):
        measured(tiny_done)
    assert not tiny_done.layout.convention_rows(*RUN).exists()


def test_a_row_of_no_test_pair_is_refused(tiny_done):
    path = tiny_done.layout.pairs(*RUN)
    rows = read_table(path)
    write_table(path, pd.concat([rows, rows.iloc[:1].assign(fixed="nobody")], ignore_index=True))
    with pytest.raises(RegbenchError, match=r"nobody, .* has a row, but is none of the test pairs"):
        measured(tiny_done)


def test_a_failed_run_keeps_rows_without_numbers(tiny_done):
    lay = tiny_done.layout
    record = read_sealed(lay.run_record(*RUN))
    write_sealed(lay.run_record(*RUN), {**record, "status": "diverged", "reason": "loss is nan"})
    rows = read_table(lay.pairs(*RUN))
    rows = rows.assign(status="diverged", **dict.fromkeys(rows.select_dtypes("float"), np.nan))
    write_table(lay.pairs(*RUN), rows)
    pd.testing.assert_frame_equal(measured(tiny_done), rows, check_flags=False)


def test_what_is_measured_stays_until_the_rows_are_others(tiny_done, monkeypatch):
    lay = tiny_done.layout
    measured(tiny_done)
    before = lay.convention_rows(*RUN).read_bytes()
    monkeypatch.setattr(conventions, "registrations", None)  # nothing may be registered
    measured(tiny_done)
    assert lay.convention_rows(*RUN).read_bytes() == before
    write_table(lay.pairs(*RUN), read_table(lay.pairs(*RUN)).iloc[:1])
    with pytest.raises(TypeError):
        measured(tiny_done)


def test_without_labels_the_rows_have_all_there_is(tiny_done):
    data = SimpleNamespace(references=lambda _: ("landmarks",), labels={})
    lay = tiny_done.layout
    (lay.run(*RUN) / "checkpoint.pt").unlink()  # nothing can be registered
    convention_rows(tiny_done, RUN, data, lay.convention_rows(*RUN))
    found = read_table(lay.convention_rows(*RUN))
    pd.testing.assert_frame_equal(found, read_table(lay.pairs(*RUN)), check_flags=False)

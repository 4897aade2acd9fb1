"""The picture of a pair: its panels, letters, proportions and words."""

import numpy as np
import pandas as pd
import pytest
from shown_pairs import shown_pair

from regbench.report.figures.blends import BLUE, ORANGE, checkerboard, overlay
from regbench.report.figures.pair_panels import PANELS
from regbench.report.view import pair_picture
from regbench.report.view.pair_picture import write_picture


@pytest.fixture
def axes(monkeypatch, tmp_path):
    """Writes a picture without rendering it, and returns its axes, row by row, and its words."""

    def drawn(shown):
        figures = []
        monkeypatch.setattr(pair_picture, "save", lambda figure, frame, stem: figures.append((figure, frame)))
        write_picture(shown, tmp_path / "p.png")
        figure, frame = figures[0]
        return figure, np.reshape(figure.axes, (-1, len(PANELS))), frame

    return drawn


def test_a_row_a_plane_with_the_letters_of_its_axes(axes):
    figure, rows, frame = axes(shown_pair())
    assert [row[0].get_ylabel() for row in rows] == ["axial", "coronal", "sagittal"]
    assert [[text.get_text() for text in row[0].texts] for row in rows] == [list("LRPA"), list("LRIS"), list("PAIS")]
    assert [axis.get_title() for axis in rows[0]] == list(PANELS)
    assert [row[0].get_aspect() for row in rows] == [2.0, 0.5, 0.25]  # of voxels of 1 x 2 x 0.5 mm
    assert "Bar: 2 mm" in figure.get_supxlabel()
    assert "lines p + u(p) of the pull field over the moving image" in figure.get_supxlabel()
    assert frame.loc[0, "grid"] == "14 x 12 x 10 voxels of 1 x 2 x 0.5 mm"
    for row, spacing in zip(rows, (1.0, 1.0, 2.0), strict=True):
        (bar,) = row[0].lines
        assert np.ptp(bar.get_xdata()) * spacing == pytest.approx(2)


def test_grid_and_folds_lie_where_the_field_maps_them(axes):
    shown = shown_pair((14, 12), (1.0, 2.0))
    _, rows, _ = axes(shown)
    ((*_, last),) = rows
    slices = shown.slices(shown.views[0])
    np.testing.assert_array_equal(last.lines[1].get_ydata(), slices.lines[1][2])  # the second line across
    folds = last.collections[0].get_offsets()
    np.testing.assert_array_equal(folds, slices.lines[:, slices.folds].T)
    assert len(folds) > 0
    assert last.get_xlim() == (-0.5, 13.5)
    np.testing.assert_allclose(last.images[0].get_array().T, rows[0][1].images[0].get_array().T)  # the moving image
    assert not rows[0][0].texts  # no header, no letters


def test_overlay_and_checkerboard_show_both_images():
    fixed, moved = np.array([[1.0, 0.0, 0.5]]), np.array([[0.0, 1.0, 0.5]])
    np.testing.assert_allclose(overlay(fixed, moved)[0], [ORANGE, BLUE, (0.5, 0.5, 0.5)])
    board = checkerboard(np.zeros((16, 16)), np.ones((16, 16)))
    assert board[:2, :2].sum() == 0
    assert board[2:4, :2].sum() == board[:2, 2:4].sum() == 4
    assert board.mean() == 0.5


def test_equal_pairs_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_picture(shown_pair((14, 12), (1.0, 2.0), fixed="a $x$"), tmp_path / name / "p.png")
    for suffix in ("svg", "png", "csv"):
        one, other = ((tmp_path / name / f"p.{suffix}").read_bytes() for name in ("a", "b"))
        assert one == other
    assert pd.read_csv(tmp_path / "a" / "p.csv").loc[0, "fixed"] == "a $x$"

"""The panels of a pair: what each shows, where folds lie, and the figures that are made of them."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from regbench.report.figures.blends import checkerboard, overlay
from regbench.report.figures.figure_style import drawing
from regbench.report.figures.pair_figures import COLUMNS, pair_strips, panels_figure
from regbench.report.figures.pair_panels import FOLDED, PANELS, Plane, draw_panels

SHAPE = (20, 30)
MAGENTA = (255, 0, 255)


@pytest.fixture
def parts():
    """Slices of a pair that folds at one voxel; the fixed image is 1000 where the moving one is 0."""
    fixed = np.zeros(SHAPE, np.float32)
    fixed[10:] = 1000
    displacement, determinant = np.zeros((2, *SHAPE), np.float32), np.ones(SHAPE, np.float32)
    displacement[:, 4, 25] = 3, -2
    determinant[4, 25] = -1
    moving = (fixed == 0).astype(np.float32)
    return {"fixed": fixed, "moving": moving, "moved": moving, "displacement": displacement, "determinant": determinant}


def of_two_places(parts):
    stored = {f"{place}_{name}": values for place in ("best", "median") for name, values in parts.items()}
    return stored | {f"{place}_about": np.array(["a", "b", "Dice 0.5"]) for place in ("best", "median")}


def test_each_panel_shows_what_its_title_says(parts):
    fixed, moving, moved = np.random.default_rng(0).random((3, *SHAPE))
    lines = parts["displacement"] + np.indices(SHAPE)
    with drawing(9, 2) as figure:
        axes = figure.subplots(1, len(PANELS))
        draw_panels(axes, Plane(fixed, moving, moved, lines, parts["determinant"] <= 0, 5, 1.5))
    shown = {title: np.asarray(axis.images[0].get_array()) for title, axis in zip(PANELS, axes, strict=True)}
    expected = {
        "fixed": fixed,
        "moving": moving,
        "moved": moved,
        "overlay before": overlay(fixed, moving),
        "overlay after": overlay(fixed, moved),
        "checkerboard": checkerboard(fixed, moved),
        "grid and folds": moving,
    }
    assert list(shown) == list(expected)
    for title, image in expected.items():
        np.testing.assert_array_equal(shown[title], image.swapaxes(0, 1), err_msg=title)
    grid = axes[-1]
    assert len(grid.lines) == 20 // 5 + 30 // 5
    np.testing.assert_array_equal(grid.lines[1].get_xydata(), lines[:, 5].T)
    (folds,) = grid.collections
    np.testing.assert_array_equal(folds.get_offsets(), [[7, 23]])  # where p + u(p) lies, not p
    assert tuple(folds.get_facecolor()[0]) == to_rgba(FOLDED)


def test_a_strip_of_the_page_has_all_panels_and_the_same_bytes(parts):
    (first, image), (second, again) = pair_strips({"d / m": of_two_places(parts)}, {"d / m": (1.0, 1.0)})
    assert first == "d / m: best pair, fixed a, moving b, Dice 0.5."
    assert second.startswith("d / m: median pair")
    assert image == again
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 4  # two rows of four
    assert 100 < width <= 1280 // 4
    panels = [pixels[row * height :, column * width :][:height, :width] for row in (0, 1) for column in range(4)]
    assert len(panels) == len(COLUMNS)
    black, white, orange, blue = (0, 0, 0), (255, 255, 255), (255, 153, 0), (0, 102, 255)
    found = [
        tuple(tuple(panel[height // 2, width * quarter // 4].tolist()) for quarter in (1, 3)) for panel in panels[:5]
    ]
    # Each image from its own least to its own largest value.
    assert found == [(black, white), (white, black), (white, black), (blue, orange), (blue, orange)]
    magenta = [int((panel == MAGENTA).all(-1).sum()) for panel in panels]
    assert magenta[:6] == [0] * 6
    assert magenta[7] > magenta[6] > 0


def test_a_figure_has_a_row_a_pair_and_the_same_bytes(parts, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        panels_figure({"d / m": of_two_places(parts)}, {"d / m": (1.0, 2.0)}, tmp_path / name)
    for suffix in ("svg", "png", "csv"):
        one, other = ((tmp_path / name / f"panels.{suffix}").read_bytes() for name in ("a", "b"))
        assert one == other
    text = (tmp_path / "a/panels.svg").read_text()
    assert all(f">{title}</text>" in text for title in COLUMNS)
    assert "magenta: determinant" in text

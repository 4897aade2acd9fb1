"""The small picture of a test pair."""

import numpy as np
import pytest
from PIL import Image

from regbench.report.figures.pair_figures import write_thumbnail


def test_a_thumbnail_shows_the_median_pair_upright_and_its_folds(tmp_path):
    fixed, determinant = np.zeros((4, 6), np.float32), np.ones((4, 6), np.float32)
    fixed[3, 5] = 1  # the end of both axes: right, up
    determinant[0, 0] = -0.5  # left, down
    parts = {"fixed": fixed, "moving": fixed, "moved": fixed, "determinant": determinant}
    stored = {f"median_{name}": values for name, values in parts.items()} | {
        "median_about": np.array(["a", "b", "0.5"])
    }
    for name in ("a.png", "b.png"):
        write_thumbnail(stored, (1.0, 2.0), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = Image.open(tmp_path / "a.png")
    width, height = (image.width + 2) // 4 - 2, image.height
    assert width / height == pytest.approx(4 / 12, abs=0.02)  # in mm
    assert image.getpixel((width - 1, 0)) == (255, 255, 255)
    assert image.getpixel((0, height - 1)) == (0, 0, 0)
    assert image.getpixel((3 * (width + 2), height - 1)) == (255, 0, 255)
    write_thumbnail({}, (1.0, 2.0), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()

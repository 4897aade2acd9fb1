"""The animation of a pair goes from the moving to the moved image, in the colours of its own palette."""

import numpy as np
import pytest
from PIL import Image
from shown_pairs import shown_pair

from regbench.report.figures.blends import scaled
from regbench.report.view.pair_animation import GAP, GREYS, HEAD, LONGEST, REST_MS, STEP_MS, STEPS, write_animation

MAGENTA, YELLOW = (255, 0, 255), (240, 228, 66)


def frames(path):
    with Image.open(path) as image:
        times = []
        for number in range(image.n_frames):
            image.seek(number)
            times.append((image.info["duration"], np.asarray(image.convert("RGB"))))
    return times


@pytest.mark.parametrize("shape", [(12, 14), (14, 12, 10)])
def test_it_goes_from_moving_to_moved(tmp_path, shape):
    spacing = (1.0, 0.5, 0.5)[: len(shape)]
    shown = shown_pair(shape, spacing)
    write_animation(shown, tmp_path / "a.gif")
    write_animation(shown, tmp_path / "b.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    shots = frames(tmp_path / "a.gif")
    assert [time for time, _ in shots] == [REST_MS, *[STEP_MS] * (STEPS - 1), REST_MS]
    scale = LONGEST / max(n * side for n, side in zip(shape, spacing, strict=True))
    sizes = [[round(shape[axis] * spacing[axis] * scale) for axis in (v.right, v.up)] for v in shown.views]
    assert max(map(max, sizes)) == LONGEST
    wide, (width, height), view = max(size[0] for size in sizes), sizes[0], shown.views[0]
    for (_, shot), share in ((shots[0], 0.0), (shots[STEPS // 2], 0.5), (shots[-1], 1.0)):
        slices = shown.slices(view, share)
        # The middle of each voxel: the first axis to the right, the second upwards.
        right = ((np.arange(shape[0]) + 0.5) / shape[0] * width).astype(int)
        down = ((shape[1] - np.arange(shape[1]) - 0.5) / shape[1] * height).astype(int)
        for number, (image, name) in enumerate(((slices.fixed, "fixed"), (slices.moved, "moving"))):
            left = number * (wide + GAP)
            pixels = shot[HEAD + down[:, None], left + right[None]].astype(int).transpose(1, 0, 2)
            assert (pixels == pixels[..., :1]).all() or number == 0  # grey, but for the bar over the fixed image
            expected = scaled(image, *shown.ranges[name]) * 255
            near = np.abs(pixels[..., 0] - expected) <= 255 / GREYS
            assert near.mean() > (0.9 if number == 0 else 0.999)
        panel = shot[HEAD : HEAD + height, 3 * (wide + GAP) : 3 * (wide + GAP) + width].reshape(-1, 3)
        colours = {tuple(map(int, colour)) for colour in np.unique(panel, axis=0)}
        assert YELLOW in colours
        assert (MAGENTA in colours) == slices.folds.any()
    assert slices.folds.any() or len(shape) == 3  # there the fold lies beside the plane


def test_where_both_images_agree_the_overlay_is_grey(tmp_path):
    shown = shown_pair((12, 14), (1.0, 1.0))
    shown.registered.displacement[:] = 0
    shown.registered.pair.moving[:] = shown.registered.pair.fixed
    write_animation(shown, tmp_path / "a.gif")
    shot = frames(tmp_path / "a.gif")[-1][1].astype(int)
    width = round(12 / 14 * LONGEST)
    overlay = shot[HEAD : HEAD + LONGEST, 2 * (width + GAP) : 2 * (width + GAP) + width]
    assert np.ptp(overlay, axis=-1).max() <= 1
    assert np.ptp(overlay) > 200

"""A pair as an animation: the moving image becomes the moved one, as a GIF with a palette of its own."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from regbench.report.figures.blends import overlay, scaled
from regbench.report.figures.figure_style import COLOURS
from regbench.report.figures.pair_panels import FOLDED, lines_every
from regbench.report.view.shown_pair import ShownPair, Slices, View
from regbench.system.files import replacing

Array = NDArray[Any]
STEPS = 12  # from no displacement to all of it
STEP_MS, REST_MS = 90, 1400  # a frame, and the first and the last one
LONGEST = 240  # pixels of the longest side of a panel
GAP, HEAD = 4, 16  # pixels between panels, and for the words above them
WHITE, BLACK, FOLD, LINE = range(4)  # first colours of the palette
GREYS, LEVELS = 96, 12  # greys of images; levels of each image in an overlay
FIRST_GREY = 4
FIRST_BLEND = FIRST_GREY + GREYS


def write_animation(shown: ShownPair, path: Path) -> None:
    """Write the GIF whole or not at all, the same bytes each time.

    A row a plane: the fixed image, the moving one on its way, their overlay, and the moving one with the grid
    ``p + share u(p)``, folds where the whole displacement has them.
    """
    palette = _palette()
    frames = [_frame(shown, step / STEPS, palette) for step in range(STEPS + 1)]
    times = [REST_MS, *[STEP_MS] * (STEPS - 1), REST_MS]
    with replacing(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False
        )


def _palette() -> list[int]:
    """256 colours, red, green and blue of each in turn: four of their own, greys, and the blends of an overlay."""
    own = [ImageColor.getrgb(name) for name in ("#ffffff", "#000000", FOLDED, COLOURS[7])]
    greys = [(round(255 * k / (GREYS - 1)),) * 3 for k in range(GREYS)]
    levels = np.linspace(0, 1, LEVELS)
    blends = np.rint(overlay(*np.meshgrid(levels, levels, indexing="ij")) * 255).astype(int).reshape(-1, 3)
    colours = [part for colour in (*own, *greys, *blends.tolist()) for part in colour]
    return [*colours, *[0] * (768 - len(colours))]


def _grey(image: Array) -> Array:
    return np.asarray((FIRST_GREY + np.rint(image * (GREYS - 1))).astype(np.uint8))


def _blend(fixed: Array, moved: Array) -> Array:
    first, second = (np.rint(image * (LEVELS - 1)) for image in (fixed, moved))
    return np.asarray((FIRST_BLEND + first * LEVELS + second).astype(np.uint8))


def _frame(shown: ShownPair, share: float, palette: list[int]) -> Image.Image:
    """All panels at a share of the displacement."""
    scale = LONGEST / max(n * side for n, side in zip(shown.shape, shown.spacing_mm, strict=True))  # pixels a mm
    titles = (f"fixed, bar {shown.bar_mm:g} mm", f"moved, {share:.0%}", "overlay", f"moving, grid {share:.0%}")
    sizes = [_size(shown, view, scale) for view in shown.views]
    widest = max(width for width, _ in sizes)
    height = HEAD + sum(high + GAP for _, high in sizes)
    frame = Image.new("P", (len(titles) * (widest + GAP), height), WHITE)
    frame.putpalette(palette)
    words, font = ImageDraw.Draw(frame), ImageFont.load_default(11)
    words.fontmode = "1"  # no smoothing: the colours of the palette and no others
    for number, title in enumerate(titles):
        words.text((number * (widest + GAP) + 1, 1), title, fill=BLACK, font=font)
    top = HEAD
    for view, size in zip(shown.views, sizes, strict=True):
        for number, panel in enumerate(_panels(shown, view, share, size, scale)):
            frame.paste(panel, (number * (widest + GAP), top))
        top += size[1] + GAP
    return frame


def _size(shown: ShownPair, view: View, scale: float) -> tuple[int, int]:
    right, up = (max(round(shown.shape[axis] * shown.spacing_mm[axis] * scale), 1) for axis in (view.right, view.up))
    return right, up


def _panels(shown: ShownPair, view: View, share: float, size: tuple[int, int], scale: float) -> tuple[Image.Image, ...]:
    slices = shown.slices(view, share)
    fixed = scaled(slices.fixed, *shown.ranges["fixed"])
    moving, moved = (scaled(image, *shown.ranges["moving"]) for image in (slices.moving, slices.moved))
    images = (_grey(fixed), _grey(moved), _blend(fixed, moved), _grey(moving))
    # The array's first axis goes to the right, its second upwards.
    panels = tuple(Image.fromarray(image.T[::-1]).resize(size, Image.Resampling.NEAREST) for image in images)
    _bar(panels[0], shown.bar_mm * scale)
    _grid(panels[3], slices, lines_every(shown.shape))
    return panels


def _bar(panel: Image.Image, long: float) -> None:
    width, height = panel.size
    ImageDraw.Draw(panel).rectangle((width - 5 - round(long), height - 6, width - 5, height - 5), fill=WHITE)


def _grid(panel: Image.Image, slices: Slices, every: int) -> None:
    """Lines of the grid, and a mark where it folds."""
    draw = ImageDraw.Draw(panel)
    (wide, high), (width, height) = slices.fixed.shape, panel.size
    x = (slices.lines[0] + 0.5) / wide * width
    y = (high - 0.5 - slices.lines[1]) / high * height
    points = np.stack([x, y], -1)
    for line in (*points[::every], *points.swapaxes(0, 1)[::every]):
        draw.line([(float(a), float(b)) for a, b in line], fill=LINE)
    for a, b in points[slices.folds]:
        draw.rectangle((float(a) - 1, float(b) - 1, float(a) + 1, float(b) + 1), fill=FOLD)

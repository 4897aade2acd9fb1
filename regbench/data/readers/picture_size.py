"""How large a pixel of a TIFF is: where a microscope's program says so, and not where a printer's resolution stands."""

import re
from html import unescape
from typing import Any, NamedTuple

UNITS_MM = {
    "nm": 1e-6, "nanometer": 1e-6, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "mm": 1.0,
    "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0, "m": 1000.0, "meter": 1000.0, "inch": 25.4, "in": 25.4,
}  # fmt: skip
# The sign in UTF-8 that Pillow took for Latin-1, the sign, the Greek letter likewise, and as ImageJ writes it.
MICRO = ("\u00e2\u00b5", "\u00c2\u00b5", "\u00ce\u00bc", "\u00ee\u00bc", "\u00b5", "\u03bc", r"\u00b5")
DESCRIPTION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, CENTIMETRES = 270, 282, 283, 296, 3


class PixelSize(NamedTuple):
    """Sides in mm along columns and rows, and who says so."""

    sides_mm: tuple[float, float]
    source: str


def pixel_size(tags: Any) -> PixelSize | None:
    """The size in a TIFF's tags; None where they do not tell of what was imaged.

    Read are OME-XML (``PhysicalSizeX``; microns unless it says otherwise), ImageJ's note (``unit=micron`` and the
    resolution in pixels a unit) and a resolution in pixels a centimetre. Dots an inch are a printer's.

    Args:
        tags: of Pillow, by number.
    """
    words = str(tags.get(DESCRIPTION, ""))
    if "<OME" in words:
        sides = [_ome(words, axis) for axis in "XY"]
        return _sound(sides, "OME-XML")
    steps = [_per_unit(tags, tag) for tag in (X_RESOLUTION, Y_RESOLUTION)]
    unit = re.search(r"^unit=(.+?)\s*$", words, re.MULTILINE) if words.startswith("ImageJ=") else None
    if unit:
        scale = _in_mm(unit[1])
        return None if scale is None else _sound([scale / step if step else 0 for step in steps], "ImageJ")
    if tags.get(RESOLUTION_UNIT) == CENTIMETRES:
        return _sound([10 / step if step else 0 for step in steps], "its resolution in pixels a centimetre")
    return None


def _ome(words: str, axis: str) -> float:
    size = re.search(rf'PhysicalSize{axis}="([^"]+)"', words)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', words)
    try:
        return float(size[1]) * (_in_mm(unit[1] if unit else "um") or 0.0) if size else 0.0
    except ValueError:
        return 0.0


def _in_mm(unit: str) -> float | None:
    word = unescape(unit).strip().lower()
    for sign in MICRO:
        word = word.replace(sign, "u")
    return UNITS_MM.get(word)


def _per_unit(tags: Any, tag: int) -> float:
    try:
        return float(tags.get(tag, 0))
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0


def _sound(sides: list[float], source: str) -> PixelSize | None:
    x, y = sides
    return PixelSize((x, y), source) if 0 < x < float("inf") and 0 < y < float("inf") else None

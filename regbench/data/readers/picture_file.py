"""PNG, JPEG, BMP and TIFF: one picture, as its container says it is."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.damage import DAMAGE
from regbench.data.readers.picture_size import PixelSize, pixel_size
from regbench.system.errors import RegbenchError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
# TIFF's tags.
BITS, PHOTOMETRIC, DESCRIPTION, ORIENTATION, SAMPLE_FORMAT, DEPTH = 258, 262, 270, 274, 339, 32997
WHITE_IS_ZERO, SIGNED = 0, 2
UNPLACED = "a picture does not say where it lies: a pixel is 1 mm, columns run right and rows down"


def read_picture(path: Path, *, labels: bool, colours: bool = False) -> tuple[NDArray[Any], Header]:
    """Pixels, turned so that axis 0 runs to the right and axis 1 up, as in a NIfTI slice; and the header.

    Args:
        path: of the file.
        labels: pixels are ids: those of a palette count, not its colours, and a lossy compression is refused.
        colours: whether red, green and blue (8 bits each) may come as a last axis.

    Raises:
        RegbenchError: if it is damaged, of another format than its name says, or not one grey picture.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow only warns of a picture too large to be honest
            with Image.open(path) as picture:
                _check_container(path, picture, labels=labels)
                upright = ImageOps.exif_transpose(picture)
                if colours and not labels:
                    upright = _in_colours(path, upright, _bits(path, picture))
                pixels = np.asarray(upright)
                pixels = pixels if labels or upright.mode != "P" else _grey_of_palette(path, upright)
                unsigned = picture.mode == "I" and picture.format == "TIFF" and not _signed(picture)
                size = pixel_size(_tags(picture))
    except (*DAMAGE, Warning, Image.DecompressionBombError) as error:
        raise RegbenchError(f"`{path}` must be a readable picture, but got: {error}. Copy it again.") from error
    coloured = colours and not labels and pixels.ndim == 3 and pixels.shape[2] == 3 and upright.mode == "RGB"
    if not (pixels.ndim == 2 or coloured) or min(pixels.shape[:2]) < 2:
        raise RegbenchError(
            f"`{path}` must be a grey 2D picture of at least 2 x 2 pixels, but its shape is {pixels.shape} (colours "
            "and alpha last). Convert it to grey without alpha."
        )
    if unsigned and int(pixels.min()) < 0:  # Pillow reads 32 bits as signed
        raise RegbenchError(f"`{path}` must have values below 2147483648, but has larger ones. Scale them.")
    return pixels.swapaxes(0, 1)[:, ::-1], _header(pixels.shape[1::-1], size)


def _header(shape: tuple[int, ...], size: PixelSize | None) -> Header:
    """A picture says nothing of its place, and few of their size."""
    if size is None:
        return Header(shape, np.eye(4), (0, 1), placed=False, notes=(UNPLACED,))
    x, y = size.sides_mm
    sides = f"{x:.6g} x {y:.6g} mm by {size.source}"
    note = f"a picture does not say where it lies: columns run right and rows down, of {sides}"
    return Header(shape, np.diag([x, y, max(x, y), 1.0]), (0, 1), placed=False, notes=(note,))


def _bits(path: Path, picture: Any) -> int:
    """Of a value in the file; Pillow reads colours of 16 bits as 8, without a word."""
    if picture.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    depths = _tags(picture).get(BITS, (8,))
    return max(depths) if isinstance(depths, tuple) else int(depths)


def _in_colours(path: Path, picture: Any, bits: int) -> Any:
    """The picture in red, green and blue, where it has colours and nothing is lost."""
    if picture.mode == "P" and "transparency" not in picture.info:
        values = np.asarray(picture.convert("RGB"))
        return picture.convert("RGB") if (values != values[..., :1]).any() else picture
    if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    if picture.mode == "RGB" and bits > 8:
        raise RegbenchError(f"`{path}` must have colours of 8 bits, but has {bits}. Convert it to 8 bits a colour.")
    return picture


def _check_container(path: Path, picture: Any, *, labels: bool) -> None:
    """Raise RegbenchError if what Pillow would hand out is not what the file holds."""
    wanted, got = FORMATS[path.suffix.lower()], picture.format
    if got != wanted and not (got == "MPO" and wanted == "JPEG"):
        raise RegbenchError(f"`{path}` must be a {wanted} file, as its name says, but is {got}. Rename or convert it.")
    tags = _tags(picture)
    pages = _pages(picture, tags)
    if pages > 1:
        raise RegbenchError(
            f"`{path}` must hold one picture, but has {pages} pages (frames). Store a volume as NIfTI, with its "
            "spacing, or split a series into files of one page."
        )
    lossy = got in ("JPEG", "MPO") or "jpeg" in str(picture.info.get("compression", "")).lower()
    if labels and lossy:
        raise RegbenchError(
            f"`{path}` must store labels as they are, but JPEG is lossy: it changes ids and makes new ones. Store them "
            "as PNG or NIfTI, from where they were drawn."
        )
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and (labels or picture.mode not in ("L", "1")):
        raise RegbenchError(f"`{path}` must store black as 0, but stores white as 0. Convert it (photometric 1).")
    if tags.get(ORIENTATION, 1) != 1:  # Pillow turns such a picture once each time that it is asked for the pixels
        raise RegbenchError(f"`{path}` must be stored upright, but its orientation is {tags[ORIENTATION]}. Turn it.")
    if picture.mode == "L" and _signed(picture):
        raise RegbenchError(f"`{path}` must have unsigned bytes, but they are signed. Convert it to 16 bits.")


def _tags(picture: Any) -> Any:
    """Those of a TIFF; none of others."""
    return picture.tag_v2 if picture.format == "TIFF" else {}


def _signed(picture: Any) -> bool:
    """Whether a TIFF says that its numbers have a sign; without a word they have none."""
    return bool(_tags(picture).get(SAMPLE_FORMAT, (1,))[0] == SIGNED)


def _pages(picture: Any, tags: Any) -> int:
    """Pages by the file's directories, or by the notes of ImageJ and tifffile, which write one for a whole stack."""
    described = str(tags.get(DESCRIPTION, ""))
    pages = [int(getattr(picture, "n_frames", 1)), int(tags.get(DEPTH, 1))]
    if described.startswith("ImageJ="):
        pages += [int(count) for count in re.findall(r"^images=(\d{1,9})\s*$", described, re.MULTILINE)]
    shape = re.match(r'\{"shape": \[([\d, ]+)\]', described)
    if shape:
        sizes = [int(size) for size in shape[1].split(",") if size.strip()]
        pages.append(int(np.prod(sizes, dtype=object)) // (picture.width * picture.height * len(picture.getbands())))
    return max(pages)


def _grey_of_palette(path: Path, picture: Any) -> NDArray[Any]:
    """Grey values of a picture whose palette has no colours."""
    colours = np.asarray(picture.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise RegbenchError(
            f"`{path}` must be a grey 2D picture, but its palette has colours. Convert it to grey, if they mean none."
        )
    return np.asarray(colours[..., 0])

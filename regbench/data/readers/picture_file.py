"""PNG, JPEG, BMP and TIFF: one grey picture, as its container says it is."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.damage import DAMAGE
from regbench.system.errors import RegbenchError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
# TIFF's tags.
PHOTOMETRIC, DESCRIPTION, ORIENTATION, SAMPLE_FORMAT, DEPTH = 262, 270, 274, 339, 32997
WHITE_IS_ZERO, SIGNED = 0, 2
UNPLACED = "a picture does not say where it lies: a pixel is 1 mm, columns run right and rows down"


def read_picture(path: Path, *, labels: bool) -> NDArray[Any]:
    """Pixels, turned so that axis 0 runs to the right and axis 1 up, as in a NIfTI slice.

    Args:
        path: of the file.
        labels: pixels are ids: those of a palette count, not its colours, and a lossy compression is refused.

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
                pixels = np.asarray(upright)
                pixels = pixels if labels or picture.mode != "P" else _grey_of_palette(path, upright)
                unsigned = picture.mode == "I" and picture.format == "TIFF" and not _signed(picture)
    except (*DAMAGE, Warning, Image.DecompressionBombError) as error:
        raise RegbenchError(f"`{path}` must be a readable picture, but got: {error}. Copy it again.") from error
    if pixels.ndim != 2 or min(pixels.shape) < 2:
        raise RegbenchError(
            f"`{path}` must be a grey 2D picture of at least 2 x 2 pixels, but its shape is {pixels.shape} (colours "
            "and alpha last). Convert it to grey without alpha."
        )
    if unsigned and int(pixels.min()) < 0:  # Pillow reads 32 bits as signed
        raise RegbenchError(f"`{path}` must have values below 2147483648, but has larger ones. Scale them.")
    return pixels.T[:, ::-1]


def picture_header(pixels: NDArray[Any]) -> Header:
    """A picture says nothing of its place: a pixel is 1 mm."""
    return Header(tuple(int(n) for n in pixels.shape), np.eye(4), (0, 1), placed=False, notes=(UNPLACED,))


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

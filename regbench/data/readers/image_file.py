"""Files become arrays, or an error that names the file: nothing in them is trusted."""

import struct
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.csv_text import read_table
from regbench.system.errors import RegbenchError

VOLUMES = (".nii", ".nii.gz", ".mgz", ".mgh")
SLICES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SUFFIXES = (*VOLUMES, *SLICES)
# deflate cannot expand by more; a header that claims more than this lies.
DEFLATE = 1032
# All that nibabel, Pillow, zlib and numpy were seen to raise on damaged files.
DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, AttributeError, SyntaxError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip


def suffix(path: Path) -> str:
    """``.nii.gz`` for both of its dots, else the last one; lower case."""
    name = path.name.lower()
    return next((known for known in SUFFIXES if name.endswith(known)), path.suffix.lower())


def stem(path: Path) -> str:
    """The file's name without `suffix`."""
    return path.name[: len(path.name) - len(suffix(path))]


def inside(root: Path, name: str, where: str) -> Path:
    """The file `name` under `root`; a path in a table or JSON must not lead out of it.

    Raises:
        RegbenchError: naming `where`, the path and the reason.
    """
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise RegbenchError(
            f"{where}: paths must be relative and stay under `{root}`, but got {name!r}. "
            "Put the files there, or name a folder above them all as `root` where the source has one."
        )
    path = root / name
    try:
        is_file = path.resolve(strict=True).is_file()
    except (OSError, RuntimeError) as error:  # missing, or symbolic links in a circle
        reason = getattr(error, "strerror", None) or str(error)
        raise RegbenchError(f"{where}: `{path}` must be a readable file, but got: {reason}.") from error
    if not is_file:
        raise RegbenchError(f"{where}: `{path}` must be a file, but is none.")
    return path


class ImageFile:
    """An image file whose header is parsed once: for a small volume that takes as long as its voxels."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _volume(self) -> tuple[Any, Header]:
        """nibabel's image, its voxels still on disk, and what counts of its header."""
        # Nonsense in a damaged header overflows in nibabel; what comes of it is checked.
        with np.errstate(all="ignore"):
            image = _open(self.path)
            return image, _header(self.path, image)

    @property
    def header(self) -> Header:
        """Shape and affine, without the voxels.

        Raises:
            RegbenchError: if the file is damaged, of an unknown kind, has colours, or is not 2D or 3D; names it.
        """
        return self._volume[1] if suffix(self.path) in VOLUMES else _slice_header(_read_slice(self.path))

    def read(self) -> tuple[NDArray[np.float32], Header]:
        """Voxels (float32, axes of one voxel dropped) and header; NaN and infinity are left in.

        Raises:
            RegbenchError: as `header`, or if the voxels cannot be read.
        """
        values, header = self.stored()
        # Values beyond float32 become infinite, and the caller says so with the subject's name.
        with np.errstate(over="ignore"):
            return values.astype(np.float32), header

    def stored(self) -> tuple[NDArray[Any], Header]:
        """Voxels in the type that they have, and header.

        Raises:
            RegbenchError: as `read`.
        """
        path = self.path
        if suffix(path) not in VOLUMES:
            pixels = _read_slice(path)
            return pixels, _slice_header(pixels)
        image, header = self._volume
        try:
            with np.errstate(all="ignore"):
                values = np.asanyarray(image.dataobj)
        except DAMAGE as error:
            raise RegbenchError(
                f"`{path}` must be whole, but its voxels cannot be read: {error}. It may be truncated: copy it again."
            ) from error
        if values.dtype.kind not in "iufb":
            raise RegbenchError(f"`{path}` must have one real number a voxel, but has type {values.dtype}.")
        return values.reshape(header.shape), header


def read_labels(path: Path) -> tuple[NDArray[Any], Header]:
    """Integers of a label file, which may be stored as floats; in the type of the file, or int32.

    Raises:
        RegbenchError: if the file is damaged, or a value is no integer from 0 to 2**31 - 1.
    """
    values, header = ImageFile(path).stored()
    return whole_numbers(values, str(path)), header


def whole_numbers(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Labels as integers: as they are where they have up to four bytes, which takes no memory, else as int32.

    Raises:
        RegbenchError: if a value is no integer from 0 to 2**31 - 1; names `where` and one such value.
    """
    if values.dtype.kind not in "iufb":
        raise RegbenchError(f"`{where}`: labels must be integers, but have type {values.dtype}.")
    integers = values
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            integers = np.rint(values)
            wrong = ~(integers == values)
        if wrong.any():
            raise RegbenchError(
                f"`{where}`: labels must be integers, but one is {float(values[wrong][0]):g}. It may have been "
                "resampled with interpolation, or be a probability map: resample with nearest neighbours, or threshold."
            )
    if integers.size and (integers.min() < 0 or integers.max() >= 2**31):
        bad = integers.min() if integers.min() < 0 else integers.max()
        raise RegbenchError(f"`{where}`: labels must be 0 to 2147483647, but one is {bad}.")
    small = integers.dtype.kind in "iu" and integers.dtype.itemsize <= 4 and integers.dtype.isnative
    return integers if small else integers.astype(np.int32)


def read_landmarks(path: Path, dims: int) -> NDArray[np.float64]:
    """Points ``(n, d)`` from a table with one row of voxel coordinates each; a header row is allowed.

    Cells are separated by comma, semicolon, tab or blanks; a decimal comma is read where no comma separates.

    Raises:
        RegbenchError: naming file and line.
    """
    rows, separator = read_table(path, "a CSV of landmarks")
    points: list[list[float]] = []
    for line, cells in rows:
        words = cells[0].split() if len(cells) == 1 else cells
        while len(words) > dims and not words[-1]:
            words = words[:-1]  # a separator at the end of each line
        point = _numbers(words, decimal_comma=separator != "," or len(cells) == 1)
        if point is None and line == rows[0].line:
            continue  # the header
        if point is None or len(point) != dims:
            hint = " A decimal comma needs semicolons between the cells." if len(words) == 2 * dims else ""
            raise RegbenchError(f"`{path}`, line {line}: must be {dims} voxel coordinates, but got {cells}.{hint}")
        points.append(point)
    if not points:
        raise RegbenchError(f"`{path}` must have a row of {dims} voxel coordinates for each landmark, but has none.")
    return np.array(points, dtype=np.float64)


def _numbers(words: list[str], *, decimal_comma: bool) -> list[float] | None:
    """The finite numbers that words are; None if one is none."""
    try:
        numbers = [float(word.replace(",", ".") if decimal_comma else word) for word in words]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _open(path: Path) -> Any:
    import nibabel as nib
    from nibabel.freesurfer.mghformat import MGHError
    from nibabel.spatialimages import HeaderDataError

    try:
        # nibabel leaves an uncompressed .mgh open.
        return nib.MGHImage.from_bytes(path.read_bytes()) if suffix(path) == ".mgh" else nib.load(path)
    except (*DAMAGE, nib.filebasedimages.ImageFileError, HeaderDataError, MGHError) as error:
        raise RegbenchError(
            f"`{path}` must be a readable image, but got: {' '.join(str(error).split())}. Copy it again."
        ) from error


def _header(path: Path, image: Any) -> Header:
    stored = tuple(int(n) for n in image.shape)
    dtype = image.get_data_dtype()
    if dtype.names or dtype.kind not in "iufb":
        raise RegbenchError(f"`{path}` must have one real number a voxel, but has colours or vectors ({dtype}).")
    if 0 in stored:
        raise RegbenchError(f"`{path}` must have voxels, but its shape is {stored}.")
    axes = tuple(axis for axis, n in enumerate(stored) if n > 1)
    if len(axes) not in (2, 3) or max(axes) > 2:
        raise RegbenchError(
            f"`{path}` must be one 2D or 3D image, but its shape is {stored}. Split a series into files of one volume."
        )
    claimed, size = int(np.prod(stored, dtype=object)) * dtype.itemsize, path.stat().st_size
    if claimed > size * (DEFLATE if path.name.lower().endswith("z") else 1):
        raise RegbenchError(
            f"`{path}` must hold what its header claims, {claimed} bytes of voxels, but has {size}. Copy it again."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(0)) if affine.shape == (4, 4) else np.zeros(3)
    if not np.isfinite(affine).all() or not (lengths[list(axes)] > 0).all():
        raise RegbenchError(f"`{path}` must have an affine with finite spacings above 0, but got {affine.tolist()}.")
    return Header(tuple(stored[axis] for axis in axes), affine, axes)


def _read_slice(path: Path) -> NDArray[Any]:
    """Pixels of a PNG or the like, turned so that axis 0 runs to the right and axis 1 up, as in a NIfTI slice."""
    if suffix(path) in (".pkl", ".pickle", ".pt", ".pth"):
        raise RegbenchError(
            f"`{path}` is a pickle, which may run any code when read, so it is refused. Convert it where you trust it: "
            "`numpy.savez(name, vol=image, seg=labels)`, then use the source `voxelmorph_npz`."
        )
    if suffix(path) not in SLICES:
        raise RegbenchError(f"`{path}` must end in one of {', '.join(SUFFIXES)}.")
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow only warns of a picture too large to be honest
            with Image.open(path) as picture:
                pixels = np.asarray(picture)
    except (*DAMAGE, Warning, Image.DecompressionBombError) as error:
        raise RegbenchError(f"`{path}` must be a readable picture, but got: {error}. Copy it again.") from error
    if pixels.ndim != 2 or min(pixels.shape) < 2:
        raise RegbenchError(
            f"`{path}` must be a grey 2D picture, but its shape is {pixels.shape} (colours last). Convert it to grey."
        )
    return pixels.T[:, ::-1]


def _slice_header(pixels: NDArray[Any]) -> Header:
    return Header(tuple(int(n) for n in pixels.shape), np.eye(4), (0, 1))

"""Files become arrays, or an error that names the file: nothing in them is trusted."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.damage import DAMAGE
from regbench.data.readers.label_values import ROUNDED, whole_numbers
from regbench.data.readers.picture_file import read_picture
from regbench.data.readers.volume_file import open_volume, volume_header
from regbench.system.errors import RegbenchError
from regbench.system.names import on_disk

VOLUMES = (".nii", ".nii.gz", ".mgz", ".mgh")
SLICES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SUFFIXES = (*VOLUMES, *SLICES)


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
    path = on_disk(root / name)
    try:
        is_file = path.resolve(strict=True).is_file()
    except (OSError, RuntimeError) as error:  # missing, or symbolic links in a circle
        reason = getattr(error, "strerror", None) or str(error)
        advice = f"Write / between folders: {name.replace(chr(92), '/')}" if "\\" in name else "Check the path."
        raise RegbenchError(f"{where}: `{path}` must be a readable file, but got: {reason}. {advice}") from error
    if not is_file:
        raise RegbenchError(f"{where}: `{path}` must be a file, but is none.")
    return path


class ImageFile:
    """An image file whose header is parsed once: for a small volume that takes as long as its voxels.

    Args:
        path: of the file.
        labels: its values are ids, for which lossy containers are refused and a palette's numbers count.
    """

    def __init__(self, path: Path, *, labels: bool = False) -> None:
        self.path, self._labels = path, labels

    @cached_property
    def _volume(self) -> tuple[Any, Header]:
        """nibabel's image, its voxels still on disk, and what counts of its header."""
        # Nonsense in a damaged header overflows in nibabel; what comes of it is checked.
        with np.errstate(all="ignore"):
            image = open_volume(self.path)
            return image, volume_header(self.path, image)

    @property
    def header(self) -> Header:
        """Shape and affine in mm, without the voxels.

        Raises:
            RegbenchError: if the file is damaged, of an unknown kind, no image of one value a voxel, or not 2D or 3D;
                names it.
        """
        return self._volume[1] if _kind(self.path) in VOLUMES else self.stored(colours=True)[1]

    @property
    def step(self) -> float:
        """Between two values that the file can store, where it stores scaled integers; else 0."""
        if _kind(self.path) not in VOLUMES:
            return 0.0
        image = self._volume[0]
        integer = np.dtype(image.get_data_dtype()).kind in "iu"
        return abs(float(getattr(image.dataobj, "slope", 0.0))) if integer else 0.0

    def read(self, *, colours: bool = False) -> tuple[NDArray[np.float32], Header]:
        """Voxels (float32, axes of one voxel dropped) and header; NaN and infinity are left in.

        Args:
            colours: whether a picture may have red, green and blue as a last axis more than its header.

        Raises:
            RegbenchError: as `header`, or if the voxels cannot be read.
        """
        values, header = self.stored(colours=colours)
        # Values beyond float32 become infinite, and the caller says so with the subject's name.
        with np.errstate(over="ignore"):
            return values.astype(np.float32), header

    def stored(self, *, colours: bool = False) -> tuple[NDArray[Any], Header]:
        """Voxels in the type that they have, and header; `colours` as in `read`.

        Raises:
            RegbenchError: as `read`.
        """
        path = self.path
        if _kind(path) not in VOLUMES:
            return read_picture(path, labels=self._labels, colours=colours)
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
        RegbenchError: if the file is damaged or lossy, or a value is no integer from 0 to 2**31 - 1 within rounding.
    """
    file = ImageFile(path, labels=True)
    values, header = file.stored()
    labels = whole_numbers(values, str(path), file.step)
    return labels.values, replace(header, notes=(*header.notes, ROUNDED)) if labels.rounded else header


def _kind(path: Path) -> str:
    """The suffix of a file that is there and may be read.

    Raises:
        RegbenchError: if it is missing, empty, no file or of a kind that is not read; says what to do.
    """
    kind = suffix(path)
    if kind in (".pkl", ".pickle", ".pt", ".pth"):
        raise RegbenchError(
            f"`{path}` is a pickle, which may run any code when read, so it is refused. Convert it where you trust it: "
            "`numpy.savez(name, vol=image, seg=labels)`, then use the source `voxelmorph_npz`."
        )
    if kind not in SUFFIXES:
        raise RegbenchError(
            f"`{path}` must end in one of {', '.join(SUFFIXES)}. Convert another format to NIfTI with the program that "
            "wrote it, or with SimpleITK: `SimpleITK.WriteImage(SimpleITK.ReadImage(file), 'name.nii.gz')`."
        )
    try:
        if path.is_file() and path.stat().st_size:
            return kind
    except (OSError, ValueError) as error:  # links in a circle, a name with a null byte
        raise RegbenchError(f"`{path}` must be a readable image, but got: {error}.") from error
    state = "is a folder" if path.is_dir() else "is empty" if path.exists() else "does not exist"
    state = "is a link to a file that does not exist" if path.is_symlink() and not path.exists() else state
    raise RegbenchError(f"`{path}` must be a readable image, but {state}. Check the path, or copy the file again.")

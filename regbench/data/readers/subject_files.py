"""A subject whose parts are files of their own."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Entry, Header, Volume
from regbench.data.readers.image_file import SLICES, ImageFile, read_labels, suffix
from regbench.data.readers.label_values import ROUNDED
from regbench.data.readers.landmarks_file import read_landmarks
from regbench.data.readers.mask_values import mask_of
from regbench.data.readers.same_grid import TURNED, onto_image
from regbench.system.errors import RegbenchError


def entry(name: str, image: Path, *, label: Path | None = None, landmarks: Path | None = None, mask: Path | None = None,
          group: str = "", split: str = "", same_affine: bool = True) -> Entry:  # fmt: skip
    """A subject of image, labels, landmarks and mask files; all but the image may be missing.

    Args:
        same_affine: labels and mask must lie where the image lies, not only have its shape.
    """

    picture = ImageFile(image)

    def read() -> Volume:
        voxels, header = picture.read(colours=True)
        labels = points = None
        notes = list(header.notes)
        if label is not None:
            labels, label_notes = _on_image(label, image, header, same_affine)
            notes += label_notes
        if landmarks is not None:
            points = read_landmarks(landmarks, len(header.shape))
            if suffix(image) in SLICES:  # whose rows are counted from the top, while the array runs up
                points[:, 1] = header.shape[1] - 1 - points[:, 1]
        inside = None if mask is None else mask_on_image(mask, image, header, same_affine=same_affine)
        return Volume(header, voxels, labels, points, tuple(notes), inside)

    parts = {"image": image, "label": label, "landmarks": landmarks, "mask": mask}
    files = {kind: path for kind, path in parts.items() if path is not None}
    return Entry(
        name, lambda: picture.header, read, files, group, split,
        masked=mask is not None, labelled=label is not None, landmarked=landmarks is not None,
    )  # fmt: skip


def labels_on_image(path: Path, image_path: Path, image: Header) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Integers of a label file on the array of its image, and notes on how they were taken.

    Args:
        path: of the labels.
        image_path: of the image, for messages.
        image: its header.

    Raises:
        RegbenchError: if they cannot be read, are no labels, or do not lie where the image lies; names both files.
    """
    labels, header = read_labels(path)
    turned = onto_image(labels, header, path, image, image_path)
    notes = ((TURNED,) if turned is not labels else ()) + ((ROUNDED,) if ROUNDED in header.notes else ())
    return turned, notes


def _on_image(path: Path, image_path: Path, image: Header, same_affine: bool) -> tuple[NDArray[Any], tuple[str, ...]]:
    if same_affine:
        return labels_on_image(path, image_path, image)
    labels, header = read_labels(path)
    _check_shape(path, header, image_path, image)
    return labels, (ROUNDED,) if ROUNDED in header.notes else ()


def mask_on_image(path: Path, image_path: Path, image: Header, *, same_affine: bool = True) -> NDArray[np.uint8]:
    """1 inside and 0 outside on the array of an image.

    Args:
        path: of the mask.
        image_path: of the image, for messages.
        image: its header.
        same_affine: the mask must lie where the image lies, not only have its shape.

    Raises:
        RegbenchError: if it cannot be read, is no mask, or does not fit the image; names both files.
    """
    file = ImageFile(path, labels=True)
    values, header = file.stored()
    inside = mask_of(values, str(path), file.step)
    if same_affine:
        return onto_image(inside, header, path, image, image_path)
    _check_shape(path, header, image_path, image)
    return inside


def _check_shape(path: Path, header: Header, image_path: Path, image: Header) -> None:
    if header.shape != image.shape:
        raise RegbenchError(
            f"`{path}` must have the shape of `{image_path.name}`, {image.shape}, but got {header.shape}. "
            "Resample it onto the image with nearest neighbours."
        )

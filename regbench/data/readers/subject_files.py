"""A subject whose parts are files of their own."""

from pathlib import Path

import numpy as np

from regbench.data.native import Entry, Header, Volume
from regbench.data.readers.image_file import ImageFile, read_labels, read_landmarks
from regbench.system.errors import RegbenchError


def entry(name: str, image: Path, *, label: Path | None = None, landmarks: Path | None = None,
          group: str = "", split: str = "", same_affine: bool = True) -> Entry:  # fmt: skip
    """A subject of image, labels and landmarks files; all but the image may be missing.

    Args:
        same_affine: labels must lie where the image lies, not only have its shape.
    """

    picture = ImageFile(image)

    def read() -> Volume:
        voxels, header = picture.read()
        labels = points = None
        if label is not None:
            labels, label_header = read_labels(label)
            _must_match(label, label_header, image, header, same_affine)
        if landmarks is not None:
            points = read_landmarks(landmarks, len(header.shape))
        return Volume(header, voxels, labels, points)

    parts = {"image": image, "label": label, "landmarks": landmarks}
    files = {kind: path for kind, path in parts.items() if path is not None}
    return Entry(name, lambda: picture.header, read, files, group, split)


def _must_match(path: Path, header: Header, image: Path, expected: Header, same_affine: bool) -> None:
    if header.shape != expected.shape:
        raise RegbenchError(
            f"`{path}` must have the shape of `{image.name}`, {expected.shape}, but got {header.shape}. "
            "Resample it onto the image with nearest neighbours."
        )
    tolerance = 0.01 * min(expected.spacing_mm)
    worst = float(np.abs(header.affine - expected.affine).max())
    if same_affine and worst > tolerance:
        raise RegbenchError(
            f"`{path}` must lie where `{image.name}` lies, but their affines differ by up to {worst:g}. "
            "Resample it onto the image, or set `same_affine: false` if you know that the voxels correspond."
        )

"""A label map on the grid of its image: by their headers, whatever the order of its axes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.volume_place import APART, furthest
from regbench.system.errors import RegbenchError

TURNED = "labels stored with axes in another order or direction were turned onto the image, by the headers"


def onto_image(values: NDArray[Any], header: Header, path: Path, image: Header, image_path: Path) -> NDArray[Any]:
    """The array of a file, turned onto the array of its image; the array itself where they lie alike.

    Args:
        values: ``(*header.shape)``.
        header: of the file.
        path: of the file, for messages.
        image: header of the image.
        image_path: for messages.

    Raises:
        RegbenchError: unless the voxels of both are the same voxels, in whatever order their axes are stored.
    """
    if header.shape == image.shape and (header.affine == image.affine).all() and header.axes == image.axes:
        return values
    advice = "Resample it onto the image with nearest neighbours"
    if len(header.shape) != len(image.shape) or sorted(header.shape) != sorted(image.shape):
        raise RegbenchError(
            f"`{path}` must have the shape of `{image_path.name}`, {image.shape}, but got {header.shape}. {advice}."
        )
    order, flips = _axes_of(header, image)
    turned = Header(
        tuple(header.shape[axis] for axis in order), _turned_affine(header, order, flips), tuple(range(len(order)))
    )
    plain = Header(image.shape, np.column_stack([image.columns, image.affine[:3, 3]]), turned.axes)
    if turned.shape != image.shape or furthest(turned.affine - plain.affine, plain) > APART * min(image.spacing_mm):
        raise RegbenchError(
            f"`{path}` must lie where `{image_path.name}` lies, voxel on voxel, but by their headers it does not: "
            f"{header}, against {image}. {advice}, or set `same_affine: false` if you know that the voxels of a folder "
            "or table correspond."
        )
    return values.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def _axes_of(header: Header, image: Header) -> tuple[list[int], list[bool]]:
    """For each axis of the image: the axis of the file that runs along it, and whether it runs the other way."""
    cosines = (image.columns / np.linalg.norm(image.columns, axis=0)).T @ (
        header.columns / np.linalg.norm(header.columns, axis=0)
    )
    order = [int(axis) for axis in np.abs(cosines).argmax(1)]
    if len(set(order)) < len(order):  # turned by some 45 degrees: no axis runs along another
        order = list(range(len(order)))
    return order, [bool(cosines[place, axis] < 0) for place, axis in enumerate(order)]


def _turned_affine(header: Header, order: list[int], flips: list[bool]) -> NDArray[np.float64]:
    """``(3, d + 1)``: voxels of the turned array to mm."""
    columns, origin = header.columns[:, order].copy(), header.affine[:3, 3].copy()
    for place, axis in enumerate(order):
        if flips[place]:
            origin += columns[:, place] * (header.shape[axis] - 1)
            columns[:, place] *= -1
    return np.column_stack([columns, origin])

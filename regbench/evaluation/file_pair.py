"""Two image files in one space: read, checked against each other, and brought onto the grid that a model works on."""

import logging
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.preprocessing.colour import Colour, grey
from regbench.data.preprocessing.preparation import Preparation
from regbench.data.readers.image_file import ImageFile
from regbench.data.space import Space
from regbench.data.subject import all_finite
from regbench.system.errors import RegbenchError

LOG = logging.getLogger(__name__)
Array = NDArray[Any]
PARALLEL = 0.99  # least length of an axis of one voxel's length in the plane of the other image: 8 degrees


class Placed(NamedTuple):
    """An image file in the space of its pair.

    Attributes:
        path: of the file.
        array: ``(*S)``, d = 2 or 3, finite.
        affine: ``(d + 1, d + 1)``, voxels to mm; in 2D along the two axes of the fixed image's plane.
        header: of the file.
    """

    path: Path
    array: NDArray[np.float32]
    affine: Array
    header: Header

    @property
    def spacing_mm(self) -> Array:
        """Of each axis."""
        return np.asarray(np.linalg.norm(self.affine[:-1, :-1], axis=0))


def read_pair(
    fixed: Path, moving: Path, by: Literal["header", "centre"], colour: Colour = "none"
) -> tuple[Placed, Placed]:
    """Both images of a pair, in one space.

    Args:
        fixed: image file.
        moving: image file.
        by: how they lie to each other: as their headers say, or middle on middle.
        colour: what is taken of pictures in colours.

    Raises:
        RegbenchError: if a file cannot be read, has NaN or infinity, or their headers contradict; names it.
    """
    (target, fixed_header), (source, moving_header) = (_read(path, colour) for path in (fixed, moving))
    if target.ndim != source.ndim:
        raise RegbenchError(f"`{moving}` must have {target.ndim} dimensions as `{fixed}` has, but has {source.ndim}.")
    if by == "header" and fixed_header.placed != moving_header.placed:
        one, other = (fixed, moving) if fixed_header.placed else (moving, fixed)
        raise RegbenchError(
            f"`{other}` must say where it lies, as `{one}` does, but does not (NIfTI: qform and sform codes are 0; "
            "pictures never do). Set the code, or give `--by centre`: middle on middle."
        )
    basis = plane(fixed_header)
    theirs = moving_header.columns / np.linalg.norm(moving_header.columns, axis=0)
    if (np.linalg.norm(basis @ theirs, axis=0) >= PARALLEL).all():
        other_basis = basis
    elif by == "centre":
        other_basis = plane(moving_header)
    else:
        raise RegbenchError(
            f"`{moving}` must lie in a plane parallel to that of `{fixed}`, but by their headers it does not: "
            f"{moving_header}, against {fixed_header}. Where headers mean nothing, give `--by centre`."
        )
    first = Placed(fixed, target, _in_plane(fixed_header, basis), fixed_header)
    second = Placed(moving, source, _in_plane(moving_header, other_basis), moving_header)
    return first, _centred(second, first) if by == "centre" else second


def plane(header: Header) -> Array:
    """``(d, 3)``: unit vectors of the space of an image. In 2D along its axes, turned to run right, front or top."""
    if len(header.shape) == 3:
        return np.eye(3)
    unit = header.columns / np.linalg.norm(header.columns, axis=0)
    world = [int(axis) for axis in np.abs(unit).argmax(0)]
    order = np.argsort(world, kind="stable")
    first, second = (unit[:, axis] * np.sign(unit[world[axis], axis]) for axis in order)
    second = second - (first @ second) * first
    return np.stack([first, second / np.linalg.norm(second)]) + 0.0


def model_grid(target: Placed, preparation: Preparation) -> tuple[Array, tuple[int, ...]]:
    """Voxels to mm, and shape, of the grid over the fixed image that the model works on."""
    dims, spacing_mm = target.array.ndim, preparation.spacing_mm
    directions = target.affine[:-1, :-1] / target.spacing_mm
    if preparation.orientation == "keep":
        directions = np.eye(dims)
    order, left = [0] * dims, list(range(dims))
    for axis in np.argsort(-np.abs(directions).max(1)):
        order[axis] = max(left, key=lambda native: abs(directions[axis, native]))
        left.remove(order[axis])
    matrix = np.zeros((dims + 1, dims + 1))
    matrix[-1, -1] = 1
    shape = []
    for axis, native in enumerate(order):
        size, scale = target.array.shape[native], 1.0
        if spacing_mm is not None and abs(spacing_mm[axis] / target.spacing_mm[native] - 1) > 1e-3:
            scale = spacing_mm[axis] / target.spacing_mm[native]
        shape.append(max(int(np.ceil(size / scale - 1e-6)), 2))
        step = scale * (1 if directions[axis, native] > 0 else -1)
        matrix[native, axis] = step
        matrix[native, -1] = (size - 1) / 2 - step * (shape[-1] - 1) / 2
    return target.affine @ matrix, tuple(shape)


def spaces(pair: tuple[Placed, Placed], preparation: Preparation) -> tuple[Space, Space]:
    """Where the model's grid lies in either array.

    Raises:
        RegbenchError: if no voxel of the grid lies in the moving image.
    """
    grid, shape = model_grid(pair[0], preparation)
    first, second = (Space(shape, part.array.shape, _clean(np.linalg.inv(part.affine) @ grid)) for part in pair)
    corners = np.array([*product(*([0, n - 1] for n in shape))], dtype=np.float64)
    low, high = (extreme(second.to_native(corners), axis=0) for extreme in (np.min, np.max))
    if (high < 0).any() or (low > np.array(second.native_shape) - 1).any():
        raise RegbenchError(
            f"`{pair[1].path}` must lie where `{pair[0].path}` does, but by their headers they do not meet. "
            "Where headers mean nothing, give `--by centre`."
        )
    return first, second


def _read(path: Path, colour: Colour) -> tuple[NDArray[np.float32], Header]:
    array, header = ImageFile(path).read(colours=True)
    array = grey(array, len(header.shape), colour, str(path))
    if not all_finite(array):
        bad = int((~np.isfinite(array)).sum())
        raise RegbenchError(f"`{path}`: the image must be finite, but {bad} voxels are NaN or infinite. Repair it.")
    for note in header.notes:
        LOG.info("`%s`: %s", path, note)
    return array, header


def _in_plane(header: Header, basis: Array) -> Array:
    dims = len(header.shape)
    affine = np.eye(dims + 1)
    affine[:-1, :-1], affine[:-1, -1] = basis @ header.columns, basis @ header.affine[:3, 3]
    return affine


def _clean(matrix: Array) -> Array:
    """Without the rounding errors that would make a permutation look like a rotation."""
    rounded = np.round(matrix)
    return np.where(np.abs(matrix - rounded) < 1e-6, rounded, matrix)


def _centred(source: Placed, target: Placed) -> Placed:
    """`source` where the middle of its array lies on the middle of the target's."""
    here, there = (v.affine @ [*((n - 1) / 2 for n in v.array.shape), 1.0] for v in (source, target))
    affine = source.affine.copy()
    affine[:-1, -1] += (there - here)[:-1]
    return source._replace(affine=affine)

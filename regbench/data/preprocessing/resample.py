"""Bringing an array onto a grid by axis permutation, flips, scaling and shifts."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.space import Space
from regbench.system.errors import RegbenchError

Array = NDArray[Any]
TO_PLUS = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}


def orient(header: Header, *, stored_as: str | None = None, keep: bool = False) -> list[tuple[int, int]]:
    """For each axis of the prepared grid: (native axis, +1 or -1), so that axes run to the right, front and top.

    Args:
        header: whose affine says how the array lies.
        stored_as: how it really lies, for example ``LIA``, where the affine is known to be wrong.
        keep: leave the axes as they are stored.

    Raises:
        RegbenchError: if the affine does not say, or `stored_as` is no code of three directions.
    """
    dims = len(header.shape)
    if keep:
        return [(axis, 1) for axis in range(dims)]
    if stored_as is not None:
        ends = [TO_PLUS.get(letter.upper(), (-1, 0)) for letter in stored_as]
        if sorted(axis for axis, _ in ends) != [0, 1, 2]:
            raise RegbenchError(f"`stored_as` must name three directions such as LIA, but got {stored_as!r}.")
    else:
        directions = _directions(header.affine.tobytes())
        if not np.isfinite(directions[list(header.axes)]).all():
            raise RegbenchError("the affine must say where each axis points, but does not. Set `orientation: keep`.")
        # The axis of one voxel may have no direction; nothing asks for it.
        ends = [(int(axis), int(sign)) for axis, sign in np.nan_to_num(directions)]
    used = [(ends[axis][0], number, ends[axis][1]) for number, axis in enumerate(header.axes)]
    return [(number, sign) for _, number, sign in sorted(used)]


@lru_cache(maxsize=64)
def _directions(affine: bytes) -> Array:
    """nibabel's, which takes as long as a small header's reading; the subjects of a scanner often have one affine."""
    import nibabel as nib

    directions: Array = nib.orientations.io_orientation(np.frombuffer(affine).reshape(4, 4))  # type: ignore[no-untyped-call]
    return directions


def place(
    header: Header,
    axes: list[tuple[int, int]],
    shape: tuple[int, ...],
    spacing_mm: tuple[float, ...],
    centre: Array | None = None,
) -> Space:
    """The grid of `shape` and `spacing_mm` whose middle is the middle of the array, or `centre` (native voxels).

    Where the spacing stays, the grid's voxels fall on the array's: a crop or a pad, no interpolation.
    """
    dims = len(shape)
    matrix = np.eye(dims + 1)
    matrix[:dims, :dims] = 0
    for k, (axis, sign) in enumerate(axes):
        size = header.shape[axis]
        scale = spacing_mm[k] / header.spacing_mm[axis]
        middle = (size - 1) / 2 if centre is None else float(centre[axis])
        scale = 1.0 if abs(scale - 1) < 1e-4 else scale
        offset = middle - sign * scale * (shape[k] - 1) / 2
        matrix[axis, k] = sign * scale
        matrix[axis, dims] = np.floor(offset) if scale == 1 else offset
    return Space(shape, header.shape, matrix)


def resample(array: Array, space: Space, *, order: Literal[0, 1], fill: float = 0) -> Array:
    """`array` on the prepared grid, `fill` outside; the array itself where that is its grid.

    Args:
        array: ``(*native_shape)``.
        space: where the grid lies.
        order: 0 nearest (labels), 1 linear; linear smooths first where voxels grow, so that detail does not alias.
        fill: value outside the array.
    """
    from scipy.ndimage import affine_transform, gaussian_filter

    dims = len(space.shape)
    if not space.along_axes:  # pre-aligned
        if order:
            array = gaussian_filter(array, _blur(np.linalg.norm(space.matrix[:dims, :dims], axis=1)), mode="nearest")
        inner, shift = space.matrix[:dims, :dims], space.matrix[:dims, dims]
        return np.asarray(affine_transform(array, inner, shift, space.shape, order=order, mode="constant", cval=fill))
    axes, scale, offset = space.parts
    view = array.transpose(axes)
    for k, factor in enumerate(scale):
        if factor < 0:
            view = np.flip(view, k)
            offset[k] = view.shape[k] - 1 - offset[k]
    scale = np.abs(scale)
    if (scale == 1).all() and (offset == np.rint(offset)).all():
        return _crop_or_pad(view, offset.astype(int), space.shape, fill)
    if order and (scale > 1).any():
        view = gaussian_filter(view, _blur(scale), mode="nearest")
    result = affine_transform(view, scale, offset, space.shape, order=order, mode="constant", cval=fill)
    return np.asarray(result)


def _blur(scale: Array) -> Array:
    """Standard deviations, in native voxels, that keep detail from aliasing where voxels grow by `scale`."""
    return np.asarray(np.sqrt(np.maximum(scale**2 - 1, 0)) / 2)


def _crop_or_pad(view: Array, start: Array, shape: tuple[int, ...], fill: float) -> Array:
    if view.shape == tuple(shape) and not start.any():
        return view
    result = np.full(shape, fill, view.dtype)
    low = [max(0, int(s)) for s in start]
    high = [min(n, int(s) + m) for s, n, m in zip(start, view.shape, shape, strict=True)]
    if all(a < b for a, b in zip(low, high, strict=True)):
        inner = tuple(slice(a - int(s), b - int(s)) for s, a, b in zip(start, low, high, strict=True))
        result[inner] = view[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return result

"""Displacement fields from files: in the form of Learn2Reg, or as ITK and ANTs write them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.data.displacement_names import DisplacementNames
from regbench.data.readers.field_file import FieldFile, Form, open_field
from regbench.models.classical.field_folder import find
from regbench.spatial.itk import ras_to_lps, to_voxels
from regbench.system.errors import RegbenchError
from regbench.system.names import given_path

Array = NDArray[Any]
FARTHEST = 10  # sides of the image: a vector that is longer is in another unit, or damaged
OFF_VOXELS = 0.01  # by which a header may put a corner elsewhere: float32 rounds it


def fields(pair: Pair, fixed: str, moving: str, /, *, path: str, form: Form = "auto") -> Array:
    """Anyone's displacement fields: a folder with one file `disp_<fixed>_<moving>` for each test pair.

    Args:
        pair: the two images on the prepared grid, which is the grid of the fields.
        fixed: id of the fixed subject; the numbers in it are enough (``0001_0000`` for ``OASIS_0001_0000``).
        moving: likewise.
        path: the folder; relative to where the command runs.
        form: ``auto``: as each file's header says. ``l2r``: ``(X, Y[, Z], d)`` in voxels, axis k moved by component k
            (an npz may have the components first); ``itk``: vectors in mm, axes LPS, as SimpleITK and ANTs write them;
            ``nifti``: the same along RAS. A file whose header says something else is refused.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        RegbenchError: if the file is missing, damaged, of another grid or form, or holds NaN; names it.
    """
    names = pair.files or DisplacementNames((fixed, moving)).stems(fixed, moving)
    file = open_field(find(given_path(path), (fixed, moving), names))
    resolved = file.resolved(form)
    axis = _component_axis(file, pair.fixed.shape)
    place = _place(file, pair, measured=resolved != "l2r")
    vectors = _vectors(file, pair.fixed.shape, axis)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite, or not in float32, is refused below
        if resolved != "l2r":
            vectors = to_voxels(ras_to_lps(vectors) if resolved == "itk" else vectors, *place)
        field = np.ascontiguousarray(vectors, dtype=np.float32)
    _check_vectors(file.path, field)
    return field


def _component_axis(file: FieldFile, shape: tuple[int, ...]) -> int:
    """Which axis of the stored array holds the components: 0 or -1.

    Raises:
        RegbenchError: if the file is of another grid, has other components, or leaves the axis open.
    """
    dims = len(shape)
    last, first = (_fits(grid, count, shape) for grid, count in
                   ((file.shape[:-1], file.shape[-1:]), (file.shape[1:], file.shape[:1])))  # fmt: skip
    if last and (file.has_components_last or not first):
        return -1
    if first and not file.has_components_last and not last:
        return 0
    if first and last:
        raise RegbenchError(
            f"`{file.path}` must say which axis holds the components, but its shape {file.shape} fits first and last. "
            "Write it as NIfTI, components last."
        )
    hint = (
        "Register the prepared images (`regbench export-images` writes them; of a run, `regbench export --prepared`)."
    )
    if first:
        hint = "Its components come first: write them last."
    raise RegbenchError(
        f"`{file.path}` must have shape {(*shape, dims)}, the prepared grid's with {dims} components last, but has "
        f"{file.words}. {hint}"
    )


def _fits(grid: tuple[int, ...], components: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of vectors is on a grid: axes of one at its end count nothing, nor does 2D in a 3D file."""
    dims = len(shape)
    extra = grid[dims:]
    return components in ((dims,), (3,)) and grid[:dims] == shape and set(extra) <= {1} and len(extra) <= 4 - dims


def _place(file: FieldFile, pair: Pair, *, measured: bool) -> tuple[Array, Array]:
    """The affines of fixed and moving by which the file has its vectors.

    An npz has no header, and a header that is the identity says nothing to vectors in voxels.

    Raises:
        RegbenchError: if the header puts the grid elsewhere.
    """
    if file.affine is None or (not measured and np.array_equal(file.affine, np.eye(4))):
        return pair.places[0]
    dims = pair.fixed.ndim
    kept = [*range(dims), 3]
    affine = file.affine[np.ix_(kept, kept)]
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in pair.fixed.shape], [1])).reshape(dims + 1, -1)
    apart = []
    for place in pair.places:
        with np.errstate(all="ignore"):  # an affine that is not finite is never near
            off = np.linalg.solve(place[0], affine @ corners) - corners
        apart.append(float(np.abs(off[:dims]).max()))
    nearest = int(np.argmin(apart))
    if not apart[nearest] <= OFF_VOXELS:
        raise RegbenchError(
            f"`{file.path}` must lie on the prepared grid, {_affine_words(pair.places[0][0])}, but its header says "
            f"{_affine_words(affine)}: a corner is {apart[nearest]:.3g} voxels off. Register the prepared images "
            "(`regbench export-images` writes them; of a run, `regbench export --prepared`)."
        )
    return pair.places[nearest]


def _vectors(file: FieldFile, shape: tuple[int, ...], axis: int) -> Array:
    """Vectors ``(d, *S)`` as stored; the third component of a slice goes, where it moves nothing.

    Raises:
        RegbenchError: if the file is not whole, or its vectors leave the slice.
    """
    numbers = file.numbers()
    components = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], *shape)
    if components[len(shape) :].any():
        raise RegbenchError(f"`{file.path}` must move a slice within itself, but its third components are not all 0.")
    return components[: len(shape)]


def _check_vectors(path: Path, field: Array) -> None:
    """Refuse what is no displacement.

    Raises:
        RegbenchError: if vectors are not finite, leave for far beyond the image, or are positions.
    """
    if not np.isfinite(field).all():
        raise RegbenchError(f"`{path}` must be finite in float32, but has NaN or infinite vectors.")
    sides = np.array(field.shape[1:])
    longest = float(np.abs(field).max())
    if longest > FARTHEST * sides.max():
        raise RegbenchError(
            f"`{path}` must move voxels by less than {FARTHEST} sides of the image ({FARTHEST * sides.max()} voxels), "
            f"but moves one by {longest:.4g}. Check its unit."
        )
    slopes = [
        float(np.mean(np.take(part, -1, axis) - np.take(part, 0, axis))) / (sides[axis] - 1)
        for axis, part in enumerate(field)
        if sides[axis] > 1
    ]
    if all(abs(slope - 1) < 0.1 for slope in slopes):
        raise RegbenchError(
            f"`{path}` must hold displacements, but along each axis its vectors grow by about one voxel a voxel, as "
            "positions do. Subtract each voxel's own position."
        )


def _affine_words(affine: Array) -> str:
    dims = len(affine) - 1
    spacing = np.linalg.norm(affine[:dims, :dims], axis=0)
    directions = affine[:dims, :dims] / np.where(spacing > 0, spacing, 1)
    parts = (spacing, affine[:dims, dims], directions.ravel())
    numbers = [", ".join(f"{value:.4g}" for value in values + 0.0) for values in parts]
    return f"spacing ({numbers[0]}) mm, origin ({numbers[1]}) mm, directions ({numbers[2]}) in RAS"

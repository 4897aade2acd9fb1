"""Registering two image files with a trained model or by optimising the pair itself."""

import gzip
import re
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import nn

from regbench.data.nifti import displacement_name, write_displacement
from regbench.data.preprocessing.intensity import Kind, normalise
from regbench.data.preprocessing.resample import resample
from regbench.data.readers.image_file import DAMAGE
from regbench.data.space import Space, displacement_to_native
from regbench.losses.objective import objective
from regbench.models.predict import build_model, register
from regbench.spatial.determinant import jacobian_determinant
from regbench.spatial.itk import ras_to_lps
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import CHECKPOINT, replacing
from regbench.system.names import file_name
from regbench.training.checkpoint import load_checkpoint, read_checkpoint

Array = NDArray[Any]


class Volume(NamedTuple):
    """An image file: array ``(*S)``, d = 2 or 3, and its affine ``(d + 1, d + 1)`` from voxels to mm (RAS)."""

    array: Array
    affine: Array
    header_affine: Array

    @property
    def spacing_mm(self) -> Array:
        """Of each axis."""
        return np.asarray(np.linalg.norm(self.affine[:-1, :-1], axis=0))


class Preparation(NamedTuple):
    """How an image becomes what a model sees; for a trained model, as its study did it.

    Attributes:
        spacing_mm: of the model's grid, axis by axis; the fixed image's own if None.
        orientation: ``RAS``: the grid's axes run right, front and top; ``keep``: as the fixed array's.
        intensity, percentiles, window: see `regbench.data.preprocessing.intensity.normalise`.
    """

    spacing_mm: tuple[float, ...] | None = None
    orientation: Literal["RAS", "keep"] = "RAS"
    intensity: Kind = "percentile"
    percentiles: tuple[float, float] = (0.5, 99.5)
    window: tuple[float, float] | None = None


PLAIN = Preparation()


def model_for(name: str, fixed: Path, similarity: str, regularizer: str, lam: float) -> tuple[nn.Module, Preparation]:
    """The model that `name` means, and how it wants its images.

    Args:
        name: a checkpoint, the folder of a run, or ``instance``.
        fixed: the fixed image, whose dimensions the model must have.
        similarity: of `instance`.
        regularizer: of `instance`.
        lam: of `instance`.

    Raises:
        RegbenchError: if there is no such model, or it has other dimensions.
    """
    dims = read(fixed).array.ndim
    if name == "instance":
        compare, penalise = (ComponentSpec(name=part, parameters={}) for part in (similarity, regularizer))
        return build_model(ComponentSpec(name=name, parameters={}), dims, objective(compare, penalise, lam)), PLAIN
    path = Path(name) / CHECKPOINT if Path(name).is_dir() else Path(name)
    stored = read_checkpoint(path)
    model = load_checkpoint(path)
    if model is None:
        raise RegbenchError(f"`{path}` must hold weights, but its training failed. Give another.")
    if stored["dims"] != dims:
        raise RegbenchError(f"`{fixed}` must have the {stored['dims']} dimensions of `{path}`, but has {dims}.")
    preparation: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored["preparation"].items()
    }
    return model, Preparation(**preparation)


def register_files(
    model: nn.Module,
    fixed: Path,
    moving: Path,
    out: Path,
    *,
    preparation: Preparation = PLAIN,
    by: Literal["header", "centre"] = "header",
    labels: Path | None = None,
    itk: bool = False,
) -> list[Path]:
    """Register two NIfTI files of any size and spacing.

    Both are brought onto one grid over the fixed image, scaled in intensity, registered, and the displacement is
    brought back to the fixed image's own array.

    Args:
        model: fixed, moving ``(1, 1, *S)`` -> displacement.
        fixed: NIfTI.
        moving: NIfTI; its array may have another shape, spacing and orientation.
        out: folder of the files.
        preparation: how the images become what the model sees.
        by: how the images lie to each other: as their headers say, or middle on middle where headers mean nothing.
        labels: label map of the moving image, warped by nearest neighbour.
        itk: write the displacement for ITK too: mm, LPS.

    Returns:
        The files: displacement (Learn2Reg form: voxels, ``(*S, d)``), moved image, Jacobian determinant (volume in the
        moving image per volume in the fixed one), and those that were asked for.

    Raises:
        RegbenchError: if a file cannot be read or its dimensions do not fit; names it.
    """
    target, source = read(fixed), read(moving)
    if target.array.ndim != source.array.ndim:
        raise RegbenchError(
            f"`{moving}` must have {target.array.ndim} dimensions as `{fixed}` has, but has {source.array.ndim}."
        )
    if by == "centre":
        source = _centred(source, target)
    grid, shape = _grid(target, preparation)
    spaces = [
        Space(shape, volume.array.shape, _clean(np.linalg.inv(volume.affine) @ grid)) for volume in (target, source)
    ]
    _check_overlap(spaces[1], fixed, moving)
    images = [
        _prepared(volume, path, space, preparation)
        for volume, path, space in zip((target, source), (fixed, moving), spaces, strict=True)
    ]
    field = displacement_to_native(register(model, *images), *spaces)

    names = [_stem(path) for path in (fixed, moving)]
    of_moving = file_name(names[1])
    moved_at = field + np.indices(field.shape[1:], dtype=np.float64)
    moved = map_coordinates(source.array.astype(np.float64), moved_at, order=1, mode="nearest")
    determinant = jacobian_determinant(torch.from_numpy(field)[None].double())[0].numpy()
    determinant = determinant * np.linalg.det(source.affine) / np.linalg.det(target.affine)
    written = [out / displacement_name(*names), out / f"moved_{of_moving}.nii.gz", out / f"jacobian_{of_moving}.nii.gz"]
    write_displacement(written[0], field, target.header_affine)
    _write(written[1], moved.astype(np.float32), target.header_affine)
    _write(written[2], determinant.astype(np.float32), target.header_affine)
    if labels is not None:
        label_map = read(labels)
        if label_map.array.shape != source.array.shape:
            raise RegbenchError(
                f"`{labels}` must have shape {source.array.shape} as `{moving}`, but has {label_map.array.shape}."
            )
        warped = map_coordinates(label_map.array, np.floor(moved_at + 0.5), order=0, mode="constant", cval=0)
        written.append(out / f"moved_labels_{of_moving}.nii.gz")
        _write(written[-1], warped.astype(label_map.array.dtype), target.header_affine)
    if itk:
        written.append(out / f"itk_{written[0].name}")
        _write_itk(written[-1], field, target, source)
    return written


def read(path: Path) -> Volume:
    """A NIfTI image of two or three dimensions; axes of one voxel at the end are dropped.

    Raises:
        RegbenchError: if it cannot be read, has other dimensions, or values that are not finite.
    """
    try:
        image = nib.load(path)
        array = np.asarray(image.dataobj)  # type: ignore[attr-defined]
        affine = np.asarray(image.affine, dtype=np.float64)  # type: ignore[attr-defined]
    except (*DAMAGE, nib.filebasedimages.ImageFileError) as error:
        raise RegbenchError(f"`{path}` must be a readable NIfTI, but got: {error}.") from error
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or min(array.shape) < 2:
        raise RegbenchError(f"`{path}` must be an image of two or three dimensions, but has shape {array.shape}.")
    if not np.isfinite(array).all():
        raise RegbenchError(f"`{path}` must have finite values, but has NaN or infinity. Repair it.")
    in_plane = affine if array.ndim == 3 else affine[np.ix_([0, 1, 3], [0, 1, 3])]
    if abs(np.linalg.det(in_plane)) < 1e-12:
        raise RegbenchError(f"`{path}` must have an affine that says where its axes point, but it is singular.")
    return Volume(array, in_plane, affine)


def _grid(target: Volume, preparation: Preparation) -> tuple[Array, tuple[int, ...]]:
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


def _clean(matrix: Array) -> Array:
    """Without the rounding errors that would make a permutation look like a rotation."""
    rounded = np.round(matrix)
    return np.where(np.abs(matrix - rounded) < 1e-6, rounded, matrix)


def _prepared(volume: Volume, path: Path, space: Space, preparation: Preparation) -> Array:
    """What the model sees of an image; beside it, its least value, as in `regbench.data.preprocessing.preprocess`."""
    _, _, kind, percentiles, window = preparation
    try:
        image = normalise(volume.array.astype(np.float32), kind, percentiles=percentiles, window=window)
    except ValueError as error:
        raise RegbenchError(f"`{path}`: {error}.") from error
    return resample(image, space, order=1, fill=float(image.min()))


def _centred(source: Volume, target: Volume) -> Volume:
    """`source` where the middle of its array lies on the middle of the target's."""
    here, there = (v.affine @ [*((n - 1) / 2 for n in v.array.shape), 1.0] for v in (source, target))
    affine = source.affine.copy()
    affine[:-1, -1] += (there - here)[:-1]
    return source._replace(affine=affine)


def _check_overlap(space: Space, fixed: Path, moving: Path) -> None:
    """Some voxel of the grid lies in the moving image."""
    corners = np.array([*product(*([0, n - 1] for n in space.shape))], dtype=np.float64)
    low, high = (extreme(space.to_native(corners), axis=0) for extreme in (np.min, np.max))
    if (high < 0).any() or (low > np.array(space.native_shape) - 1).any():
        raise RegbenchError(
            f"`{moving}` must lie where `{fixed}` does, but by their headers they do not meet. "
            "Where headers mean nothing, give `--by centre`."
        )


def _stem(path: Path) -> str:
    return re.sub(r"\.nii(\.gz)?$", "", path.name)


def _write(path: Path, array: Array, affine: Array) -> None:
    image = nib.Nifti1Image(array, affine)  # type: ignore[no-untyped-call]  # nibabel
    _save(path, image)


def _write_itk(path: Path, field: Array, target: Volume, source: Volume) -> None:
    """A vector image in mm, LPS, from each fixed point to its moving one."""
    dims = len(field)
    points = np.indices(field.shape[1:], dtype=np.float64)
    there = np.tensordot(source.affine[:-1, :-1], points + field, 1) + source.affine[:-1, -1].reshape(-1, *[1] * dims)
    here = np.tensordot(target.affine[:-1, :-1], points, 1) + target.affine[:-1, -1].reshape(-1, *[1] * dims)
    vectors = np.moveaxis(ras_to_lps(there - here), 0, -1).astype(np.float32)
    vectors = vectors.reshape(*field.shape[1:], *[1] * (4 - dims), dims)
    image = nib.Nifti1Image(vectors, target.header_affine)  # type: ignore[no-untyped-call]  # nibabel
    image.header.set_intent("vector")  # type: ignore[no-untyped-call]  # nibabel
    _save(path, image)


def _save(path: Path, image: Any) -> None:
    with replacing(path) as temporary:
        # A gzip stream records the time of its making unless told not to.
        temporary.write_bytes(gzip.compress(image.to_bytes(), 6, mtime=0))

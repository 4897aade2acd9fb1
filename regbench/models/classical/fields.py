"""Displacement fields from files: in the form of Learn2Reg, or as ITK and ANTs write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.data.displacement_names import DisplacementNames
from regbench.spatial.itk import from_itk
from regbench.system.errors import RegbenchError
from regbench.system.names import given_path, on_disk

Array = NDArray[Any]
ENDINGS = (".nii.gz", ".nii", ".npz")


def fields(pair: Pair, fixed: str, moving: str, /, *, path: str, form: Literal["l2r", "itk"] = "l2r") -> Array:
    """Anyone's displacement fields: a folder with one `disp_<fixed>_<moving>` NIfTI or npz for each test pair.

    Args:
        pair: the two images on the prepared grid, which is the grid of the fields.
        fixed: id of the fixed subject; the numbers in it are enough (``0001_0000`` for ``OASIS_0001_0000``).
        moving: likewise.
        path: the folder; relative to where the command runs.
        form: ``l2r``: ``(X, Y[, Z], d)`` in voxels, axis k moved by component k (an npz may have the components first);
            ``itk``: vectors in mm, axes LPS, as SimpleITK and ANTs write them to NIfTI.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        RegbenchError: if the file is missing, damaged, of another grid, or holds NaN; names it.
    """
    files = pair.files or DisplacementNames((fixed, moving)).stems(fixed, moving)
    source = find(given_path(path), f"{fixed}, {moving}", files)
    stored, affine = read(source)
    dims = pair.fixed.ndim
    values = stored
    if stored.ndim > dims + 1 and set(stored.shape[dims:-1]) == {1}:  # ITK's five axes; an image may be one voxel thick
        values = stored.reshape(*stored.shape[:dims], stored.shape[-1])
    if values.shape == (*pair.fixed.shape, dims):
        values = np.moveaxis(values, -1, 0)
    if values.shape != (dims, *pair.fixed.shape):
        raise RegbenchError(
            f"`{source}` must have shape {(*pair.fixed.shape, dims)}, the prepared grid's, but got {stored.shape}. "
            "Register the prepared images (`regbench export-images` writes them)."
        )
    if form == "itk":
        values = from_itk(values, np.diag(pair.spacing_mm) if affine is None else affine[:dims, :dims])
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        field = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(field).all():
        raise RegbenchError(f"`{source}` must be finite in float32, but has NaN or infinite vectors.")
    return field


def find(folder: Path, pair: str, files: Sequence[str]) -> Path:
    """The file of a pair.

    Args:
        folder: where it lies.
        pair: its ids, for the message.
        files: names that it may have, without the ending; of two that are there the last counts, the exactest.

    Raises:
        RegbenchError: naming the folder and the names that were looked for.
    """
    for stem in reversed(files):
        for ending in ENDINGS:
            path = on_disk(folder / f"{stem}{ending}")
            if path.is_file():
                return path
    raise RegbenchError(
        f"`{folder}` must hold a field for the pair {pair}, but has none of "
        f"{', '.join(f'`{stem}`' for stem in reversed(files))} ({', '.join(ENDINGS)})."
    )


def read(path: Path) -> tuple[Array, Array | None]:
    """Numbers and affine (none in an npz) of a field's file.

    Raises:
        RegbenchError: if it cannot be read; a pickle is never.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                if len(stored.files) != 1:
                    raise ValueError(f"{len(stored.files)} arrays where one is meant")
                return _real(stored[stored.files[0]]), None
        import nibabel as nib

        image: Any = nib.load(path)
        return _real(np.asarray(image.dataobj)), np.asarray(image.affine, dtype=np.float64)
    except Exception as error:  # whatever a damaged file makes numpy, zlib and nibabel raise
        raise RegbenchError(f"`{path}` must be a readable field, but got: {error}. Write it again.") from error


def _real(values: Array) -> Array:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{values.dtype} where real numbers are meant")
    return values.astype(np.float64)

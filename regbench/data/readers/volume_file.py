"""NIfTI and MGH: where the voxels lie, in which unit, and whether they are an image at all."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.damage import DAMAGE, DEFLATE
from regbench.system.errors import RegbenchError

UNITS = {1: ("metres", 1000.0), 3: ("microns", 0.001)}  # NIfTI's codes; 2 is mm, 0 is unknown
# NIfTI's intents of what is no image of one value a voxel.
INTENTS = {
    1004: "matrices", 1005: "symmetric matrices", 1006: "displacement vectors", 1007: "vectors", 1008: "points",
    1009: "triangles", 1010: "quaternions", 2002: "node numbers", 2003: "colours", 2004: "colours",
    2006: "displacement vectors", 2007: "spline coefficients", 2008: "cosine coefficients", 2009: "spline coefficients",
    2016: "a field of distortions", 2017: "spline coefficients", 2018: "cosine coefficients",
}  # fmt: skip
SHEAR = 0.02  # largest cosine between two axes: 1.1 degrees, which moves a length by 2 % at most
APART = 0.1  # voxels by which two affines may differ anywhere in the array and still be one
SMALL = 1e-3  # relative difference of lengths that single precision does not explain


def volume_header(path: Path, image: Any) -> Header:
    """What counts of the header of a volume.

    Args:
        path: of the file, for messages.
        image: as nibabel opened it.

    Returns:
        Header in mm, whatever the file's unit.

    Raises:
        RegbenchError: if the file is no image of one real number a voxel in two or three dimensions, claims more voxels
            than it can hold, or does not say where its axes lead.
    """
    import nibabel as nib

    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise RegbenchError(f"`{path}` must be an image of voxels, but is a {type(image).__name__}.")
    nifti = image.header if isinstance(image.header, nib.Nifti1Header) else None
    if nifti is not None and getattr(image.dataobj, "offset", 0) < nifti.sizeof_hdr:
        raise RegbenchError(
            f"`{path}` must have its voxels behind its header, but says (magic, vox_offset) that they are in another "
            "file or begin inside it. Write it again as one `.nii` file."
        )
    axes = _axes(path, image, INTENTS.get(int(nifti["intent_code"]), "") if nifti is not None else "")
    scale, notes = (1.0, []) if nifti is None else _unit(path, nifti)
    affine = np.asarray(image.affine, dtype=np.float64).copy()
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise RegbenchError(f"`{path}` must have an affine of finite numbers, but got {affine.tolist()}.")
    affine[:3] *= scale
    shape = tuple(int(n) for n in image.shape)
    header = Header(tuple(shape[axis] for axis in axes), affine, axes)
    _check_axes(path, header)
    placed = nifti is None or bool(nifti["sform_code"] > 0 or nifti["qform_code"] > 0)
    if not placed:
        notes.append("the header does not say where it lies (qform and sform codes are 0): read as left, front, top")
    if nifti is not None and nifti["sform_code"] <= 0:
        _check_sizes(path, nifti, axes)
    elif nifti is not None and not _one_place(nifti, header, scale):
        notes.append("qform (or pixdim) and sform of the header differ: the sform counts")
    left_out = [axis for axis in range(len(shape)) if axis not in axes]
    if left_out:
        notes.append(f"axes of one voxel left out: {', '.join(map(str, left_out))} of {len(shape)} (from 0)")
    return Header(header.shape, affine, axes, placed, tuple(notes))


def _axes(path: Path, image: Any, intent: str) -> tuple[int, ...]:
    """The axes of more than one voxel: two or three of the first three."""
    shape, dtype = tuple(int(n) for n in image.shape), image.get_data_dtype()
    if dtype.names or dtype.kind not in "iufb":
        raise RegbenchError(f"`{path}` must have one real number a voxel, but has colours or vectors ({dtype}).")
    if intent:
        raise RegbenchError(
            f"`{path}` must have one real number a voxel, but its header (intent) says that it holds {intent}. "
            "Give an image, or clear the intent if it is one."
        )
    if min(shape, default=0) < 1:
        raise RegbenchError(f"`{path}` must have voxels, but its shape is {shape}.")
    axes = tuple(axis for axis, n in enumerate(shape) if n > 1)
    if len(axes) not in (2, 3) or max(axes) > 2:
        raise RegbenchError(
            f"`{path}` must be one 2D or 3D image, but its shape is {shape}. Split a series into files of one volume."
        )
    claimed, size = int(np.prod(shape, dtype=object)) * dtype.itemsize, path.stat().st_size
    if claimed > size * (DEFLATE if path.name.lower().endswith("z") else 1):
        raise RegbenchError(
            f"`{path}` must hold what its header claims, {claimed} bytes of voxels, but has {size}. Copy it again."
        )
    return axes


def _unit(path: Path, header: Any) -> tuple[float, list[str]]:
    """What lengths of the header are multiplied by to be mm, and a note where they are not said to be mm."""
    code = int(header["xyzt_units"]) & 7
    if code in UNITS:
        name, scale = UNITS[code]
        return scale, [f"the header's unit is {name}: lengths are multiplied by {scale:g} to mm"]
    if code == 0:
        return 1.0, ["the header names no unit of length: read as mm"]
    if code != 2:
        raise RegbenchError(
            f"`{path}` must name its unit of length (xyzt_units: 1 metre, 2 mm, 3 micron), but has code {code}. "
            "Set the right one."
        )
    return 1.0, []


def _check_axes(path: Path, header: Header) -> None:
    """Raise RegbenchError unless the kept axes have lengths and stand at right angles."""
    lengths = np.linalg.norm(header.columns, axis=0)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise RegbenchError(
            f"`{path}` must have an affine with finite spacings above 0, but got {header.affine.tolist()}."
        )
    unit = header.columns / lengths
    cosine = float(np.abs(unit.T @ unit - np.eye(len(lengths))).max())
    if cosine > SHEAR:
        raise RegbenchError(
            f"`{path}` must have axes at right angles, but by its affine two of them meet at "
            f"{np.degrees(np.arccos(min(cosine, 1))):.0f} degrees (it is sheared or singular). "
            "Resample it onto a grid of right angles, or repair the header."
        )


def _check_sizes(path: Path, nifti: Any, axes: tuple[int, ...]) -> None:
    """Raise RegbenchError if a voxel size in the file is 0, which nibabel turns into 1."""
    with (gzip.open if path.name.lower().endswith("z") else open)(path, "rb") as file:
        stored = type(nifti)(file.read(nifti.sizeof_hdr), check=False)
    sizes = stored["pixdim"][1:4][list(axes)]
    if not (np.isfinite(sizes).all() and sizes.all()):
        raise RegbenchError(
            f"`{path}` must have finite voxel sizes (pixdim) other than 0, but got {sizes.tolist()}. Set them."
        )


def _one_place(nifti: Any, header: Header, scale: float) -> bool:
    """Whether the qform, or where there is none the voxel sizes, say the same as the sform."""
    if nifti["qform_code"] > 0:
        from nibabel.spatialimages import HeaderDataError

        try:
            other = nifti.get_qform() * np.array([[scale]] * 3 + [[1.0]])
        except (*DAMAGE, HeaderDataError):
            return False
        return furthest(other - header.affine, header) <= APART * min(header.spacing_mm)
    sizes = np.abs(np.asarray(nifti["pixdim"][1:4], np.float64))[list(header.axes)] * scale
    return bool(np.allclose(sizes, header.spacing_mm, rtol=SMALL))


def furthest(difference: NDArray[Any], header: Header) -> float:
    """How far a difference of two affines moves a voxel of the array of `header` along an axis of space, at most."""
    steps = np.zeros(difference.shape[1] - 1)
    steps[list(header.axes)] = header.shape
    steps -= steps > 0
    return float((np.abs(difference[:3, :-1]) @ steps + np.abs(difference[:3, -1])).max())

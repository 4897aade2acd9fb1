"""NIfTI and MGH: where the voxels lie, in which unit, and whether they are an image at all."""

from pathlib import Path
from typing import Any

import numpy as np

from regbench.data.native import Header
from regbench.data.readers.damage import DAMAGE, check_claim, check_nifti_head
from regbench.data.readers.volume_place import check_axes, check_sizes, give_normal, one_place
from regbench.system.errors import RegbenchError

UNITS = {1: ("metres", 1000.0), 3: ("microns", 0.001)}  # NIfTI's codes; 2 is mm, 0 is unknown
# NIfTI's intents of what is no image of one value a voxel.
INTENTS = {
    1004: "matrices", 1005: "symmetric matrices", 1006: "displacement vectors", 1007: "vectors", 1008: "points",
    1009: "triangles", 1010: "quaternions", 2002: "node numbers", 2003: "colours", 2004: "colours",
    2006: "displacement vectors", 2007: "spline coefficients", 2008: "cosine coefficients", 2009: "spline coefficients",
    2016: "a field of distortions", 2017: "spline coefficients", 2018: "cosine coefficients",
}  # fmt: skip


def open_volume(path: Path) -> Any:
    """nibabel's image, its voxels still on disk.

    Raises:
        RegbenchError: if nibabel cannot open it.
    """
    import nibabel as nib
    from nibabel.freesurfer.mghformat import MGHError
    from nibabel.spatialimages import HeaderDataError

    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            check_nifti_head(path)
        # nibabel leaves an uncompressed .mgh open.
        return nib.MGHImage.from_bytes(path.read_bytes()) if path.name.lower().endswith(".mgh") else nib.load(path)
    except (*DAMAGE, nib.filebasedimages.ImageFileError, HeaderDataError, MGHError) as error:
        words = " ".join(str(error).split())
        raise RegbenchError(
            f"`{path}` must be a readable image, but got: {words}. {_advice(path)}Copy it again."
        ) from error


def _advice(path: Path) -> str:
    """A sentence on a file whose first bytes are not those of its name, or whose ending nibabel does not find."""
    ending = path.name[path.name.lower().find(".nii") :]
    if ending not in (ending.lower(), ending.upper()):
        return f"Write the ending `{ending}` in small letters. "
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
    except OSError:
        return ""
    if packed != path.name.lower().endswith("z"):
        return f"It is {'' if packed else 'not '}compressed by gzip, other than its name says: rename it. "
    return ""


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
    check_axes(path, header)
    give_normal(header)
    placed = nifti is None or bool(nifti["sform_code"] > 0 or nifti["qform_code"] > 0)
    if not placed:
        notes.append("the header does not say where it lies (qform and sform codes are 0): read as left, front, top")
    if nifti is not None and nifti["sform_code"] <= 0:
        check_sizes(path, nifti, axes)
    elif nifti is not None and not one_place(nifti, header, scale):
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
    try:
        check_claim(shape, dtype, path.stat().st_size, packed=path.name.lower().endswith("z"))
    except ValueError as error:
        raise RegbenchError(f"`{path}` must hold what its header claims, but {error}. Copy it again.") from error
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

"""Whether the affine of a volume says where its voxels lie, and whether two affines say the same."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Header
from regbench.data.readers.damage import DAMAGE
from regbench.system.errors import RegbenchError

SHEAR = 0.02  # largest cosine between two axes: 1.1 degrees, which moves a length by 2 % at most
APART = 0.1  # voxels by which two affines may differ anywhere in the array and still be one
SMALL = 1e-3  # relative difference of lengths that single precision does not explain


def check_axes(path: Path, header: Header) -> None:
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


def give_normal(header: Header) -> None:
    """Let the axis of one voxel of a slice leave its plane, by 1 mm, in a header that has no use for it.

    Else no NIfTI could be written beside it. Changes the affine.
    """
    if len(header.axes) == 2:
        normal = np.cross(*header.columns.T / np.array(header.spacing_mm)[:, None])
        left_out = ({0, 1, 2} - set(header.axes)).pop()
        column = header.affine[:3, left_out]
        if abs(float(column @ normal)) <= SMALL * max(float(np.linalg.norm(column)), SMALL):
            header.affine[:3, left_out] = normal


def check_sizes(path: Path, nifti: Any, axes: tuple[int, ...]) -> None:
    """Raise RegbenchError if a voxel size in the file is 0, which nibabel turns into 1."""
    with (gzip.open if path.name.lower().endswith("z") else open)(path, "rb") as file:
        stored = type(nifti)(file.read(nifti.sizeof_hdr), check=False)
    sizes = stored["pixdim"][1:4][list(axes)]
    if not (np.isfinite(sizes).all() and sizes.all()):
        raise RegbenchError(
            f"`{path}` must have finite voxel sizes (pixdim) other than 0, but got {sizes.tolist()}. Set them."
        )


def one_place(nifti: Any, header: Header, scale: float) -> bool:
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

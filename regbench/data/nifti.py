"""Displacements on disk, exactly as the Learn2Reg evaluator or ITK reads them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.spatial.itk import ras_to_lps, to_mm
from regbench.system.files import replacing


def displacement_name(fixed: str, moving: str) -> str:
    """``disp_FFFF_0000_MMMM_0000.nii.gz``; ids that do not end in such numbers stand there whole."""
    short = [re.sub(r"^.*_(\d{4}_\d{4})$", r"\1", name) for name in (fixed, moving)]
    return f"disp_{short[0]}_{short[1]}.nii.gz"


def write_displacement(path: Path, displacement: NDArray[Any], affine: NDArray[Any]) -> None:
    """Write a displacement as float32 NIfTI ``(*S, d)``; the same bytes each time.

    Args:
        path: ending in ``.nii`` or ``.nii.gz``.
        displacement: ``(d, *S)``, voxels of the fixed array, component k along array axis k.
        affine: ``(4, 4)`` of the fixed image.
    """
    write_nifti(path, np.moveaxis(np.asarray(displacement, dtype=np.float32), 0, -1), affine)


def write_itk(
    path: Path, displacement: NDArray[Any], affine: NDArray[Any], fixed: NDArray[Any], moving: NDArray[Any]
) -> None:
    """Write a displacement as ITK and ANTs do: float32 NIfTI ``(X, Y, Z, 1, d)``, intent vector, mm along LPS.

    Args:
        path: ending in ``.nii`` or ``.nii.gz``.
        displacement: ``(d, *S)``, voxels of the fixed array to those of the moving one.
        affine: ``(4, 4)`` of the fixed image.
        fixed: ``(d + 1, d + 1)``, voxels of the fixed array to mm (RAS).
        moving: likewise of the moving array.
    """
    vectors = np.moveaxis(ras_to_lps(to_mm(displacement, fixed, moving)), 0, -1).astype(np.float32)
    shape = (*vectors.shape[:-1], *[1] * (5 - vectors.ndim), vectors.shape[-1])
    write_nifti(path, vectors.reshape(shape), affine, intent="vector")


def write_nifti(path: Path, values: NDArray[Any], affine: NDArray[Any], *, intent: str = "none") -> None:
    """Write an array as NIfTI, in its own type, lengths in mm; the same bytes each time.

    Args:
        path: ending in ``.nii`` or ``.nii.gz``.
        values: at most seven axes.
        affine: ``(4, 4)``, voxels to mm, axes RAS.
        intent: of the numbers, by its name in NIfTI.
    """
    import gzip

    import nibabel as nib

    image = nib.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]  # nibabel
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]  # nibabel
    image.header.set_intent(intent)  # type: ignore[no-untyped-call]  # nibabel
    content = image.to_bytes()
    with replacing(path) as temporary:
        # A gzip stream records the time of its making unless told not to.
        temporary.write_bytes(gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)

"""Displacements on disk, exactly as the Learn2Reg evaluator reads them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.displacement_names import DisplacementNames
from regbench.system.files import replacing


def displacement_name(fixed: str, moving: str) -> str:
    """The name of the file of the displacement between two images that stand alone."""
    return DisplacementNames((fixed, moving)).file(fixed, moving)


def write_displacement(path: Path, displacement: NDArray[Any], affine: NDArray[Any]) -> None:
    """Write a displacement as float32 NIfTI ``(*S, d)``; the same bytes each time.

    Args:
        path: ending in ``.nii`` or ``.nii.gz``.
        displacement: ``(d, *S)``, voxels of the fixed array, component k along array axis k.
        affine: ``(4, 4)`` of the fixed image.
    """
    write_nifti(path, np.moveaxis(np.asarray(displacement, dtype=np.float32), 0, -1), affine)


def write_vectors(path: Path, vectors: NDArray[Any], affine: NDArray[Any]) -> None:
    """Write vectors ``(d, *S)`` as NIfTI holds them and ITK reads them: float32 ``(X, Y, Z, 1, d)``, intent vector."""
    dims, *sides = vectors.shape
    last = np.moveaxis(np.asarray(vectors, dtype=np.float32), 0, -1)
    write_nifti(path, last.reshape(*sides, *[1] * (4 - dims), dims), affine, intent="vector")


def write_nifti(path: Path, values: NDArray[Any], affine: NDArray[Any], *, intent: str = "none") -> None:
    """Write an array as NIfTI in mm, in its own type; the same bytes each time.

    Args:
        path: ending in ``.nii`` or ``.nii.gz``.
        values: of a type that NIfTI has.
        affine: ``(4, 4)``, voxels to mm.
        intent: what the values are, in NIfTI's words.
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

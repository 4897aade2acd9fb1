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


def write_nifti(path: Path, values: NDArray[Any], affine: NDArray[Any]) -> None:
    """Write an array as NIfTI, in its own type; the same bytes each time. Arguments as for `write_displacement`."""
    import gzip

    import nibabel as nib

    image = nib.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]  # nibabel
    content = image.to_bytes()
    with replacing(path) as temporary:
        # A gzip stream records the time of its making unless told not to.
        temporary.write_bytes(gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)

"""Second differences of the displacement."""

import torch
from torch import Tensor

from regbench.losses.checks import real, voxel_spacing


def bending(displacement: Tensor, /, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Bending energy: the sum over second differences of their mean squares, mixed ones twice; 1/voxel^2.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least three voxels along each axis.
        spacing: of each axis in mm; then 1/mm^2.

    Returns:
        Scalar; zero for an affine displacement.

    Reference:
        Rueckert et al. 1999, doi:10.1109/42.796284.
    """
    steps = voxel_spacing(spacing, displacement)
    dims = len(steps)
    field = real(displacement)
    scale = torch.tensor(steps, dtype=field.dtype, device=field.device).view(1, dims, *([1] * dims))
    total = field.new_zeros(())
    for i in range(dims):
        first = field.diff(dim=2 + i)
        for j in range(i, dims):
            second = first.diff(dim=2 + j) * (scale / (steps[i] * steps[j]))
            total = total + (1 if i == j else 2) * second.square().mean()
    return total

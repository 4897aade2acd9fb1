"""Penalty on folds."""

from torch import Tensor

from regbench.losses.checks import at_least, masked_mean, real, voxel_spacing
from regbench.spatial.determinant import jacobian_determinant


def jacobian(
    displacement: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    spacing: tuple[float, ...] | None = None,
    margin: float = 0.0,
) -> Tensor:
    """Mean over voxels of how far the Jacobian determinant lies below `margin`, 0 where it does not; dimensionless.

    Central differences, as `fold_central_percent`: a checkerboard of single voxels escapes them.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least two voxels along each axis.
        mask: ``(B, 1, *S)``: mean over its voxels, by its weights; over all without one.
        spacing: of each axis in mm; checked, but the determinant is the same in voxels and in mm.
        margin: penalise determinants below it: 0 for folds alone, above 0 to keep a distance from them.

    Returns:
        Scalar; zero for a translation and for every map without folds.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, or an axis has a single voxel.

    Reference:
        Mok & Chung 2020, doi:10.1109/CVPR42600.2020.00470.
    """
    voxel_spacing(spacing, displacement)
    at_least(2, displacement)
    below = (margin - jacobian_determinant(real(displacement))).relu()
    return below.mean() if mask is None else masked_mean(below.unsqueeze(1), mask)

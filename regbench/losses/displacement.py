"""Size of the displacement itself."""

from torch import Tensor

from regbench.losses.checks import in_mm, masked_mean, real, voxel_spacing


def displacement_l1(
    displacement: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None
) -> Tensor:
    """Mean absolute displacement over voxels and components; voxels, or mm with `spacing`.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        mask: ``(B, 1, *S)``: mean over its voxels, by its weights; over all without one.
        spacing: of each axis in mm.

    Returns:
        Scalar. Not zero for a translation: of the regularizers only this pair pulls towards no motion at all.

    Raises:
        ValueError: if there is not one component and one spacing for each axis.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> float(displacement_l1(u + 3))
        3.0
    """
    return masked_mean(_scaled(displacement, spacing).abs(), mask)


def displacement_l2(
    displacement: Tensor, /, *, mask: Tensor | None = None, spacing: tuple[float, ...] | None = None
) -> Tensor:
    """Mean squared displacement over voxels and components; squared voxels, or mm^2 with `spacing`.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        mask: ``(B, 1, *S)``: mean over its voxels, by its weights; over all without one.
        spacing: of each axis in mm.

    Returns:
        Scalar. Not zero for a translation.

    Raises:
        ValueError: if there is not one component and one spacing for each axis.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> float(displacement_l2(u + 3))
        9.0
    """
    return masked_mean(_scaled(displacement, spacing).square(), mask)


def _scaled(displacement: Tensor, spacing: tuple[float, ...] | None) -> Tensor:
    return in_mm(real(displacement), voxel_spacing(spacing, displacement))

"""Distance of landmarks."""

import torch
from torch import Tensor

from regbench.losses.checks import real, voxel_spacing
from regbench.spatial.fixed_order import grid_sample
from regbench.system.device import vector


def landmark_distance(
    displacement: Tensor,
    fixed_points: Tensor,
    moving_points: Tensor,
    /,
    *,
    spacing: tuple[float, ...] | None = None,
) -> Tensor:
    """Mean distance from where a displacement sends the fixed landmarks to the moving ones; voxels, or mm.

    ``|p + u(p) - q|`` of each landmark p of the fixed image and its partner q in the moving one; u is sampled linearly,
    and repeated beyond the border, as for `tre_mm`. For semi-supervised training: a weighted further term of the
    objective.

    Args:
        displacement: ``(B, d, *S)`` in voxels.
        fixed_points: ``(B, N, d)`` voxel coordinates in the fixed image; 0 is the centre of the first voxel.
        moving_points: ``(B, N, d)`` voxel coordinates of the same landmarks in the moving image. A landmark that is not
            there has a NaN among its coordinates, in either image, and is left out: samples may have different numbers.
        spacing: of each axis of the moving image in mm: there the distance is measured.

    Returns:
        Scalar: mean over the landmarks of each sample, then over the samples that have any; 0 if none has.

    Raises:
        ValueError: if the points do not pair up, or there is not one component, one coordinate and one spacing for each
            axis.

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> points = torch.tensor([[[2.0, 3.0]]])
        >>> float(landmark_distance(u, points, points + torch.tensor([3.0, 4.0])))
        5.0
    """
    steps = voxel_spacing(spacing, displacement)
    wanted = (displacement.shape[0], len(steps))
    if fixed_points.shape != moving_points.shape or (*fixed_points.shape[:1], *fixed_points.shape[2:]) != wanted:
        raise ValueError(
            f"fixed and moving points must both be (B, N, d) with B = {wanted[0]} and d = {wanted[1]}, "
            f"but got {tuple(fixed_points.shape)} and {tuple(moving_points.shape)}."
        )
    field = real(displacement)
    start, end = fixed_points.to(field), moving_points.to(field)
    present = ~(start.isnan() | end.isnan()).any(2)
    start, end = (torch.where(present[..., None], points, 0) for points in (start, end))
    miss = (start + _sampled(field, start) - end) * vector(steps, field)
    distances = torch.where(present, torch.linalg.vector_norm(miss, dim=2), 0)
    each = distances.sum(1) / present.sum(1).clamp_min(1)
    return each.sum() / present.any(1).sum().clamp_min(1)


def _sampled(field: Tensor, points: Tensor) -> Tensor:
    """The displacement at voxel coordinates ``(B, N, d)``, linearly; ``(B, N, d)``."""
    dims = points.shape[2]
    scale = vector([2 / max(n - 1, 1) for n in field.shape[2:]], points)
    # grid_sample wants the last array axis first, scaled to [-1, 1].
    grid = (points * scale - 1).flip(2).view(*points.shape[:2], *(1,) * (dims - 1), dims)
    return grid_sample(field, grid).flatten(2).movedim(1, 2)

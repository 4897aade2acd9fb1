"""Penalty on folds, and on change of volume."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from regbench.losses.checks import at_least, masked_mean, real, voxel_spacing
from regbench.spatial.determinant import jacobian_determinant
from regbench.spatial.digital import digital_ratios
from regbench.system.compiled_or_formula import compiled_or_formula, gradient_on_demand
from regbench.system.errors import one_of

Measure = Literal["below", "absolute", "log"]
LOG_END = 0.1  # determinant below which its logarithm goes on along the tangent


def jacobian(
    displacement: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    spacing: tuple[float, ...] | None = None,
    margin: float = 0.0,
    scheme: Literal["central", "digital"] = "central",
    measure: Measure = "below",
) -> Tensor:
    """Mean over voxels of how far the Jacobian determinant lies below `margin`, 0 where it does not; dimensionless.

    Or of another cost of the determinant, by `measure`; 0 for a translation each.

    Args:
        displacement: ``(B, d, *S)`` in voxels; at least two voxels along each axis.
        mask: ``(B, 1, *S)``: mean over its voxels, by its weights; over all without one.
        spacing: of each axis in mm; checked, but the determinant is the same in voxels and in mm.
        margin: penalise determinants below it: 0 for folds alone, above 0 to keep a distance from them.
        scheme: ``central`` takes central differences, one-sided at the border, as `fold_central_percent` does: a
            checkerboard of single voxels escapes them. ``digital`` takes the simplices around each voxel, whichever way
            a cell is cut: a mean, by their share of the voxel, over what is left of their area or volume in place of
            the determinant, over the voxels 1..N-2 of each axis (2D or 3D, at least three). A hundred times its value
            is `ndv_percent`, and it is zero exactly where that is.
        measure: cost of a determinant D. ``below``: max(0, margin - D), at margin 0 the negative part. ``absolute``:
            abs(D - 1), the change of volume. ``log``: the square of log D, which weighs shrinking and growing alike;
            below D = 0.1 the logarithm goes on along its tangent, ``log 0.1 + (D - 0.1) / 0.1``, finite and ever larger
            where D falls through 0.

    Returns:
        Scalar; zero for a translation, and with ``below`` for every map without folds.

    Raises:
        ValueError: if there is not one component and one spacing for each axis, an axis has too few voxels, or a margin
            is given that the measure does not use.

    Reference:
        Mok & Chung 2020, doi:10.1109/CVPR42600.2020.00470 (central); Liu et al. 2024, doi:10.1007/s11263-024-02047-1
        (digital); Rohlfing et al. 2003, doi:10.1109/TMI.2003.814791 (logarithm).

    Example:
        >>> import torch
        >>> u = torch.zeros(1, 2, 8, 8)
        >>> u[:, 0] = -2 * torch.arange(8.0)[:, None]
        >>> float(jacobian(u))
        1.0
    """
    voxel_spacing(spacing, displacement)
    at_least(2, displacement)
    one_of("scheme", scheme, "central", "digital")
    one_of("measure", measure, "below", "absolute", "log")
    if margin != 0 and measure != "below":
        raise ValueError(f"margin must be 0 with `measure: {measure}`, which has none, but got {margin}.")
    field = real(displacement)
    if scheme == "digital":
        return _digital(field, mask, measure, margin)
    costs = _cost(jacobian_determinant(field), measure, margin)
    return costs.mean() if mask is None else masked_mean(costs.unsqueeze(1), mask)


def _cost(determinant: Tensor, measure: Measure, margin: float) -> Tensor:
    if measure == "below":
        return (margin - determinant).relu()
    if measure == "absolute":
        return (determinant - 1).abs()
    tangent = torch.log(torch.full_like(determinant, LOG_END)) + (determinant - LOG_END) / LOG_END
    return torch.where(determinant > LOG_END, determinant.clamp_min(LOG_END).log(), tangent).square()


def _digital(field: Tensor, mask: Tensor | None, measure: Measure, margin: float) -> Tensor:
    formula = partial(_digital_formula, mask, measure, margin)
    if mask is not None or field.ndim != 5 or min(field.shape[2:]) < 3:
        return formula(field)
    return compiled_or_formula(
        *gradient_on_demand(partial(_value, measure, margin), partial(_gradient, measure, margin)), formula, field
    )


def _digital_formula(mask: Tensor | None, measure: Measure, margin: float, field: Tensor) -> Tensor:
    """In float64, as the metric: a simplex that collapses has no volume, not a negative one."""
    ratios = digital_ratios(field.double())
    local = torch.stack([share * _cost(ratio, measure, margin) for ratio, share in ratios]).sum(0)
    if mask is None:
        return local.mean().to(field.dtype)
    for axis in range(2, field.ndim):
        mask = mask.narrow(axis, 1, field.shape[axis] - 2)
    return masked_mean(local.unsqueeze(1), mask).to(field.dtype)


def _value(measure: Measure, margin: float, field: Tensor) -> Tensor:
    from regbench.spatial import digital_loops  # noqa: PLC0415 - starts Numba

    return digital_loops.cost(field, *_kind(measure, margin))


def _gradient(measure: Measure, margin: float, field: Tensor, scale: float) -> Tensor:
    from regbench.spatial import digital_loops  # noqa: PLC0415 - starts Numba

    return digital_loops.gradient(field, *_kind(measure, margin), scale)


def _kind(measure: Measure, margin: float) -> tuple[int, float]:
    """In the words of the loops."""
    kinds = {"below": (0, margin), "absolute": (1, 0.0), "log": (2, LOG_END)}
    return kinds[measure]

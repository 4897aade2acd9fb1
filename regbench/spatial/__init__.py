"""The only place that knows the conventions of displacements, determinants and grids."""

from regbench.spatial.determinant import jacobian_determinant
from regbench.spatial.displacement import (
    affine_displacement,
    compose,
    identity_grid,
    integrate,
    resize_displacement,
    warp,
    warp_labels,
)

__all__ = [
    "affine_displacement",
    "compose",
    "identity_grid",
    "integrate",
    "jacobian_determinant",
    "resize_displacement",
    "warp",
    "warp_labels",
]

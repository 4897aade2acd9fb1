"""How the simplices around each voxel stretch under ``p + u(p)``, whichever way a cell is cut.

A square is cut into triangles in two ways, a cube into four corner tetrahedra and one in the middle, in two ways too:
at each voxel there are four triangles in 2D, eight corner and two middle tetrahedra in 3D. The map is linear on each,
so one number says how much of its area or volume is left, and whether it is turned inside out: below 0.

Reference:
    Liu et al. 2024, doi:10.1007/s11263-024-02047-1.
"""

from collections.abc import Iterator
from itertools import product

from torch import Tensor

Step = tuple[int, ...]

# Of the middle tetrahedra, along the face diagonals of the cube behind a voxel and of the one ahead.
MIDDLE: tuple[tuple[Step, Step, Step], ...] = (
    ((-1, -1, 0), (-1, 0, -1), (0, -1, -1)),
    ((1, 1, 0), (0, 1, 1), (1, 0, 1)),
)


def digital_ratios(displacement: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Of each simplex: how much of its area or volume is left, and which share of a voxel it has.

    Args:
        displacement: ``(B, d, *S)`` in voxels, d = 2 or 3; at least three voxels along each axis.

    Yields:
        ``(B, *R)`` at the voxels 1..N-2 of each axis, in the displacement's type: 1 where the map preserves the
        simplex, 0 where it collapses it, below 0 where it turns it inside out. And its share: the shares sum to 1, for
        each of the two cuts counts half.

    Raises:
        ValueError: if there are not two or three axes and as many components, or an axis has under three voxels.
    """
    dims = displacement.ndim - 2
    if dims not in (2, 3) or displacement.shape[1] != dims or min(displacement.shape[2:]) < 3:
        raise ValueError(
            "displacement must be (B, d, *S) with d components, d = 2 or 3, and three voxels along each axis, "
            f"but got {tuple(displacement.shape)}. Choose `scheme: central` for another."
        )
    units = [tuple(int(k == axis) for k in range(dims)) for axis in range(dims)]
    ahead = [_edge(displacement, unit) for unit in units]
    behind = [[-part for part in _edge(displacement, tuple(-k for k in unit))] for unit in units]
    if dims == 2:
        for one, two in product((ahead[0], behind[0]), (ahead[1], behind[1])):
            yield one[0] * two[1] - one[1] * two[0], 1 / 4
        return
    for two, three in product((ahead[1], behind[1]), (ahead[2], behind[2])):
        normal = _cross(two, three)
        yield _dot(ahead[0], normal), 1 / 12
        yield _dot(behind[0], normal), 1 / 12
    for steps in MIDDLE:
        one, two, three = (_edge(displacement, step) for step in steps)
        yield _dot(one, _cross(two, three)) / 2, 1 / 6


def _edge(displacement: Tensor, step: Step) -> list[Tensor]:
    """Where the edge from each inner voxel to its neighbour at `step` goes, by components ``(B, *R)``."""
    there, here = (_inner(displacement, place) for place in (step, (0,) * len(step)))
    return [there[:, k] - here[:, k] + way for k, way in enumerate(step)]


def _inner(values: Tensor, step: Step) -> Tensor:
    """What stands at `step` from each inner voxel."""
    for axis, way in enumerate(step, start=2):
        values = values.narrow(axis, 1 + way, values.shape[axis] - 2)
    return values


def _cross(one: list[Tensor], two: list[Tensor]) -> list[Tensor]:
    return [
        one[1] * two[2] - one[2] * two[1],
        one[2] * two[0] - one[0] * two[2],
        one[0] * two[1] - one[1] * two[0],
    ]


def _dot(one: list[Tensor], two: list[Tensor]) -> Tensor:
    return one[0] * two[0] + one[1] * two[1] + one[2] * two[2]

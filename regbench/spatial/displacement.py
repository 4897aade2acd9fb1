"""Grids and displacements: the only place that knows the conventions.

A displacement is ``(B, d, *S)`` in voxels of the fixed grid; component k moves along array axis k, and it pulls:
``moved(p) = moving(p + u(p))``. Voxel centres sit at integer coordinates, so the first and the last voxel of an axis
are at 0 and n - 1 (``align_corners=True`` in torch's words).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from regbench.spatial.fixed_order import along_axes, grid_sample
from regbench.system import numba_loops
from regbench.system.device import vector

ArrayLike = TypeVar("ArrayLike", NDArray[Any], Tensor)
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}  # in torch's words


def identity_grid(
    shape: Sequence[int], *, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Voxel coordinates ``(d, *S)``: component k of voxel p is ``p[k]``.

    Example:
        >>> identity_grid((3, 4))[:, 2, 1].tolist()
        [2.0, 1.0]
    """
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def warp(image: Tensor, displacement: Tensor, *, mode: str = "linear", padding: str = "border") -> Tensor:
    """Pull `image` through `displacement`: ``out(p) = image(p + u(p))``.

    Args:
        image: ``(B, C, *M)``; M may differ from the displacement's grid.
        displacement: ``(B, d, *S)`` in voxels.
        mode: ``linear`` or ``nearest``.
        padding: ``border`` (repeat the edge) or ``zeros`` outside the image.

    Returns:
        ``(B, C, *S)``.

    Example:
        >>> import torch
        >>> moving = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 1, 3, 4)
        >>> displacement = torch.zeros(1, 2, 3, 4)
        >>> displacement[:, 1] = 1
        >>> warp(moving, displacement)[0, 0, 0, :3].tolist()
        [1.0, 2.0, 3.0]
    """
    shape = image.shape[2:]
    dims = len(shape)
    coordinates = displacement + identity_grid(
        displacement.shape[2:], device=displacement.device, dtype=displacement.dtype
    )
    # grid_sample wants the last array axis first, scaled to [-1, 1]; an axis of one voxel has only the centre.
    scale = vector([2 / max(n - 1, 1) for n in shape], coordinates)
    shift = vector([1.0 if n > 1 else 0.0 for n in shape], coordinates)
    view = (1, dims) + (1,) * dims
    normalised = coordinates * scale.view(view) - shift.view(view)
    # torch's kernel crashes the process on NaN, and on numbers too large for its integers. Four half-widths out, every
    # image has ended; NaN stays NaN, so that a diverged network is seen as one.
    broken = normalised.isnan()
    grid = normalised.masked_fill(broken, 0).clamp(-4, 4).flip(1).movedim(1, -1)
    moved = grid_sample(image, grid.to(image.dtype), mode="bilinear" if mode == "linear" else mode, padding=padding)
    return moved.masked_fill(broken.any(1, keepdim=True), float("nan"))


def warp_labels(labels: ArrayLike, displacement: ArrayLike) -> ArrayLike:
    """Nearest-neighbour warp of a label map; bit for bit the input under a zero field.

    Rounds half up and gives background outside the moving image, as ``scipy.ndimage.map_coordinates(order=0)``
    does, which is how the Learn2Reg evaluator warps.

    Args:
        labels: ``(*M)`` integers.
        displacement: ``(d, *S)`` in voxels.

    Returns:
        ``(*S)``, dtype of `labels`, of the kind that was given (array or tensor).

    Raises:
        ValueError: if the displacement has not one component and one axis for each axis of the labels.

    Example:
        >>> import torch
        >>> labels = torch.arange(16).reshape(4, 4)
        >>> warp_labels(labels, torch.zeros(2, 4, 4)).equal(labels)
        True
    """
    if tuple(displacement.shape[:1]) != (labels.ndim,) or displacement.ndim != labels.ndim + 1:
        raise ValueError(
            f"a displacement of {labels.ndim}D labels must be ({labels.ndim}, *S), components first and without a "
            f"batch, but got {tuple(displacement.shape)} for labels {tuple(labels.shape)}"
        )
    if isinstance(labels, np.ndarray):
        if _compiled(labels, displacement):
            from regbench.spatial import label_loops  # noqa: PLC0415 - starts Numba

            return label_loops.warped(labels, displacement)
        field = (
            displacement.detach().cpu()
            if isinstance(displacement, Tensor)
            else np.array(displacement, dtype=np.float64)
        )
        # torch has no unsigned integers wider than 8 bits to index with; int64 holds every id.
        warped = warp_labels(torch.from_numpy(labels.astype(np.int64)), torch.as_tensor(field))
        return warped.numpy().astype(labels.dtype)
    field = torch.as_tensor(displacement, device=labels.device).double()
    inside = torch.ones(field.shape[1:], dtype=torch.bool, device=labels.device)
    flat = torch.zeros(field.shape[1:], dtype=torch.int64, device=labels.device)
    for axis, size in enumerate(labels.shape):
        view = [1] * (field.ndim - 1)
        view[axis] = -1
        position = field[axis] + torch.arange(field.shape[axis + 1], device=labels.device).view(view)
        inside &= (position >= 0) & (position <= size - 1)
        index = (position.nan_to_num() + 0.5).floor().clamp(0, size - 1).long()
        flat = flat * size + index
    return torch.where(inside, labels.reshape(-1)[flat], torch.zeros_like(labels.reshape(-1)[:1]))


def _compiled(labels: NDArray[Any], displacement: ArrayLike) -> bool:
    """Whether the compiled loop takes them: volumes of integers, a displacement in single precision."""
    return (
        labels.ndim == 3
        and labels.dtype.kind in "iu"
        and labels.dtype.isnative
        and isinstance(displacement, np.ndarray)
        and displacement.dtype == np.float32
        and numba_loops.available()
    )


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Displacement of ``p -> (p + inner) -> (... + outer)``: ``inner(p) + outer(p + inner(p))``; ``(B, d, *S)``.

    Example:
        >>> import torch
        >>> u = torch.ones(1, 2, 8, 8)
        >>> compose(u, u)[0, :, 3, 3].tolist()
        [2.0, 2.0]
    """
    return inner + warp(outer, inner)


def affine_displacement(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """Displacement of an affine map about the image's centre: ``u(p) = (A - I)(p - c) + t``.

    Unlike `compose`, exact outside the image too: an affine map has no border.

    Args:
        matrix: ``(B, d, d + 1)``: linear part A, and translation t in voxels.
        shape: of the grid.

    Returns:
        ``(B, d, *shape)`` in voxels.

    Example:
        >>> import torch
        >>> affine_displacement(torch.tensor([[[1.0, 0, 2], [0, 1, 0]]]), (4, 4))[0, :, 1, 1].tolist()
        [2.0, 0.0]
    """
    dims = len(shape)
    grid = identity_grid(shape, device=matrix.device, dtype=matrix.dtype)
    centre = vector([(n - 1) / 2 for n in shape], matrix)
    points = (grid - centre.view(-1, *[1] * dims)).flatten(1)
    linear = matrix[:, :, :dims] - torch.eye(dims, device=matrix.device, dtype=matrix.dtype)
    return (linear @ points + matrix[:, :, dims:]).view(-1, dims, *shape)


def integrate(velocity: Tensor, *, squarings: int = 5) -> Tensor:
    """Displacement exp(v) of a stationary velocity field by scaling and squaring.

    Args:
        velocity: ``(B, d, *S)``, voxels per unit time.
        squarings: the field is divided by 2**squarings, then composed with itself that many times.

    Raises:
        ValueError: if `squarings` is below 0.

    Reference:
        Arsigny et al. 2006, doi:10.1007/11866565_113.

    Example:
        >>> import torch
        >>> integrate(torch.ones(1, 2, 9, 9))[0, :, 4, 4].tolist()
        [1.0, 1.0]
    """
    check_squarings(squarings)
    displacement = velocity / 2.0**squarings
    for _ in range(squarings):
        displacement = compose(displacement, displacement)
    return displacement


def check_squarings(squarings: int) -> None:
    """Raise ValueError if a field cannot be composed with itself so many times."""
    if squarings < 0:
        raise ValueError(f"squarings must be 0 or more, but got {squarings}.")


def resize_displacement(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    """Resample to another grid over the same box, rescaled to its voxels; ``(B, d, *shape)``.

    Example:
        >>> import torch
        >>> flow = torch.ones(1, 2, 4, 4)  # voxels of its own grid
        >>> round(float(resize_displacement(flow, (8, 8))[0, 0, 3, 3]), 3)  # 7 steps where 3 were
        2.333
    """
    old = displacement.shape[2:]
    if tuple(old) == tuple(shape):
        return displacement
    resized = along_axes(
        partial(F.interpolate, size=tuple(shape), mode=LINEAR[len(old)], align_corners=True),
        lambda line, axis: F.interpolate(line, size=shape[axis], mode="linear", align_corners=True),
        displacement,
    )
    ratio = [(new - 1) / max(was - 1, 1) for new, was in zip(shape, old, strict=True)]
    return resized * vector(ratio, displacement).view(1, -1, *([1] * len(old)))


def enlarge_displacement(displacement: Tensor, factor: int, shape: Sequence[int]) -> Tensor:
    """What a displacement between shrunk images is between the images, each shrunk to the means of its blocks.

    Block b lies around voxel ``factor * b + (factor - 1) / 2``. Beyond the outermost of these centres the displacement
    goes on as there, also where the far end of an axis is in no block.

    Args:
        displacement: ``(B, d, *S)`` in blocks.
        factor: side of a block in voxels.
        shape: of the images in voxels.

    Returns:
        ``(B, d, *shape)`` in voxels.

    Example:
        >>> import torch
        >>> flow = torch.ones(1, 2, 4, 4)  # one block
        >>> enlarge_displacement(flow, 2, (9, 8))[0, :, 3, 3].tolist()
        [2.0, 2.0]
    """
    blocks = [factor * n for n in displacement.shape[2:]]
    within = F.interpolate(displacement, size=blocks, mode=LINEAR[len(blocks)], align_corners=False)
    left = [n - size for n, size in zip(shape, blocks, strict=True)]
    return factor * F.pad(within, [side for n in reversed(left) for side in (0, n)], mode="replicate")

"""Random changes of training pairs; the draws depend on seed and step alone, so a resumed training repeats them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from regbench.spatial.displacement import affine_displacement, warp
from regbench.study.config import Augmentation
from regbench.system.device import sent, vector
from regbench.training.batches import Batch


def augment(batch: Batch, wanted: Augmentation, random: Generator) -> Batch:
    """Flip, move and recolour a batch.

    Args:
        batch: images ``(B, 1, *S)`` and, or not, one-hot labels ``(B, L, *S)``, masks ``(B, 1, *S)`` and landmarks
            ``(B, N, d)`` in voxels.
        wanted: section `augmentation` of the config.
        random: of this step.

    Returns:
        A batch of the same shapes; the given one where nothing is wanted.
    """
    if wanted == Augmentation():
        return batch
    axes = [2 + axis for axis in wanted.flips if random.random() < 0.5]
    fixed, *of_fixed = _half(batch.fixed, (batch.fixed_labels, batch.fixed_mask, batch.fixed_points), wanted, random)
    moving, *of_moving = _half(
        batch.moving, (batch.moving_labels, batch.moving_mask, batch.moving_points), wanted, random
    )
    maps = (
        None if values is None else values.flip(axes)
        for values in (of_fixed[0], of_moving[0], of_fixed[1], of_moving[1])
    )
    points = (
        None if values is None else _mirrored(values, axes, batch.fixed.shape[2:])
        for values in (of_fixed[2], of_moving[2])
    )
    return Batch(fixed.flip(axes), moving.flip(axes), *maps, *points)


def _mirrored(points: Tensor, axes: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Landmarks ``(B, N, d)`` of an image that is mirrored along `axes` of its tensor."""
    last = vector([size - 1 for size in shape], points)
    turned = vector([float(2 + axis in axes) for axis in range(len(shape))], points)
    return torch.where(turned > 0, last - points, points)


def _half(
    image: Tensor,
    known: tuple[Tensor | None, Tensor | None, Tensor | None],
    wanted: Augmentation,
    random: Generator,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """The image, and its labels, mask and landmarks, which are moved alike and keep their values."""
    labels, mask, points = known
    if wanted.rotation_degrees or wanted.scaling or wanted.translation_voxels:
        matrices = sent(_matrices(len(image), image.ndim - 2, wanted, random), image.device)
        displacement = affine_displacement(matrices, image.shape[2:])
        image = warp(image, displacement)
        labels = None if labels is None else warp(labels, displacement, mode="nearest")
        mask = None if mask is None else warp(mask, displacement, mode="nearest", padding="zeros")
        points = None if points is None else _before(matrices, points, image.shape[2:])
    if wanted.gamma:
        exponent = torch.from_numpy(np.exp(random.uniform(-wanted.gamma, wanted.gamma, len(image))))
        # The sign is kept: z-scored images have negative intensities.
        exponent = sent(exponent.to(image.dtype), image.device)
        image = image.sign() * image.abs() ** exponent.view(-1, *[1] * (image.ndim - 1))
    if wanted.noise:
        image = image + wanted.noise * _noise(image, random)
    return image, labels, mask, points


def _noise(image: Tensor, random: Generator) -> Tensor:
    """Standard normal numbers like an image's; a GPU draws its own, for a CPU needs longer than a step takes there."""
    if image.device.type == "cuda":
        own = torch.Generator(image.device).manual_seed(int(random.integers(2**63)))
        return torch.randn(image.shape, generator=own, device=image.device)
    return torch.from_numpy(random.standard_normal(image.shape, dtype=np.float32)).to(image.device)


def _before(matrices: Tensor, points: Tensor, shape: Sequence[int]) -> Tensor:
    """Where the image that is warped by affine maps shows points ``(B, N, d)`` of the image before.

    The warp pulls: what is at p then was at ``A (p - c) + c + t`` before (`affine_displacement`).
    """
    dims = len(shape)
    linear, shift = matrices[:, :, :dims].to(points), matrices[:, :, dims].to(points)
    centre = vector([(size - 1) / 2 for size in shape], points)
    inverse: Tensor = torch.linalg.inv_ex(linear)[0]  # which a GPU does not wait for, as for a check
    return centre + (points - centre - shift[:, None]) @ inverse.mT


def _matrices(count: int, dims: int, wanted: Augmentation, random: Generator) -> Tensor:
    """``(count, d, d + 1)``: rotation in every plane of axes, isotropic scaling, translation in voxels."""
    matrices = []
    for _ in range(count):
        linear = np.eye(dims) * (1 + random.uniform(-wanted.scaling, wanted.scaling))
        for i in range(dims):
            for j in range(i + 1, dims):
                angle = math.radians(random.uniform(-wanted.rotation_degrees, wanted.rotation_degrees))
                turn = np.eye(dims)
                turn[[i, j, i, j], [i, j, j, i]] = math.cos(angle), math.cos(angle), -math.sin(angle), math.sin(angle)
                linear = turn @ linear
        shift = random.uniform(-wanted.translation_voxels, wanted.translation_voxels, (dims, 1))
        matrices.append(np.concatenate([linear, shift], 1))
    return torch.from_numpy(np.stack(matrices).astype(np.float32))

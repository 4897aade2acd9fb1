"""Losses that do what a loss must not, or what is worth knowing: each one thing, for the audit to name."""

import torch
from torch import Tensor, nn

CALLS = [0]


def vector(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed - moved).square().flatten(1).mean(1)


def boxed(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed - moved).square().mean().view(1)


def number(fixed: Tensor, moved: Tensor, /) -> float:
    return float((fixed - moved).square().mean())


def not_a_number(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed - moved).square().mean() * torch.nan


def detached(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed - moved.detach()).square().mean()


def constant(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return 0 * (fixed - moved).mean()


def raising(fixed: Tensor, moved: Tensor, /) -> Tensor:
    raise KeyError("no such window")


def exiting(fixed: Tensor, moved: Tensor, /) -> Tensor:
    raise SystemExit(3)


def changing(fixed: Tensor, moved: Tensor, /) -> Tensor:
    moved -= moved.mean()
    return (fixed - fixed.mean() - moved).square().mean()


def counting(fixed: Tensor, moved: Tensor, /) -> Tensor:
    CALLS[0] += 1
    return (fixed - moved).square().mean() * (1 + 1e-3 * CALLS[0])


def sampled(fixed: Tensor, moved: Tensor, /) -> Tensor:
    voxels = torch.randperm(fixed[0].numel())[:200]
    return (fixed.flatten(1)[:, voxels] - moved.flatten(1)[:, voxels]).square().mean()


def half_slope(fixed: Tensor, moved: Tensor, /) -> Tensor:
    difference = fixed - moved
    return (difference * difference.detach()).mean()


def slope_of_single(fixed: Tensor, moved: Tensor, /) -> Tensor:
    """With a slope of half its size, in single precision alone."""
    if moved.dtype == torch.float64:
        raise TypeError("single precision only")
    return half_slope(fixed, moved)


def quotient(fixed: Tensor, moved: Tensor, /) -> Tensor:
    """No number for an image and itself."""
    mean = (fixed - moved).square().mean()
    return mean * mean / mean


def total(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed - moved).square().sum()


def root(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed - moved).square().mean().sqrt()


def decibel(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return 10 * (fixed - moved).square().mean().log10()


def one_axis(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed.diff(dim=-1) - moved.diff(dim=-1)).square().mean()


def whole_rows(fixed: Tensor, moved: Tensor, /) -> Tensor:
    return (fixed.mean(-1) - moved.mean(-1)).square().mean()


def even_sizes(fixed: Tensor, moved: Tensor, /) -> Tensor:
    if fixed.shape[-1] % 2:
        raise ValueError("even sizes only")
    return (fixed - moved).square().mean()


def planes(fixed: Tensor, moved: Tensor, /) -> Tensor:
    if fixed.ndim != 4:
        raise ValueError("2D only")
    return (fixed - moved).square().mean()


def scaled(displacement: Tensor, /, *, by: float = 3.0) -> Tensor:
    dims = displacement.ndim - 2
    return by * torch.stack([displacement.diff(dim=2 + axis).square().mean() for axis in range(dims)]).mean()


def rewarding(displacement: Tensor, /) -> Tensor:
    return -displacement.square().mean()


def lengths(displacement: Tensor, /) -> Tensor:
    """Isotropic TV without a guard: its slope at rest is 0 / 0."""
    slopes = [displacement.diff(dim=2 + axis)[..., :2, :2].square() for axis in range(displacement.ndim - 2)]
    return torch.stack(slopes).sum((0, 2)).sqrt().mean()


def central(displacement: Tensor, /) -> Tensor:
    dims = displacement.ndim - 2
    return torch.stack([torch.gradient(displacement, dim=2 + axis)[0].square().mean() for axis in range(dims)]).mean()


def skew(displacement: Tensor, /) -> Tensor:
    """The first axis counts twice."""
    dims = displacement.ndim - 2
    slopes = [displacement.diff(dim=2 + axis).square().mean() for axis in range(dims)]
    return torch.stack([slopes[0], *slopes]).mean()


def multiples_of_four(displacement: Tensor, /) -> Tensor:
    if any(size % 4 for size in displacement.shape[2:]):
        raise ValueError("sides must be multiples of 4")
    return displacement.square().mean()


def one_component(displacement: Tensor, /) -> Tensor:
    dims = displacement.ndim - 2
    return torch.stack([displacement[:, :1].diff(dim=2 + axis).square().mean() for axis in range(dims)]).mean()


def linear_part(matrix: Tensor, /) -> Tensor:
    dims = matrix.shape[1]
    return (matrix[..., :dims] - torch.eye(dims, dtype=matrix.dtype)).square().mean()


class Needs(nn.Module):
    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, fixed: Tensor, moved: Tensor) -> Tensor:
        return self.window * (fixed - moved).square().mean()


class Remembering(nn.Module):
    """Makes its weights for the first shape that it sees, as many keep a grid."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: Tensor | None = None

    def forward(self, fixed: Tensor, moved: Tensor) -> Tensor:
        if self.weights is None:
            self.weights = torch.ones(fixed.shape[2:])
        return (self.weights * (fixed - moved).square()).mean()


class OfMethod:
    """As VoxelMorph's: no module, and a method `loss`."""

    def loss(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_true - y_pred).square().mean()


class OfTwo(nn.Module):
    """As TransMorph's: a regularizer with an argument that it does not use."""

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        return y_pred.diff(dim=2).square().mean()


def of_three(one: Tensor, two: Tensor, three: Tensor) -> Tensor:
    return (one - two + three).mean()

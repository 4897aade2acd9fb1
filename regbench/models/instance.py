"""No network: the displacement of each pair is optimised directly, coarse to fine, with the objective itself."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from regbench.losses.masks import Masks, shrunk
from regbench.losses.objective import Objective
from regbench.models.adam import Adam
from regbench.spatial.displacement import check_squarings, enlarge_displacement, integrate, resize_displacement
from regbench.study.config import MaskUse

NO_MASKS = Masks()
SMALLEST = 16  # voxels: a level whose smallest side would be shorter is left out; a loss's window must fit


def instance(
    dims: int,
    /,
    *,
    objective: Objective,
    shrink: tuple[int, ...] = (4, 2, 1),
    steps: tuple[int, ...] = (60, 60, 40),
    learning_rate: float = 0.3,
    grid: int = 2,
    diffeomorphic: bool = True,
    squarings: int = 5,
) -> nn.Module:
    """Instance optimisation: no training; Adam on the field of each pair, multi-resolution, the same objective.

    Where the objective needs both directions, the fields of both are optimised together.

    Args:
        dims: 2 or 3.
        objective: similarity plus lambda times regularizer of the method; given by the study, not a parameter.
        shrink: factor by which the images are shrunk, level by level.
        steps: of each level.
        learning_rate: of Adam, in voxels of the field's own grid.
        grid: spacing of the field in voxels of its level.
        diffeomorphic: the field is a stationary velocity field, integrated; else the displacement itself.
        squarings: steps of that integration.

    Returns:
        A module without weights: fixed, moving ``(B, 1, *S)`` -> displacement ``(B, d, *S)`` in voxels.

    Raises:
        ValueError: if `shrink` and `steps` differ in length, one of the numbers is not positive, or
            `squarings` is below 0.
    """
    if len(shrink) != len(steps) or not shrink:
        raise ValueError(f"shrink and steps must have one entry a level each, but got {shrink} and {steps}")
    if min(*shrink, *steps, grid) < 1 or learning_rate <= 0:
        raise ValueError("shrink, steps, grid and learning_rate must be positive")
    check_squarings(squarings)
    levels = list(zip(shrink, steps, strict=True))
    return Instance(dims, objective, levels, (learning_rate, grid, squarings if diffeomorphic else 0))


class Optimisation(nn.Module):
    """A model that optimises each pair by the objective of its method."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    @property
    def mask_use(self) -> MaskUse:
        """Which masks of a pair `forward` must be given."""
        return self.objective.mask_use


class Instance(Optimisation):
    """See `instance`."""

    def __init__(
        self, dims: int, objective: Objective, levels: list[tuple[int, int]], settings: tuple[float, int, int]
    ) -> None:
        super().__init__(objective)
        self.dims, self.levels = dims, levels
        self.rate, self.grid, self.squarings = settings
        self.register_buffer("place", torch.empty(0), persistent=False)  # so that `.to(device)` moves something

    def forward(self, fixed: Tensor, moving: Tensor, masks: Masks = NO_MASKS) -> Tensor:
        """Displacement ``(B, d, *S)`` in voxels from fixed and moving ``(B, 1, *S)``, and the masks that count."""
        field: Tensor | None = None
        factor, shape = 1, fixed.shape[2:]
        finest = min(shrink for shrink, _ in self.levels)
        for shrink, steps in self.levels:
            if shrink != finest and min(fixed.shape[2:]) // shrink < SMALLEST:
                continue
            (coarse_fixed, fixed_mask), (coarse_moving, moving_mask) = (
                shrunk(image, mask, shrink) for image, mask in zip((fixed, moving), masks, strict=True)
            )
            coarse = [max(-(-n // self.grid), 2) for n in coarse_fixed.shape[2:]]
            if field is None:  # of the other direction too, where the objective needs it, behind the first
                fields = len(fixed) * (2 if self.objective.two_way else 1)
                field = fixed.new_zeros((fields, self.dims, *coarse))
            start, inside = resize_displacement(field, coarse), Masks(fixed_mask, moving_mask)
            field = self._level(coarse_fixed, coarse_moving, inside, start, steps)
            factor, shape = shrink, coarse_fixed.shape[2:]
        assert field is not None  # the finest level always runs
        displacement = self._displacement(field[: len(fixed)], shape)
        return displacement if factor == 1 else enlarge_displacement(displacement, factor, fixed.shape[2:])

    def _level(self, fixed: Tensor, moving: Tensor, masks: Masks, start: Tensor, steps: int) -> Tensor:
        def loss_of(field: Tensor) -> Tensor:
            # The field of the other direction lies behind the first, where the objective needs it.
            displacement, *backward = torch.split(self._displacement(field, fixed.shape[2:]), len(fixed))
            return self.objective(fixed, moving, displacement, masks, backward=next(iter(backward), None)).loss

        return optimised(start, loss_of, steps=steps, learning_rate=self.rate)

    def _displacement(self, field: Tensor, shape: Sequence[int]) -> Tensor:
        if self.squarings:
            field = integrate(field, squarings=self.squarings)
        return resize_displacement(field, shape)


@torch.enable_grad()
def optimised(start: Tensor, loss_of: Callable[[Tensor], Tensor], *, steps: int, learning_rate: float) -> Tensor:
    """A field after some steps of Adam down a loss.

    Args:
        start: ``(B, d, *G)``; left as it is.
        loss_of: of a field, a mean over the batch.
        steps: of Adam.
        learning_rate: of Adam, in voxels of the field's own grid.
    """
    field = start.detach().clone().requires_grad_()
    optimiser = Adam([field])
    for _ in range(steps):
        # The loss is a mean over the batch: undone, each pair is registered as if it were alone.
        (field.grad,) = torch.autograd.grad(loss_of(field) * len(field), [field])
        optimiser.step(learning_rate)
    return field.detach()

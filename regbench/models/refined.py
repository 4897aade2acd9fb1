"""A network's displacement, refined pair by pair: instance optimisation that begins where the network ends."""

import torch
from torch import Tensor, nn

from regbench.losses.masks import Masks
from regbench.losses.objective import Objective
from regbench.models.instance import NO_MASKS, Optimisation, optimised
from regbench.spatial.displacement import compose, integrate, resize_displacement
from regbench.spatial.registration import Registration, parts
from regbench.study.grid_config import Refine
from regbench.study.specs import ComponentSpec

GRID, SQUARINGS = 2, 5  # spacing of what is added, in voxels, and its integration, as those of `instance`


def refined(network: nn.Module, model: ComponentSpec, objective: Objective, settings: Refine) -> nn.Module:
    """A trained network whose displacements are refined.

    Args:
        network: whose regularizer sees a displacement.
        model: what it was built by: what a diffeomorphic one gives stays diffeomorphic.
        objective: that it was trained with.
        settings: of the refinement.
    """
    squarings = model.parameters.get("squarings", SQUARINGS) if model.parameters.get("diffeomorphic") is True else 0
    return Refined(network, objective, settings, squarings if isinstance(squarings, int) else SQUARINGS)


def check_refinable(output: Registration) -> None:
    """Raise ValueError if the regularizer of a network sees something other than a displacement."""
    if output.penalised.shape != output.displacement.shape:
        raise ValueError(
            f"what is refined must be a displacement {tuple(output.displacement.shape)}, but the model's regularizer "
            f"sees {tuple(output.penalised.shape)}; leave `refine` out"
        )


class Refined(Optimisation):
    """A network and, of each pair, some steps of Adam down the objective that it was trained with.

    What is optimised acts before the network's map, so that a displacement behind an affine stage stays one: with the
    map phi of the network the result is ``phi(p + v(p))``, and v begins at 0. The result of no step is the network's.

    Args:
        network: whose regularizer sees a displacement.
        objective: of its training; where that needs both directions, both are refined together.
        settings: steps and learning rate.
        squarings: steps of the integration of v as a velocity, so that a diffeomorphic network gives a diffeomorphic
            map; 0 for a displacement.

    Reference:
        Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538 (instance-specific optimisation).
    """

    def __init__(self, network: nn.Module, objective: Objective, settings: Refine, squarings: int = 0) -> None:
        super().__init__(objective)
        self.network, self.settings, self.squarings = network, settings, squarings

    def forward(self, fixed: Tensor, moving: Tensor, masks: Masks = NO_MASKS) -> Registration:
        """The network's output, refined, from fixed and moving ``(B, 1, *S)``, and the masks that count.

        Raises:
            ValueError: if the network's regularizer sees something other than a displacement.
        """
        with torch.no_grad():
            starts = [parts(self.network(fixed, moving))]
            if self.objective.two_way:
                starts.append(parts(self.network(moving, fixed)))
        check_refinable(starts[0])

        def loss_of(field: Tensor) -> Tensor:
            # The field of the other direction lies behind the first, where the objective needs it.
            fields = torch.split(field, len(fixed))
            output, *backward = (self._changed(start, part) for start, part in zip(starts, fields, strict=True))
            return self.objective(fixed, moving, output, masks, backward=next(iter(backward), None)).loss

        grid = [max(-(-n // GRID), 2) for n in fixed.shape[2:]]
        field = fixed.new_zeros((len(fixed) * len(starts), len(grid), *grid))
        steps, rate = self.settings.steps, self.settings.learning_rate
        changed = optimised(field, loss_of, steps=steps, learning_rate=rate)[: len(fixed)]
        return self._changed(starts[0], changed)

    def _changed(self, start: Registration, field: Tensor) -> Registration:
        if self.squarings:
            field = integrate(field, squarings=self.squarings)
        first = resize_displacement(field, start.displacement.shape[2:])
        displacement = compose(start.displacement, first)
        alike = start.penalised is start.displacement
        return Registration(displacement, displacement if alike else compose(start.penalised, first))

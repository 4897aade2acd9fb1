"""What a model gives back: a displacement, and what its regularizer looks at where that is something else."""

from typing import NamedTuple

from torch import Tensor


class Registration(NamedTuple):
    """The output of a model whose regularizer judges something other than the displacement.

    Attributes:
        displacement: ``(B, d, *S)`` in voxels.
        penalised: what the regularizer sees: a matrix ``(B, d, d + 1)``, or the deformable part alone.
    """

    displacement: Tensor
    penalised: Tensor


def parts(output: Tensor | Registration) -> Registration:
    """Either form of output; a plain displacement is itself what the regularizer sees."""
    return output if isinstance(output, Registration) else Registration(output, output)

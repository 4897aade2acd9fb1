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


def parts(output: object) -> Registration:
    """Either form of output; a plain displacement is itself what the regularizer sees.

    Raises:
        TypeError: if it is neither.
    """
    if isinstance(output, Registration):
        return output
    if not isinstance(output, Tensor):
        inner = f" of {len(output)}" if isinstance(output, tuple | list) else ""
        raise TypeError(
            f"a model must return its displacement (B, d, *S), but returned a {type(output).__name__}{inner}; "
            "regbench warps by itself, so return the displacement alone"
        )
    return Registration(output, output)

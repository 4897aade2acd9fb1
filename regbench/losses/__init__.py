"""What a registration is trained with: similarities of two images, regularizers of a displacement."""

from collections.abc import Callable, Mapping

from torch import Tensor

from regbench.losses.bending import bending
from regbench.losses.displacement import displacement_l1, displacement_l2
from regbench.losses.gcc import gcc
from regbench.losses.grad import grad_l1, grad_l2
from regbench.losses.lcc import lcc
from regbench.losses.mse import mse

SIMILARITIES: Mapping[str, Callable[..., Tensor]] = {
    "lcc": lcc,
    "gcc": gcc,
    "mse": mse,
}

REGULARIZERS: Mapping[str, Callable[..., Tensor]] = {
    "grad_l1": grad_l1,
    "grad_l2": grad_l2,
    "bending": bending,
    "displacement_l1": displacement_l1,
    "displacement_l2": displacement_l2,
}

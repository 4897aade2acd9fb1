"""Models: a pair of images becomes a displacement."""

from collections.abc import Callable, Mapping

from torch import nn

from regbench.models.affine import affine
from regbench.models.instance import instance
from regbench.models.lkunet import lkunet
from regbench.models.pyramid import pyramid
from regbench.models.voxelmorph import voxelmorph

__all__ = ["AFFINE_MODELS", "MODELS"]

# Their regularizer sees a displacement.
MODELS: Mapping[str, Callable[..., nn.Module]] = {
    "voxelmorph": voxelmorph,
    "lkunet": lkunet,
    "pyramid": pyramid,
    "instance": instance,
}

# Their regularizer sees a matrix.
AFFINE_MODELS: Mapping[str, Callable[..., nn.Module]] = {"affine": affine}

"""Models: a pair of images becomes a displacement."""

from collections.abc import Callable, Mapping

from torch import nn

from regbench.models.voxelmorph import voxelmorph

MODELS: Mapping[str, Callable[..., nn.Module]] = {"voxelmorph": voxelmorph}

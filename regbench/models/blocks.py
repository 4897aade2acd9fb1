"""What the networks are built of, in 2D and 3D."""

from collections.abc import Mapping

from torch import nn

from regbench.spatial.displacement import check_squarings
from regbench.system.errors import one_of

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
LEVEL: Mapping[str, int] = {"full": 0, "half": 1, "quarter": 2}  # halvings of the image to the grid of the flow


def check_settings(*, flow: str, norm: str = "none", squarings: int) -> None:
    """What the networks have in common of their settings.

    Raises:
        ValueError: if there is no such flow or norm, or `squarings` is below 0.
    """
    one_of("flow", flow, *LEVEL)
    one_of("norm", norm, "none", "instance")
    check_squarings(squarings)


def convolution(
    dims: int, inputs: int, outputs: int, *, side: int = 3, stride: int = 1, normalise: bool = False
) -> nn.Module:
    """A convolution, instance normalisation if asked for, and a leaky rectifier; ``(B, inputs, *S)``.

    He's initialisation, as VoxelMorph has it in Keras; torch's own shrinks the features of ten layers to nothing, and
    the first hundreds of steps are spent on growing them again.

    Args:
        dims: 2 or 3.
        inputs: channels.
        outputs: channels.
        side: of the kernel, odd.
        stride: of the kernel.
        normalise: the features of an image over its voxels.

    Reference:
        He et al. 2015, doi:10.1109/ICCV.2015.123.
    """
    layer = CONV[dims](inputs, outputs, side, stride=stride, padding=side // 2)
    nn.init.kaiming_normal_(layer.weight, a=0.2)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # a convolution made with a bias has one
    # Instance normalisation is group normalisation with one channel a group, in half the time.
    return nn.Sequential(layer, *([nn.GroupNorm(outputs, outputs)] if normalise else []), nn.LeakyReLU(0.2))


def flow_head(dims: int, inputs: int) -> nn.Module:
    """The last convolution, to a displacement in voxels; training starts from (almost) none."""
    head = CONV[dims](inputs, dims, 3, padding=1)
    nn.init.normal_(head.weight, std=1e-5)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]  # a convolution made with a bias has one
    return head

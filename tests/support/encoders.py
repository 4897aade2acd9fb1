"""Encoders of the feature distance: sound ones, and ones that give something else."""

import torch
from torch import Tensor, nn


class Pyramid(nn.Module):
    """Halves the grid, as encoders do."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.first = conv(1, 4, 3, padding=1, stride=2)
        self.drop = nn.Dropout(0.5)  # random in training, which a frozen encoder is not in

    def forward(self, image: Tensor) -> Tensor:
        seen: Tensor = self.drop(torch.tanh(self.first(image)))
        return seen


def made_2d() -> nn.Module:
    torch.manual_seed(3)
    return Pyramid(2)


def made_3d() -> nn.Module:
    torch.manual_seed(3)
    return Pyramid(3)


def made_nothing() -> int:
    return 3


def vector(image: Tensor, /) -> Tensor:
    return image.flatten(1)


def words(image: Tensor, /) -> str:
    return "no tensor"


def nans(image: Tensor, /) -> Tensor:
    return torch.log(image - 1e6)


def integers(image: Tensor, /) -> Tensor:
    return image.long()


def picky(image: Tensor, /) -> Tensor:
    raise IndexError("sides must be multiples of 14")


def two_images(one: Tensor, two: Tensor, /) -> Tensor:
    return one + two


def difference(fixed: Tensor, moved: Tensor, /) -> Tensor:
    """A similarity that takes no masks."""
    return (fixed - moved).abs().mean()


def in_place(image: Tensor, /) -> Tensor:
    """An encoder that writes into its image."""
    return image.mul_(2)

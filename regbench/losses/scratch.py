"""Scratch memory."""

import torch
from torch import Tensor


class Rooms:
    """Memory that the blocks of one call use in turn: made anew for each block, it would have to be paged in anew."""

    def __init__(self, like: Tensor) -> None:
        self._like, self._rooms = like, dict[str, Tensor]()

    def get(self, name: str, shape: torch.Size) -> Tensor:
        """An array of that shape with values of no meaning; the next call with that name overwrites it."""
        size = shape.numel()
        if name not in self._rooms or self._rooms[name].numel() < size:
            self._rooms[name] = self._like.new_empty(size)
        return self._rooms[name][:size].view(shape)

"""What every dataset source gives: subjects, and how they were made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Subject:
    """One image with its labels, on the grid of the dataset.

    Attributes:
        image: ``(*S)`` float32, scaled to order one.
        labels: ``(*S)`` integers, 0 is background.
        forward: ``(d, *S)`` voxels, where the subject was made from a template by a known map: from the subject's grid
            into the template; None for real subjects.
        inverse: ``(d, *S)`` voxels, the way back.
    """

    id: str
    image: NDArray[np.float32]
    labels: NDArray[Any]
    forward: NDArray[np.float32] | None = None
    inverse: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Source:
    """A dataset before it is cached."""

    ids: tuple[str, ...]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    labels: Mapping[int, str]
    notes: str
    licences: tuple[str, ...]
    subjects: Any = field(repr=False)  # () -> Iterator[Subject], in the order of ids

    def __iter__(self) -> Iterator[Subject]:
        return iter(self.subjects())
